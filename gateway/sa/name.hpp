// SPDX-License-Identifier: Apache-2.0
// Names of connections, policies and VPNs: what the configuration takes, and what records hold.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace sallyport {

inline constexpr std::size_t longest_name = 63; // octets

/// ASCII letters, digits, '.', '_' and '-'; a letter or digit first.
[[nodiscard]] constexpr bool good_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
    return !name.empty() && name.size() <= longest_name && letter(name[0]) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || c == '.' || c == '_' || c == '-'; });
}

} // namespace sallyport
