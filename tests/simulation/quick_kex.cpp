// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/quick_kex.hpp"

#include <random>

namespace sallyport::ike::simulation {
namespace {

std::vector<std::uint8_t> drawn(std::size_t size) {
    thread_local std::mt19937_64 generator{1};
    std::vector<std::uint8_t> octets(size);
    for (std::uint8_t& octet : octets) octet = static_cast<std::uint8_t>(generator());
    return octets;
}

/// The same for both, and another one for every pair of values.
Secret shared_of(const kex::Method& method, Octets initiator, Octets responder) {
    Secret shared(method.secret_size);
    std::uint64_t state = 1;
    const auto mix = [&](Octets octets) {
        for (const std::uint8_t octet : octets) state = (state ^ octet) * 0x100000001b3U;
    };
    mix(initiator);
    mix(responder);
    for (std::size_t i = 0; i < shared.size(); ++i) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        shared.data()[i] = static_cast<std::uint8_t>(state >> 56U);
    }
    return shared;
}

struct OwnValue final : kex::Private {
    std::vector<std::uint8_t> value;
};

std::expected<kex::Share, kex::Fault> generate(const kex::Method& method) {
    auto own = std::make_unique<OwnValue>();
    own->value = drawn(method.initiator_size);
    std::vector<std::uint8_t> value = own->value;
    return kex::Share{std::move(own), std::move(value)};
}

std::expected<kex::Answer, kex::Fault> answer(const kex::Method& method, Octets value) {
    if (value.size() != method.initiator_size) return std::unexpected(kex::Fault::bad_value);
    std::vector<std::uint8_t> own = drawn(method.responder_size);
    Secret shared = shared_of(method, value, own);
    return kex::Answer{std::move(own), std::move(shared)};
}

std::expected<Secret, kex::Fault> finish(const kex::Method& method, kex::Private& secret, Octets value) {
    if (value.size() != method.responder_size) return std::unexpected(kex::Fault::bad_value);
    return shared_of(method, static_cast<OwnValue&>(secret).value, value);
}

} // namespace

kex::Methods quick_methods() {
    static const std::vector<kex::Method> quick = [] {
        std::vector<kex::Method> rows(kex::methods().begin(), kex::methods().end());
        for (kex::Method& row : rows) {
            row.generate = generate;
            row.answer = answer;
            row.finish = finish;
        }
        return rows;
    }();
    return quick;
}

Settings quick_settings() {
    Settings settings;
    settings.methods = quick_methods();
    settings.fragment_size = 1000;
    return settings;
}

} // namespace sallyport::ike::simulation
