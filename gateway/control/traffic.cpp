// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/traffic.hpp"

#include <algorithm>
#include <utility>

namespace sallyport::control {

/// A dummy is no packet that counts, and moves the number; what comes late counts, and does not.
bool Traffic::has_received(const store::Sa& sa) { return sa.counters().packets != 0 || sa.sequence_number() != 0; }

void Traffic::add(const store::Sa& sa, const SaSpec& spec, std::uint64_t now) {
    if (sa.inbound == nullptr || spec.generation == 0) return;
    const auto before = watched_.find(sa.number);
    const bool goes_on = before != watched_.end() && &before->second.sa->counting() == &sa.counting();
    const bool fresh = !has_received(sa); // else its first packet was told of before an update, or by the process before this one
    if (spec.idle == 0) {
        if (before != watched_.end()) watched_.erase(before);
        const auto place = std::ranges::lower_bound(silent_, sa.number);
        if (fresh && (place == silent_.end() || *place != sa.number)) silent_.insert(place, sa.number);
        return;
    }
    if (goes_on) {
        before->second.sa = &sa;
        before->second.idle = spec.idle;
        return;
    }
    if (const auto place = std::ranges::lower_bound(silent_, sa.number); place != silent_.end() && *place == sa.number)
        silent_.erase(place);
    watched_.insert_or_assign(sa.number, Watched{.sa = &sa,
                                                 .packets = sa.counters().packets,
                                                 .number = sa.sequence_number(),
                                                 .heard = now,
                                                 .idle = spec.idle,
                                                 .tell_traffic = fresh});
}

void Traffic::remove(const store::Sa& sa) {
    if (const auto at = watched_.find(sa.number); at != watched_.end() && at->second.sa == &sa) watched_.erase(at);
}

void Traffic::look_at_idle(std::uint64_t now, std::vector<Seen>& result) {
    for (auto& [key, one] : watched_) {
        const std::uint64_t packets = one.sa->counters().packets, number = one.sa->sequence_number();
        const bool came = packets != one.packets || number != one.number;
        one.packets = packets;
        one.number = number;
        if (came) {
            one.heard = now;
            one.tell_idle = true;
            if (std::exchange(one.tell_traffic, false)) result.push_back({one.sa, false});
        } else if (one.tell_idle && now - one.heard >= one.idle) {
            one.tell_idle = false;
            one.tell_traffic = true;
            result.push_back({one.sa, true});
        }
    }
}

} // namespace sallyport::control
