// SPDX-License-Identifier: Apache-2.0
// For the tests: octets as the specifications print them.
#pragma once

#include "ike/secret/secret.hpp"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::ike {

using Bytes = std::vector<std::uint8_t>;

/// Of hexadecimal digits, with blanks anywhere.
inline Bytes octets_of(std::string_view hex) {
    const auto value = [](char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; };
    Bytes octets;
    int high = -1;
    for (const char c : hex) {
        if (c == ' ') continue;
        if (high >= 0) octets.push_back(static_cast<std::uint8_t>(high * 16 + value(c)));
        high = high >= 0 ? -1 : value(c);
    }
    return octets;
}

inline std::string hex_of(Octets octets) {
    std::string hex;
    for (const std::uint8_t octet : octets) {
        hex += "0123456789abcdef"[octet / 16];
        hex += "0123456789abcdef"[octet % 16];
    }
    return hex;
}

/// first, first + step, ... modulo 256.
inline Bytes counting(unsigned first, std::size_t count, unsigned step = 1) {
    Bytes octets(count);
    for (std::size_t i = 0; i < count; ++i) octets[i] = static_cast<std::uint8_t>(first + i * step);
    return octets;
}

inline Bytes text(std::string_view characters) { return {characters.begin(), characters.end()}; }

inline Bytes joined(std::initializer_list<Octets> parts) {
    Bytes whole;
    for (const Octets part : parts) whole.insert(whole.end(), part.begin(), part.end());
    return whole;
}

} // namespace sallyport::ike
