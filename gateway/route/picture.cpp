// SPDX-License-Identifier: Apache-2.0
#include "gateway/route/picture.hpp"

#include <algorithm>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <tuple>
#include <utility>

namespace sallyport::route {

namespace {

constexpr std::uint32_t main_table = RT_TABLE_MAIN;
constexpr std::uint32_t local_table = RT_TABLE_LOCAL;
constexpr std::uint16_t usable_states = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;

NeighbourTable::Value value_of(const KernelNeighbour& neighbour) {
    return {neighbour.has_mac && (neighbour.state & usable_states) != 0, neighbour.mac};
}

// Destinations that no router passes on, whatever its table says: RFC 1122 3.2.1.3, RFC 6890 2.2.2, RFC 4291 2.5 and 2.7.
constexpr std::array<std::string_view, 5> never_forwarded_ipv4{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4",
                                                               "255.255.255.255/32"};
constexpr std::array<std::string_view, 4> never_forwarded_ipv6{"::/128", "::1/128", "fe80::/10", "ff00::/8"};

DropReason reason_of(const KernelRoute& route) {
    switch (route.type) {
    case RTN_UNICAST: return route.encapsulated || route.hops.empty() ? DropReason::route_not_ours : DropReason::none;
    case RTN_LOCAL:
    case RTN_BROADCAST:
    case RTN_ANYCAST: return DropReason::for_gateway;
    case RTN_THROW: return DropReason::no_route;
    default: return DropReason::route_refused;
    }
}

} // namespace

/// Turns candidates of one VPN into a Table.
class Picture::TableBuilder {
public:
    TableBuilder(const Picture& picture, VpnNumber vpn, NeighbourTable& neighbours)
        : picture_(picture), vpn_(vpn), neighbours_(neighbours) {
        table_->groups.emplace_back();
    }

    void add(Family family, std::vector<Candidate>& candidates) {
        std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
            return std::tie(a.prefix.address, a.prefix.length, a.rank) < std::tie(b.prefix.address, b.prefix.length, b.rank);
        });
        std::vector<Trie::Entry> entries;
        for (const Candidate& candidate : candidates) {
            if (!entries.empty() && entries.back().prefix == candidate.prefix) continue;
            entries.push_back({candidate.prefix, group(candidate)});
        }
        (family == Family::ipv4 ? table_->ipv4 : table_->ipv6) = Trie(entries);
    }

    std::shared_ptr<const Table> finish() { return std::move(table_); }
    [[nodiscard]] bool neighbours_full() const { return full_; }

private:
    using HopKey = std::tuple<std::uint32_t, bool, Address, std::uint16_t, std::uint16_t>;

    std::uint32_t group(const Candidate& candidate) {
        const DropReason reason = candidate.reason != DropReason::none ? candidate.reason : reason_of(*candidate.route);
        if (reason == DropReason::no_route) return 0;
        if (reason != DropReason::none) {
            const auto [at, fresh] = refused_.try_emplace(reason, static_cast<std::uint32_t>(table_->groups.size()));
            if (fresh) table_->groups.push_back({reason, 0, 0});
            return at->second;
        }
        // Routes that follow each other often lead to the same place.
        const KernelRoute& route = *candidate.route;
        if (last_ != nullptr && last_->mtu == route.mtu && last_->hops == route.hops) return last_group_;
        std::vector<HopKey> key;
        const bool all_dead = std::ranges::all_of(candidate.route->hops, &KernelHop::dead);
        for (const KernelHop& hop : candidate.route->hops)
            if ((!hop.dead || all_dead) && key.size() < 65535)
                key.emplace_back(picture_.link_of(hop.interface, vpn_), hop.gateway.has_value(), hop.gateway.value_or(Address{}),
                                 hop.weight, candidate.route->mtu);
        const auto [at, fresh] = known_.try_emplace(std::move(key), static_cast<std::uint32_t>(table_->groups.size()));
        if (fresh) add_hops(at->first);
        last_ = &route;
        last_group_ = at->second;
        return at->second;
    }

    void add_hops(const std::vector<HopKey>& key) {
        table_->groups.push_back(
            {DropReason::none, static_cast<std::uint16_t>(key.size()), static_cast<std::uint32_t>(table_->hops.size())});
        std::uint32_t end = 0;
        for (const auto& [link, has_gateway, gateway, weight, mtu] : key) {
            Hop hop;
            hop.link = link;
            hop.weight_end = end += weight;
            hop.mtu = mtu;
            hop.has_gateway = has_gateway;
            hop.gateway = gateway;
            if (has_gateway && link != 0) {
                hop.slot = neighbours_.add(picture_.links_[link].interface, gateway);
                full_ |= hop.slot == NeighbourTable::nowhere;
            }
            table_->hops.push_back(hop);
        }
    }

    const Picture& picture_;
    VpnNumber vpn_;
    NeighbourTable& neighbours_;
    std::shared_ptr<Table> table_ = std::make_shared<Table>();
    std::map<DropReason, std::uint32_t> refused_;
    std::map<std::vector<HopKey>, std::uint32_t> known_; // routes to the same places share a group
    const KernelRoute* last_ = nullptr;
    std::uint32_t last_group_ = 0;
    bool full_ = false;
};

void Picture::arrange(const std::vector<VpnSpec>& vpns, const std::vector<PortSpec>& ports) {
    vpns_ = vpns;
    if (std::ranges::find(vpns_, wan_vpn, &VpnSpec::number) == vpns_.end()) vpns_.push_back({"wan", wan_vpn, main_table});
    ports_ = ports;
    arrange_links();
}

void Picture::rebuild_all() {
    all_dirty_ = true;
    changed_ = true;
}

// Which of the kernel's interfaces are ours. Indices of links stay the same as long as no link comes or goes.
void Picture::arrange_links() {
    std::vector<Link> links{Link{}};
    for (const auto& [number, kernel] : kernel_links_) {
        for (std::size_t port = 0; port < ports_.size(); ++port) {
            const bool itself = kernel.name == ports_[port].interface;
            const auto below = kernel_links_.find(kernel.parent);
            const bool on_top = kernel.parent != 0 && below != kernel_links_.end() && below->second.name == ports_[port].interface;
            if (!itself && !on_top) continue;
            const auto vlan = std::ranges::find(ports_[port].vlans, itself ? std::uint16_t{0} : kernel.vlan, &VlanSpec::id);
            if (vlan == ports_[port].vlans.end()) continue;
            links.push_back({.interface = number,
                             .port = static_cast<std::uint8_t>(port),
                             .role = ports_[port].role,
                             .up = kernel.up && (itself || below->second.up),
                             .vlan = vlan->id,
                             .mtu = static_cast<std::uint16_t>(std::min<std::uint32_t>(kernel.mtu, 65535)),
                             .vpn = vlan->vpn,
                             .mac = kernel.mac});
            break;
        }
    }
    add_own_vlans(links);
    if (links == links_) return;
    const bool same_places = std::ranges::equal(
        links, links_, {}, [](const Link& l) { return std::tuple(l.interface, l.vpn); },
        [](const Link& l) { return std::tuple(l.interface, l.vpn); });
    links_ = std::move(links);
    changed_ = true;
    if (same_places) return;
    link_of_interface_.clear();
    for (std::uint32_t i = 1; i < links_.size(); ++i) link_of_interface_[links_[i].interface] = i;
    ++links_generation_;
    std::erase_if(neighbours_, [&](const auto& entry) {
        if (link_index(entry.first.interface) != 0) return false;
        if (entry.second.slot != NeighbourTable::nowhere) neighbour_table_->set(entry.second.slot, {});
        return true;
    });
    rebuild_all();
}

/// VLANs with addresses of the configuration, unless the kernel has an interface for them after all.
void Picture::add_own_vlans(std::vector<Link>& links) {
    own_vlan_of_.clear();
    own_addresses_.clear();
    own_routes_.clear();
    for (const auto& [number, kernel] : kernel_links_)
        for (std::size_t port = 0; port < ports_.size(); ++port) {
            if (kernel.name != ports_[port].interface) continue;
            for (const VlanSpec& vlan : ports_[port].vlans) {
                const auto same = [&](const Link& link) { return link.interface != 0 && link.port == port && link.vlan == vlan.id; };
                if (vlan.id == 0 || vlan.addresses.empty() || std::ranges::any_of(links, same)) continue;
                const std::uint32_t own = own_vlan_number(port, vlan.id);
                own_vlan_of_[{number, vlan.vpn}] = own;
                links.push_back({.interface = own,
                                 .port = static_cast<std::uint8_t>(port),
                                 .role = ports_[port].role,
                                 .up = kernel.up,
                                 .vlan = vlan.id,
                                 .mtu = static_cast<std::uint16_t>(std::min<std::uint32_t>(kernel.mtu, 65535)),
                                 .vpn = vlan.vpn,
                                 .mac = kernel.mac});
                for (const InterfaceAddress& address : vlan.addresses) add_own_address(own, address);
            }
        }
}

void Picture::add_own_address(std::uint32_t interface, const InterfaceAddress& own) {
    KernelAddress address{.interface = interface, .address = own.address, .length = own.length, .broadcast = {}};
    const auto route = [&](std::uint32_t table, const Prefix& destination, std::uint8_t type) {
        own_routes_.push_back({.table = table, .destination = destination, .type = type, .protocol = RTPROT_KERNEL, .hops = {{interface}}});
    };
    const auto bits = static_cast<std::uint8_t>(own.address.bits());
    route(local_table, {own.address, bits}, RTN_LOCAL);
    if (own.length < bits) route(main_table, own.network(), RTN_UNICAST);
    if (own.address.family == Family::ipv4 && own.length < 31) { // RFC 3021: a network of two has no broadcast address
        address.broadcast = range_of(own.network()).last;
        route(local_table, {*address.broadcast, bits}, RTN_BROADCAST);
    }
    own_addresses_.push_back(address);
}

std::uint32_t Picture::link_of(std::uint32_t interface, VpnNumber vpn) const {
    const auto own = own_vlan_of_.find({interface, vpn});
    return link_index(own == own_vlan_of_.end() ? interface : own->second);
}

std::uint32_t Picture::link_index(std::uint32_t interface) const {
    const auto at = link_of_interface_.find(interface);
    return at == link_of_interface_.end() ? 0 : at->second;
}

void Picture::begin_links() {
    kernel_links_.clear();
    taking_links_ = true;
}

void Picture::end_links() {
    taking_links_ = false;
    arrange_links();
}

void Picture::link(const KernelLink& link) {
    KernelLink& known = kernel_links_[link.interface];
    if (known == link) return;
    known = link;
    if (!taking_links_) arrange_links();
}

void Picture::link_gone(std::uint32_t interface) {
    if (kernel_links_.erase(interface) != 0) arrange_links();
}

void Picture::address(const KernelAddress& address) {
    if (std::ranges::find(addresses_, address) == addresses_.end()) addresses_.push_back(address);
}

void Picture::address_gone(const KernelAddress& address) {
    std::erase_if(addresses_, [&](const KernelAddress& a) { return a.interface == address.interface && a.address == address.address; });
}

std::vector<LocalAddress> Picture::local_addresses() const {
    std::vector<LocalAddress> result;
    for (const auto* list : {&addresses_, &own_addresses_})
        for (const KernelAddress& address : *list) {
            const std::uint32_t link = link_index(address.interface);
            result.push_back({address, link == 0 ? nullptr : &links_[link]});
        }
    return result;
}

// Which VPNs a change of a route concerns: connected and local routes may belong to any (see collect()).
void Picture::mark(std::uint32_t table, std::uint8_t protocol) {
    if ((table == main_table && protocol == RTPROT_KERNEL) || table == local_table)
        rebuild_all();
    else
        dirty_tables_.insert(table);
}

bool Picture::matters(std::uint32_t table) const {
    return table == main_table || table == local_table || std::ranges::find(vpns_, table, &VpnSpec::table) != vpns_.end();
}

void Picture::route(const KernelRoute& route, unsigned flags) {
    if (!matters(route.table) || route.protocol == own_protocol) return;
    std::vector<KernelRoute>& list = routes_[route.table][{route.destination.address.family, route.destination.address,
                                                           route.destination.length, route.priority, route.tos}];
    if (std::ranges::find(list, route) != list.end()) return;
    mark(route.table, route.protocol);
    if (route.destination.address.family == Family::ipv6) {
        // A message names all ways of a multipath route; routes without a gateway stand side by side, one an interface.
        const auto connected = [](const KernelRoute& r) { return r.hops.size() == 1 && !r.hops[0].gateway; };
        std::erase_if(list, [&](const KernelRoute& old) {
            if ((flags & NLM_F_REPLACE) != 0) return true;
            if (connected(old) != connected(route)) return false;
            return !connected(old) || old.hops[0].interface == route.hops[0].interface;
        });
        list.push_back(route);
        return;
    }
    if ((flags & NLM_F_REPLACE) != 0 && !list.empty())
        list.front() = route;
    else if ((flags & NLM_F_APPEND) != 0)
        list.push_back(route);
    else
        list.insert(list.begin(), route);
}

void Picture::route_gone(const KernelRoute& route) {
    const auto table = routes_.find(route.table);
    if (table == routes_.end() || route.protocol == own_protocol) return;
    const auto entry = table->second.find(
        {route.destination.address.family, route.destination.address, route.destination.length, route.priority, route.tos});
    if (entry == table->second.end()) return;
    std::vector<KernelRoute>& list = entry->second;
    mark(route.table, route.protocol);
    const auto same_hops = [&](const KernelRoute& r) {
        return std::ranges::equal(r.hops, route.hops, [](const KernelHop& a, const KernelHop& b) {
            return a.interface == b.interface && a.gateway == b.gateway;
        });
    };
    if (auto at = std::ranges::find_if(list, [&](const KernelRoute& r) { return r.type == route.type && same_hops(r); });
        at != list.end()) {
        list.erase(at);
    } else if (route.destination.address.family == Family::ipv6) { // one way of several
        for (KernelRoute& old : list)
            for (const KernelHop& gone : route.hops)
                std::erase_if(old.hops, [&](const KernelHop& h) { return h.interface == gone.interface && h.gateway == gone.gateway; });
        std::erase_if(list, [](const KernelRoute& r) { return r.type == RTN_UNICAST && r.hops.empty(); });
    } else if (at = std::ranges::find(list, route.type, &KernelRoute::type); at != list.end()) {
        list.erase(at);
    }
    if (list.empty()) table->second.erase(entry);
}

void Picture::forget_routes() {
    routes_.clear();
    rebuild_all();
}

std::size_t Picture::routes() const {
    std::size_t count = 0;
    for (const auto& [table, list] : routes_) count += list.size();
    return count;
}

void Picture::set_slot(NeighbourState& state) {
    if (state.slot == NeighbourTable::nowhere) state.slot = neighbour_table_->add(state.last.interface, state.last.address);
    if (state.slot == NeighbourTable::nowhere) {
        neighbour_table_full_ = true;
        changed_ = true;
        return;
    }
    neighbour_table_->set(state.slot, value_of(state.last));
}

bool Picture::neighbour(const KernelNeighbour& neighbour) {
    if (link_index(neighbour.interface) == 0) return false;
    const auto [at, fresh] = neighbours_.try_emplace({neighbour.interface, neighbour.address}, NeighbourState{.last = neighbour});
    NeighbourState& state = at->second;
    const NeighbourTable::Value before = fresh ? NeighbourTable::Value{} : value_of(state.last);
    const NeighbourTable::Value after = value_of(neighbour);
    state.last = neighbour;
    state.seen = true;
    if (!fresh && before.usable == after.usable && before.mac == after.mac) return false;
    set_slot(state);
    return before.usable || after.usable;
}

bool Picture::neighbour_gone(const KernelNeighbour& neighbour) {
    const auto at = neighbours_.find({neighbour.interface, neighbour.address});
    if (at == neighbours_.end()) return false;
    if (at->second.slot != NeighbourTable::nowhere) neighbour_table_->set(at->second.slot, {});
    neighbours_.erase(at);
    return true;
}

void Picture::begin_neighbours() {
    for (auto& [key, state] : neighbours_) state.seen = key.interface >= first_own_vlan; // the kernel knows nothing of these
}

void Picture::end_neighbours() {
    for (auto at = neighbours_.begin(); at != neighbours_.end();) {
        const KernelNeighbour last = at->second.last;
        const bool seen = at->second.seen;
        ++at;
        if (!seen) neighbour_gone(last);
    }
}

std::vector<KernelNeighbour> Picture::used_and_stale() {
    std::vector<KernelNeighbour> result;
    for (auto& [key, state] : neighbours_) {
        if (state.slot == NeighbourTable::nowhere || (state.last.state & NUD_STALE) == 0) continue;
        if (neighbour_table_->take_used(state.slot)) result.push_back(state.last);
    }
    return result;
}

void Picture::make_neighbour_table(unsigned bits) {
    while ((neighbours_.size() + 64) * 4 > std::size_t{1} << bits) ++bits;
    neighbour_bits_ = bits;
    neighbour_table_ = std::make_shared<NeighbourTable>(bits);
    neighbour_table_full_ = false;
    for (auto& [key, state] : neighbours_) {
        state.slot = NeighbourTable::nowhere;
        set_slot(state);
    }
    rebuild_all();
}

bool Picture::belongs(const KernelRoute& route, VpnNumber vpn) const {
    return std::ranges::any_of(route.hops, [&](const KernelHop& hop) {
        const std::uint32_t link = link_index(hop.interface);
        return link == 0 ? vpn == wan_vpn : links_[link].vpn == vpn;
    });
}

/// The routes of a VPN are those of its table of the kernel. Beside them, as if each VPN's interfaces lay in a VRF of their own: the local
/// addresses of its interfaces, and the connected routes that the kernel puts into the main table for them. Those of other VPNs' interfaces
/// do not count in the main table either, so that equal addresses in two VPNs never meet. Interfaces that are not ours belong to `wan`.
void Picture::collect(const VpnSpec& vpn, Family family, std::vector<Candidate>& out) const {
    const auto each = [&](std::uint32_t table, auto&& use) {
        const auto found = routes_.find(table);
        if (found == routes_.end()) return;
        for (auto at = found->second.lower_bound({.family = family}); at != found->second.end() && at->first.family == family; ++at)
            if (at->first.tos == 0)
                for (const KernelRoute& route : at->second) use(route);
    };
    // Nor is anything passed on to a link-local address (RFC 4291 2.5.6), though each interface has a route to them.
    const auto link_local = [&](const KernelRoute& route) {
        const auto& octets = route.destination.address.octets;
        return family == Family::ipv6 && route.destination.length >= 10 && octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80;
    };
    const auto connected = [](const KernelRoute& route) { return route.protocol == RTPROT_KERNEL && route.table == main_table; };
    unsigned rank = 0;
    each(local_table, [&](const KernelRoute& route) {
        if (belongs(route, vpn.number)) out.push_back({route.destination, rank, DropReason::none, &route});
    });
    each(vpn.table, [&](const KernelRoute& route) {
        if (!link_local(route) && (!connected(route) || belongs(route, vpn.number)))
            out.push_back({route.destination, ++rank, DropReason::none, &route});
    });
    if (vpn.table != main_table)
        each(main_table, [&](const KernelRoute& route) {
            if (connected(route) && !link_local(route) && belongs(route, vpn.number))
                out.push_back({route.destination, ++rank, DropReason::none, &route});
        });
    for (const KernelRoute& route : own_routes_)
        if (route.destination.address.family == family && belongs(route, vpn.number))
            out.push_back({route.destination, route.table == local_table ? 0 : ++rank, DropReason::none, &route});
    const auto refuse = [&](const auto& prefixes) {
        for (const std::string_view prefix : prefixes) out.push_back({*parse_prefix(prefix), ++rank, DropReason::route_refused, nullptr});
    };
    if (family == Family::ipv4)
        refuse(never_forwarded_ipv4);
    else
        refuse(never_forwarded_ipv6);
}

std::unique_ptr<const Fib> Picture::build() {
    if (neighbour_table_full_) make_neighbour_table(neighbour_bits_);
    for (bool again = true; again;) {
        again = false;
        std::size_t size = 1;
        for (const VpnSpec& vpn : vpns_) size = std::max<std::size_t>(size, vpn.number + std::size_t{1});
        if (all_dirty_) tables_.assign(size, nullptr);
        for (const VpnSpec& vpn : vpns_) {
            if (!all_dirty_ && !dirty_tables_.contains(vpn.table)) continue;
            TableBuilder builder(*this, vpn.number, *neighbour_table_);
            for (const Family family : {Family::ipv4, Family::ipv6}) {
                std::vector<Candidate> candidates;
                collect(vpn, family, candidates);
                builder.add(family, candidates);
            }
            tables_[vpn.number] = builder.finish();
            again |= builder.neighbours_full();
        }
        if (again) make_neighbour_table(neighbour_bits_ + 1);
    }
    all_dirty_ = false;
    changed_ = false;
    dirty_tables_.clear();
    return std::make_unique<const Fib>(tables_, links_, neighbour_table_);
}

} // namespace sallyport::route
