// SPDX-License-Identifier: Apache-2.0
#include "gateway/route/fib.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sallyport::route {

Fib::Fib(std::vector<std::shared_ptr<const Table>> tables, std::vector<Link> links, std::shared_ptr<NeighbourTable> neighbours)
    : tables_(std::move(tables)), links_(std::move(links)), neighbours_(std::move(neighbours)) {
    if (links_.empty()) links_.emplace_back();
}

bool Fib::knows(std::uint32_t interface, const Address& address) const {
    const std::uint32_t slot = neighbours_->find(interface, address.family, address.octets.data());
    return slot != NeighbourTable::nowhere && neighbours_->value(slot).usable;
}

const Hop& Fib::choose(const Table& table, const Group& group, std::uint32_t flow_hash) const {
    const Hop* first = &table.hops[group.first];
    if (group.count == 1) return *first;
    const std::uint64_t total = first[group.count - 1].weight_end;
    const auto point = static_cast<std::uint32_t>(flow_hash * total >> 32);
    unsigned at = 0;
    while (point >= first[at].weight_end) ++at;
    // A way whose link is down lends its flows to the next one that is up.
    for (unsigned tried = 0; tried < group.count; ++tried, at = at + 1U < group.count ? at + 1U : 0U)
        if (links_[first[at].link].up) return first[at];
    return first[at];
}

std::uint16_t Fib::mtu(VpnNumber vpn, Role out, Family family, const std::uint8_t* destination) const {
    const Group* const found = group(vpn, family, destination);
    if (found == nullptr || found->reason != DropReason::none) return 0;
    std::uint16_t least = 0;
    for (unsigned i = 0; i < found->count; ++i) {
        const Hop& hop = tables_[vpn]->hops[found->first + i];
        const Link& link = links_[hop.link];
        if (hop.link == 0 || link.role != out || link.vpn != vpn) continue;
        const std::uint16_t carried = hop.mtu != 0 ? std::min(hop.mtu, link.mtu) : link.mtu;
        least = least == 0 ? carried : std::min(least, carried);
    }
    return least;
}

NextHop Fib::lookup(VpnNumber vpn, Role out, Family family, const std::uint8_t* destination, std::uint32_t flow_hash) const {
    NextHop result;
    const Group* const found = group(vpn, family, destination);
    if (found == nullptr) return result;
    result.reason = found->reason;
    result.by_flow = found->count > 1;
    if (found->reason != DropReason::none) return result;

    const Hop& hop = choose(*tables_[vpn], *found, flow_hash);
    const Link& link = links_[hop.link];
    if (hop.link == 0 || link.role != out || link.vpn != vpn) {
        result.reason = DropReason::route_not_ours;
        return result;
    }
    result.interface = link.interface;
    result.port = link.port;
    result.vlan = link.vlan;
    result.mtu = hop.mtu != 0 ? std::min(hop.mtu, link.mtu) : link.mtu;
    result.source = link.mac;
    if (!link.up) {
        result.reason = DropReason::link_down;
        return result;
    }
    const std::uint32_t slot = hop.has_gateway ? hop.slot : neighbours_->find(link.interface, family, destination);
    if (slot != NeighbourTable::nowhere) {
        const NeighbourTable::Value neighbour = neighbours_->use(slot);
        result.destination = neighbour.mac;
        result.shared = neighbour.usable && hop.has_gateway && !result.by_flow;
        if (neighbour.usable) return result;
    }
    result.reason = DropReason::neighbour_unresolved;
    if (hop.has_gateway) {
        result.gateway = hop.gateway;
    } else {
        result.gateway.family = family;
        std::memcpy(result.gateway.octets.data(), destination, result.gateway.size());
    }
    return result;
}

DropReason Fib::hindrance(VpnNumber vpn, Role out, const Address& destination) const {
    const Group* const found = group(vpn, destination.family, destination.octets.data());
    if (found == nullptr) return DropReason::no_route;
    if (found->reason != DropReason::none) return found->reason;
    const Hop& hop = choose(*tables_[vpn], *found, 0);
    const Link& link = links_[hop.link];
    if (hop.link == 0 || link.role != out || link.vpn != vpn) return DropReason::route_not_ours;
    return link.up ? DropReason::none : DropReason::link_down;
}

} // namespace sallyport::route
