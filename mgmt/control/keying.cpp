// SPDX-License-Identifier: Apache-2.0
// The calls of those who negotiate keys. Of keys only the descriptor passes here.
#include "mgmt/control/calls.hpp"

#include <charconv>
#include <optional>

namespace sallyport::varlink {

Json json_of(const IkeSpiView& one) { return Json::object({{"spi", std::format("{:016x}", one.spi)}, {"generation", one.generation}}); }

namespace {

/// A call of someone who may change the gateway, with `Parameters` as `fields` read them.
template <class Parameters, std::size_t Count, class F>
int changing(sd_varlink* link, sd_json_variant* parameters, const sd_json_dispatch_field (&fields)[Count], F call) {
    Parameters given{};
    if (const int result = sd_varlink_dispatch(link, parameters, fields, &given); result != 0) return result;
    if (!may_change(link)) return answer_not_allowed(link);
    return guarded(link, [&] { return call(given); });
}

int answer_generation(sd_varlink* link, const Result<void>& done, std::uint64_t generation) {
    return done ? sd_varlink_reply(link, Json::object({{"generation", generation}}).get()) : answer_failed(link, done.error());
}

int answer_count(sd_varlink* link, const char* name, const Result<std::size_t>& count) {
    return count ? sd_varlink_reply(link, Json::object({{name, *count}}).get()) : answer_failed(link, count.error());
}

int on_install(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    static constexpr sd_json_dispatch_field fields[] = {
        {"version", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint64, offsetof(InstallCall, version), SD_JSON_MANDATORY},
        {"generation", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint64, offsetof(InstallCall, generation), SD_JSON_MANDATORY},
        {"count", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint64, offsetof(InstallCall, count), SD_JSON_MANDATORY},
        {"hold", SD_JSON_VARIANT_BOOLEAN, sd_json_dispatch_stdbool, offsetof(InstallCall, hold), SD_JSON_NULLABLE},
        {}};
    return changing<InstallCall>(link, parameters, fields, [&](const InstallCall& call) {
        const int memfd = sd_varlink_peek_fd(link, 0); // closed by sd-varlink after the call
        if (memfd < 0)
            return answer_failed(link, {ErrorCode::missing, "no memfd was passed beside the call", "memfd", "pass one with the records"});
        return answer_generation(link, handlers_of(user).install(link, call, memfd), call.generation);
    });
}

int on_commit(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    static constexpr sd_json_dispatch_field fields[] = {
        {"generation", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint64, 0, SD_JSON_MANDATORY}, {}};
    return changing<std::uint64_t>(link, parameters, fields, [&](std::uint64_t generation) {
        return answer_generation(link, handlers_of(user).commit(link, generation), generation);
    });
}

struct Block {
    std::uint32_t count, block; // 0: not given
};

int on_reserve(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    static constexpr sd_json_dispatch_field fields[] = {
        {"count", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint32, offsetof(Block, count), no_flags},
        {"block", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint32, offsetof(Block, block), no_flags},
        {}};
    return changing<Block>(link, parameters, fields, [&](const Block& given) {
        const auto spis = handlers_of(user).reserve_spis(given.count == 0 ? 1 : given.count, given.block == 0 ? 1 : given.block);
        if (!spis) return answer_failed(link, spis.error());
        return sd_varlink_reply(link, Json::object({{"spis", Json::array_of(*spis, [](std::uint32_t spi) { return Json(spi); })}}).get());
    });
}

struct Spis {
    sd_json_variant* list; // borrowed
    std::uint64_t generation;
};

constexpr sd_json_dispatch_field spis_field{"spis", SD_JSON_VARIANT_ARRAY, sd_json_dispatch_variant_noref, offsetof(Spis, list),
                                            SD_JSON_MANDATORY};

std::optional<std::vector<std::uint32_t>> numbers(sd_json_variant* list) {
    std::vector<std::uint32_t> result;
    for (std::size_t i = 0; i < sd_json_variant_elements(list); ++i) {
        sd_json_variant* item = sd_json_variant_by_index(list, i);
        if (sd_json_variant_is_unsigned(item) == 0 || sd_json_variant_unsigned(item) > 0xffffffff) return std::nullopt;
        result.push_back(static_cast<std::uint32_t>(sd_json_variant_unsigned(item)));
    }
    return result;
}

/// 16 hexadecimal digits each: not every JSON reader takes whole numbers of 64 bits.
std::optional<std::vector<std::uint64_t>> ike_spis(sd_json_variant* list) {
    std::vector<std::uint64_t> result;
    for (std::size_t i = 0; i < sd_json_variant_elements(list); ++i) {
        sd_json_variant* item = sd_json_variant_by_index(list, i);
        if (sd_json_variant_is_string(item) == 0) return std::nullopt;
        const std::string_view text = sd_json_variant_string(item);
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result.emplace_back(), 16);
        if (text.size() != 16 || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    }
    return result;
}

int on_release(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    static constexpr sd_json_dispatch_field fields[] = {spis_field, {}};
    return changing<Spis>(link, parameters, fields, [&](const Spis& given) {
        const auto spis = numbers(given.list);
        if (!spis) return sd_varlink_error_invalid_parameter_name(link, "spis");
        return answer_count(link, "released", handlers_of(user).release_spis(*spis));
    });
}

int on_add_ike(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    static constexpr sd_json_dispatch_field fields[] = {
        spis_field, {"generation", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint64, offsetof(Spis, generation), SD_JSON_MANDATORY}, {}};
    return changing<Spis>(link, parameters, fields, [&](const Spis& given) {
        const auto spis = ike_spis(given.list);
        if (!spis) return sd_varlink_error_invalid_parameter_name(link, "spis");
        const Result<void> done = handlers_of(user).add_ike_spis(*spis, given.generation);
        return done ? sd_varlink_reply(link, nullptr) : answer_failed(link, done.error());
    });
}

int on_remove_ike(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    static constexpr sd_json_dispatch_field fields[] = {spis_field, {}};
    return changing<Spis>(link, parameters, fields, [&](const Spis& given) {
        const auto spis = ike_spis(given.list);
        if (!spis) return sd_varlink_error_invalid_parameter_name(link, "spis");
        return answer_count(link, "removed", handlers_of(user).remove_ike_spis(*spis));
    });
}

int on_ike_spis(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    return answer_part(link, parameters, "spis",
                       [user](std::size_t first, std::size_t count) { return handlers_of(user).ike_spis(first, count); });
}

} // namespace

int bind_keying(sd_varlink_server* server) {
    return sd_varlink_server_bind_method_many(
        server, "io.sallyport.Gateway.Install", on_install, "io.sallyport.Gateway.Commit", on_commit, "io.sallyport.Gateway.ReserveSpis",
        on_reserve, "io.sallyport.Gateway.ReleaseSpis", on_release, "io.sallyport.Gateway.AddIkeSpis", on_add_ike,
        "io.sallyport.Gateway.RemoveIkeSpis", on_remove_ike, "io.sallyport.Gateway.IkeSpis", on_ike_spis);
}

} // namespace sallyport::varlink
