// SPDX-License-Identifier: Apache-2.0
// A port's queue as a worker sees it. Two kinds: AF_XDP (gateway/xdp) and memory (gateway/port/memory_port.hpp: tests, benchmarks).
#pragma once

#include "gateway/port/chunks.hpp"
#include "gateway/port/frame.hpp"

#include <cstdint>
#include <span>

namespace sallyport {

/// What the kernel says of one AF_XDP socket (XDP_STATISTICS), packets since it was bound.
struct PortStatistics {
    std::uint64_t received = 0, transmitted = 0; // by us
    std::uint64_t dropped = 0, ring_full = 0, fill_empty = 0, invalid_receive = 0, invalid_transmit = 0;
};

/// One queue of one port. Used by one worker only; calls are a batch each, none blocks.
class PortQueue {
public:
    virtual ~PortQueue() = default;
    PortQueue() = default;
    PortQueue(const PortQueue&) = delete;
    PortQueue& operator=(const PortQueue&) = delete;

    /// Takes up to frames.size() frames: sets chunk, index, begin, end; everything else is as a fresh Frame. The caller owns the chunks.
    virtual unsigned receive(std::span<Frame> frames) = 0;
    /// Gives free chunks to the receive side until it has as many as it can hold.
    virtual void refill(Chunks& free) = 0;
    /// Queues frames in order; returns how many were taken (from the front). The port owns those chunks until complete(). Only chunk,
    /// index, begin and end are set.
    virtual unsigned transmit(std::span<const Frame> frames) = 0;
    /// Takes back the chunks of frames that have left.
    virtual void complete(Chunks& free) = 0;
    /// Wakes the kernel where it asked for it (need_wakeup): once a burst, after transmit() and refill().
    virtual void flush() = 0;
    /// For poll(); -1: nothing to wait for.
    [[nodiscard]] virtual int descriptor() const = 0;
    [[nodiscard]] virtual PortStatistics statistics() const = 0;
};

} // namespace sallyport
