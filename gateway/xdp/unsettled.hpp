// SPDX-License-Identifier: Apache-2.0
// Chunks of a packet memory that was taken over of which nobody knows whether the kernel still sends them. What was in a dead process's
// hand, stacks and depot is free, but no ring tells it from a frame that is on its way out: that is known when all of those have come back.
#pragma once

#include "gateway/port/chunks.hpp"

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

namespace sallyport::xdp {

/// Threads: the workers, each with completions of its own queues; kept() any.
class Unsettled {
public:
    /// `chunks`: those that are unsettled. `owed`: completions of frames that the dead process transmitted and that nobody has
    /// taken yet, at least 1; each is of one of these chunks.
    Unsettled(std::uint32_t memory, const std::vector<std::uint32_t>& chunks, std::uint32_t owed)
        : waits_(memory, 0), owed_(owed), kept_(static_cast<std::uint32_t>(chunks.size()) - owed) {
        for (const std::uint32_t chunk : chunks) waits_[chunk] = 1;
    }

    /// These chunks were completed and are free now. Gives how many of them were owed; with the last of all, the rest is free too and goes
    /// to `free`.
    std::uint32_t settle(std::span<const std::uint32_t> completed, Chunks& free) {
        std::uint32_t old = 0;
        for (const std::uint32_t chunk : completed) {
            old += waits_[chunk]; // no other thread has the completion of this chunk
            waits_[chunk] = 0;
        }
        if (old == 0 || owed_.fetch_sub(old, std::memory_order_acq_rel) != old) return old;
        kept_.store(0, std::memory_order_relaxed);
        for (std::uint32_t chunk = 0; chunk < waits_.size(); ++chunk)
            if (waits_[chunk] != 0) free.take_back(chunk);
        return old;
    }
    /// Chunks that are in no queue and not free.
    [[nodiscard]] std::uint32_t kept() const { return kept_.load(std::memory_order_relaxed); }

private:
    std::vector<std::uint8_t> waits_; // by chunk
    std::atomic<std::uint32_t> owed_;
    std::atomic<std::uint32_t> kept_;
};

} // namespace sallyport::xdp
