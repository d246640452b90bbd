// SPDX-License-Identifier: Apache-2.0
// BEET mode (RFC 7402 appendix B, draft-nikander-esp-beet-mode-09): the inner IP header is left out and made again from the outer one and
// from the two inner addresses, which the SA knows. IPv4 options travel in a pseudo header before the payload. The flow label that goes
// out is that of the SA, as in a tunnel, so that flows are not told apart on the way.
#pragma once

#include "gateway/mode/tunnel.hpp"
#include "gateway/sa/address.hpp"

#include <array>
#include <cstdint>
#include <cstring>

namespace sallyport::mode {

inline constexpr std::uint8_t protocol_beet = 94;   // of the pseudo header
inline constexpr unsigned beet_pseudo_size = 4;     // next header | length in units of 8 octets, less one | octets of padding | 0
inline constexpr unsigned most_ipv4_options = 40;   // octets
inline constexpr std::uint8_t ipv4_nop = 1;         // an option of one octet, the padding of the pseudo header
inline constexpr unsigned most_beet_excess = 4 + 4; // octets that a packet with options may grow by: pseudo header and its padding

/// What an inner header leaves to the outer one besides Inner.
struct BeetInner {
    Inner inner;
    std::uint8_t hop_limit = 0;
    std::uint16_t identification = 0; // IPv4's
    unsigned begin = 0;               // offset of what is sealed
    std::uint8_t next_header = 0;
};

/// Takes the IP header off a parsed packet; its options become a pseudo header before the payload.
[[nodiscard]] inline BeetInner take_header(const Frame& frame) {
    std::uint8_t* header = frame.at(frame.network);
    BeetInner out{.inner = inner_of(frame)};
    if (frame.family == 6) {
        out.hop_limit = header[wire::ipv6_hop_limit];
        out.begin = frame.network + wire::ipv6_size;
        out.next_header = header[wire::ipv6_next_header];
        return out;
    }
    out.hop_limit = header[wire::ipv4_ttl];
    out.identification = wire::load16(header + wire::ipv4_identification);
    out.begin = frame.network + wire::ipv4_size;
    out.next_header = header[wire::ipv4_protocol];
    const unsigned options = (header[0] & 0xfU) * 4U - wire::ipv4_size;
    if (options == 0) return out;
    const unsigned padding = 4 - (options & 4U);
    out.begin -= beet_pseudo_size + padding;
    std::uint8_t* pseudo = frame.at(out.begin);
    pseudo[0] = out.next_header;
    pseudo[1] = static_cast<std::uint8_t>(options / 8);
    pseudo[2] = static_cast<std::uint8_t>(padding);
    pseudo[3] = 0;
    std::memset(pseudo + beet_pseudo_size, ipv4_nop, padding);
    out.next_header = protocol_beet;
    return out;
}

/// The inner header comes back before what lies opened and authentic from `begin` to `end`, offsets. The outer header is still at
/// frame.network. Sets frame.network, end and family. False: the pseudo header contradicts itself.
[[nodiscard]] bool give_header(Frame& frame, unsigned begin, unsigned end, std::uint8_t next_header, const Address& source,
                               const Address& destination);

} // namespace sallyport::mode
