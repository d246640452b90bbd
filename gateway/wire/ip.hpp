// SPDX-License-Identifier: Apache-2.0
// Headers of IPv4 (RFC 791 3.1), IPv6 and its extension headers (RFC 8200 3, 4), and the protocol numbers that we meet (IANA).
#pragma once

#include "gateway/sa/address.hpp"
#include "gateway/sa/selector.hpp"
#include "gateway/wire/octets.hpp"

#include <cstdint>
#include <cstring>

namespace sallyport::wire {

// IPv4: version 4 bits, IHL 4 bits | TOS | total length 2 | identification 2 | flags 3 bits, fragment offset 13 bits | TTL | protocol |
// header checksum 2 | source 4 | destination 4 | options
inline constexpr unsigned ipv4_size = 20; // without options
inline constexpr unsigned ipv4_tos = 1;
inline constexpr unsigned ipv4_total_length = 2;
inline constexpr unsigned ipv4_identification = 4;
inline constexpr unsigned ipv4_fragment = 6;
inline constexpr unsigned ipv4_ttl = 8;
inline constexpr unsigned ipv4_protocol = 9;
inline constexpr unsigned ipv4_checksum = 10;
inline constexpr unsigned ipv4_source = 12;
inline constexpr unsigned ipv4_destination = 16;
inline constexpr std::uint16_t ipv4_dont_fragment = 0x4000;
inline constexpr std::uint16_t ipv4_more_fragments = 0x2000;
inline constexpr std::uint16_t ipv4_offset_mask = 0x1fff; // in units of 8 octets

// IPv6: version 4 bits, traffic class 8 bits, flow label 20 bits | payload length 2 | next header | hop limit | source 16 | destination 16
inline constexpr unsigned ipv6_size = 40;
inline constexpr unsigned ipv6_payload_length = 4;
inline constexpr unsigned ipv6_next_header = 6;
inline constexpr unsigned ipv6_hop_limit = 7;
inline constexpr unsigned ipv6_source = 8;
inline constexpr unsigned ipv6_destination = 24;
inline constexpr unsigned ipv6_fragment_size = 8;        // next header | reserved | offset 13 bits, 2 reserved, M | identification 4
inline constexpr unsigned maximum_extension_headers = 8; // that we follow; more is malformed_extension

inline constexpr unsigned ipv4_least_mtu = 68;   // octets that every link carries (RFC 791 3.2)
inline constexpr unsigned ipv6_least_mtu = 1280; // RFC 8200 5

inline constexpr std::uint8_t protocol_hop_by_hop = 0;
inline constexpr std::uint8_t protocol_icmp = 1;
inline constexpr std::uint8_t protocol_ipv4 = 4;
inline constexpr std::uint8_t protocol_tcp = 6;
inline constexpr std::uint8_t protocol_udp = 17;
inline constexpr std::uint8_t protocol_dccp = 33;
inline constexpr std::uint8_t protocol_ipv6 = 41;
inline constexpr std::uint8_t protocol_routing = 43;
inline constexpr std::uint8_t protocol_fragment = 44;
inline constexpr std::uint8_t protocol_esp = 50;
inline constexpr std::uint8_t protocol_ah = 51;
inline constexpr std::uint8_t protocol_icmpv6 = 58;
inline constexpr std::uint8_t protocol_no_next_header = 59;
inline constexpr std::uint8_t protocol_destination_options = 60;
inline constexpr std::uint8_t protocol_sctp = 132;
inline constexpr std::uint8_t protocol_mobility = 135;
inline constexpr std::uint8_t protocol_udp_lite = 136;

using sallyport::has_ports;
using sallyport::has_type;

inline constexpr unsigned mobility_type = 2; // MH Type in a Mobility Header (RFC 6275 6.1.1)

/// Octets that are at least there of an upper-layer header, 0: we do not look into it.
[[nodiscard]] constexpr unsigned minimum_transport(std::uint8_t protocol) {
    switch (protocol) {
    case protocol_tcp: return 20;     // RFC 9293 3.1
    case protocol_udp:                // RFC 768
    case protocol_udp_lite: return 8; // RFC 3828 3.1
    case protocol_icmp:               // RFC 792
    case protocol_icmpv6:             // RFC 4443 4, 2.1
    case protocol_mobility: return 8; // RFC 6275 6.1.1
    case protocol_sctp:               // RFC 9260 3.1
    case protocol_dccp: return 12;    // RFC 4340 5.1
    default: return 0;
    }
}

/// Octets of the IPv6 extension header at `at`, of which two can be read; 0: it is none that we walk over.
[[nodiscard]] inline unsigned extension_size(std::uint8_t protocol, const std::uint8_t* at) {
    switch (protocol) {
    case protocol_hop_by_hop:
    case protocol_routing:
    case protocol_destination_options: return (at[1] + 1U) * 8U; // RFC 8200 4.3, 4.4, 4.6
    case protocol_fragment: return ipv6_fragment_size;           // RFC 8200 4.5
    default: return 0;
    }
}

[[nodiscard]] constexpr bool is_extension(std::uint8_t protocol) {
    return protocol == protocol_hop_by_hop || protocol == protocol_routing || protocol == protocol_destination_options ||
           protocol == protocol_fragment;
}

[[nodiscard]] inline Address address_at(const std::uint8_t* from, Family family) {
    Address address;
    address.family = family;
    std::memcpy(address.octets.data(), from, family == Family::ipv4 ? 4 : 16);
    return address;
}

/// The addresses of the IP header at `header`, whose family is 4 or 6.
[[nodiscard]] inline Address source_of(const std::uint8_t* header, std::uint8_t family) {
    return family == 4 ? address_at(header + ipv4_source, Family::ipv4) : address_at(header + ipv6_source, Family::ipv6);
}

[[nodiscard]] inline Address destination_of(const std::uint8_t* header, std::uint8_t family) {
    return family == 4 ? address_at(header + ipv4_destination, Family::ipv4) : address_at(header + ipv6_destination, Family::ipv6);
}

} // namespace sallyport::wire
