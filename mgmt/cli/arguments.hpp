// SPDX-License-Identifier: Apache-2.0
// The words behind `sallyport`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::cli {

enum class Command : std::uint8_t { check, status, sa, policy, counters, watch, reload, marks, detach, features };

struct Arguments {
    Command command = Command::status;
    std::string file; // check, reload, marks
    std::string name; // sa, policy: only this one
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
