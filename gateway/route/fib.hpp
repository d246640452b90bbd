// SPDX-License-Identifier: Apache-2.0
// Where a packet goes next: an immutable copy of the kernel's routes and links, and its neighbours, as the workers read it.
#pragma once

#include "gateway/route/neighbours.hpp"
#include "gateway/route/trie.hpp"
#include "gateway/sa/address.hpp"
#include "gateway/sa/desired.hpp"
#include "gateway/sa/drop_reason.hpp"
#include "gateway/sa/sa.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace sallyport::route {

struct NextHop {
    DropReason reason = DropReason::no_route; // none: send. neighbour_unresolved: the frame goes to the exception stage. Else drop
    std::uint8_t port = 0;                    // index of the port in Desired::ports
    std::uint16_t vlan = 0;                   // tag to put on, 0: none
    std::uint16_t mtu = 0;                    // octets of an IP packet on this way
    bool by_flow = false;                     // the route has several ways: another flow hash may give another answer
    bool shared = false;                      // the same for all destinations of its Group: they have one gateway
    Mac destination{};                        // of the neighbour
    Mac source{};                             // of our interface
    std::uint32_t interface = 0;              // kernel's number of the interface; with reason none and neighbour_unresolved
    Address gateway;                          // whose link-layer address is wanted; only with neighbour_unresolved
};

/// Numbers of links that are VLANs without an interface of the kernel begin here; the kernel's own numbers lie below.
inline constexpr std::uint32_t first_own_vlan = 0x80000000;
[[nodiscard]] constexpr std::uint32_t own_vlan_number(std::size_t port, std::uint16_t vlan) {
    return first_own_vlan | static_cast<std::uint32_t>(port) << 12 | vlan;
}

/// One of our interfaces: a port, a VLAN device of the kernel on top of one, or a VLAN on it for which the gateway stands itself.
struct Link {
    std::uint32_t interface = 0; // kernel's number (ifindex) or own_vlan_number(), 0: the place of all interfaces that are not ours
    std::uint8_t port = 0;       // index in Desired::ports
    Role role = Role::black;
    bool up = false;
    std::uint16_t vlan = 0;
    std::uint16_t mtu = 0;
    VpnNumber vpn = wan_vpn; // outer VPN of a black port, red VPN of a red one
    Mac mac{};
    bool operator==(const Link&) const = default;
};

/// One way of a route.
struct Hop {
    std::uint32_t link = 0;       // index into the links, 0: not ours
    std::uint32_t slot = no_slot; // of the gateway in the neighbour table
    std::uint32_t weight_end = 1; // of a multipath route: this hop takes hashes below this, and from the hop before on
    std::uint16_t mtu = 0;        // of the route, 0: that of the link
    bool has_gateway = false;     // false: the destination is the neighbour
    Address gateway;
    static constexpr std::uint32_t no_slot = 0xffffffff;
    bool operator==(const Hop&) const = default;
};

/// What a route says: a reason to drop, or 1 to 65535 hops.
struct Group {
    DropReason reason = DropReason::no_route; // none: the hops count
    std::uint16_t count = 0;
    std::uint32_t first = 0; // index of the first hop
};

/// The routes of one VPN. Shared by the Fibs in which they are the same.
struct Table {
    Trie ipv4;
    Trie ipv6;
    std::vector<Group> groups; // what the tries give is an index here; 0: no route
    std::vector<Hop> hops;
};

/// Threads: any may look up; nothing changes but the neighbours, which are atomic.
class Fib {
public:
    /// `tables` by number of the VPN, null: none. `links[0]` is the place of interfaces that are not ours.
    Fib(std::vector<std::shared_ptr<const Table>> tables, std::vector<Link> links, std::shared_ptr<NeighbourTable> neighbours);

    /// The way of a packet in this VPN. It leads out of a port of role `out` that belongs to the VPN, or gives a reason. `destination`:
    /// octets in network order, 4 or 16. `flow_hash` chooses among the ways of a multipath route: the same for all packets of a flow.
    [[nodiscard]] NextHop lookup(VpnNumber vpn, Role out, Family family, const std::uint8_t* destination, std::uint32_t flow_hash) const;

    /// What the route to `destination` says, null: there is no such VPN. As long as the Fib.
    [[nodiscard]] const Group* group(VpnNumber vpn, Family family, const std::uint8_t* destination) const {
        if (vpn >= tables_.size() || !tables_[vpn]) return nullptr;
        const Table& table = *tables_[vpn];
        return &table.groups[(family == Family::ipv4 ? table.ipv4 : table.ipv6).lookup(destination)];
    }
    /// Octets of an IP packet that every way of the route to `destination` carries; 0: there is none.
    [[nodiscard]] std::uint16_t mtu(VpnNumber vpn, Role out, Family family, const std::uint8_t* destination) const;
    /// Why a packet cannot go there, before its neighbour is looked for; none: it can.
    [[nodiscard]] DropReason hindrance(VpnNumber vpn, Role out, const Address& destination) const;

    /// Is this neighbour's link-layer address known? Without marking it as used.
    [[nodiscard]] bool knows(std::uint32_t interface, const Address& address) const;

    [[nodiscard]] const std::vector<Link>& links() const { return links_; }
    [[nodiscard]] const std::shared_ptr<const Table>& table(VpnNumber vpn) const { return tables_[vpn]; }
    [[nodiscard]] std::size_t vpns() const { return tables_.size(); }

private:
    [[nodiscard]] const Hop& choose(const Table& table, const Group& group, std::uint32_t flow_hash) const;

    std::vector<std::shared_ptr<const Table>> tables_;
    std::vector<Link> links_;
    std::shared_ptr<NeighbourTable> neighbours_;
};

} // namespace sallyport::route
