// SPDX-License-Identifier: Apache-2.0
// A whole gateway over memory for the benchmarks: real SAs, real tables, one worker, a red and a black port. What is sealed here opens
// here.
#pragma once

#include "bench/world.hpp"
#include "gateway/port/memory_port.hpp"
#include "gateway/tables/rcu.hpp"
#include "gateway/worker/worker.hpp"

#include <memory>
#include <vector>

namespace sallyport::bench {

/// A port that can waste cycles for each frame that it gives out: for the self-tests.
class WastefulPort final : public PortQueue {
public:
    explicit WastefulPort(PortQueue& port) : port_(port) {}
    unsigned wasted = 0; // cycles of the TSC for each frame received

    unsigned receive(std::span<Frame> frames) override;
    void refill(Chunks& free) override { port_.refill(free); }
    unsigned transmit(std::span<const Frame> frames) override { return port_.transmit(frames); }
    void complete(Chunks& free) override { port_.complete(free); }
    void flush() override { port_.flush(); }
    [[nodiscard]] int descriptor() const override { return port_.descriptor(); }
    [[nodiscard]] PortStatistics statistics() const override { return port_.statistics(); }

private:
    PortQueue& port_;
};

inline constexpr unsigned black_port = 0, red_port = 1;
inline constexpr VpnNumber red_vpn = 1;

/// The tables for SA pairs: 192.0.2.0/24 out of the black port, everything in the red VPN out of the red one, a policy for each pair.
class Tables {
public:
    explicit Tables(const SaPairs& pairs, route::Mac black_destination = {2, 0, 0, 0, 0, 3},
                    route::Mac red_destination = {2, 0, 0, 0, 0, 4});
    [[nodiscard]] worker::Surroundings surroundings(Depot& depot) const;

    tables::Audience audience;
    tables::Sad sad{audience};
    std::unique_ptr<tables::Published<tables::Spd>> spd;
    std::unique_ptr<tables::Published<route::Fib>> fib;
    tables::Published<tables::Unasked> unasked{std::make_unique<tables::Unasked>()};
};

class MemoryGateway {
public:
    static constexpr unsigned lap = 256; // frames

    MemoryGateway(const SaPairs& pairs, unsigned inner);

    /// Puts the lap's red frames back as they came in, for the next SAs in order.
    void prepare_seal();
    /// Cycles of the worker from receiving to transmitting.
    [[nodiscard]] std::uint64_t seal();
    /// Seals a lap, so that it may be opened.
    void prepare_open();
    [[nodiscard]] std::uint64_t open();
    void waste(unsigned cycles);

    [[nodiscard]] std::span<Frame> red() { return red_; }
    [[nodiscard]] std::span<Frame> black() { return black_; }
    [[nodiscard]] const Tables& tables() const { return tables_; }
    [[nodiscard]] std::span<const unsigned> who() const { return who_; } // pair of each frame

private:
    [[nodiscard]] std::uint64_t run(LapPort& from, LapPort& to);

    const SaPairs& pairs_;
    unsigned inner_;
    Order order_;
    Tables tables_;
    Memory chunks_;
    std::vector<Frame> red_, black_;
    std::vector<unsigned> who_;
    LapPort red_lap_, black_lap_;
    WastefulPort red_queue_, black_queue_;
    std::vector<std::uint8_t> spare_; // of the depot, for a worker that wants chunks of its own
    Depot depot_;
    rcu::Reader reader_;
    std::unique_ptr<worker::Worker> worker_;
};

} // namespace sallyport::bench
