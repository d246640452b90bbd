// SPDX-License-Identifier: Apache-2.0
#include "mgmt/control/watchers.hpp"

#include "mgmt/control/server.hpp"

#include <algorithm>
#include <poll.h>

#include <systemd/sd-varlink.h>

namespace sallyport::varlink {

bool WatchFilter::matches(const EventView& event) const {
    return (kinds.empty() || std::ranges::find(kinds, event.kind) != kinds.end()) &&
           (connection.empty() || connection == event.connection) && (vpn.empty() || vpn == event.vpn);
}

Watchers::~Watchers() {
    for (const Watcher& watcher : watchers_) sd_varlink_unref(watcher.link);
}

bool Watchers::add(sd_varlink* link, WatchFilter filter) {
    if (watchers_.size() >= most) return false;
    watchers_.push_back({sd_varlink_ref(link), std::move(filter)});
    (void)sd_varlink_notify(link, Json::object({{"kind", "watching"}}).get());
    return true;
}

void Watchers::remove(const sd_varlink* link) {
    std::erase_if(watchers_, [&](const Watcher& watcher) {
        if (watcher.link != link) return false;
        sd_varlink_unref(watcher.link);
        return true;
    });
}

void Watchers::publish(const EventView& event) {
    Json made;
    for (Watcher& watcher : watchers_) {
        if (!watcher.filter.matches(event)) continue;
        // sd-varlink wants to write as long as it has something for this reader.
        const int wanted = sd_varlink_get_events(watcher.link);
        if (wanted >= 0 && (wanted & POLLOUT) == 0) watcher.ahead = 0;
        if (watcher.ahead >= most_ahead) {
            ++watcher.lost;
            continue;
        }
        if (!made.has_value()) made = json_of(event);
        const Json told = watcher.lost == 0 ? made : made.with("lost", watcher.lost);
        if (sd_varlink_notify(watcher.link, told.get()) < 0) {
            ++watcher.lost;
            continue;
        }
        ++watcher.ahead;
        watcher.lost = 0;
    }
}

} // namespace sallyport::varlink
