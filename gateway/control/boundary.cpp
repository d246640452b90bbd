// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/boundary.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <tuple>

namespace sallyport::control {

namespace {

using Key = std::tuple<VpnNumber, Address, std::uint8_t>;

Key key_of(VpnNumber vpn, const Prefix& prefix) { return {vpn, prefix.address, prefix.length}; }

std::set<VpnNumber> black_vpns(const Desired& desired) {
    std::set<VpnNumber> result;
    for (const PortSpec& port : desired.ports)
        if (port.role == Role::black)
            for (const VlanSpec& vlan : port.vlans) result.insert(vlan.vpn);
    return result;
}

/// In which outer VPNs the remote networks of a connection must not appear in clear: those of its SAs.
std::map<std::string_view, std::set<VpnNumber>> outer_vpns(const Desired& desired) {
    std::map<std::string_view, std::set<VpnNumber>> result;
    for (const SaSpec& sa : desired.sas) result[sa.name].insert(sa.outer_vpn);
    return result;
}

void join(std::vector<xdp::VpnPrefix>& list, const std::vector<xdp::VpnPrefix>& more) {
    std::set<Key> known;
    for (const xdp::VpnPrefix& entry : list) known.insert(key_of(entry.vpn, entry.prefix));
    for (const xdp::VpnPrefix& entry : more)
        if (known.insert(key_of(entry.vpn, entry.prefix)).second) list.push_back(entry);
}

std::vector<const PolicySpec*> by_priority(const Desired& desired) {
    std::vector<const PolicySpec*> result;
    for (const PolicySpec& policy : desired.policies) result.push_back(&policy);
    std::ranges::stable_sort(result, {}, [](const PolicySpec* p) { return p->priority; });
    return result;
}

/// The outer VPNs from which clear packets may come into a VPN: as Spd::decide_inbound() has it.
std::set<VpnNumber> clear_vpns(const std::set<VpnNumber>& black, VpnNumber vpn) {
    std::set<VpnNumber> result;
    for (const VpnNumber one : {wan_vpn, vpn})
        if (black.contains(one)) result.insert(one);
    return result;
}

/// Which policies want a prefix protected.
class Protecting {
public:
    void add(VpnNumber outer, const Prefix& prefix, VpnNumber vpn, std::size_t place) {
        auto& places = by_prefix_[key_of(outer, prefix)];
        if (std::ranges::none_of(places, [&](const Place& one) { return one.vpn == vpn; })) places.push_back({vpn, place});
    }
    /// Does one of them hold the whole of `prefix`, that comes before `place` in the VPN, or is of another VPN?
    [[nodiscard]] bool forbids(VpnNumber outer, Prefix prefix, VpnNumber vpn, std::size_t place) const {
        for (unsigned length = prefix.length; length > 0; --length) {
            for (unsigned bit = length; bit < prefix.length; ++bit)
                prefix.address.octets[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
            prefix.length = static_cast<std::uint8_t>(length);
            const auto at = by_prefix_.find(key_of(outer, prefix));
            if (at != by_prefix_.end() &&
                std::ranges::any_of(at->second, [&](const Place& one) { return one.vpn != vpn || one.place < place; }))
                return true;
        }
        return false;
    }
    [[nodiscard]] const auto& all() const { return by_prefix_; }

private:
    struct Place {
        VpnNumber vpn;
        std::size_t place; // of the first policy
    };
    std::map<Key, std::vector<Place>> by_prefix_;
};

bool whole_sources(const Selector& selector) { return selector.protocol == 0 && selector.local_ports.any() && selector.remote_ports.any(); }

bool covers(const AddressRange& outer, const AddressRange& inner) { return outer.contains(inner.first) && outer.contains(inner.last); }

bool overlap(const AddressRange& a, const AddressRange& b) { return a.contains(b.first) || b.contains(a.first); }

// Is all that a protect entry of lower rank wants protected in the bypassed networks let through by the bypass?
bool let_through(const PolicySpec& bypass, const Selector& selector, std::span<const PolicySpec* const> behind) {
    for (const PolicySpec* policy : behind)
        if (policy->action == PolicyAction::protect)
            for (const Selector& other : policy->selectors)
                if (overlap(selector.remote, other.remote) && (policy->vpn != bypass.vpn || !covers(selector.local, other.local)))
                    return false;
    return true;
}

bool inside(const Prefix& inner, const Prefix& outer) { return inner.length >= outer.length && contains(outer, inner.address); }

} // namespace

std::vector<xdp::LocalAddress> local_addresses(const std::vector<PortSpec>& ports, const std::vector<std::uint32_t>& interfaces,
                                               const std::vector<route::LocalAddress>& addresses) {
    const auto vpn_of = [](const route::LocalAddress& local) { return local.link != nullptr ? local.link->vpn : wan_vpn; };
    std::map<Address, std::set<VpnNumber>> vpns;
    for (const route::LocalAddress& local : addresses) vpns[local.address.address].insert(vpn_of(local));
    std::map<std::tuple<std::uint32_t, VpnNumber, Address>, bool> found; // value: for IPsec too
    for (std::size_t port = 0; port < ports.size(); ++port) {
        const PortSpec& spec = ports[port];
        for (const VlanSpec& vlan : spec.vlans)
            for (const route::LocalAddress& local : addresses) {
                if (vpn_of(local) != vlan.vpn) continue;
                // The kernel has one such address, and would answer by way of the other VPN.
                if (spec.role == Role::red && vlan.vpn != wan_vpn && vpns[local.address.address].size() > 1) continue;
                const bool here = local.link != nullptr && local.link->port == port;
                const bool listens = spec.listen.empty() ? here
                                                         : std::ranges::find(spec.listen, local.address.address) != spec.listen.end();
                found[{interfaces[port], vlan.vpn, local.address.address}] |= spec.role == Role::black && listens;
                if (here && local.address.broadcast) found.try_emplace({interfaces[port], vlan.vpn, *local.address.broadcast}, false);
            }
    }
    std::vector<xdp::LocalAddress> result;
    for (const auto& [key, ipsec] : found) result.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), ipsec});
    return result;
}

exception::RedAddresses red_addresses(const std::vector<route::LocalAddress>& addresses) {
    exception::RedAddresses result;
    for (const route::LocalAddress& local : addresses)
        if (local.link != nullptr && local.link->role == Role::red)
            result.push_back({local.link->vpn, local.address.interface, local.address.address, local.address.length});
    return result;
}

std::vector<xdp::ProtectedSource> protected_sources(const Desired& desired) {
    const std::vector<const PolicySpec*> policies = by_priority(desired);
    const std::set<VpnNumber> black = black_vpns(desired);
    const auto outer = outer_vpns(desired);
    Protecting protecting;
    for (std::size_t place = 0; place < policies.size(); ++place) {
        const PolicySpec& policy = *policies[place];
        if (policy.action != PolicyAction::protect) continue;
        const auto sas = outer.find(policy.sa);
        for (const VpnNumber vpn : sas == outer.end() ? black : sas->second) // an SA that is not there could be in any
            for (const Selector& selector : policy.selectors)
                for (const Prefix& prefix : prefixes_of(selector.remote))
                    if (prefix.length != 0) protecting.add(vpn, prefix, policy.vpn, place);
    }
    std::map<Key, bool> entries; // value: exempt
    for (const auto& [key, places] : protecting.all()) entries.emplace(key, false);
    for (std::size_t place = 0; place < policies.size(); ++place) {
        const PolicySpec& policy = *policies[place];
        if (policy.action != PolicyAction::bypass || !reaches(policy.reach, Direction::inbound)) continue;
        for (const VpnNumber from : clear_vpns(black, policy.vpn))
            for (const Selector& selector : policy.selectors) {
                // What lets only some protocol through lets the source itself through no more than the policy says: not here.
                if (!whole_sources(selector)) continue;
                for (const Prefix& prefix : prefixes_of(selector.remote))
                    if (prefix.length != 0 && !protecting.forbids(from, prefix, policy.vpn, place)) entries[key_of(from, prefix)] = true;
            }
    }
    std::vector<xdp::ProtectedSource> result;
    for (const auto& [key, exempt] : entries) result.push_back({std::get<0>(key), {std::get<1>(key), std::get<2>(key)}, exempt});
    return result;
}

BypassPrefixes bypass_prefixes(const Desired& desired) {
    std::set<Key> sources, destinations;
    const std::set<VpnNumber> black = black_vpns(desired);
    for (const PolicySpec& policy : desired.policies) {
        if (policy.action != PolicyAction::bypass || !reaches(policy.reach, Direction::inbound)) continue;
        for (const VpnNumber vpn : clear_vpns(black, policy.vpn))
            for (const Selector& selector : policy.selectors) {
                for (const Prefix& prefix : prefixes_of(selector.remote)) sources.insert(key_of(vpn, prefix));
                for (const Prefix& prefix : prefixes_of(selector.local)) destinations.insert(key_of(vpn, prefix));
            }
    }
    const auto list = [](const std::set<Key>& keys) {
        std::vector<xdp::VpnPrefix> result;
        for (const auto& [vpn, address, length] : keys) result.push_back({vpn, {address, length}});
        return result;
    };
    return {list(sources), list(destinations)};
}

EgressPrefixes egress_prefixes(const Desired& desired) {
    std::map<Key, bool> destinations; // value: exempt
    std::set<Key> sources;
    std::vector<std::pair<VpnNumber, Prefix>> before;
    const std::set<VpnNumber> everywhere = black_vpns(desired);
    const auto of_connections = outer_vpns(desired);
    const std::vector<const PolicySpec*> ordered = by_priority(desired);
    for (std::size_t at = 0; at < ordered.size(); ++at) {
        const PolicySpec& policy = *ordered[at];
        if (policy.action == PolicyAction::discard) continue;
        const bool bypass = policy.action == PolicyAction::bypass;
        if (bypass && !reaches(policy.reach, Direction::outbound)) continue;
        const auto found = bypass ? of_connections.end() : of_connections.find(policy.sa); // one that is not there could come in any VPN
        for (const Selector& selector : policy.selectors) {
            if (bypass && (!whole_sources(selector) || !let_through(policy, selector, std::span(ordered).subspan(at)))) continue;
            for (const VpnNumber vpn : found == of_connections.end() ? everywhere : found->second)
                for (const Prefix& prefix : prefixes_of(selector.remote)) {
                    const auto meets = [&](const auto& one) {
                        return one.first == vpn && (inside(prefix, one.second) || inside(one.second, prefix));
                    };
                    if (bypass && (prefix.length == 0 || std::ranges::any_of(before, meets))) continue;
                    if (!bypass) before.emplace_back(vpn, prefix);
                    if (prefix.length != 0) {
                        destinations.try_emplace(key_of(vpn, prefix), bypass); // the first of equal ones decides
                        continue;
                    }
                    for (const Prefix& local : prefixes_of(selector.local))
                        if (local.length != 0) sources.insert(key_of(vpn, local));
                }
        }
    }
    EgressPrefixes result;
    for (const auto& [key, exempt] : destinations)
        result.destinations.push_back({std::get<0>(key), {std::get<1>(key), std::get<2>(key)}, exempt});
    for (const auto& [vpn, address, length] : sources) result.sources.push_back({vpn, {address, length}});
    return result;
}

std::vector<xdp::IkePeer> ike_peers(const Desired& desired) {
    std::vector<xdp::IkePeer> result;
    for (const VpnNumber vpn : black_vpns(desired))
        for (const Address& address : desired.ike.peers) result.push_back({vpn, address});
    return result;
}

std::set<std::pair<VpnNumber, Address>> ike_sources(const std::vector<xdp::LocalAddress>& addresses) {
    std::set<std::pair<VpnNumber, Address>> result;
    for (const xdp::LocalAddress& local : addresses)
        if (local.ipsec) result.emplace(local.vpn, local.address);
    return result;
}

Boundary boundary_of(const Desired& desired) {
    return {.sources = protected_sources(desired),
            .bypass = bypass_prefixes(desired),
            .egress = egress_prefixes(desired),
            .peers = ike_peers(desired)};
}

namespace {

// What either protects; to be exempt needs both to say so.
std::vector<xdp::ProtectedSource> both(const std::vector<xdp::ProtectedSource>& now, const std::vector<xdp::ProtectedSource>& next) {
    std::map<Key, bool> joined; // value: exempt
    for (const xdp::ProtectedSource& one : next) joined.emplace(key_of(one.vpn, one.prefix), one.exempt);
    for (const xdp::ProtectedSource& one : now)
        if (!one.exempt) joined[key_of(one.vpn, one.prefix)] = false;
    std::vector<xdp::ProtectedSource> result;
    for (const auto& [key, exempt] : joined) result.push_back({std::get<0>(key), {std::get<1>(key), std::get<2>(key)}, exempt});
    return result;
}

} // namespace

Boundary both(const Boundary& now, const Boundary& next) {
    Boundary result{.sources = both(now.sources, next.sources), .bypass = next.bypass, .egress = next.egress, .peers = next.peers};
    join(result.bypass.sources, now.bypass.sources);
    join(result.bypass.destinations, now.bypass.destinations);
    result.egress.destinations = both(now.egress.destinations, next.egress.destinations);
    join(result.egress.sources, now.egress.sources);
    return result;
}

} // namespace sallyport::control
