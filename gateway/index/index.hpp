// SPDX-License-Identifier: Apache-2.0
// Finding one of very many things by a part of it. The things lie elsewhere, under numbers; what they are found by lies in them, so that an
// entry takes 8 octets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace sallyport::index {

/// A hash table with linear probing, seven tenths to seven eighths full. Things may share a hash, and a key. Threads: one at a time.
class Index {
public:
    /// The first one of this hash for which `same(number)` is true; nothing: there is none.
    template <class Same>
    [[nodiscard]] std::optional<std::uint32_t> find(std::uint64_t hash, Same same) const {
        if (used_ == 0) return std::nullopt;
        const std::uint32_t mixed = mix(hash);
        for (std::size_t at = home_of(mixed);; at = behind(at)) {
            const Entry& entry = entries_[at];
            if (entry.number == none) return std::nullopt;
            if (entry.hash == mixed && same(entry.number)) return entry.number;
        }
    }

    /// `number` is below 2^32 - 1. It is not looked for first.
    void insert(std::uint64_t hash, std::uint32_t number) {
        if (8 * (used_ + 1) > 7 * entries_.size()) grow();
        place({mix(hash), number});
        ++used_;
    }

    /// It is there.
    void erase(std::uint64_t hash, std::uint32_t number) {
        std::size_t gap = home_of(mix(hash));
        while (entries_[gap].number != number) gap = behind(gap);
        // What was pushed beyond its place by the one that goes moves up, so that no search ends too early.
        for (std::size_t at = behind(gap); entries_[at].number != none; at = behind(at)) {
            if (distance(home_of(entries_[at].hash), at) < distance(gap, at)) continue;
            entries_[gap] = entries_[at];
            gap = at;
        }
        entries_[gap] = {};
        --used_;
    }

    [[nodiscard]] std::size_t size() const { return used_; }

    /// Calls `work(number)` for each, in no order.
    template <class Work>
    void each(Work work) const {
        for (const Entry& entry : entries_)
            if (entry.number != none) work(entry.number);
    }

private:
    static constexpr std::uint32_t none = ~std::uint32_t{0};
    struct Entry {
        std::uint32_t hash = 0;
        std::uint32_t number = none;
    };

    /// SplitMix64's last steps (Steele, Lea, Flood 2014): a hash may be a mere number, in whatever bits things differ.
    [[nodiscard]] static std::uint32_t mix(std::uint64_t hash) {
        hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
        hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
        return static_cast<std::uint32_t>(hash >> 32);
    }
    /// In the order of the hashes: the table may have any size.
    [[nodiscard]] std::size_t home_of(std::uint32_t mixed) const { return (std::uint64_t{mixed} * entries_.size()) >> 32; }
    [[nodiscard]] std::size_t behind(std::size_t at) const { return at + 1 == entries_.size() ? 0 : at + 1; }
    [[nodiscard]] std::size_t distance(std::size_t from, std::size_t to) const {
        return to >= from ? to - from : to + entries_.size() - from;
    }

    void place(const Entry& entry) {
        std::size_t at = home_of(entry.hash);
        while (entries_[at].number != none) at = behind(at);
        entries_[at] = entry;
    }

    void grow() {
        const std::vector<Entry> before = std::move(entries_);
        entries_.assign(before.empty() ? 16 : before.size() + before.size() / 4, Entry{});
        for (const Entry& entry : before)
            if (entry.number != none) place(entry);
    }

    std::vector<Entry> entries_;
    std::size_t used_ = 0;
};

} // namespace sallyport::index
