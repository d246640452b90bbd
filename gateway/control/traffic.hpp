// SPDX-License-Identifier: Apache-2.0
// When inbound SAs receive. Who answered a request for new keys sends by them once the first packet has come (RFC 7296 2.8); who has heard
// nothing for a while asks whether the peer is alive (RFC 7296 2.4).
#pragma once

#include "gateway/store/store.hpp"

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace sallyport::control {

/// Threads: the control thread. Times are seconds of CLOCK_BOOTTIME.
class Traffic {
public:
    /// From now on, of an inbound SA that was negotiated; others are no matter. `sa` stays where it is until remove(). In the place of
    /// another one under the same key, an update, it goes on with what was seen of that.
    void add(const store::Sa& sa, const SaSpec& spec, std::uint64_t now);
    /// Nothing where another one has taken its place.
    void remove(const store::Sa& sa);

    struct Seen {
        const store::Sa* sa;
        bool idle; // nothing has come for its idle time; else a packet came, the first of all or after that
    };
    /// What was seen since the last call. Reads every SA that has an idle time or has received nothing yet: some milliseconds for 100,000.
    /// `find(number)` gives the SA of a number as it is now, null: it is gone.
    template <class Find>
    [[nodiscard]] std::vector<Seen> look(std::uint64_t now, Find find) {
        std::vector<Seen> result;
        std::erase_if(silent_, [&](std::uint32_t number) {
            const store::Sa* sa = find(number);
            if (sa != nullptr && has_received(*sa)) result.push_back({sa, false});
            return sa == nullptr || has_received(*sa);
        });
        look_at_idle(now, result);
        return result;
    }

private:
    struct Watched {
        const store::Sa* sa;
        std::uint64_t packets, number; // when it was looked at last
        std::uint64_t heard;           // when they were others than before
        std::uint16_t idle;            // seconds
        bool tell_traffic = true, tell_idle = true;
    };
    [[nodiscard]] static bool has_received(const store::Sa& sa);
    void look_at_idle(std::uint64_t now, std::vector<Seen>& result);

    std::vector<std::uint32_t> silent_;                  // numbers of SAs without an idle time that have received nothing, in order
    std::unordered_map<std::uint32_t, Watched> watched_; // those with one, by number
};

} // namespace sallyport::control
