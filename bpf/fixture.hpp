// SPDX-License-Identifier: Apache-2.0
// Reads fixtures/*.txt (their language: fixtures/README.md) and makes the frames. For tests: what is malformed throws.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::fixture {

struct Fixture {
    std::string place; // file:line
    std::string port;
    std::string what;
    std::string verdict;
    std::vector<std::uint8_t> frame;
};

/// "eth / ip4 A B / esp" as octets; `mac` is the destination where the line names none.
[[nodiscard]] std::vector<std::uint8_t> make_frame(std::string_view layers, std::string_view mac);

/// All lines of all files in the folder, in the order of names and lines.
[[nodiscard]] std::vector<Fixture> read_folder(const std::string& folder);

/// MAC address of a port of the fixtures.
[[nodiscard]] std::string mac_of(std::string_view port);

} // namespace sallyport::fixture
