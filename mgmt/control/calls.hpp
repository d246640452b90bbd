// SPDX-License-Identifier: Apache-2.0
// What the handlers of calls share. Only the sources of the server include it.
#pragma once

#include "mgmt/control/json.hpp"
#include "mgmt/control/server.hpp"
#include "mgmt/control/view.hpp"

#include <exception>
#include <format>
#include <unistd.h>

#include <systemd/sd-varlink.h>

namespace sallyport::varlink {

inline constexpr std::size_t most_in_an_answer = 500;
inline constexpr auto no_flags = static_cast<sd_json_dispatch_flags_t>(0);

[[nodiscard]] inline Handlers& handlers_of(void* user) { return static_cast<Server::Served*>(user)->handlers; }

inline int answer_error(sd_varlink* link, const char* id, const Error& error, const std::vector<std::string>* problems = nullptr) {
    Json::Members members{{"sentence", error.sentence}, {"place", error.place}, {"remedy", error.remedy}};
    if (problems != nullptr)
        members.emplace_back("problems", Json::array_of(*problems, [](const std::string& text) { return Json(text); }));
    return sd_varlink_error(link, id, Json::object(members).get());
}

inline int answer_failed(sd_varlink* link, const Error& error) { return answer_error(link, "io.sallyport.Gateway.Failed", error); }

/// A call with its parameters still to be read; an exception (no memory) is an answer too, not the end of the daemon.
template <class F>
int guarded(sd_varlink* link, F call) {
    try {
        return call();
    } catch (const std::exception& error) {
        return answer_failed(link, {ErrorCode::exhausted, std::format("the call failed: {}", error.what()), {}, {}});
    }
}

/// Seeing is for the socket's group, changing for root and for the user the gateway runs as.
[[nodiscard]] inline bool may_change(sd_varlink* link) {
    uid_t uid = 0;
    return sd_varlink_get_peer_uid(link, &uid) >= 0 && (uid == 0 || uid == geteuid());
}

inline int answer_not_allowed(sd_varlink* link) {
    return answer_failed(link, {ErrorCode::refused, "only root and the gateway's own user may change the gateway", {}, "call it as root"});
}

/// One part of a list; `get` takes first and count.
template <class F>
int answer_part(sd_varlink* link, sd_json_variant* parameters, const char* list, F get) {
    std::uint64_t first = 0;
    static constexpr sd_json_dispatch_field fields[] = {{"first", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint64, 0, no_flags}, {}};
    if (const int result = sd_varlink_dispatch(link, parameters, fields, &first); result != 0) return result;
    return guarded(link, [&] {
        const auto part = get(static_cast<std::size_t>(first), most_in_an_answer);
        const auto make = [](const auto& item) { return json_of(item); };
        return sd_varlink_reply(link, Json::object({{list, Json::array_of(part.items, make)}, {"total", part.total}}).get());
    });
}

/// The methods of those who negotiate keys (keying.cpp).
[[nodiscard]] int bind_keying(sd_varlink_server* server);

} // namespace sallyport::varlink
