// SPDX-License-Identifier: Apache-2.0
// Who watches events, and what each of them wants to see. A slow reader loses events; nobody waits for it.
#pragma once

#include "mgmt/control/view.hpp"

#include <cstdint>
#include <string>
#include <vector>

struct sd_varlink;

namespace sallyport::varlink {

/// What is empty lets everything through.
struct WatchFilter {
    std::vector<std::string> kinds;
    std::string connection, vpn;
    [[nodiscard]] bool matches(const EventView& event) const;
};

/// Threads: that of the loop.
class Watchers {
public:
    static constexpr std::size_t most = 16;          // at one time
    static constexpr std::uint32_t most_ahead = 512; // events that wait for one reader

    Watchers() = default;
    ~Watchers();
    Watchers(const Watchers&) = delete;
    Watchers& operator=(const Watchers&) = delete;

    /// False: there are too many already. The link is in a call of Watch and gets a first notification, of kind "watching".
    [[nodiscard]] bool add(sd_varlink* link, WatchFilter filter);
    /// Its connection is gone. Others than watchers are no matter.
    void remove(const sd_varlink* link);
    void publish(const EventView& event);

private:
    struct Watcher {
        sd_varlink* link; // a reference of ours
        WatchFilter filter;
        std::uint32_t ahead = 0; // events given since its output was last seen empty
        std::uint64_t lost = 0;  // events that it did not get since the last that it got
    };
    std::vector<Watcher> watchers_;
};

} // namespace sallyport::varlink
