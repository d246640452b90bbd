// SPDX-License-Identifier: Apache-2.0
// UDP (RFC 768): source port 2 | destination port 2 | length 2 | checksum 2. Ports of TCP, SCTP, DCCP and UDP-Lite lie at the same place.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/esp.hpp"
#include "gateway/wire/ip.hpp"

#include <cstdint>

namespace sallyport::wire {

inline constexpr unsigned udp_size = 8;
inline constexpr unsigned source_port_offset = 0;
inline constexpr unsigned destination_port_offset = 2;
inline constexpr unsigned udp_length = 4;
inline constexpr unsigned udp_checksum = 6;
inline constexpr std::uint16_t port_ike = 500;      // RFC 7296 2
inline constexpr std::uint16_t port_ike_nat = 4500; // RFC 3948 2
inline constexpr std::uint8_t nat_keepalive = 0xff; // the whole datagram (RFC 3948 2.3)

/// The checksum of a UDP datagram of `length` octets behind its IPv6 header, which it needs (RFC 8200 8.1); 0 stands in its field.
[[nodiscard]] inline std::uint16_t udp_checksum_ipv6_raw(const std::uint8_t* header, const std::uint8_t* udp, unsigned length) {
    const std::uint16_t checksum = ipv6_upper_checksum_raw(header, protocol_udp, udp, length);
    return checksum != 0 ? checksum : std::uint16_t{0xffff};
}

/// ESP in UDP (RFC 3948 2.1): of a parsed packet to port 4500 that is neither IKE nor a keepalive, `transport` and `end` become those of
/// the ESP packet, and its SPI is read; its protocol stays UDP's. False: it is none, and nothing has changed.
[[nodiscard]] inline bool enter_udp(Frame& frame) {
    if (frame.protocol != protocol_udp || (frame.flags & frame_ports) == 0) return false;
    const std::uint8_t* udp = frame.at(frame.transport);
    const unsigned length = load16(udp + udp_length);
    if (load16(udp + destination_port_offset) != port_ike_nat || length < udp_size + esp_size) return false;
    const std::uint32_t spi = load32(udp + udp_size);
    if (spi == 0) return false;
    frame.spi = spi;
    frame.end = static_cast<std::uint16_t>(frame.transport + length);
    frame.transport = static_cast<std::uint16_t>(frame.transport + udp_size);
    frame.flags |= frame_in_udp;
    return true;
}

/// Takes enter_udp() back.
inline void leave_udp(Frame& frame) {
    const std::uint8_t* header = frame.at(frame.network);
    frame.end = static_cast<std::uint16_t>(
        frame.network + (frame.family == 4 ? load16(header + ipv4_total_length) : ipv6_size + load16(header + ipv6_payload_length)));
    frame.transport = static_cast<std::uint16_t>(frame.transport - udp_size);
    frame.spi = 0;
    frame.flags &= static_cast<std::uint16_t>(~frame_in_udp);
}

} // namespace sallyport::wire
