// SPDX-License-Identifier: Apache-2.0
// How a thread that drops packets tells the control thread of those that are audited: bounded, rate-limited, never waiting.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/port/ring.hpp"
#include "gateway/sa/selector.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace sallyport::tables {

/// What is dropped for one reason makes at most `burst` events in about a second; the next event says how many packets made none.
/// Threads: its owner only, but left_out().
class EventSource {
public:
    static constexpr std::uint32_t burst = 8;
    static constexpr unsigned most_moved = 64;

    /// `ring` null: nobody listens. `worker` as in Event::worker.
    EventSource(EventRing* ring, std::uint8_t worker) : ring_(ring), worker_(worker) {}

    /// A frame on its way to be dropped for a reason that is audited. `sa_known`: its SA pointer, that of `inbound`, is null or may be
    /// followed. `ticks` goes up by some 10^9 a second and may go back a little, as Frame::arrival does.
    void dropped(const Frame& frame, bool inbound, bool sa_known, std::uint64_t ticks);
    /// The peer of an inbound SA sends from another address or UDP port than the SA says: `outer` is of its packet, which is authentic and
    /// has the highest number so far. Of one SA about one a second, and at most `most_moved` of all.
    void moved(const transform::InboundSa& sa, const Flow& outer, std::uint64_t sequence, std::uint64_t ticks);
    /// Something else lies ready for the reader: he is woken with the next flush().
    void ring() { told_ = true; }
    /// Wakes the reader where something was told since: once a round.
    void flush() {
        if (told_) [[unlikely]]
            ring_->wake();
        told_ = false;
    }
    /// Events that the limit or a full ring kept back, since the begin. Threads: any.
    [[nodiscard]] std::uint64_t left_out() const { return left_out_.load(std::memory_order_relaxed); }

private:
    struct Gate {
        std::uint64_t since = 0;  // ticks: begin of the present second
        std::uint32_t given = 0;  // events in it
        std::uint32_t missed = 0; // packets without one since the last event
    };
    void miss(Gate& gate);

    EventRing* ring_;
    std::uint8_t worker_;
    bool told_ = false;
    std::atomic<std::uint64_t> left_out_{0};
    std::array<Gate, drop_reason_count> gates_{};   // by DropReason
    std::array<std::uint64_t, most_moved> moved_{}; // the second in which the last one was told whose SA falls there
};

} // namespace sallyport::tables
