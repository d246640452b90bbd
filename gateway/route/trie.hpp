// SPDX-License-Identifier: Apache-2.0
// Longest-prefix match: an immutable multibit trie with bitmaps (after Asai and Ohara, "Poptrie", SIGCOMM 2015): a directly indexed top,
// then six bits a step, one node of 24 octets each.
#pragma once

#include "gateway/sa/address.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace sallyport::route {

class Trie {
public:
    struct Entry {
        Prefix prefix;
        std::uint32_t value = 0; // 1 to 2^31 - 1
    };

    Trie() = default; // gives 0 for everything
    /// Entries of one family, no prefix twice, in ascending order of address, then length.
    explicit Trie(std::span<const Entry> entries);

    /// The value of the longest prefix that contains the address (octets in network order, of the trie's family), 0: none.
    [[nodiscard]] std::uint32_t lookup(const std::uint8_t* address) const;

private:
    struct Node {
        std::uint64_t children = 0; // bit v: chunk v goes on in a node
        std::uint64_t leaves = 0;   // bit v: a new leaf begins at chunk v; a leaf stands for all chunks up to the next one
        std::uint32_t first_child = 0;
        std::uint32_t first_leaf = 0;
    };
    static constexpr std::uint32_t child_bit = 1U << 31; // of a top entry: the rest is a node, else a value
    static constexpr unsigned stride = 6;

    struct Builder;

    std::vector<std::uint32_t> top_;
    std::vector<Node> nodes_;
    std::vector<std::uint32_t> leaves_;
    unsigned top_bits_ = 0;
    unsigned address_bits_ = 0;
};

} // namespace sallyport::route
