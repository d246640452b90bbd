// SPDX-License-Identifier: Apache-2.0
// Against damage of what a process leaves to the next, not against forgery: nobody else can write there.
#pragma once

#include <cstdint>
#include <span>

namespace sallyport::state {

/// FNV-1a of 64 bits (RFC 9923).
[[nodiscard]] constexpr std::uint64_t fnv1a(std::span<const std::uint8_t> octets) {
    std::uint64_t sum = 0xcbf2'9ce4'8422'2325;
    for (const std::uint8_t octet : octets) sum = (sum ^ octet) * 0x0000'0100'0000'01b3;
    return sum;
}

/// The same by whole words, and with their upper halves brought down: for what is read and written as words, eight times as fast.
[[nodiscard]] constexpr std::uint64_t checksum_of(std::span<const std::uint64_t> words) {
    std::uint64_t sum = 0xcbf2'9ce4'8422'2325;
    for (const std::uint64_t word : words) {
        sum = (sum ^ word) * 0x0000'0100'0000'01b3;
        sum ^= sum >> 29;
    }
    return sum;
}

} // namespace sallyport::state
