// SPDX-License-Identifier: Apache-2.0
// From octets to metadata, once: Ethernet, VLAN tags, IPv4, IPv6, extension headers, fragments, ports.
// Everything that a later stage reads without looking is checked here; nothing behind Frame::end is ever read.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/selector.hpp"
#include "gateway/wire/ethernet.hpp"
#include "gateway/wire/ip.hpp"

namespace sallyport::wire {

/// Takes a frame from begin to end (Ethernet header first). Sets vlan, network, transport, family, protocol, traffic_class, hop_limit,
/// flags and, with ESP and AH, spi; cuts Ethernet padding off the end by the IP length. Or sets `reason`: then only begin and end still
/// hold.
void parse(Frame& frame);

/// The same for what lies from frame.network to frame.end, an IP packet of frame.family without an Ethernet header before it (opened).
/// traffic_class and hop_limit are set to the inner header's. Malformed: reason malformed_inner.
void parse_opened(Frame& frame);

/// The flags for what the upper-layer header of a packet shows where it is there whole.
[[nodiscard]] constexpr std::uint16_t shown_by(std::uint8_t protocol) {
    if (has_ports(protocol)) return frame_ports;
    return has_type(protocol) ? std::uint16_t{frame_type} : std::uint16_t{0};
}

/// With frame_type: type * 256 + code of ICMP and ICMPv6, type * 256 of a Mobility Header (RFC 4301 4.4.1.1).
[[nodiscard]] inline std::uint16_t type_of(const Frame& frame) {
    const std::uint8_t* at = frame.at(frame.transport);
    return frame.protocol == protocol_mobility ? static_cast<std::uint16_t>(at[mobility_type] << 8) : load16(at);
}

/// What selectors look at. The frame has been parsed.
[[nodiscard]] Flow flow_of(const Frame& frame);

} // namespace sallyport::wire
