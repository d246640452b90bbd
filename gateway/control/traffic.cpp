// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/traffic.hpp"

#include <iterator>
#include <utility>

namespace sallyport::control {

void Traffic::add(const store::Sa& sa, std::uint64_t now) {
    if (sa.spec.direction != Direction::inbound || sa.spec.generation == 0) return;
    const auto at = watched_.find(sa.number);
    if (at != watched_.end() && at->second.sa->series == sa.series) {
        at->second.sa = &sa;
        return;
    }
    const std::uint64_t packets = sa.counters().packets, number = sa.sequence_number();
    const bool fresh = packets == 0 && number == 0; // else its first packet was told of before an update, or by the process before this one
    if (!fresh && sa.spec.idle == 0) return;
    watched_.insert_or_assign(sa.number, Watched{.sa = &sa, .packets = packets, .number = number, .heard = now, .tell_traffic = fresh});
}

void Traffic::remove(const store::Sa& sa) {
    if (const auto at = watched_.find(sa.number); at != watched_.end() && at->second.sa == &sa) watched_.erase(at);
}

std::vector<Traffic::Seen> Traffic::look(std::uint64_t now) {
    std::vector<Seen> result;
    for (auto at = watched_.begin(); at != watched_.end();) {
        Watched& one = at->second;
        const std::uint16_t idle = one.sa->spec.idle;
        // A dummy is no packet that counts, and moves the number; what comes late counts, and does not.
        const std::uint64_t packets = one.sa->counters().packets, number = one.sa->sequence_number();
        const bool came = packets != one.packets || number != one.number;
        one.packets = packets;
        one.number = number;
        if (came) {
            one.heard = now;
            one.tell_idle = true;
            if (std::exchange(one.tell_traffic, false)) result.push_back({one.sa, false});
        } else if (idle != 0 && one.tell_idle && now - one.heard >= idle) {
            one.tell_idle = false;
            one.tell_traffic = true;
            result.push_back({one.sa, true});
        }
        at = idle == 0 && !one.tell_traffic ? watched_.erase(at) : std::next(at);
    }
    return result;
}

} // namespace sallyport::control
