// SPDX-License-Identifier: Apache-2.0
// Link-layer addresses of neighbours: a hash table with one writer, read by the workers without locks. A change of one neighbour is one
// store.
#pragma once

#include "gateway/sa/address.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

namespace sallyport::route {

using Mac = std::array<std::uint8_t, 6>;

/// Entries are added and changed, never taken out; when it is half full the writer makes a new table and a new Fib with it.
class NeighbourTable {
public:
    static constexpr std::uint32_t nowhere = 0xffffffff;

    struct Value {
        bool usable = false;
        Mac mac{};
    };

    explicit NeighbourTable(unsigned bits); // 2^bits slots

    /// Index of the slot, or nowhere. Threads: any.
    [[nodiscard]] std::uint32_t find(std::uint32_t interface, Family family, const std::uint8_t* address) const;
    /// Threads: any. The slot is marked as used, so that the mirror keeps the neighbour confirmed.
    [[nodiscard]] Value use(std::uint32_t slot) const;
    /// Threads: any. Without marking.
    [[nodiscard]] Value value(std::uint32_t slot) const;

    /// Finds or adds. Nowhere: it is half full. Threads: the writer only, as for all below.
    std::uint32_t add(std::uint32_t interface, const Address& address);
    void set(std::uint32_t slot, const Value& value);
    /// Was it used since the last call?
    bool take_used(std::uint32_t slot);
    [[nodiscard]] std::uint32_t size() const { return count_; }

private:
    struct alignas(64) Slot {
        std::atomic<std::uint64_t> value{0}; // taken_bit, usable_bit, MAC; 0: free. The key is written before, and never again
        mutable std::atomic<std::uint8_t> used{0};
        Family family = Family::ipv4;
        std::uint32_t interface = 0;
        std::array<std::uint8_t, 16> address{};
    };
    static_assert(sizeof(Slot) == 64);
    static constexpr std::uint64_t taken_bit = 1ULL << 63, usable_bit = 1ULL << 62;

    [[nodiscard]] std::uint32_t hash(std::uint32_t interface, const std::array<std::uint8_t, 16>& address) const;

    std::unique_ptr<Slot[]> slots_;
    std::uint32_t mask_;
    std::uint32_t count_ = 0;
    std::uint64_t seed_;
};

} // namespace sallyport::route
