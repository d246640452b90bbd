// SPDX-License-Identifier: Apache-2.0
// How packets are numbered: the outbound counter, the inbound window (RFC 4303 3.3.3, 3.4.3, appendix A), and the memory both lie in.
#pragma once

#include "gateway/sa/drop_reason.hpp"
#include "gateway/sa/sa.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace sallyport::sequence {

/// The memory of counters and windows is cut into units of a cache line (gateway/state maps it; it outlives the process). An outbound space
/// takes one unit, an inbound one takes 1 + window / 512, contiguous.
struct alignas(64) Unit {
    std::array<std::uint64_t, 8> words{};
};

/// Units that a space of this direction and window (packets) takes.
[[nodiscard]] constexpr unsigned units_of(Direction direction, std::uint32_t window) {
    return direction == Direction::outbound ? 1U : 1U + (window + 511U) / 512U;
}

/// Number, window and key context of a series of packets. An SA has one; it lies in the SA's hot part (48 octets).
struct Space {
    void* key = nullptr;               // expanded key context of gateway/crypto, aligned to 64
    Unit* memory = nullptr;            // word 0: outbound the last number given, inbound the highest accepted; units behind it: window bits
    std::uint64_t* mark = nullptr;     // outbound: numbers up to *mark may be given now; raised by the control thread (atomic_ref).
                                       // inbound: highest number whose acceptance the durable mark covers (atomic_ref); null: no marks
    std::uint64_t last = 0;            // outbound: hard end, inclusive (2^32-1 or 2^64-2). inbound: numbers up to this are refused (floor)
    std::uint32_t window = 0;          // inbound, packets, power of two
    bool extended = false;             // ESN
};

struct Numbers {
    std::uint64_t first = 0; // first number given; then consecutive
    unsigned count = 0;      // fewer than wanted: `reason` says why the others are not
    DropReason reason = DropReason::none;
};

/// Outbound: takes up to `wanted` numbers for a batch. The counter in memory has moved before this returns, so that a number is never given twice.
[[nodiscard]] Numbers take(const Space& space, unsigned wanted);

/// Inbound, before the ICV: infers the whole number of what the packet carries (RFC 4303 A2.2) and checks it against the window.
/// none, sequence_zero, replayed or too_old; `number` is set in any case that gives none.
[[nodiscard]] DropReason check(const Space& space, std::uint32_t low, std::uint64_t& number);

/// Inbound, after the ICV: checks again (two of one batch may carry one number), enters the number and moves the window.
[[nodiscard]] DropReason accept(const Space& space, std::uint64_t number);

} // namespace sallyport::sequence
