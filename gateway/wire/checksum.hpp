// SPDX-License-Identifier: Apache-2.0
// The Internet checksum (RFC 1071) and its update when a field changes (RFC 1624).
#pragma once

#include "gateway/wire/ip.hpp"
#include "gateway/wire/octets.hpp"

#include <cstdint>

namespace sallyport::wire {

[[nodiscard]] constexpr std::uint16_t fold(std::uint64_t sum) {
    sum = (sum >> 32) + (sum & 0xffffffffU);
    sum = (sum >> 32) + (sum & 0xffffffffU);
    std::uint32_t half = static_cast<std::uint32_t>((sum >> 16) + (sum & 0xffffU));
    half = (half >> 16) + (half & 0xffffU);
    return static_cast<std::uint16_t>((half >> 16) + half);
}

/// Checksum over `size` octets, in the byte order of the wire (store_raw writes it); 0 over a header with a right checksum.
[[nodiscard]] inline std::uint16_t checksum_raw(const std::uint8_t* data, unsigned size) {
    std::uint64_t sum = 0; // 32-bit words: the sum is the same in every byte order and width (RFC 1071 2)
    for (; size >= 4; size -= 4, data += 4) sum += load_raw<std::uint32_t>(data);
    if (size >= 2) {
        sum += load_raw<std::uint16_t>(data);
        data += 2;
        size -= 2;
    }
    if (size != 0) {
        std::uint16_t last = 0;
        std::memcpy(&last, data, 1);
        sum += last;
    }
    return static_cast<std::uint16_t>(~fold(sum));
}

/// That of `size` octets of an upper layer behind an IPv6 header, with addresses, length and protocol (RFC 8200 8.1); as checksum_raw().
[[nodiscard]] inline std::uint16_t ipv6_upper_checksum_raw(const std::uint8_t* header, std::uint8_t protocol, const std::uint8_t* data,
                                                           unsigned size) {
    std::uint64_t sum = static_cast<std::uint16_t>(~checksum_raw(header + ipv6_source, 32));
    sum += static_cast<std::uint16_t>(~checksum_raw(data, size));
    sum += swapped(static_cast<std::uint16_t>(size));
    sum += swapped(std::uint16_t{protocol});
    return static_cast<std::uint16_t>(~fold(sum));
}

/// Puts a whole new checksum into an IPv4 header of `size` octets.
inline void write_ipv4_checksum(std::uint8_t* header, unsigned size) {
    store_raw<std::uint16_t>(header + ipv4_checksum, 0);
    store_raw(header + ipv4_checksum, checksum_raw(header, size));
}

/// The checksum after a 16-bit field went from `before` to `after`; all in one byte order: HC' = ~(~HC + ~m + m') (RFC 1624 3).
[[nodiscard]] constexpr std::uint16_t update_checksum(std::uint16_t checksum, std::uint16_t before, std::uint16_t after) {
    std::uint32_t sum = (checksum ^ 0xffffU) + (before ^ 0xffffU) + std::uint32_t{after};
    sum = (sum & 0xffffU) + (sum >> 16);
    sum = (sum & 0xffffU) + (sum >> 16);
    return static_cast<std::uint16_t>(sum ^ 0xffffU);
}

/// TTL or hop limit one less, with IPv4's checksum. It must not be 0.
inline void decrement_hop_limit(std::uint8_t* header, std::uint8_t family) {
    if (family == 6) {
        --header[ipv6_hop_limit];
        return;
    }
    // TTL and protocol as one field, put together in a register: a load that follows a narrower store waits for it.
    const std::uint16_t before = load16(header + ipv4_ttl);
    const auto after = static_cast<std::uint16_t>(before - 0x100U);
    store16(header + ipv4_ttl, after);
    store16(header + ipv4_checksum, update_checksum(load16(header + ipv4_checksum), before, after));
}

} // namespace sallyport::wire
