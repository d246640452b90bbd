// SPDX-License-Identifier: Apache-2.0
// A packet made from what selectors look at: for `sallyport explain`.
#pragma once

#include "gateway/sa/selector.hpp"
#include "gateway/wire/ethernet.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace sallyport::wire {

struct PacketShape {
    std::uint8_t hop_limit = 64;
    std::uint8_t icmp_type = 8, icmp_code = 0; // with ICMP and ICMPv6
    std::uint16_t length = 0;                  // octets of the IP packet; too little for its headers: as much as they need
    bool dont_fragment = true;                 // IPv4
};

/// Both addresses are of one family. With TCP, UDP, SCTP, DCCP and UDP-Lite the ports of the flow are set; behind the headers lie zeros.
/// Only the IPv4 header has its checksum.
[[nodiscard]] std::vector<std::uint8_t> make_packet(const Flow& flow, const PacketShape& shape);

/// An Ethernet frame with this IP packet; `vlan` 0: without a tag.
[[nodiscard]] std::vector<std::uint8_t> make_frame(std::span<const std::uint8_t> packet, const std::array<std::uint8_t, 6>& destination,
                                                   std::uint16_t vlan);

/// Is this one whole IPv4 or IPv6 packet, by its version and lengths?
[[nodiscard]] bool is_packet(std::span<const std::uint8_t> octets);

} // namespace sallyport::wire
