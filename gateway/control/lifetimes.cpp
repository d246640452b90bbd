// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/lifetimes.hpp"

#include <algorithm>
#include <atomic>

namespace sallyport::control {

namespace {

/// Is one of them reached? 0: there is none.
bool reached(const Lifetime& lifetime, std::uint64_t packets, std::uint64_t octets, std::uint64_t seconds) {
    const auto one = [](std::uint64_t limit, std::uint64_t used) { return limit != 0 && used >= limit; };
    return one(lifetime.packets, packets) || one(lifetime.octets, octets) || one(lifetime.seconds, seconds);
}

/// Is the hard time over before anybody looks again? Then no packet passes any more, whatever the counters say.
void end_by_time(const store::Sa& sa, const Lifetime& hard, std::uint64_t seconds) {
    if (reached({.seconds = hard.seconds}, 0, 0, seconds + Lifetimes::tick))
        std::atomic_ref(sa.counting().packet_limit).store(0, std::memory_order_relaxed);
}

std::uint64_t since(std::uint64_t begun, std::uint64_t now) { return now > begun ? now - begun : 0; }

std::uint64_t read(std::uint64_t& word) { return std::atomic_ref(word).load(std::memory_order_relaxed); }

} // namespace

bool Lifetimes::goes_on(const Watched& before, const store::Sa& now, const SaSpec& spec) {
    const bool same_series = &before.sa->counting() == &now.counting();
    return same_series && before.asked == spec.soft && before.hard == spec.hard && before.jitter == spec.jitter;
}

/// Never to nothing: 0 would be without bound.
Lifetime Lifetimes::shortened(const SaSpec& spec) {
    std::uniform_real_distribution<double> share(0, static_cast<double>(spec.jitter) / 100);
    const double left = 1 - share(random_);
    const auto cut = [&](std::uint64_t value) {
        return value == 0 ? 0 : std::max<std::uint64_t>(static_cast<std::uint64_t>(static_cast<double>(value) * left), 1);
    };
    return {cut(spec.soft.packets), cut(spec.soft.octets), cut(spec.soft.seconds)};
}

void Lifetimes::add(const store::Sa& sa, const SaSpec& spec, std::uint64_t now) {
    if (!spec.soft.any() && !spec.hard.any()) return;
    if (const auto at = watched_.find(sa.number); at != watched_.end() && goes_on(at->second, sa, spec)) {
        at->second.sa = &sa;
        if (at->second.hard_told) std::atomic_ref(sa.counting().packet_limit).store(0, std::memory_order_relaxed);
        return end_by_time(sa, spec.hard, since(at->second.begun, now));
    }
    const std::uint64_t begun = spec.begun != 0 ? spec.begun : now;
    watched_.insert_or_assign(
        sa.number,
        Watched{.sa = &sa, .asked = spec.soft, .soft = shortened(spec), .hard = spec.hard, .begun = begun, .jitter = spec.jitter});
    end_by_time(sa, spec.hard, since(begun, now)); // it may have been over while no gateway lived
}

std::vector<Lifetimes::Reached> Lifetimes::look(std::uint64_t now) {
    std::vector<Reached> result;
    for (auto& [number, one] : watched_) {
        transform::SaCounters& counters = one.sa->counting();
        const std::uint64_t seconds = since(one.begun, now);
        const std::uint64_t packets = read(counters.packets), octets = read(counters.octets);
        if (!one.hard_told) end_by_time(*one.sa, one.hard, seconds);
        // By the last packet that passed, or by one that was refused.
        const bool over = read(counters.packet_limit) == 0 || reached(one.hard, packets, octets, 0);
        if (!one.soft_told && (over || reached(one.soft, packets, octets, seconds))) {
            one.soft_told = true;
            if (one.soft.any()) result.push_back({one.sa, false});
        }
        if (!one.hard_told && over) {
            one.hard_told = true;
            result.push_back({one.sa, true});
        }
    }
    return result;
}

} // namespace sallyport::control
