// SPDX-License-Identifier: Apache-2.0
// What a worker counts. It alone writes, anyone reads: each counter by itself is exact, they are not of one instant.
#pragma once

#include "gateway/sa/drop_reason.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

namespace sallyport::worker {

struct PortCounters {
    std::uint64_t received = 0, received_octets = 0; // frames with their Ethernet header
    std::uint64_t transmitted = 0, transmitted_octets = 0;
};

struct Counters {
    std::array<std::uint64_t, drop_reason_count> drops{}; // by DropReason
    std::vector<PortCounters> ports;                      // by index of the port
    std::uint64_t sealed = 0, opened = 0, bypassed = 0;   // packets
    std::uint64_t handed_over = 0, taken_over = 0;        // frames given to and got from other threads
    std::uint64_t to_exceptions = 0;                      // frames given to the exception stage
    std::uint64_t dummies = 0;                            // dummy packets made
    std::uint64_t keepalives = 0;                         // NAT keepalives made
    std::uint64_t other_form = 0;                         // ESP in UDP for an SA that sends without, or the reverse
    std::uint64_t rounds = 0, sleeps = 0;
    std::uint64_t chunks = 0;          // free ones in the worker's stack at the end of the last round
    std::uint64_t events_left_out = 0; // audited drops that made no event
    [[nodiscard]] std::uint64_t dropped(DropReason reason) const { return drops[static_cast<std::size_t>(reason)]; }
};

class LiveCounters {
public:
    explicit LiveCounters(std::size_t ports) { now_.ports.resize(ports); }

    /// Adds to one of now(), by its only writer: a plain addition that readers never see halfway.
    static void add(std::uint64_t& counter, std::uint64_t amount = 1) {
        const std::atomic_ref<std::uint64_t> live(counter);
        live.store(live.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
    /// Sets one of now(), by its only writer.
    static void set(std::uint64_t& counter, std::uint64_t value) {
        std::atomic_ref<std::uint64_t>(counter).store(value, std::memory_order_relaxed);
    }
    [[nodiscard]] Counters& now() { return now_; }
    void drop(DropReason reason) { add(now_.drops[static_cast<std::size_t>(reason)]); }
    [[nodiscard]] Counters read() const;

private:
    Counters now_;
};

} // namespace sallyport::worker
