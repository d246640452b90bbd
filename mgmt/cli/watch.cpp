// SPDX-License-Identifier: Apache-2.0
// `sallyport watch`: events as they happen, one line each.
#include "mgmt/cli/commands.hpp"
#include "mgmt/control/client.hpp"

#include <cstdio>
#include <ctime>
#include <format>

namespace sallyport::cli {
namespace {

using varlink::Json;

std::string time_text(std::uint64_t microseconds) {
    const auto seconds = static_cast<time_t>(microseconds / 1000000);
    tm parts{};
    gmtime_r(&seconds, &parts);
    return std::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                       parts.tm_min, parts.tm_sec, microseconds / 1000 % 1000);
}

/// "10.1.0.2:1000 > 10.2.0.2:53, protocol 17"
std::string flow_text(const Json& event) {
    const auto end = [&](const char* address, const char* port) {
        std::string text = event[address].text();
        if (!event[port].has_value()) return text;
        return text.contains(':') ? std::format("[{}]:{}", text, event[port].number()) : std::format("{}:{}", text, event[port].number());
    };
    const std::string type = event["type"].has_value() ? std::format(", type {} code {}", event["type"].number(), event["code"].number())
                                                       : "";
    return std::format("{} > {}, protocol {}{}", end("source", "sourcePort"), end("destination", "destinationPort"),
                       event["protocol"].number(), type);
}

bool print(const std::string& text) { return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0; }

} // namespace

std::string event_text(const Json& event) {
    std::string text = std::format("{} {}", time_text(event["time"].number()), event["kind"].text());
    const auto add = [&](const char* member, std::string_view word) {
        if (event[member].has_value()) text += std::format(" {}{}", word, event[member].text());
    };
    const auto add_number = [&](const char* member, std::string_view word) {
        if (event[member].has_value()) text += std::format(" {} {}", word, event[member].number());
    };
    add("reason", "");
    add("port", "port ");
    if (event["source"].has_value()) text += ": " + flow_text(event);
    add("direction", "");
    add("policy", "policy ");
    add("connection", "connection ");
    add("peer", "peer ");
    add_number("udpPort", "UDP port");
    add("newPeer", "now ");
    add_number("newUdpPort", "UDP port");
    add("vpn", "VPN ");
    if (event["spi"].has_value()) text += std::format(" SPI {:#010x}", event["spi"].number());
    add_number("sequence", "sequence");
    add_number("oldPathMtu", "path MTU");
    add_number("pathMtu", "now");
    add_number("largestInner", "inside");
    add_number("generation", "generation");
    if (event["count"].number() > 1) text += std::format(", {} of them", event["count"].number());
    if (event["leftOut"].number() != 0) text += std::format(", {} more before", event["leftOut"].number());
    if (event["lost"].number() != 0) text += std::format("; {} events were lost before this one", event["lost"].number());
    return text + "\n";
}

ExitStatus watch(const Arguments& arguments, Printed& printed) {
    auto client = varlink::Client::connect(arguments.socket);
    if (!client) return complain(client.error(), printed);
    const auto given = [](const std::string& text) { return text.empty() ? Json{} : Json(text); };
    const auto kind = [](const std::string& text) { return Json(text); };
    const Json parameters = Json::object({{"kinds", arguments.kinds.empty() ? Json{} : Json::array_of(arguments.kinds, kind)},
                                          {"connection", given(arguments.connection)},
                                          {"vpn", given(arguments.vpn)}});
    bool written = true;
    std::uint64_t seen = 0;
    const auto take = [&](const Json& event) {
        if (event["kind"].text() == "watching") return true;
        written = print(arguments.json ? event.print(false) + "\n" : event_text(event));
        return written && ++seen != arguments.count;
    };
    if (const auto done = client->watch(parameters, take); !done) return complain(done.error(), printed);
    return written ? done : failed;
}

} // namespace sallyport::cli
