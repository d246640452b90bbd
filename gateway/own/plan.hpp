// SPDX-License-Identifier: Apache-2.0
// Which devices, routes and rules carry the traffic of the gateway itself: decided from what is configured and the addresses that it has.
// No I/O.
//
// A VPN with protect entries has a device, and its routing table a route into it for each of their remote networks, with one of the
// gateway's own addresses in the local networks as source. In the main table that is all. In the table of another VPN the kernel looks for
// what is sent from the gateway's addresses there; but an address that it has in two VPNs says nothing about which is meant, so traffic of
// the gateway itself is not carried at such an address in the second one.
#pragma once

#include "gateway/own/kernel.hpp"
#include "gateway/route/picture.hpp"
#include "gateway/sa/desired.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace sallyport::own {

struct PlannedDevice {
    VpnSpec vpn;
    std::set<Address> here;      // the gateway's own addresses in this VPN at which it is reached out of the tunnel
    std::set<Address> strangers; // as in Door
    std::vector<Route> routes;   // `interface` is not known yet: 0
    std::vector<Rule> rules;
};

struct Plan {
    std::vector<PlannedDevice> devices; // by VPN
    std::vector<std::string> notes;     // what will not be carried, a sentence each
};

[[nodiscard]] Plan plan(const Desired& desired, const std::vector<route::LocalAddress>& addresses);

} // namespace sallyport::own
