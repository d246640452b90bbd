// SPDX-License-Identifier: Apache-2.0
// The words behind `sallyport`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::cli {

enum class Command : std::uint8_t { check, status, sa, policy, counters, explain, watch, drops, reload, marks, detach, features };

/// A packet to be explained: octets, or what one is made from.
struct Packet {
    std::string octets; // hexadecimal; "-": from stdin
    std::string from, to;
    std::string protocol = "udp";
    std::uint16_t source_port = 0, destination_port = 0, vlan = 0, length = 0;
    std::uint8_t icmp_type = 8, icmp_code = 0, hop_limit = 64;
};

struct Arguments {
    Command command = Command::status;
    std::string file; // check, reload, marks
    std::string name; // sa, policy, drops: only this one; explain: the port
    Packet packet;    // explain
    std::string socket = "/run/sallyport/gateway.varlink";
    std::string run_directory = "/run/sallyport"; // detach
    bool json = false;
    bool all = false; // counters
    // watch
    std::vector<std::string> kinds;
    std::string connection, vpn;
    std::uint64_t count = 0; // events until it ends, 0: for ever
};

/// What is to be done; or, where help was asked for or the words make no sense, nothing: text was printed, and `status` is to be returned.
[[nodiscard]] std::optional<Arguments> parse(int argc, const char* const* argv, std::string& out, std::string& err, int& status);

} // namespace sallyport::cli
