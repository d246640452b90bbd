// SPDX-License-Identifier: Apache-2.0
// ICMP errors (RFC 792, RFC 1191 4, RFC 4443 2.1 and 3): type 1 | code 1 | checksum 2 | four octets by type | as much of the packet in
// error as fits, which is here called the quote.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/address.hpp"
#include "gateway/wire/ip.hpp"

#include <cstdint>
#include <optional>

namespace sallyport::wire {

inline constexpr unsigned icmp_size = 8;
inline constexpr unsigned icmp_checksum = 2;
inline constexpr unsigned icmp_rest = 4; // the four octets by type

/// Type and code of one error in the two families.
struct IcmpKind {
    std::uint8_t type = 0;
    std::uint8_t code = 0;
};

/// What a gateway tells of a packet that it did not forward.
enum class IcmpCause : std::uint8_t { too_big, hop_limit, no_route, address_unreachable, prohibited };

/// RFC 792, RFC 1812 5.2.7.1; RFC 4443 3.
[[nodiscard]] constexpr IcmpKind icmp_kind(Family family, IcmpCause cause) {
    const bool ipv4 = family == Family::ipv4;
    switch (cause) {
    case IcmpCause::too_big: return ipv4 ? IcmpKind{3, 4} : IcmpKind{2, 0};
    case IcmpCause::hop_limit: return ipv4 ? IcmpKind{11, 0} : IcmpKind{3, 0};
    case IcmpCause::no_route: return ipv4 ? IcmpKind{3, 0} : IcmpKind{1, 0};
    case IcmpCause::address_unreachable: return ipv4 ? IcmpKind{3, 1} : IcmpKind{1, 3};
    case IcmpCause::prohibited: return ipv4 ? IcmpKind{3, 13} : IcmpKind{1, 1};
    }
    return {};
}

/// What an ICMP error says, and what its quote shows.
struct IcmpError {
    std::uint8_t type = 0, code = 0;
    bool too_big = false;  // Fragmentation Needed or Packet Too Big
    std::uint32_t mtu = 0; // with too_big, as it stands there; 0: a router older than RFC 1191
    Address source, destination;
    std::uint8_t protocol = 0; // of the quote, behind at most a fragment header
    bool ipsec = false;        // ESP or AH, and the quote shows the two that follow; false for a later fragment too
    std::uint32_t spi = 0;
    std::uint32_t sequence = 0; // the low half
};

/// Is this parsed packet, no fragment, an ICMP error by its type?
[[nodiscard]] bool is_icmp_error(const Frame& packet);

/// A parsed frame (gateway/wire/parse.hpp) of protocol ICMP or ICMPv6 that is no fragment. Nothing: no error, a wrong checksum, or a quote
/// that is cut short before its addresses and protocol or contradicts itself.
[[nodiscard]] std::optional<IcmpError> parse_icmp_error(const Frame& frame);

/// May the source of this parsed packet get an ICMP error about it? Not about ICMP errors and redirects, nor what may be one, not about
/// later fragments (IPv4), not from or to what is no single host (RFC 1812 4.3.2.7, RFC 4443 2.4 e).
[[nodiscard]] bool may_be_told(const Frame& packet);

/// Writes an ICMP error about the parsed packet `about` from `source`, of its family, to its source, into the chunk of `error`, at
/// error.network; sets error.end and error.family. `rest`: the MTU with too_big, else 0. As much is quoted as may be: 576 octets in all
/// (RFC 1812 4.3.2.3), 1280 with IPv6 (RFC 4443 2.4 c). `identification` is IPv4's.
void write_icmp_error(Frame& error, const Frame& about, const Address& source, IcmpCause cause, std::uint32_t rest,
                      std::uint16_t identification);

} // namespace sallyport::wire
