// SPDX-License-Identifier: Apache-2.0
// Frames that wait until the kernel has found the link-layer address of their next hop. Logic only: time and frames come in, frames go out.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/address.hpp"

#include <cstdint>
#include <vector>

namespace sallyport::exception {

struct Neighbour {
    std::uint32_t interface = 0; // kernel's number
    Address address;
    bool operator==(const Neighbour&) const = default;
};

struct WaitingLimits {
    unsigned each = 16;                      // frames a neighbour
    unsigned all = 1024;                     // frames in all
    std::uint64_t patience = 3'000'000'000;  // ns; the kernel asks three times, a second apart
    std::uint64_t ask_again = 1'000'000'000; // ns
};

/// Times are nanoseconds of one clock, never falling. Every frame that was put in comes out of exactly one of put(), release() and
/// expire().
class WaitingFrames {
public:
    explicit WaitingFrames(const WaitingLimits& limits) : limits_(limits) { frames_.reserve(limits.all); }

    /// The frame waits. Where its neighbour has too many, itself goes to `dropped`, where all have, the oldest of all: the one that waits
    /// longest is the least likely to be answered, so that a scan of an empty network keeps nobody else waiting. True: the kernel must be
    /// asked now.
    bool put(const Frame& frame, const Neighbour& neighbour, std::uint64_t now, std::vector<Frame>& dropped);
    /// Frames that wait for this neighbour, in the order they came.
    void release(const Neighbour& neighbour, std::vector<Frame>& out);
    /// Frames whose time is over.
    void expire(std::uint64_t now, std::vector<Frame>& dropped);
    /// Neighbours that somebody waits for and whom the kernel must be asked for again.
    void due(std::uint64_t now, std::vector<Neighbour>& out);

    [[nodiscard]] const std::vector<Neighbour>& neighbours() const { return neighbours_; } // waited for, no order
    [[nodiscard]] bool empty() const { return frames_.empty(); }
    [[nodiscard]] std::size_t size() const { return frames_.size(); }
    /// When expire() or due() has something to do next; only if not empty.
    [[nodiscard]] std::uint64_t next() const;

private:
    struct Waiter {
        Frame frame;
        std::uint64_t since;
        Neighbour neighbour;
    };
    struct Asked {
        std::uint64_t last;
        unsigned waiters;
    };
    [[nodiscard]] std::size_t find(const Neighbour& neighbour) const; // neighbours_.size(): not there
    void left(const Neighbour& neighbour);

    WaitingLimits limits_;
    std::vector<Waiter> frames_; // in the order they came
    std::vector<Neighbour> neighbours_;
    std::vector<Asked> asked_; // beside neighbours_
};

} // namespace sallyport::exception
