// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/inside.hpp"
#include "gateway/control/keying_inside.hpp"
#include "gateway/wire/ip.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <span>
#include <sys/epoll.h>
#include <utility>

namespace sallyport::control {

namespace {

std::uint64_t microseconds_now() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

} // namespace

Result<void> Gateway::Inside::open_loop() {
    loop = Descriptor(epoll_create1(EPOLL_CLOEXEC));
    if (!loop || !events_waker.good()) return std::unexpected(system_error(errno, "The process has no descriptor left"));
    for (const int one : {mirror->descriptor(), events_waker.descriptor()}) {
        epoll_event wanted{.events = EPOLLIN, .data = {.fd = one}};
        if (epoll_ctl(loop.get(), EPOLL_CTL_ADD, one, &wanted) != 0)
            return std::unexpected(system_error(errno, "The gateway's descriptors cannot be waited for"));
    }
    events_waker.prepare();
    return {};
}

void Gateway::Inside::take_events() {
    events_waker.woken();
    events_waker.prepare(); // what comes from now on rings
    take_acquires();
    std::array<Event, 64> some;
    // At most what the ring holds: who fills it without end does not keep the thread here, and has rung.
    for (unsigned taken = 0; taken < events_kept; taken += static_cast<unsigned>(some.size())) {
        const unsigned count = events.pop(some);
        for (const Event& event : std::span(some).first(count)) {
            const store::Sa* sa = event.sa != 0 ? store->find(event.sa) : nullptr;
            if (event.kind != EventKind::address_changed)
                tell(event, sa);
            else if (sa != nullptr)
                tell_moved(event, *sa);
        }
        if (count < some.size()) return;
    }
    if (!events.empty()) events_waker.wake();
}

Result<void> Gateway::Inside::open_audits() {
    auto opened = xdp::Audits::open(ports->maps().audit_ring());
    if (!opened) return std::unexpected(std::move(opened.error()));
    audits = std::move(*opened);
    epoll_event wanted{.events = EPOLLIN, .data = {.fd = audits->descriptor()}};
    if (epoll_ctl(loop.get(), EPOLL_CTL_ADD, audits->descriptor(), &wanted) != 0)
        return std::unexpected(system_error(errno, "The gateway's descriptors cannot be waited for"));
    return {};
}

void Gateway::Inside::take_audits() {
    const std::vector<sp_audit> taken = audits ? audits->take() : std::vector<sp_audit>{};
    if (taken.empty()) return;
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const std::uint64_t nanoseconds = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
    for (const sp_audit& one : taken)
        tell(event_of(one), nullptr, (nanoseconds - std::min<std::uint64_t>(nanoseconds, one.time_ns)) / 1000);
}

Event Gateway::Inside::event_of(const sp_audit& one) const {
    Event event;
    event.reason = one.verdict == SP_PROTECTED_SOURCE ? DropReason::should_be_protected : DropReason::transit_from_black;
    event.by_kernel = true;
    for (std::size_t port = 0; port < ports->count(); ++port)
        if (ports->program(port).device().ifindex == one.ifindex) event.port = static_cast<std::uint8_t>(port);
    event.vpn = static_cast<VpnNumber>(one.vpn);
    event.direction = Direction::inbound;
    event.has_flow = true;
    Flow& flow = event.flow;
    for (Address* address : {&flow.source, &flow.destination}) address->family = one.family == SP_IPV6 ? Family::ipv6 : Family::ipv4;
    std::copy(std::begin(one.source), std::end(one.source), flow.source.octets.begin());
    std::copy(std::begin(one.destination), std::end(one.destination), flow.destination.octets.begin());
    flow.protocol = one.protocol;
    event.flow_label = one.flow_label;
    const auto two = [&](unsigned at) { return static_cast<std::uint16_t>(one.upper[at] << 8 | one.upper[at + 1]); };
    if (one.upper_present == 0) return event;
    if (one.protocol == wire::protocol_esp) event.spi = std::uint32_t{two(0)} << 16 | two(2);
    flow.ports_known = has_ports(one.protocol) || has_type(one.protocol);
    if (!flow.ports_known) return event;
    flow.source_port = one.protocol == wire::protocol_mobility ? static_cast<std::uint16_t>(one.upper[2] << 8) : two(0);
    if (has_ports(one.protocol)) flow.destination_port = two(2);
    return event;
}

/// `sa` null: the event speaks of none, or of one that is gone.
void Gateway::Inside::tell(Event event, const store::Sa* sa, std::uint64_t age) {
    Told told;
    told.event = event;
    told.time = microseconds_now() - age;
    if (sa != nullptr) {
        const SaSpec spec = sa->spec();
        told.udp_port = spec.udp_port;
        told.connection = spec.name;
        told.peer = to_string(spec.outer_remote);
        if (event.kind == EventKind::dropped && event.reason == DropReason::selector_mismatch)
            for (std::size_t i = 0; i < std::min<std::size_t>(3, spec.selectors.size()); ++i)
                told.selectors.push_back(to_string(spec.selectors[i]));
    }
    tell(std::move(told));
}

void Gateway::Inside::tell(Told told) {
    if (told.event.port < desired.ports.size()) told.port = desired.ports[told.event.port].interface;
    for (const VpnSpec& vpn : desired.vpns)
        if (vpn.number == told.event.vpn) told.vpn = vpn.name;
    observer.event(told);
}

void Gateway::Inside::tell(EventKind kind, const std::vector<const store::Sa*>& sas) {
    constexpr std::size_t most = 64; // of one transaction: beyond that one event speaks of all
    if (sas.size() > most) return tell({.kind = kind, .count = static_cast<std::uint32_t>(sas.size())});
    for (const store::Sa* sa : sas) tell(kind, *sa);
}

void Gateway::Inside::look_at_lives() {
    for (const Lifetimes::Reached& one : lifetimes.look(boot_seconds()))
        tell(one.hard ? EventKind::sa_hard_end : EventKind::sa_soft_end, *one.sa);
    const auto find = [this](std::uint32_t number) { return store->find(number); };
    for (const Traffic::Seen& one : traffic.look(boot_seconds(), find))
        tell(one.idle ? EventKind::sa_idle : EventKind::sa_traffic, *one.sa);
    take_path_mtus();
    std::erase_if(moved_until, [now = milliseconds()](const auto& one) { return one.second <= now; });
    open_acquires();
}

/// A policy that has been told of in this second waits for the next, though it is in another SPD meanwhile.
void Gateway::Inside::take_acquires() {
    for (const tables::Acquire& packet : spd->read().acquires().take()) {
        const std::vector<PolicySpec>& keyed = keying->policies;
        const std::size_t number = packet.policy, configured = desired.policies.size(); // in this order
        if (number >= configured + keyed.size()) continue;
        const PolicySpec& policy = number < configured ? desired.policies[number] : keyed[number - configured];
        Told told;
        told.event = {
            .kind = EventKind::acquire, .vpn = policy.vpn, .has_flow = true, .flow = packet.flow, .flow_label = packet.flow_label};
        told.time = microseconds_now();
        told.connection = policy.sa;
        told.policy = policy.name;
        if (const auto [at, fresh] = acquires_told.try_emplace(policy.name); fresh)
            tell(std::move(told));
        else
            at->second = std::move(told);
    }
}

/// Once a second: whoever was told of may ask again.
void Gateway::Inside::open_acquires() {
    spd->read().acquires().open();
    for (auto& [policy, waiting] : std::exchange(acquires_told, {})) {
        if (!waiting) continue;
        const std::uint32_t child = keying->children.sender(waiting->connection).value_or(0);
        if (store->find(waiting->connection, Direction::outbound, child) != nullptr) continue; // it has got what it asked for
        acquires_told.try_emplace(policy);
        tell(std::move(*waiting));
    }
}

void Gateway::Inside::take_path_mtus() {
    const exception::PathMtus::Changes changes = path_mtus.take_changes();
    for (const exception::MtuChange& change : changes.each) {
        const store::Sa* sa = store->find(change.sa);
        if (sa == nullptr) continue;
        tell({.kind = EventKind::path_mtu,
              .vpn = sa->spec().red_vpn,
              .direction = sa->direction(),
              .spi = sa->spi(),
              .sa = sa->number,
              .old_mtu = change.before.outer,
              .mtu = change.now.outer,
              .largest_inner = change.now.inner},
             sa);
    }
    if (changes.more != 0) tell({.kind = EventKind::path_mtu, .count = static_cast<std::uint32_t>(changes.more)});
}

/// Whoever is told needs a moment to say that the SA has moved.
void Gateway::Inside::tell_moved(const Event& event, const store::Sa& sa) {
    constexpr std::uint64_t patience_ms = 5000;
    const SaSpec spec = sa.spec();
    if (event.flow.source == spec.outer_remote && event.flow.source_port == spec.udp_port) return; // it is known meanwhile
    if (moved_until.try_emplace(sa.number, milliseconds() + patience_ms).second) tell(event, &sa);
}

void Gateway::tell_near_end(const std::string& name, Direction direction, std::uint32_t child) {
    if (const store::Sa* sa = inside_->store->find(name, direction, child)) inside_->tell(EventKind::sa_near_end, *sa);
}

void Gateway::Inside::tell(EventKind kind, const store::Sa& sa) {
    tell({.kind = kind,
          .vpn = sa.spec().red_vpn,
          .direction = sa.direction(),
          .spi = sa.spi(),
          .sa = sa.number,
          .sequence = sa.sequence_number()},
         &sa);
}

} // namespace sallyport::control
