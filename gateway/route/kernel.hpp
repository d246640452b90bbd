// SPDX-License-Identifier: Apache-2.0
// What the kernel says over rtnetlink, as plain values (rtnetlink(7), linux/rtnetlink.h).
#pragma once

#include "gateway/route/neighbours.hpp"
#include "gateway/sa/address.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

struct nlmsghdr;

namespace sallyport::route {

/// Of the routes that lead what the machine itself sends into the gateway's TUN devices (gateway/own): protocol numbers from 8 on are for
/// whoever takes them (rtnetlink(7)). The gateway itself never goes by them.
inline constexpr std::uint8_t own_protocol = 83;

struct KernelLink {
    std::uint32_t interface = 0;
    std::string name;
    Mac mac{};
    std::uint32_t mtu = 0;
    bool up = false;          // administratively up and with a carrier
    std::uint32_t parent = 0; // of a VLAN device: the interface below, 0: not a VLAN device of this namespace
    std::uint16_t vlan = 0;
    bool operator==(const KernelLink&) const = default;
};

struct KernelAddress {
    std::uint32_t interface = 0;
    Address address;
    std::uint8_t length = 0;
    std::optional<Address> broadcast;
    bool operator==(const KernelAddress&) const = default;
};

struct KernelHop {
    std::uint32_t interface = 0;
    std::uint16_t weight = 1;
    bool dead = false;
    std::optional<Address> gateway; // of either family (RFC 8950)
    bool operator==(const KernelHop&) const = default;
};

struct KernelRoute {
    std::uint32_t table = 0;
    Prefix destination;
    std::uint32_t priority = 0;
    std::uint8_t tos = 0;
    std::uint8_t type = 0;     // RTN_UNICAST and so on
    std::uint8_t protocol = 0; // RTPROT_KERNEL and so on
    bool encapsulated = false; // MPLS, SRv6 and the like: not ours
    std::uint16_t mtu = 0;     // 0: that of the link
    std::vector<KernelHop> hops;
    bool operator==(const KernelRoute&) const = default;
};

struct KernelNeighbour {
    std::uint32_t interface = 0;
    Address address;
    std::uint16_t state = 0; // NUD_REACHABLE and so on
    Mac mac{};
    bool has_mac = false;
};

/// Nothing: not such a message, of a family or kind that does not matter here, or malformed. Octets of the message: nlmsg_len.
[[nodiscard]] std::optional<KernelLink> parse_link(nlmsghdr* message);
[[nodiscard]] std::optional<KernelAddress> parse_address_message(nlmsghdr* message);
[[nodiscard]] std::optional<KernelRoute> parse_route(nlmsghdr* message);
[[nodiscard]] std::optional<KernelNeighbour> parse_neighbour(nlmsghdr* message);

} // namespace sallyport::route
