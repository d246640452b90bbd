// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/guard.hpp"

#include "gateway/control/boundary.hpp"
#include "gateway/guard/nftables.hpp"
#include "gateway/own/device.hpp"

#include <set>
#include <utility>

namespace sallyport::control {

namespace {

using PrefixKey = std::pair<Address, std::uint8_t>;

guard::Wall around_ports(const Desired& desired) {
    guard::Wall wall;
    for (const PortSpec& port : desired.ports) wall.ports.push_back(port.interface);
    for (const VpnSpec& vpn : desired.vpns) wall.tunnels.push_back(own::device_name(vpn));
    return wall;
}

// Whole address families are left to the rules of the ports.
void add(const AddressRange& range, std::set<PrefixKey>& to) {
    for (const Prefix& prefix : prefixes_of(range))
        if (prefix.length != 0) to.emplace(prefix.address, prefix.length);
}

std::vector<Prefix> list(const std::set<PrefixKey>& keys) {
    std::vector<Prefix> result;
    for (const auto& [address, length] : keys) result.push_back({address, length});
    return result;
}

/// What the lock on the way out refuses in these VPNs. A rule knows no VPN: where an interface carries several, nothing is exempt.
std::vector<guard::Destination> destinations(const std::vector<xdp::ProtectedSource>& refused, const std::set<VpnNumber>& vpns) {
    std::vector<guard::Destination> result;
    std::set<PrefixKey> known;
    for (const xdp::ProtectedSource& one : refused)
        if (vpns.contains(one.vpn) && (!one.exempt || vpns.size() == 1) && known.emplace(one.prefix.address, one.prefix.length).second)
            result.push_back({one.prefix, one.exempt});
    return result;
}

} // namespace

guard::Wall wall_of_boot(const Desired& desired) {
    guard::Wall wall = around_ports(desired);
    std::set<PrefixKey> remote, all;
    for (const PolicySpec& policy : desired.policies) {
        if (policy.action != PolicyAction::protect) continue;
        for (const Selector& selector : policy.selectors) {
            add(selector.remote, remote);
            add(selector.remote, all);
            add(selector.local, all);
        }
    }
    wall.networks = list(all);
    wall.sources = list(remote);
    guard::Way everywhere;
    for (const Prefix& prefix : wall.sources) everywhere.destinations.push_back({prefix, false});
    wall.ways.push_back(std::move(everywhere));
    return wall;
}

guard::Wall standing_wall(const Desired& desired, const std::map<std::uint32_t, route::KernelLink>& links) {
    guard::Wall wall = around_ports(desired);
    const std::vector<xdp::ProtectedSource> refused = egress_prefixes(desired).destinations;
    for (const PortSpec& port : desired.ports) {
        std::vector<std::string> names{port.interface};
        for (const auto& [number, link] : links) {
            const auto below = links.find(link.parent);
            if (link.parent != 0 && below != links.end() && below->second.name == port.interface) names.push_back(link.name);
        }
        wall.ports.insert(wall.ports.end(), names.begin() + 1, names.end());
        if (port.role != Role::black) continue;
        std::set<VpnNumber> vpns;
        for (const VlanSpec& vlan : port.vlans) vpns.insert(vlan.vpn);
        for (const std::string& name : names) wall.ways.push_back({name, destinations(refused, vpns)});
    }
    return wall;
}

Result<void> raise_wall_of_boot(const Desired* desired) {
    return guard::carry_out(desired != nullptr ? guard::raise(wall_of_boot(*desired)) : guard::raise_blindly());
}

} // namespace sallyport::control
