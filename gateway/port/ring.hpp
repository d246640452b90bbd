// SPDX-License-Identifier: Apache-2.0
// The one way from thread to thread for a frame: a bounded ring that carries frames and nothing else. Many write, one reads.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/port/waker.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

namespace sallyport {

/// Frames given to a worker (by other workers: look them up again; by the exception stage with frame_waited or frame_onward:
/// route them again) or by the workers to the exception stage. A frame's SA pointer does not survive the ring: the giver passes a quiescent state while it lies there.
/// After D. Vyukov's bounded queue: each cell has a turn number that says who may touch it next.
class FrameRing {
public:
    /// `capacity` is a power of two. The waker is that of the reader and must outlive the ring.
    FrameRing(unsigned capacity, Waker& waker);

    /// Puts in what fits, from the front, in order; returns how many. The ring owns their chunks then. Does not wake. Threads: any.
    unsigned push(std::span<const Frame> frames);
    /// Call after one or several push().
    void wake() { waker_.wake(); }
    /// Takes out up to frames.size(). Threads: the reader only.
    unsigned pop(std::span<Frame> frames);
    /// Threads: the reader only.
    [[nodiscard]] bool empty() const;

private:
    struct alignas(64) Cell {
        std::atomic<std::uint64_t> turn;
        Frame frame;
    };
    std::unique_ptr<Cell[]> cells_;
    std::uint64_t mask_;
    Waker& waker_;
    alignas(64) std::atomic<std::uint64_t> tail_{0};
    alignas(64) std::uint64_t head_ = 0;
};

} // namespace sallyport
