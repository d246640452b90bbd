// SPDX-License-Identifier: Apache-2.0
// Errand own_vlan: VLANs for which the kernel has no interface. For its own addresses there the gateway answers ARP, neighbour
// solicitations and echo requests, and it finds the link-layer addresses of next hops by itself.
#pragma once

#include "gateway/exception/handler.hpp"
#include "gateway/exception/neighbours.hpp"
#include "gateway/route/fib.hpp"
#include "gateway/route/mirror.hpp"
#include "gateway/sa/desired.hpp"
#include "gateway/tables/published.hpp"
#include "gateway/wire/arp.hpp"
#include "gateway/wire/nd.hpp"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace sallyport::exception {

/// Takes frames as they came, with port, vlan and vpn set. What it finds out goes to the learner, and by it into the Fib. A neighbour that
/// is known is asked again every half minute, and forgotten when it does not answer three times (RFC 4861 7.3.3). Only who was asked is
/// believed. Threads: the stage's.
class OwnVlans final : public Handler {
public:
    OwnVlans(const std::vector<PortSpec>& ports, const tables::Published<route::Fib>& fib, route::Learner& learner);

    /// Asks for a neighbour on one of these VLANs. `neighbour.interface` is route::own_vlan_number(). The question leaves with the next
    /// look().
    void ask(const Neighbour& neighbour);

    void take(const Frame& frame, std::uint64_t now, Exits& exits) override;
    void look(std::uint64_t now, Exits& exits) override;
    [[nodiscard]] std::uint64_t next() const override;

    static constexpr std::size_t most_neighbours = 4096; // asked or known, of all VLANs

private:
    struct Entry {
        route::Mac mac{};
        bool known = false;
        std::uint64_t due = 0; // known: to be asked again; else: the question is forgotten
        unsigned unanswered = 0;
    };
    using Place = std::pair<std::uint32_t, Address>; // interface and address

    [[nodiscard]] const route::Link* link_of(std::uint32_t interface) const; // null: the port is not there
    [[nodiscard]] bool is_ours(std::uint32_t interface, const Address& address) const;
    [[nodiscard]] const Address* own_address(std::uint32_t interface, const Address& towards) const;

    void take_arp(const Frame& frame, const wire::Arp& arp, const route::Link& link, std::uint64_t now, Exits& exits);
    void take_discovery(const Frame& frame, const wire::NeighbourMessage& message, const route::Link& link, std::uint64_t now,
                        Exits& exits);
    void take_echo(const Frame& frame, const route::Link& link, Exits& exits);
    void answered(const route::Link& link, const Address& address, const route::Mac& mac, std::uint64_t now);
    void forget(const Place& place, bool known);
    void ask_now(const Place& place, const Entry& entry, Exits& exits);

    std::map<std::uint32_t, std::vector<InterfaceAddress>> own_; // by number of the link
    const tables::Published<route::Fib>& fib_;
    route::Learner& learner_;
    std::map<Place, Entry> neighbours_;
    std::vector<Neighbour> wanted_; // asked for since the last look()
};

} // namespace sallyport::exception
