// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/boundary.hpp"

#include <algorithm>
#include <map>
#include <set>
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

} // namespace

std::vector<xdp::LocalAddress> local_addresses(const std::vector<PortSpec>& ports, const std::vector<std::uint32_t>& interfaces,
                                               const std::vector<route::LocalAddress>& addresses) {
    std::map<std::tuple<std::uint32_t, VpnNumber, Address>, bool> found; // value: for IPsec too
    for (std::size_t port = 0; port < ports.size(); ++port) {
        const PortSpec& spec = ports[port];
        for (const VlanSpec& vlan : spec.vlans)
            for (const route::LocalAddress& local : addresses) {
                if ((local.link != nullptr ? local.link->vpn : wan_vpn) != vlan.vpn) continue;
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

std::vector<xdp::IkePeer> ike_peers(const Desired& desired) {
    std::vector<xdp::IkePeer> result;
    for (const VpnNumber vpn : black_vpns(desired))
        for (const Address& address : desired.ike.peers) result.push_back({vpn, address});
    return result;
}

Boundary boundary_of(const Desired& desired) {
    return {.sources = protected_sources(desired), .bypass = bypass_prefixes(desired), .peers = ike_peers(desired)};
}

Boundary both(const Boundary& now, const Boundary& next) {
    Boundary result{.sources = {}, .bypass = next.bypass, .peers = next.peers};
    std::map<Key, bool> sources; // value: exempt, which needs both to say so
    for (const xdp::ProtectedSource& source : next.sources) sources.emplace(key_of(source.vpn, source.prefix), source.exempt);
    for (const xdp::ProtectedSource& source : now.sources)
        if (!source.exempt) sources[key_of(source.vpn, source.prefix)] = false;
    for (const auto& [key, exempt] : sources) result.sources.push_back({std::get<0>(key), {std::get<1>(key), std::get<2>(key)}, exempt});
    join(result.bypass.sources, now.bypass.sources);
    join(result.bypass.destinations, now.bypass.destinations);
    return result;
}

} // namespace sallyport::control
