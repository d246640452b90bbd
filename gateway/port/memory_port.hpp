// SPDX-License-Identifier: Apache-2.0
// Ports without a network: MemoryPort for tests, LapPort for benchmarks.
#pragma once

#include "gateway/port/port.hpp"

#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace sallyport {

/// Frames are injected and what was sent is taken, as octets. Threads: inject(), take(), and the switches any; the PortQueue calls its
/// worker.
class MemoryPort final : public PortQueue {
public:
    /// Holds at most `fill` free chunks for receiving.
    explicit MemoryPort(unsigned fill = 256);
    ~MemoryPort() override;

    /// A frame to be received, begin to end. Too long for a chunk: false.
    bool inject(std::vector<std::uint8_t> octets);
    /// What was transmitted since the last call, in order.
    [[nodiscard]] std::vector<std::vector<std::uint8_t>> take();
    /// The transmit ring takes so many more frames, then it is full.
    void transmit_at_most(unsigned frames);
    /// Chunks that this queue holds at the moment.
    [[nodiscard]] std::size_t held();

    unsigned receive(std::span<Frame> frames) override;
    void refill(Chunks& free) override;
    unsigned transmit(std::span<const Frame> frames) override;
    void complete(Chunks& free) override;
    void flush() override {}
    [[nodiscard]] int descriptor() const override { return waker_; }
    [[nodiscard]] PortStatistics statistics() const override;

private:
    mutable std::mutex mutex_;
    int waker_; // eventfd, readable while frames wait
    unsigned most_;
    unsigned room_ = ~0U;
    PacketMemory memory_;
    std::deque<std::vector<std::uint8_t>> waiting_;
    std::vector<std::vector<std::uint8_t>> sent_;
    std::vector<std::uint32_t> fill_, done_;
    PortStatistics statistics_;
};

/// Gives out the frames of a list, once a lap, for as few cycles as there can be; what it transmits is counted and stays where it is. The
/// chunks belong to whoever made the list: they never enter the worker's stack unless the worker drops one.
class LapPort final : public PortQueue {
public:
    /// What the list refers to must not move; may be empty (a port that only transmits).
    explicit LapPort(std::span<const Frame> lap) : lap_(lap), next_(lap.size()) {}

    /// A new lap; the caller has put the octets back as they were.
    void rewind() { next_ = 0; }
    /// Another list, all of it given out already until rewind().
    void give(std::span<const Frame> lap) {
        lap_ = lap;
        next_ = lap.size();
    }
    [[nodiscard]] bool over() const { return next_ == lap_.size(); }
    [[nodiscard]] std::uint64_t transmitted() const { return transmitted_; }
    /// Where each frame that was transmitted in this lap lies, in order, if `into` is not null (its room must suffice).
    void record(std::vector<Frame>* into) { record_ = into; }

    unsigned receive(std::span<Frame> frames) override;
    void refill(Chunks&) override {}
    unsigned transmit(std::span<const Frame> frames) override;
    void complete(Chunks&) override {}
    void flush() override {}
    [[nodiscard]] int descriptor() const override { return -1; }
    [[nodiscard]] PortStatistics statistics() const override;

private:
    std::span<const Frame> lap_;
    std::size_t next_;
    std::uint64_t received_ = 0, transmitted_ = 0;
    std::vector<Frame>* record_ = nullptr;
};

} // namespace sallyport
