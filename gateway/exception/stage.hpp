// SPDX-License-Identifier: Apache-2.0
// The one door out of the straight way: a thread of its own behind a bounded ring, for what is rare. It gives each frame to the handler of
// its errand, and takes back to the workers what the handlers are done with.
#pragma once

#include "gateway/exception/handler.hpp"
#include "gateway/port/chunks.hpp"
#include "gateway/port/ring.hpp"
#include "gateway/port/waker.hpp"
#include "gateway/tables/event_source.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

namespace sallyport::exception {

struct StageCounters {
    std::array<std::uint64_t, drop_reason_count> dropped{}; // frames, by DropReason
    std::uint64_t returned = 0;                             // frames that went back to their workers
    std::uint64_t held = 0;                                 // frames that the handlers hold now
};

/// A worker sends a frame with its errand, and the reason that counts if nothing can be done for it; a frame whose errand nobody serves is
/// dropped with that reason. Threads: inbox(), wake() and counters() any, the rest one.
class Stage final : private Exits {
public:
    /// `events`: where audited drops are told; null: nowhere.
    explicit Stage(Depot& depot, EventRing* events = nullptr);
    ~Stage() override; // what the handlers still hold goes to the depot

    /// Before the first round. Who serves an errand; the handler outlives the stage.
    void serve(Errand errand, Handler& handler) { handlers_[static_cast<std::size_t>(errand)] = &handler; }
    /// Before the first round: the inboxes of the workers, by number.
    void meet(std::vector<FrameRing*> workers) { workers_ = std::move(workers); }
    /// Bounded: what does not fit is the worker's to drop (exception_full).
    [[nodiscard]] FrameRing& inbox() { return inbox_; }
    /// Something that a handler waits for may have changed: a route, a neighbour.
    void wake() { waker_.wake(); }

    /// One round at the time `now` (ns, monotonic); the caller holds an rcu::Reader where another thread publishes.
    void run_once(std::uint64_t now);
    /// Rounds until `stop`, with an rcu::Reader of its own, asleep in between. Set `stop`, then wake().
    void run(const std::atomic<bool>& stop);
    [[nodiscard]] StageCounters counters() const;

private:
    static constexpr unsigned batch = 64;

    void again(const Frame& frame) override;
    void drop(const Frame& frame, DropReason reason) override;
    void used_up(const Frame& frame) override { depot_.give(&frame.index, 1, Holder::stage); }
    [[nodiscard]] bool make(Frame& frame) override;

    unsigned pop(std::span<Frame> frames);
    void take_in(std::uint64_t now);
    void give_back();
    void drop_all(std::uint64_t now);
    [[nodiscard]] std::vector<Handler*> handlers() const; // each once
    [[nodiscard]] int sleep_ms(std::uint64_t now) const;

    Depot& depot_;
    tables::EventSource events_;
    Waker waker_;
    FrameRing inbox_;
    std::vector<FrameRing*> workers_;
    std::array<Handler*, errand_count> handlers_{};
    std::vector<Frame> ready_;   // to their workers
    std::vector<Frame> dropped_; // to the depot
    std::array<std::atomic<std::uint64_t>, drop_reason_count> counted_{};
    std::atomic<std::uint64_t> returned_{0}, held_{0};
};

} // namespace sallyport::exception
