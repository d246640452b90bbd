// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/own.hpp"

#include <algorithm>
#include <utility>

namespace sallyport::control {

void OwnTraffic::warn(Error error, OwnNews& news) {
    if (told_.insert(to_string(error)).second) news.warnings.push_back(std::move(error));
}

/// Null: it cannot be made. One that somebody has taken away is made again.
std::shared_ptr<own::Tun> OwnTraffic::device(const VpnSpec& vpn, unsigned mtu, OwnNews& news) {
    const auto known = devices_.find(vpn.number);
    if (known != devices_.end() && known->second->name() == own::device_name(vpn) && known->second->there()) {
        if (auto set = known->second->set_mtu(mtu); set) return known->second;
    }
    if (known != devices_.end()) devices_.erase(known);
    auto opened = own::Tun::open(vpn, mtu);
    if (opened) return *opened;
    warn(std::move(opened.error()), news);
    return nullptr;
}

OwnNews OwnTraffic::arrange(const Desired& desired, const std::vector<route::LocalAddress>& addresses,
                            const std::map<VpnNumber, unsigned>& mtus) {
    OwnNews news;
    own::Plan plan = own::plan(desired, addresses);
    for (std::string& sentence : plan.notes)
        if (told_.insert(sentence).second) news.notes.push_back(std::move(sentence));

    std::map<VpnNumber, std::shared_ptr<own::Tun>> devices;
    std::map<VpnNumber, Entrance> entrances;
    std::vector<own::Door> doors;
    std::vector<std::string> names;
    for (own::PlannedDevice& planned : plan.devices) {
        const VpnNumber vpn = planned.vpn.number;
        names.push_back(own::device_name(planned.vpn));
        const auto mtu = mtus.find(vpn);
        const auto tun = device(planned.vpn, mtu == mtus.end() ? own::smallest_mtu : mtu->second, news);
        if (!tun) continue;
        for (own::Route& route : planned.routes) route.interface = tun->interface();
        devices[vpn] = tun;
        entrances[vpn] = {tun, planned.here};
        doors.push_back({tun, vpn, planned.strangers});
    }
    std::erase_if(plan.devices, [&](const own::PlannedDevice& planned) { return !devices.contains(planned.vpn.number); });
    {
        const std::lock_guard lock(mutex_);
        entrances_.swap(entrances);
    }
    reader_.set(std::move(doors));
    devices_ = std::move(devices);
    set_routes(plan, addresses, news);
    own::remove_devices(names); // of VPNs that are no more
    return news;
}

void OwnTraffic::set_routes(const own::Plan& plan, const std::vector<route::LocalAddress>& addresses, OwnNews& news) {
    if (!routes_) {
        auto opened = own::KernelRoutes::open();
        if (!opened) return warn(std::move(opened.error()), news);
        routes_ = std::move(*opened);
    }
    std::set<own::Route> routes;
    std::set<own::Rule> rules;
    for (const own::PlannedDevice& planned : plan.devices) {
        routes.insert(planned.routes.begin(), planned.routes.end());
        rules.insert(planned.rules.begin(), planned.rules.end());
    }
    std::vector<route::KernelAddress> now;
    for (const route::LocalAddress& address : addresses) now.push_back(address.address);
    // With an address the kernel drops the routes that send from it.
    const bool anew = now != addresses_;
    addresses_ = std::move(now);
    if (auto set = anew ? routes_->set_anew(routes, rules) : routes_->set(routes, rules); !set) warn(std::move(set.error()), news);
}

DropReason OwnTraffic::deliver(VpnNumber vpn, const Address& destination, std::span<const std::uint8_t> packet) {
    std::shared_ptr<own::Tun> tun;
    {
        const std::lock_guard lock(mutex_);
        const auto entrance = entrances_.find(vpn);
        if (entrance == entrances_.end() || !entrance->second.here.contains(destination)) return DropReason::for_gateway;
        tun = entrance->second.tun;
    }
    return tun->write(packet) ? DropReason::none : DropReason::kernel_full;
}

} // namespace sallyport::control
