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
    if (vpn >= tables_.size() || !tables_[vpn]) return 0;
    const Table& table = *tables_[vpn];
    const Group& group = table.groups[(family == Family::ipv4 ? table.ipv4 : table.ipv6).lookup(destination)];
    std::uint16_t least = 0;
    for (unsigned i = 0; group.reason == DropReason::none && i < group.count; ++i) {
        const Hop& hop = table.hops[group.first + i];
        const Link& link = links_[hop.link];
        if (hop.link == 0 || link.role != out || link.vpn != vpn) continue;
        const std::uint16_t carried = hop.mtu != 0 ? std::min(hop.mtu, link.mtu) : link.mtu;
        least = least == 0 ? carried : std::min(least, carried);
    }
    return least;
}

NextHop Fib::lookup(VpnNumber vpn, Role out, Family family, const std::uint8_t* destination, std::uint32_t flow_hash) const {
    NextHop result;
    if (vpn >= tables_.size() || !tables_[vpn]) return result;
    const Table& table = *tables_[vpn];
    const Group& group = table.groups[(family == Family::ipv4 ? table.ipv4 : table.ipv6).lookup(destination)];
    result.reason = group.reason;
    result.by_flow = group.count > 1;
    if (group.reason != DropReason::none) return result;

    const Hop& hop = choose(table, group, flow_hash);
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
    if (vpn >= tables_.size() || !tables_[vpn]) return DropReason::no_route;
    const Table& table = *tables_[vpn];
    const Group& group = table.groups[(destination.family == Family::ipv4 ? table.ipv4 : table.ipv6).lookup(destination.octets.data())];
    if (group.reason != DropReason::none) return group.reason;
    const Hop& hop = choose(table, group, 0);
    const Link& link = links_[hop.link];
    if (hop.link == 0 || link.role != out || link.vpn != vpn) return DropReason::route_not_ours;
    return link.up ? DropReason::none : DropReason::link_down;
}

} // namespace sallyport::route
