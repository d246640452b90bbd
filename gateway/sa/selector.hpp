// SPDX-License-Identifier: Apache-2.0
// Traffic selectors (RFC 4301 4.4.1.1): which packets a policy or an SA speaks of, seen from this gateway.
#pragma once

#include "gateway/sa/address.hpp"

#include <cstdint>
#include <string>

namespace sallyport {

struct PortRange {
    std::uint16_t first = 0;
    std::uint16_t last = 65535;
    [[nodiscard]] constexpr bool any() const { return first == 0 && last == 65535; }
    [[nodiscard]] constexpr bool contains(std::uint16_t port) const { return port >= first && port <= last; }
    bool operator==(const PortRange&) const = default;
};

/// Local is this gateway's red side, remote the peer's. Outbound packets have their source in `local`, inbound ones in `remote`.
struct Selector {
    AddressRange local;
    AddressRange remote;       // of the same family as `local`
    std::uint8_t protocol = 0; // upper-layer protocol, 0: any (RFC 7296 3.13.1)
    PortRange local_ports;     // only with a protocol that has ports (TCP, UDP, SCTP, DCCP, UDP-Lite)
    PortRange remote_ports;
    bool operator==(const Selector&) const = default;
};

/// What of a packet a selector looks at. `ports_known` is false for a protocol without ports and where they are not in the packet.
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
[[nodiscard]] std::string to_string(const Selector& selector);

} // namespace sallyport
