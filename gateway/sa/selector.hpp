// SPDX-License-Identifier: Apache-2.0
// Traffic selectors (RFC 4301 4.4.1.1): which packets a policy or an SA speaks of, seen from this gateway.
#pragma once

#include "gateway/sa/address.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport {

/// Values of the field that RFC 4301 4.4.1.3 calls "port": a port; of ICMP and ICMPv6 type * 256 + code; of a Mobility Header type * 256.
/// ANY matches every value and packets that show none; OPAQUE only those: later fragments, and protocols without such a field. Both are
/// written as IKE writes them (RFC 4301 4.4.1.2).
struct PortRange {
    std::uint16_t first = 0;
    std::uint16_t last = 65535;
    [[nodiscard]] constexpr bool any() const { return first == 0 && last == 65535; }
    [[nodiscard]] constexpr bool opaque() const { return first == 65535 && last == 0; }
    [[nodiscard]] constexpr bool named() const { return !any() && !opaque(); } // it asks for a value, which the packet must show
    [[nodiscard]] constexpr bool contains(std::uint16_t port) const { return port >= first && port <= last; }
    [[nodiscard]] constexpr bool matches(bool known, std::uint16_t port) const { return known ? contains(port) : !named(); }
    /// Does it match whatever `inner` matches?
    [[nodiscard]] constexpr bool covers(const PortRange& inner) const {
        return any() || *this == inner || (named() && inner.named() && first <= inner.first && inner.last <= last);
    }
    bool operator==(const PortRange&) const = default;
};

inline constexpr PortRange opaque_ports{65535, 0};

/// RFC 4301 4.4.1.1: from the first type's first code to the last type's last code, as one range.
[[nodiscard]] constexpr PortRange type_range(std::uint8_t first_type, std::uint8_t last_type, std::uint8_t first_code = 0,
                                             std::uint8_t last_code = 255) {
    return {static_cast<std::uint16_t>(first_type * 256 + first_code), static_cast<std::uint16_t>(last_type * 256 + last_code)};
}

/// Protocols whose header begins with a source and a destination port of two octets each: TCP, UDP, DCCP, SCTP, UDP-Lite.
[[nodiscard]] constexpr bool has_ports(std::uint8_t protocol) {
    return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136;
}

/// Protocols with one such field instead: ICMP, ICMPv6, Mobility Header.
[[nodiscard]] constexpr bool has_type(std::uint8_t protocol) { return protocol == 1 || protocol == 58 || protocol == 135; }

/// Protocol of an IPv6 fragment that does not show it: the number of the fragment header. A selector with it is RFC 4301's OPAQUE.
inline constexpr std::uint8_t opaque_protocol = 44;

/// Local is this gateway's red side, remote the peer's. Outbound packets have their source in `local`, inbound ones in `remote`.
struct Selector {
    AddressRange local;
    AddressRange remote;       // of the same family as `local`
    std::uint8_t protocol = 0; // upper-layer protocol, 0: any (RFC 7296 3.13.1)
    PortRange local_ports;     // of a protocol that has_type(): what our side may send (RFC 4301 4.4.1.3)
    PortRange remote_ports;    // and what the other side may send
    bool operator==(const Selector&) const = default;
};

/// What of a packet a selector looks at. `ports_known` is false for a protocol without ports or type and where the packet does not show
/// them. A type, of a protocol that has_type(), stands in `source_port`.
struct Flow {
    Address source;
    Address destination;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint8_t protocol = 0;
    bool ports_known = false;
};

enum class Direction : std::uint8_t { outbound = 0, inbound = 1 };

[[nodiscard]] bool matches(const Selector& selector, Direction direction, const Flow& flow);
/// What is wrong with it, a sentence without its end; empty: nothing. Whoever takes selectors from outside asks.
[[nodiscard]] std::string_view fault(const Selector& selector);
[[nodiscard]] std::string to_string(const Selector& selector);

} // namespace sallyport
