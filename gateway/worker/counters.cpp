// SPDX-License-Identifier: Apache-2.0
#include "gateway/worker/counters.hpp"

namespace sallyport::worker {

namespace {

std::uint64_t load(const std::uint64_t& counter) {
    // atomic_ref of a const object comes with C++26.
    return __atomic_load_n(&counter, __ATOMIC_RELAXED);
}

} // namespace

Counters LiveCounters::read() const {
    Counters copy;
    for (std::size_t i = 0; i < drop_reason_count; ++i) copy.drops[i] = load(now_.drops[i]);
    copy.ports.reserve(now_.ports.size());
    for (const PortCounters& port : now_.ports)
        copy.ports.push_back({load(port.received), load(port.received_octets), load(port.transmitted), load(port.transmitted_octets)});
    copy.sealed = load(now_.sealed);
    copy.opened = load(now_.opened);
    copy.bypassed = load(now_.bypassed);
    copy.handed_over = load(now_.handed_over);
    copy.taken_over = load(now_.taken_over);
    copy.to_exceptions = load(now_.to_exceptions);
    copy.dummies = load(now_.dummies);
    copy.keepalives = load(now_.keepalives);
    copy.other_form = load(now_.other_form);
    copy.rounds = load(now_.rounds);
    copy.sleeps = load(now_.sleeps);
    copy.chunks = load(now_.chunks);
    return copy;
}

} // namespace sallyport::worker
