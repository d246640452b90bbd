// SPDX-License-Identifier: Apache-2.0
// The ways from thread to thread: bounded rings, for frames and for events. Many write, one reads.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/port/waker.hpp"
#include "gateway/sa/event.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

namespace sallyport {

/// After D. Vyukov's bounded queue: each cell has a turn number that says who may touch it next.
template <class Item>
class Ring {
public:
    /// `capacity` is a power of two. The waker is that of the reader and must outlive the ring.
    Ring(unsigned capacity, Waker& waker);

    /// Puts in what fits, from the front, in order; returns how many. Does not wake. Threads: any.
    unsigned push(std::span<const Item> items);
    /// Call after one or several push().
    void wake() { waker_.wake(); }
    /// Takes out up to items.size(). Threads: the reader only.
    unsigned pop(std::span<Item> items);
    /// Threads: the reader only.
    [[nodiscard]] bool empty() const;

private:
    struct alignas(64) Cell {
        std::atomic<std::uint64_t> turn;
        Item item;
    };
    std::unique_ptr<Cell[]> cells_;
    std::uint64_t mask_;
    Waker& waker_;
    alignas(64) std::atomic<std::uint64_t> tail_{0};
    alignas(64) std::uint64_t head_ = 0;
};

extern template class Ring<Frame>;
extern template class Ring<Event>;

/// Frames given to a worker (by other workers: look them up again; by the exception stage with frame_waited: route them again) or by the
/// workers to the exception stage. The ring owns their chunks. A frame's SA pointer does not survive it: the giver passes a quiescent state
/// while it lies there.
using FrameRing = Ring<Frame>;

/// From workers and exception stage to the control thread. What does not fit is lost, and counted by who says it.
using EventRing = Ring<Event>;

} // namespace sallyport
