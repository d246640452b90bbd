// SPDX-License-Identifier: Apache-2.0
// The one door out of the straight way: a thread of its own behind a bounded ring, for what is rare. Today that is a next hop whose
// link-layer address is not known yet: the kernel is asked, the frame waits, and goes back to its worker.
#pragma once

#include "gateway/exception/waiting.hpp"
#include "gateway/port/chunks.hpp"
#include "gateway/port/ring.hpp"
#include "gateway/port/waker.hpp"
#include "gateway/route/fib.hpp"
#include "gateway/tables/event_source.hpp"
#include "gateway/tables/published.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

namespace sallyport::exception {

/// Asks the kernel for a neighbour's link-layer address; the answer comes by the Fib. Never blocks.
class Asker {
public:
    virtual ~Asker() = default;
    Asker() = default;
    Asker(const Asker&) = delete;
    Asker& operator=(const Asker&) = delete;
    virtual void ask(const Neighbour& neighbour) = 0;
};

struct StageCounters {
    std::array<std::uint64_t, drop_reason_count> dropped{}; // frames, by DropReason
    std::uint64_t waited = 0;                               // frames that waited and went on
    std::uint64_t waiting = 0;                              // frames that wait now
    std::uint64_t asked = 0;                                // questions to the kernel
};

/// What a worker sends here: a frame with reason neighbour_unresolved, all fields as at routing (vpn, family, network), and the flow hash
/// with which it was routed in `spi`; anything else is dropped with the reason it brings. What comes back into the inbox of the worker
/// `Frame::worker` has reason none and frame_waited set, and is routed again. Threads: inbox(), wake() and counters() any, the rest one.
class Stage {
public:
    /// `events`: where audited drops are told; null: nowhere.
    Stage(Depot& depot, const tables::Published<route::Fib>& fib, Asker& asker, const WaitingLimits& limits = {},
          EventRing* events = nullptr);
    ~Stage(); // what still waits goes to the depot
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    /// Before the first round: the inboxes of the workers, by number.
    void meet(std::vector<FrameRing*> workers) { workers_ = std::move(workers); }
    /// Bounded: what does not fit is the worker's to drop (exception_full).
    [[nodiscard]] FrameRing& inbox() { return inbox_; }
    /// The Fib or a neighbour has changed.
    void wake() { waker_.wake(); }

    /// One round at the time `now` (ns, monotonic); the caller holds an rcu::Reader where another thread publishes.
    void run_once(std::uint64_t now);
    /// Rounds until `stop`, with an rcu::Reader of its own, asleep in between. Set `stop`, then wake().
    void run(const std::atomic<bool>& stop);
    [[nodiscard]] StageCounters counters() const;

private:
    static constexpr unsigned batch = 64;

    void take_in(std::uint64_t now);
    void look_after(const Frame& frame, std::uint64_t now);
    void check_waited_for(std::uint64_t now);
    void give_back();
    void drop_all(std::uint64_t now);
    void ask(const Neighbour& neighbour);
    [[nodiscard]] int sleep_ms(std::uint64_t now) const;

    Depot& depot_;
    const tables::Published<route::Fib>& fib_;
    Asker& asker_;
    tables::EventSource events_;
    Waker waker_;
    FrameRing inbox_;
    std::vector<FrameRing*> workers_;
    WaitingFrames waiting_;
    std::vector<Frame> ready_;   // to their workers
    std::vector<Frame> dropped_; // to the depot
    std::vector<Neighbour> due_;
    std::array<std::atomic<std::uint64_t>, drop_reason_count> counted_{};
    std::atomic<std::uint64_t> waited_{0}, waiting_now_{0}, asked_{0};
};

} // namespace sallyport::exception
