// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/inside.hpp"

#include <array>
#include <cerrno>
#include <ctime>
#include <sys/epoll.h>

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
    std::array<Event, 64> some;
    // At most what the ring holds: who fills it without end does not keep the thread here, and has rung.
    for (unsigned taken = 0; taken < events_kept; taken += static_cast<unsigned>(some.size())) {
        const unsigned count = events.pop(some);
        for (unsigned i = 0; i < count; ++i) tell(some[i], some[i].sa != 0 ? store->find(some[i].sa) : nullptr);
        if (count < some.size()) return;
    }
    if (!events.empty()) events_waker.wake();
}

/// `sa` null: the event speaks of none, or of one that is gone.
void Gateway::Inside::tell(Event event, const store::Sa* sa) {
    Told told{.event = event, .time = microseconds_now(), .connection = {}, .peer = {}, .port = {}, .vpn = {}};
    if (sa != nullptr) {
        told.connection = sa->spec.name;
        told.peer = to_string(sa->spec.outer_remote);
    }
    if (event.port < desired.ports.size()) told.port = desired.ports[event.port].interface;
    for (const VpnSpec& vpn : desired.vpns)
        if (vpn.number == event.vpn) told.vpn = vpn.name;
    observer.event(told);
}

void Gateway::Inside::tell(EventKind kind, const std::vector<const store::Sa*>& sas) {
    constexpr std::size_t most = 64; // of one transaction: beyond that one event speaks of all
    if (sas.size() > most) return tell({.kind = kind, .count = static_cast<std::uint32_t>(sas.size())});
    for (const store::Sa* sa : sas) tell(kind, *sa);
}

void Gateway::tell_near_end(const std::string& name, Direction direction, std::uint32_t child) {
    if (const store::Sa* sa = inside_->store->find(name, direction, child)) inside_->tell(EventKind::sa_near_end, *sa);
}

void Gateway::Inside::tell(EventKind kind, const store::Sa& sa) {
    tell({.kind = kind,
          .vpn = sa.spec.red_vpn,
          .direction = sa.spec.direction,
          .spi = sa.spec.spi,
          .sa = sa.number,
          .sequence = sa.sequence_number()},
         &sa);
}

} // namespace sallyport::control
