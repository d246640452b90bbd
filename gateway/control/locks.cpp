// SPDX-License-Identifier: Apache-2.0
// The guard's rules and the traffic of the gateway itself, as parts of the running gateway.
#include "gateway/control/guard.hpp"
#include "gateway/control/inside.hpp"
#include "gateway/control/keying_inside.hpp"
#include "gateway/guard/nftables.hpp"
#include "gateway/transform/transform.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace sallyport::control {

Result<Detached> detach(const Settings& settings) {
    auto ports = xdp::detach(xdp::pin_directory(settings));
    const Result<void> routes = own::forget_routes();
    Detached opened;
    opened.devices = own::remove_devices({});
    opened.guard = guard::table_exists(guard::table);
    const Result<void> guard = opened.guard ? guard::carry_out(guard::lower()) : Result<void>();
    if (!ports) return std::unexpected(std::move(ports.error()));
    opened.ports = std::move(*ports);
    for (const Result<void>& done : {routes, guard})
        if (!done) return std::unexpected(done.error());
    return opened;
}

/// Policies that a key exchange brings come many a second: the guard and the routes follow them once a second, for the locks of the ports
/// stand already. So do the devices what fits into the tunnels.
void Gateway::Inside::look_at_locks() {
    if (guard_is_late || (own && mtus_of_tunnels() != own_mtus)) bring_guard_up();
    for (std::size_t port = 0; !stopped && port < ports->count(); ++port) {
        xdp::Egress& egress = ports->program(port).egress();
        if (told_missing[port] || egress.stands()) continue;
        const Result<void> closed = egress.close_again();
        if (closed)
            note(Level::warning, "The lock of what the machine itself sends had been taken off, and is on again",
                 desired.ports[port].interface, "look who removes the clsact qdisc or its filters");
        else
            note(Level::error, closed.error());
    }
}

void Gateway::Inside::bring_guard_up() {
    guard_is_late = false;
    raise_wall();
    arrange_own_traffic();
}

/// What is configured, with the policies that a key exchange has brought.
Desired Gateway::Inside::joined() const {
    Desired result = keying ? keying->joined(desired, keying->policies, nullptr) : desired;
    result.vpns = desired.vpns;
    return result;
}

/// Where the guard unit has not run, something stands before the first port is touched.
void Gateway::Inside::raise_first_wall() {
    if (!guard::table_exists(guard::table)) raise_wall();
}

/// In the place of what stands there: at start, that of boot, once all ports have their own locks.
void Gateway::Inside::raise_wall() {
    static const std::map<std::uint32_t, route::KernelLink> none;
    std::string rules = guard::raise(standing_wall(joined(), mirror ? mirror->picture().kernel_links() : none));
    if (rules == wall) return;
    const Result<void> raised = guard::carry_out(rules);
    if (raised) {
        wall = std::move(rules);
    } else if (!std::exchange(told_no_wall, true)) {
        note(Level::warning, raised.error().sentence, {},
             "without it an interface that is made anew is open to the kernel's own forwarding until the gateway has closed it");
    }
}

/// What fits into every tunnel of a VPN, so that what the machine itself sends needs no cutting.
std::map<VpnNumber, unsigned> Gateway::Inside::mtus_of_tunnels() const {
    std::map<VpnNumber, unsigned> result;
    for (const PolicySpec& policy : joined().policies) {
        if (policy.action != PolicyAction::protect) continue;
        const store::Sa* sa = store->find(policy.sa, Direction::outbound, keying->children.sender(policy.sa).value_or(0));
        if (sa == nullptr || sa->outbound == nullptr) continue;
        unsigned outer = std::min<unsigned>(transform::fit_of(*sa->outbound).outer, own::largest_mtu);
        for (const route::Link& link : mirror->picture().links())
            if (link.interface != 0 && link.role == Role::black && link.vpn == sa->outbound->outer_vpn)
                outer = std::min<unsigned>(outer, link.mtu);
        const unsigned inner = std::clamp(transform::largest_inner(*sa->outbound, outer), own::smallest_mtu, own::largest_mtu);
        const auto [at, fresh] = result.try_emplace(policy.vpn, inner);
        at->second = std::min(at->second, inner);
    }
    return result;
}

void Gateway::Inside::arrange_own_traffic() {
    if (!own) return;
    own_mtus = mtus_of_tunnels();
    OwnNews news = own->arrange(joined(), mirror->picture().local_addresses(), own_mtus);
    for (Error& error : news.warnings) note(Level::warning, error);
    for (std::string& sentence : news.notes) note(Level::information, std::move(sentence));
}

} // namespace sallyport::control
