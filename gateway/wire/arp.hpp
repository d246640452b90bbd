// SPDX-License-Identifier: Apache-2.0
// ARP for IPv4 on Ethernet (RFC 826):
//     hardware type 2 = 1 | protocol type 2 = 0x0800 | 6 | 4 | operation 2 | sender MAC 6 | sender IP 4 | target MAC 6 | target IP 4
#pragma once

#include "gateway/sa/address.hpp"
#include "gateway/wire/ethernet.hpp"
#include "gateway/wire/ip.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace sallyport::wire {

inline constexpr unsigned arp_size = 28;
inline constexpr std::uint16_t arp_request = 1, arp_reply = 2;

struct Arp {
    std::uint16_t operation = arp_request;
    std::array<std::uint8_t, 6> sender_mac{};
    Address sender; // IPv4
    std::array<std::uint8_t, 6> target_mac{};
    Address target;
};

/// Of the `size` octets at `from`; nothing: not ARP for IPv4 on Ethernet, or cut short. Padding behind it is no matter.
[[nodiscard]] inline std::optional<Arp> read_arp(const std::uint8_t* from, unsigned size) {
    constexpr std::uint64_t head = 0x0001'0800'0604; // types and sizes
    if (size < arp_size || load64(from) >> 16 != head) return std::nullopt;
    Arp arp;
    arp.operation = load16(from + 6);
    std::copy_n(from + 8, 6, arp.sender_mac.begin());
    arp.sender = address_at(from + 14, Family::ipv4);
    std::copy_n(from + 18, 6, arp.target_mac.begin());
    arp.target = address_at(from + 24, Family::ipv4);
    return arp;
}

/// arp_size octets.
inline void write_arp(std::uint8_t* to, const Arp& arp) {
    store16(to, 1);
    store16(to + 2, ethertype_ipv4);
    to[4] = 6;
    to[5] = 4;
    store16(to + 6, arp.operation);
    std::ranges::copy(arp.sender_mac, to + 8);
    std::copy_n(arp.sender.octets.begin(), 4, to + 14);
    std::ranges::copy(arp.target_mac, to + 18);
    std::copy_n(arp.target.octets.begin(), 4, to + 24);
}

} // namespace sallyport::wire
