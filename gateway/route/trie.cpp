// SPDX-License-Identifier: Apache-2.0
#include "gateway/route/trie.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sallyport::route {

namespace {

constexpr std::size_t large_table = 1024; // entries from which on a top of 65,536 places is worth its memory

// Up to 16 bits of an address of `bits` bits from `offset` on; bits behind the end are zero.
unsigned bits_at(const std::uint8_t* address, unsigned bits, unsigned offset, unsigned count) {
    const unsigned first = offset / 8;
    const unsigned octets = bits / 8;
    std::uint32_t word = 0;
    for (unsigned i = 0; i < 3; ++i) word = word << 8 | (first + i < octets ? address[first + i] : 0U);
    return word >> (24 - offset % 8 - count) & ((1U << count) - 1);
}

} // namespace

struct Trie::Builder {
    Trie& trie;

    // What lies at each place of one step: a value, or the entries that go deeper.
    struct Place {
        std::uint32_t value = 0;
        std::span<const Entry> deeper;
    };

    std::vector<Place> places(std::span<const Entry> entries, unsigned offset, unsigned width, std::uint32_t inherited) const {
        std::vector<Place> result(1U << width, Place{inherited, {}});
        for (std::size_t i = 0; i < entries.size();) {
            const Prefix& prefix = entries[i].prefix;
            const unsigned at = bits_at(prefix.address.octets.data(), trie.address_bits_, offset, width);
            if (prefix.length <= offset + width) {
                // Sorted by address, then length: what comes later is inside or behind.
                const unsigned span = 1U << (offset + width - prefix.length);
                for (unsigned v = at; v < at + span; ++v) result[v].value = entries[i].value;
                ++i;
                continue;
            }
            std::size_t end = i + 1;
            while (end < entries.size() && entries[end].prefix.length > offset + width &&
                   bits_at(entries[end].prefix.address.octets.data(), trie.address_bits_, offset, width) == at)
                ++end;
            result[at].deeper = entries.subspan(i, end - i);
            i = end;
        }
        return result;
    }

    void fill(std::uint32_t number, std::span<const Entry> entries, unsigned offset, std::uint32_t inherited) {
        const std::vector<Place> all = places(entries, offset, stride, inherited);
        Node node;
        node.first_leaf = static_cast<std::uint32_t>(trie.leaves_.size());
        bool begun = false;
        for (unsigned v = 0; v < all.size(); ++v) {
            if (!all[v].deeper.empty()) {
                node.children |= 1ULL << v;
                continue;
            }
            if (begun && trie.leaves_.back() == all[v].value) continue;
            node.leaves |= 1ULL << v;
            trie.leaves_.push_back(all[v].value);
            begun = true;
        }
        node.first_child = static_cast<std::uint32_t>(trie.nodes_.size());
        trie.nodes_.resize(trie.nodes_.size() + static_cast<std::size_t>(std::popcount(node.children)));
        trie.nodes_[number] = node;
        std::uint32_t child = node.first_child;
        for (const Place& place : all)
            if (!place.deeper.empty()) fill(child++, place.deeper, offset + stride, place.value);
    }
};

Trie::Trie(std::span<const Entry> entries) {
    if (entries.empty()) return;
    address_bits_ = entries.front().prefix.address.bits();
    top_bits_ = entries.size() >= large_table ? 16 : 8;
    Builder builder{*this};
    const auto places = builder.places(entries, 0, top_bits_, 0);
    top_.resize(places.size());
    for (std::size_t v = 0; v < places.size(); ++v) {
        if (places[v].deeper.empty()) {
            top_[v] = places[v].value;
            continue;
        }
        const auto number = static_cast<std::uint32_t>(nodes_.size());
        nodes_.emplace_back();
        top_[v] = child_bit | number;
        builder.fill(number, places[v].deeper, top_bits_, places[v].value);
    }
}

std::uint32_t Trie::lookup(const std::uint8_t* address) const {
    if (top_.empty()) return 0;
    std::uint32_t at = top_[top_bits_ == 16 ? static_cast<unsigned>(address[0] << 8 | address[1]) : address[0]];
    if ((at & child_bit) == 0) return at;
    at &= ~child_bit;
    for (unsigned offset = top_bits_;; offset += stride) {
        const Node& node = nodes_[at];
        const unsigned v = bits_at(address, address_bits_, offset, stride);
        const std::uint64_t up_to = ~0ULL >> (63 - v);
        if ((node.children >> v & 1) == 0) return leaves_[node.first_leaf + static_cast<unsigned>(std::popcount(node.leaves & up_to)) - 1];
        at = node.first_child + static_cast<unsigned>(std::popcount(node.children & up_to)) - 1;
    }
}

} // namespace sallyport::route
