// SPDX-License-Identifier: Apache-2.0
// Fragments of IPv4 (RFC 791 3.2) and IPv6 packets (RFC 8200 4.5): what one says of itself, how the first becomes the whole packet, and the
// headers of those that a packet is cut into.
#pragma once

#include "gateway/port/frame.hpp"

#include <cstdint>

namespace sallyport::wire {

struct Fragment {
    unsigned offset = 0; // octets of the packet's payload before it
    unsigned length = 0; // octets of it here: the last ones of the frame
    bool more = false;   // others follow
    std::uint32_t identification = 0;
};

/// Of a frame as parse() left it, with frame_fragment.
[[nodiscard]] Fragment fragment_of(const Frame& frame);

/// Of a first fragment that parse() left: walks on to the upper-layer header, sets transport and protocol, and the flags for what is known
/// there, as parse() does for a whole packet. fragment_tiny: that header is not there whole (RFC 1858 2, RFC 7112 5).
[[nodiscard]] DropReason find_first_transport(Frame& frame);

/// A first fragment whose payload has been completed behind it, up to frame.end, becomes the whole packet: length, no offset, no MF, no
/// fragment header. The Ethernet header before it stays with it; parse it again.
void make_whole(Frame& frame);

/// Sets the ECN bits of the IP header at `header`, with IPv4's checksum.
void set_ecn(std::uint8_t* header, std::uint8_t family, std::uint8_t ecn);

inline constexpr unsigned most_ipv4_header = 60;

/// The header of a later fragment of the IPv4 packet whose header is at `header`: options without the copied flag are left out (RFC 791
/// 3.1). Writes at most most_ipv4_header octets, returns how many. Length, offset, MF and checksum are the caller's:
/// finish_ipv4_fragment().
unsigned later_ipv4_header(const std::uint8_t* header, std::uint8_t* to);

/// Length, place and checksum of a fragment with `payload` octets behind the header of `size` octets at `header`; DF goes. `offset` in
/// octets, a multiple of 8.
void finish_ipv4_fragment(std::uint8_t* header, unsigned size, unsigned payload, unsigned offset, bool more, std::uint16_t identification);

/// Writes the fragment header behind the IPv6 header at `header`, which must be the packet's only other one and is made to fit. `payload`
/// octets follow.
void finish_ipv6_fragment(std::uint8_t* header, std::uint8_t next_header, unsigned payload, unsigned offset, bool more,
                          std::uint32_t identification);

} // namespace sallyport::wire
