// SPDX-License-Identifier: Apache-2.0
// UDP (RFC 768): source port 2 | destination port 2 | length 2 | checksum 2. Ports of TCP, SCTP, DCCP and UDP-Lite lie at the same place.
#pragma once

#include <cstdint>

namespace sallyport::wire {

inline constexpr unsigned udp_size = 8;
inline constexpr unsigned source_port_offset = 0;
inline constexpr unsigned destination_port_offset = 2;
inline constexpr unsigned udp_length = 4;
inline constexpr std::uint16_t port_ike = 500;      // RFC 7296 2
inline constexpr std::uint16_t port_ike_nat = 4500; // RFC 3948 2

} // namespace sallyport::wire
