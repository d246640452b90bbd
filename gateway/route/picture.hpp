// SPDX-License-Identifier: Apache-2.0
// All that the kernel has told about links, addresses, routes and neighbours, and how a Fib is made of it. No I/O: the mirror feeds it.
#pragma once

#include "gateway/route/fib.hpp"
#include "gateway/route/kernel.hpp"
#include "gateway/sa/desired.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace sallyport::route {

/// An address at which the gateway itself is reached, on one of our interfaces or on any other (loopback, management).
struct LocalAddress {
    KernelAddress address;
    const Link* link = nullptr; // null: not one of ours
};

class Picture {
public:
    /// Ports and VPNs as configured; routes, links and neighbours have to be dumped again afterwards.
    void arrange(const std::vector<VpnSpec>& vpns, const std::vector<PortSpec>& ports);

    void link(const KernelLink& link);
    void link_gone(std::uint32_t interface);
    void address(const KernelAddress& address);
    void address_gone(const KernelAddress& address);
    /// `flags`: NLM_F_REPLACE, NLM_F_APPEND of the message, which say how it stands to routes that are there.
    void route(const KernelRoute& route, unsigned flags);
    void route_gone(const KernelRoute& route);
    /// True: a packet can be sent now that could not before, or not any more, or to another address.
    bool neighbour(const KernelNeighbour& neighbour);
    bool neighbour_gone(const KernelNeighbour& neighbour);

    // Before a dump is taken in: forgets, so that what the dump does not name is gone.
    void begin_links();
    void end_links(); // only now links that were not named are gone
    void forget_addresses() { addresses_.clear(); }
    void forget_routes();
    /// Neighbours stay usable until the dump has been taken in: those that it did not name are then gone.
    void begin_neighbours();
    void end_neighbours();

    [[nodiscard]] bool changed() const { return changed_ || !dirty_tables_.empty(); } // build() would give something new
    [[nodiscard]] std::unique_ptr<const Fib> build();

    [[nodiscard]] const std::map<std::uint32_t, KernelLink>& kernel_links() const { return kernel_links_; }
    [[nodiscard]] const std::vector<Link>& links() const { return links_; } // the first is the place of those that are not ours
    [[nodiscard]] std::vector<LocalAddress> local_addresses() const;
    /// Goes up when an interface becomes ours: its neighbours have to be dumped, since those of others are not kept.
    [[nodiscard]] unsigned links_generation() const { return links_generation_; }

    /// Neighbours that were used since the last call and whose address the kernel no longer vouches for (NUD_STALE).
    [[nodiscard]] std::vector<KernelNeighbour> used_and_stale();
    [[nodiscard]] std::size_t routes() const;
    [[nodiscard]] std::size_t neighbours() const { return neighbours_.size(); }

private:
    struct RouteKey {
        Family family = Family::ipv4;
        Address address;
        std::uint8_t length = 0;
        std::uint32_t priority = 0;
        std::uint8_t tos = 0;
        auto operator<=>(const RouteKey&) const = default;
    };
    using RouteList = std::map<RouteKey, std::vector<KernelRoute>>;

    struct NeighbourKey {
        std::uint32_t interface = 0;
        Address address;
        auto operator<=>(const NeighbourKey&) const = default;
    };
    struct NeighbourState {
        KernelNeighbour last;
        std::uint32_t slot = NeighbourTable::nowhere;
        bool seen = true; // in the dump being taken in
    };

    struct Candidate {
        Prefix prefix;
        unsigned rank = 0; // among those of one prefix the lowest counts
        DropReason reason = DropReason::none;
        const KernelRoute* route = nullptr;
    };
    class TableBuilder;

    void arrange_links();
    void rebuild_all();
    void mark(std::uint32_t table, std::uint8_t protocol);
    [[nodiscard]] bool matters(std::uint32_t table) const;
    void add_own_vlans(std::vector<Link>& links);
    void add_own_address(std::uint32_t interface, const InterfaceAddress& own);
    [[nodiscard]] std::uint32_t link_index(std::uint32_t interface) const; // 0: not ours
    /// The link by which a route of this VPN leaves that names this interface of the kernel: its VLAN of that VPN, where the gateway stands
    /// for it itself. 0: not ours.
    [[nodiscard]] std::uint32_t link_of(std::uint32_t interface, VpnNumber vpn) const;
    [[nodiscard]] bool belongs(const KernelRoute& route, VpnNumber vpn) const;
    void collect(const VpnSpec& vpn, Family family, std::vector<Candidate>& out) const;
    void set_slot(NeighbourState& state);
    void make_neighbour_table(unsigned bits);

    std::vector<VpnSpec> vpns_;
    std::vector<PortSpec> ports_;
    std::map<std::uint32_t, KernelLink> kernel_links_;
    std::vector<KernelAddress> addresses_;
    std::map<std::uint32_t, RouteList> routes_;         // by number of the kernel's table
    std::map<NeighbourKey, NeighbourState> neighbours_; // on our links only
    std::vector<Link> links_{1};
    std::map<std::uint32_t, std::uint32_t> link_of_interface_;
    std::map<std::pair<std::uint32_t, VpnNumber>, std::uint32_t> own_vlan_of_; // by the port's interface: number of the link
    std::vector<KernelAddress> own_addresses_;                                 // on VLANs without an interface of the kernel,
    std::vector<KernelRoute> own_routes_;                                      // and what the kernel would make of them
    std::vector<std::shared_ptr<const Table>> tables_;                         // by number of the VPN
    std::shared_ptr<NeighbourTable> neighbour_table_ = std::make_shared<NeighbourTable>(10U);
    unsigned neighbour_bits_ = 10;
    bool neighbour_table_full_ = false;
    unsigned links_generation_ = 0;
    bool taking_links_ = false;
    bool changed_ = true;
    std::set<std::uint32_t> dirty_tables_; // of the kernel
    bool all_dirty_ = true;
};

} // namespace sallyport::route
