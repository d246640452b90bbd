// SPDX-License-Identifier: Apache-2.0
#include "gateway/sequence/space.hpp"

#include <cstring>

namespace sallyport::sequence {

namespace detail {

namespace {

/// Clears the bits of first to last, both in one word.
void clear_in_word(const Space& space, std::uint64_t first, std::uint64_t last) {
    const std::uint64_t upper = bit_of(space, last);
    const std::uint64_t bits = (upper | (upper - 1)) & ~(bit_of(space, first) - 1);
    std::uint64_t& word = word_of(space, first);
    store(word, load(word) & ~bits);
}

} // namespace

void clear_skipped(const Space& space, std::uint64_t highest, std::uint64_t number) {
    if (number - highest >= space.window) {
        for (std::uint32_t position = 0; position < space.window; position += 64) store(word_of(space, position), 0);
        return;
    }
    const std::uint64_t word_bits = std::min(space.window, std::uint32_t{64}); // the ring's end ends a word
    for (std::uint64_t first = highest + 1; first < number;) {
        const std::uint64_t last = std::min(first | (word_bits - 1), number - 1);
        clear_in_word(space, first, last);
        first = last + 1;
    }
}

} // namespace detail

void prepare(Unit* memory, Direction direction, std::uint32_t window, std::uint64_t number) {
    const unsigned units = units_of(direction, window);
    // Number 0 is refused as such; of a fresh space nothing else was seen.
    for (unsigned i = 1; i < units; ++i) memory[i].words.fill(number == 0 ? 0 : ~std::uint64_t{0});
    memory->words[wanted_word] = 0;
    detail::in_order(); // the number makes the bits count
    detail::store(memory->words[number_word], number);
    detail::in_order();
}

} // namespace sallyport::sequence
