// SPDX-License-Identifier: Apache-2.0
#include "gateway/own/plan.hpp"

#include "gateway/own/device.hpp"

#include <algorithm>
#include <format>
#include <linux/rtnetlink.h>
#include <utility>

namespace sallyport::own {

namespace {

bool is_link_local(const Address& address) {
    return address.family == Family::ipv6 && address.octets[0] == 0xfe && (address.octets[1] & 0xc0) == 0x80; // RFC 4291 2.5.6
}

bool is_loopback(const Address& address) {
    static const Address one = *parse_address("::1");
    return address.family == Family::ipv4 ? address.octets[0] == 127 : address == one;
}

using Addresses = std::map<VpnNumber, std::vector<Address>>; // in the order in which the kernel gave them

/// Of each VPN: the addresses of its red ports; in `wan` also those of interfaces that are no ports. Nothing is sealed from an address that
/// a red host does not know, so those of black ports come last.
Addresses own_addresses(const std::vector<route::LocalAddress>& addresses) {
    Addresses inner, outer;
    for (const route::LocalAddress& local : addresses) {
        const Address& address = local.address.address;
        const bool the_kernels = local.address.interface < route::first_own_vlan;
        if (!the_kernels || is_link_local(address) || is_loopback(address)) continue;
        const bool black = local.link != nullptr && local.link->role == Role::black;
        (black ? outer : inner)[local.link != nullptr ? local.link->vpn : wan_vpn].push_back(address);
    }
    for (auto& [vpn, list] : outer) inner[vpn].insert(inner[vpn].end(), list.begin(), list.end());
    return inner;
}

std::optional<Address> source_in(const AddressRange& local, const std::set<Address>& here, const std::vector<Address>& order) {
    for (const Address& address : order)
        if (local.contains(address) && here.contains(address)) return address;
    return std::nullopt;
}

struct Wanted {
    std::optional<Address> source;
    const PolicySpec* policy = nullptr;
};

/// A remote network, and the first source that any of its entries has for it.
using Networks = std::map<std::pair<Address, std::uint8_t>, Wanted>;

Networks networks_of(const Desired& desired, const PlannedDevice& device, const std::vector<Address>& order) {
    Networks result;
    for (const PolicySpec& policy : desired.policies) {
        if (policy.action != PolicyAction::protect || policy.vpn != device.vpn.number) continue;
        for (const Selector& selector : policy.selectors)
            for (const Prefix& prefix : prefixes_of(selector.remote)) {
                Wanted& wanted = result[{prefix.address, prefix.length}];
                if (wanted.policy == nullptr) wanted.policy = &policy;
                if (!wanted.source) wanted.source = source_in(selector.local, device.here, order);
            }
    }
    return result;
}

void add_routes(const Desired& desired, const std::vector<Address>& order, PlannedDevice& device, Plan& plan) {
    std::set<std::string> told; // a sentence a policy
    for (const auto& [key, wanted] : networks_of(desired, device, order)) {
        const Prefix destination{key.first, key.second};
        // The main table has a way to everywhere already, that of the black side.
        if (destination.length == 0 && device.vpn.table == RT_TABLE_MAIN) {
            if (told.insert(wanted.policy->name).second)
                plan.notes.push_back(std::format("Policy {} protects what goes to everywhere: what the gateway itself sends there is not "
                                                 "carried, but where a route of the operator leads into {}",
                                                 wanted.policy->name, device_name(device.vpn)));
            continue;
        }
        if (!wanted.source && told.insert(wanted.policy->name).second)
            plan.notes.push_back(
                std::format("The gateway has no address in the local networks of policy {} to send from to {}: what it sends "
                            "there itself is dropped, unless a program chooses such an address",
                            wanted.policy->name, to_string(destination)));
        device.routes.push_back({device.vpn.table, destination, 0, wanted.source});
    }
}

/// In which VPN the kernel takes what is sent from or to an address to be; the main table decides first.
VpnNumber home_of(const Address& address, const Addresses& addresses, const std::map<VpnNumber, std::uint32_t>& tables) {
    VpnNumber home = wan_vpn;
    unsigned found = 0, main = 0;
    for (const auto& [vpn, list] : addresses) {
        if (std::ranges::find(list, address) == list.end()) continue;
        const auto table = tables.find(vpn);
        if (table == tables.end()) continue;
        ++found;
        if (table->second == RT_TABLE_MAIN && ++main == 1) home = vpn;
        if (main == 0) home = vpn;
    }
    return found > 1 && main == 0 ? ~VpnNumber{0} : home; // in none that could be told
}

} // namespace

Plan plan(const Desired& desired, const std::vector<route::LocalAddress>& all) {
    std::map<VpnNumber, std::uint32_t> tables{{wan_vpn, RT_TABLE_MAIN}};
    std::map<VpnNumber, VpnSpec> vpns{{wan_vpn, {"wan", wan_vpn, RT_TABLE_MAIN}}};
    for (const VpnSpec& vpn : desired.vpns) {
        tables[vpn.number] = vpn.table;
        vpns[vpn.number] = vpn;
    }
    std::set<VpnNumber> protecting;
    for (const PolicySpec& policy : desired.policies)
        if (policy.action == PolicyAction::protect && vpns.contains(policy.vpn)) protecting.insert(policy.vpn);

    const Addresses addresses = own_addresses(all);
    Plan result;
    for (const VpnNumber number : protecting) {
        PlannedDevice device{.vpn = vpns.at(number)};
        for (const auto& [vpn, list] : addresses)
            for (const Address& address : list) {
                const bool at_home = home_of(address, addresses, tables) == number;
                if (vpn == number && at_home)
                    device.here.insert(address);
                else if (vpn == number)
                    result.notes.push_back(
                        std::format("The gateway has the address {} in another VPN too: what is for itself out of a tunnel "
                                    "of VPN {} is dropped, since its kernel could not tell them apart",
                                    to_string(address), device.vpn.name));
                else if (!at_home)
                    device.strangers.insert(address);
            }
        const auto order = addresses.find(number);
        add_routes(desired, order == addresses.end() ? std::vector<Address>{} : order->second, device, result);
        if (device.vpn.table != RT_TABLE_MAIN)
            for (const Address& address : device.here) device.rules.push_back({address, device.vpn.table});
        result.devices.push_back(std::move(device));
    }
    return result;
}

} // namespace sallyport::own
