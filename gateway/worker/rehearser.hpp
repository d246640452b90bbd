// SPDX-License-Identifier: Apache-2.0
// Everything that a rehearsal needs around it: a worker of its own with packet memory, ports and rings that nobody else has.
#pragma once

#include "gateway/worker/rehearsal.hpp"
#include "gateway/worker/worker.hpp"

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace sallyport::worker {

class Rehearser {
public:
    /// As worker `number` of the real ones, whose surroundings are given and outlive it. `ports`: as the real worker has them; their queues
    /// are not used.
    Rehearser(std::uint8_t number, const Surroundings& real, std::vector<PortOfWorker> ports);

    /// Carries one frame that comes in by this port. False: it is longer than a frame can be. Called in the thread of worker `number`,
    /// between its rounds, or where no worker runs.
    [[nodiscard]] bool run(std::size_t port, std::span<const std::uint8_t> frame);
    /// Carries an IP packet as if it had come out of this SA, by whatever port. False: it is longer than a frame, or shorter than its
    /// header.
    [[nodiscard]] bool run_opened(const transform::InboundSa& sa, std::span<const std::uint8_t> packet);

    [[nodiscard]] const Rehearsal& rehearsal() const { return rehearsal_; }

private:
    static constexpr std::uint32_t chunks = 8;
    [[nodiscard]] Frame lay(std::span<const std::uint8_t> octets);

    std::unique_ptr<std::uint8_t[], void (*)(void*)> memory_;
    Depot depot_;
    tables::Audience audience_;
    tables::Published<tables::Unasked> unasked_;
    Waker waker_;
    FrameRing exceptions_;
    Rehearsal rehearsal_;
    std::deque<RehearsalPort> queues_;
    std::unique_ptr<Worker> worker_; // goes first
};

} // namespace sallyport::worker
