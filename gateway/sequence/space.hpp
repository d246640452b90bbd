// SPDX-License-Identifier: Apache-2.0
// How packets are numbered: the outbound counter, the inbound window (RFC 4303 3.3.3, 3.4.3, appendix A), and the memory both lie in.
// Only the SA's owner calls what is here; other threads may read the words of the memory and raise marks (atomic_ref, relaxed).
#pragma once

#include "gateway/sa/drop_reason.hpp"
#include "gateway/sa/sa.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sallyport::sequence {

/// The memory of counters and windows is cut into units of a cache line (gateway/state maps it; it outlives the process). An outbound space
/// takes one unit, an inbound one takes 1 + window / 512, contiguous.
struct alignas(64) Unit {
    std::array<std::uint64_t, 8> words{};
};

// Words of a space's first unit; those from `tag_word` on say whose it is and belong to gateway/state.
inline constexpr std::size_t number_word = 0; // outbound the last number given, inbound the highest accepted
inline constexpr std::size_t wanted_word = 1; // inbound: highest authentic number refused because the durable mark did not cover it
inline constexpr std::size_t tag_word = 2;

/// Units that a space of this direction and window (packets) takes.
[[nodiscard]] constexpr unsigned units_of(Direction direction, std::uint32_t window) {
    return direction == Direction::outbound ? 1U : 1U + (window + 511U) / 512U;
}

inline constexpr std::uint64_t short_end = 0xffff'ffffU;                // last number without ESN (RFC 4303 3.3.3)
inline constexpr std::uint64_t extended_end = 0xffff'ffff'ffff'fffeULL; // last number with ESN that is given

/// Number, window and key context of a series of packets. An SA has one; it lies in the SA's hot part (48 octets).
struct Space {
    void* key = nullptr;           // expanded key context of gateway/crypto, aligned to 64
    Unit* memory = nullptr;        // see the words above; the units behind the first hold the window's bits
    std::uint64_t* mark = nullptr; // outbound: numbers up to *mark may be given now; raised by the control thread (atomic_ref).
                                   // inbound: highest number whose acceptance the durable mark covers (atomic_ref); null: no marks
    std::uint64_t last = 0;   // outbound: hard end, inclusive (short_end, extended_end). inbound: numbers up to this are refused (floor)
    std::uint32_t window = 0; // inbound, packets, power of two
    bool extended = false;    // ESN
};

static_assert(sizeof(Space) == 40 || sizeof(Space) == 48);

struct Numbers {
    std::uint64_t first = 0; // first number given; then consecutive
    unsigned count = 0;      // fewer than wanted: `reason` says why the others are not
    DropReason reason = DropReason::none;
};

namespace detail {

[[nodiscard]] inline std::uint64_t load(std::uint64_t& word) { return std::atomic_ref(word).load(std::memory_order_relaxed); }

inline void store(std::uint64_t& word, std::uint64_t value) { std::atomic_ref(word).store(value, std::memory_order_relaxed); }

/// What comes before it in the program has happened when the process is killed behind it: instructions retire in order, so only the
/// compiler has to be held.
inline void in_order() { std::atomic_signal_fence(std::memory_order_seq_cst); }

/// The word of the window that holds a number's bit: a ring of exactly `window` bits, number n at n mod window.
[[nodiscard]] inline std::uint64_t& word_of(const Space& space, std::uint64_t number) {
    const std::uint64_t position = number & (space.window - 1U);
    return space.memory[1 + (position >> 9)].words[(position >> 6) & 7];
}

[[nodiscard]] inline std::uint64_t bit_of(const Space& space, std::uint64_t number) {
    return std::uint64_t{1} << (number & (space.window - 1U) & 63U);
}

/// Clears the bits of highest + 1 to number - 1, of which there is at least one.
void clear_skipped(const Space& space, std::uint64_t highest, std::uint64_t number);

} // namespace detail

/// Puts memory of units_of() units into the state "`number` was the last": outbound the next one given is number + 1; inbound all up to
/// `number` count as seen.
void prepare(Unit* memory, Direction direction, std::uint32_t window, std::uint64_t number);

/// Outbound: takes up to `wanted` numbers for a batch. The counter in memory has moved before this returns, so that a number is never given
/// twice, whenever the process dies.
[[nodiscard, gnu::always_inline]] inline Numbers take(const Space& space, unsigned wanted) {
    std::uint64_t& counter = space.memory->words[number_word];
    const std::uint64_t given = detail::load(counter);
    const std::uint64_t durable = space.mark == nullptr ? space.last : detail::load(*space.mark);
    const std::uint64_t end = std::min(space.last, durable);
    const std::uint64_t left = end > given ? end - given : 0;
    Numbers numbers{.first = given + 1, .count = wanted, .reason = DropReason::none};
    if (left < wanted) [[unlikely]] {
        numbers.count = static_cast<unsigned>(left);
        numbers.reason = durable < space.last ? DropReason::mark_not_durable : DropReason::sequence_exhausted;
    }
    detail::store(counter, given + numbers.count);
    detail::in_order();
    return numbers;
}

/// Inbound: asks for the lines that check() and accept() of this packet touch.
inline void prefetch(const Space& space, std::uint32_t low) {
    __builtin_prefetch(space.memory, 1);
    __builtin_prefetch(space.memory + 1 + ((low & (space.window - 1U)) >> 9), 1);
}

/// Inbound, before the ICV: infers the whole number of what the packet carries (RFC 4303 A2.2) and checks it against the window.
/// none, sequence_zero, replayed or too_old; `number` is set in any case that gives none. Changes nothing.
[[nodiscard, gnu::always_inline]] inline DropReason check(const Space& space, std::uint32_t low, std::uint64_t& number) {
    const std::uint64_t highest = detail::load(space.memory->words[number_word]);
    if (space.extended) {
        // The one number in [highest - window + 1, highest - window + 2^32] with this low half: cases A and B of A2.2 without a branch.
        const std::uint64_t bottom = highest - space.window + 1U;
        number = bottom + static_cast<std::uint32_t>(low - static_cast<std::uint32_t>(bottom));
    } else {
        number = low;
    }
    if (number == 0) return DropReason::sequence_zero;
    if (number > highest) {
        // Before the first subspace the sum has wrapped to the top of the number space.
        return number - highest > short_end ? DropReason::too_old : number <= space.last ? DropReason::too_old : DropReason::none;
    }
    // Above the last subspace the sum has wrapped to the bottom, which lies left of the window too.
    if (highest - number >= space.window || number <= space.last) return DropReason::too_old;
    return (detail::load(detail::word_of(space, number)) & detail::bit_of(space, number)) != 0 ? DropReason::replayed : DropReason::none;
}

/// Inbound, after the ICV: checks again (two of one batch may carry one number), enters the number and moves the window. none, replayed,
/// too_old, or mark_not_durable where the number lies above the durable mark; then the number is noted, and the mark will follow it.
[[nodiscard, gnu::always_inline]] inline DropReason accept(const Space& space, std::uint64_t number) {
    std::uint64_t& counter = space.memory->words[number_word];
    const std::uint64_t highest = detail::load(counter);
    std::uint64_t& word = detail::word_of(space, number);
    const std::uint64_t bit = detail::bit_of(space, number);
    if (number <= highest) {
        if (highest - number >= space.window) return DropReason::too_old;
        const std::uint64_t seen = detail::load(word);
        if ((seen & bit) != 0) return DropReason::replayed;
        detail::store(word, seen | bit);
        detail::in_order();
        return DropReason::none;
    }
    if (space.mark != nullptr && number > detail::load(*space.mark)) [[unlikely]] {
        std::uint64_t& wanted = space.memory->words[wanted_word];
        detail::store(wanted, std::max(detail::load(wanted), number));
        return DropReason::mark_not_durable;
    }
    // First the top, then the bits: killed in between, old numbers may look seen, but none that was seen looks new.
    detail::store(counter, number);
    detail::in_order();
    if (number - highest > 1) detail::clear_skipped(space, highest, number);
    detail::store(word, detail::load(word) | bit);
    detail::in_order();
    return DropReason::none;
}

} // namespace sallyport::sequence
