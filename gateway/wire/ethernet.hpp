// SPDX-License-Identifier: Apache-2.0
// Ethernet II (IEEE 802.3 clause 3) and its VLAN tags (IEEE 802.1Q clause 9):
//     destination 6 | source 6 | [ TPID 2 | PCP 3 bits, DEI 1 bit, VID 12 bits ]* | EtherType 2 | payload
#pragma once

#include "gateway/wire/octets.hpp"

#include <array>
#include <cstdint>

namespace sallyport::wire {

inline constexpr unsigned ethernet_size = 14;
inline constexpr unsigned tag_size = 4;
inline constexpr unsigned ethernet_type_offset = 12;

inline constexpr std::uint16_t ethertype_ipv4 = 0x0800;  // RFC 894
inline constexpr std::uint16_t ethertype_ipv6 = 0x86dd;  // RFC 2464 3
inline constexpr std::uint16_t ethertype_arp = 0x0806;   // RFC 826
inline constexpr std::uint16_t ethertype_c_tag = 0x8100; // 802.1Q customer tag
inline constexpr std::uint16_t ethertype_s_tag = 0x88a8; // 802.1Q service tag
inline constexpr std::uint16_t vlan_id_mask = 0x0fff;

/// Octets of an Ethernet header with that VLAN id, 0: without a tag.
[[nodiscard]] constexpr unsigned ethernet_header_size(std::uint16_t vlan) { return vlan == 0 ? ethernet_size : ethernet_size + tag_size; }

/// Writes an Ethernet header that ends right before `payload`; returns its length. `vlan` 0: no tag.
inline unsigned write_ethernet(std::uint8_t* payload, const std::array<std::uint8_t, 6>& destination,
                               const std::array<std::uint8_t, 6>& source, std::uint16_t vlan, std::uint16_t ethertype) {
    const unsigned size = ethernet_header_size(vlan);
    std::uint8_t* header = payload - size;
    std::memcpy(header, destination.data(), 6);
    std::memcpy(header + 6, source.data(), 6);
    if (vlan != 0) {
        store16(header + 12, ethertype_c_tag);
        store16(header + 14, vlan);
    }
    store16(payload - 2, ethertype);
    return size;
}

} // namespace sallyport::wire
