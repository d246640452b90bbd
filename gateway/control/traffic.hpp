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
    void add(const store::Sa& sa, std::uint64_t now);
    /// Nothing where another one has taken its place.
    void remove(const store::Sa& sa);

    struct Seen {
        const store::Sa* sa;
        bool idle; // nothing has come for its idle time; else a packet came, the first of all or after that
    };
    /// What was seen since the last call. Reads every SA that has an idle time or has received nothing yet: some milliseconds for 100,000.
    [[nodiscard]] std::vector<Seen> look(std::uint64_t now);

private:
    struct Watched {
        const store::Sa* sa;
        std::uint64_t packets, number; // when it was looked at last
        std::uint64_t heard;           // when they were others than before
        bool tell_traffic = true, tell_idle = true;
    };
    std::unordered_map<std::uint32_t, Watched> watched_; // by number of the SA
};

} // namespace sallyport::control
