// SPDX-License-Identifier: Apache-2.0
#include "gateway/tables/sad.hpp"

#include "gateway/wire/esp.hpp"
#include "gateway/wire/ip.hpp"

#include <array>

namespace sallyport::tables {

namespace {

/// Never 0: the family is part of it.
std::uint64_t key_of(VpnNumber outer_vpn, std::uint8_t family, std::uint32_t spi, bool ah) {
    return std::uint64_t{ah} << 56 | std::uint64_t{family} << 48 | std::uint64_t{outer_vpn} << 32 | spi;
}

std::uint64_t key_of(const Frame& frame) { return key_of(frame.vpn, frame.family, frame.spi, frame.protocol == wire::protocol_ah); }

std::uint64_t key_of(const transform::InboundSa& sa) {
    return key_of(sa.outer_vpn, static_cast<std::uint8_t>(sa.outer_family), sa.spi, transform::is_ah(sa));
}

/// Multiplication by 2^64 / golden ratio (Knuth, volume 3, 6.4): neighbouring SPIs spread over the table.
std::uint64_t place_of(std::uint64_t key) { return (key * 0x9e3779b97f4a7c15U) >> 20; }

} // namespace

Sad::Table::Table(std::size_t count) : slots(count), mask(count - 1) {}

Sad::Sad(Audience& audience) : audience_(audience), table_(new Table(64)) {}

Sad::~Sad() { delete table_.load(); }

Sad::Slot& Sad::slot_of(Table& table, std::uint64_t key) {
    for (std::uint64_t at = place_of(key);; ++at) {
        Slot& slot = table.slots[at & table.mask];
        const std::uint64_t found = slot.key.load(std::memory_order_relaxed);
        if (found == key || found == 0) return slot;
    }
}

bool Sad::add(const transform::InboundSa& sa) {
    make_room(1);
    Table& table = *table_.load(std::memory_order_relaxed);
    Slot& slot = slot_of(table, key_of(sa));
    if (slot.sa.load(std::memory_order_relaxed) != nullptr) return false;
    slot.sa.store(&sa, std::memory_order_release);
    if (slot.key.load(std::memory_order_relaxed) == 0) {
        slot.key.store(key_of(sa), std::memory_order_release); // from here on it is found
        ++table.taken;
    }
    ++used_;
    return true;
}

bool Sad::remove(const transform::InboundSa& sa) {
    Slot& slot = slot_of(*table_.load(std::memory_order_relaxed), key_of(sa));
    if (slot.sa.load(std::memory_order_relaxed) != &sa) return false;
    // The key stays: another SA of the same key may take the slot, no other.
    slot.sa.store(nullptr, std::memory_order_release);
    --used_;
    return true;
}

void Sad::make_room(std::size_t more) {
    const Table& table = *table_.load(std::memory_order_relaxed);
    if (2 * (table.taken + more) > table.slots.size()) grow(more);
}

void Sad::grow(std::size_t more) {
    // A quarter more than what it can hold, so that it is not made anew at once where SAs only come and go.
    std::size_t count = 64;
    while (2 * count < 5 * (used_ + more)) count *= 2;
    auto next = std::make_unique<Table>(count);
    Table* old = table_.load(std::memory_order_relaxed);
    for (const Slot& slot : old->slots) {
        const transform::InboundSa* sa = slot.sa.load(std::memory_order_relaxed);
        if (sa == nullptr) continue;
        Slot& to = slot_of(*next, key_of(*sa));
        to.sa.store(sa, std::memory_order_relaxed);
        to.key.store(key_of(*sa), std::memory_order_relaxed);
        ++next->taken;
    }
    table_.store(next.release(), std::memory_order_release);
    audience_.settle();
    delete old;
}

const transform::InboundSa* Sad::find(VpnNumber outer_vpn, std::uint8_t family, std::uint32_t spi, bool ah) const {
    return find(key_of(outer_vpn, family, spi, ah));
}

const transform::InboundSa* Sad::find(std::uint64_t key) const {
    const Table& table = *table_.load(std::memory_order_acquire);
    for (std::uint64_t at = place_of(key);; ++at) {
        const Slot& slot = table.slots[at & table.mask];
        const std::uint64_t found = slot.key.load(std::memory_order_acquire);
        if (found == key) return slot.sa.load(std::memory_order_acquire);
        if (found == 0) return nullptr;
    }
}

void Sad::find(std::span<Frame* const> frames) const {
    const Table& table = *table_.load(std::memory_order_acquire);
    if (frames.size() > 1)
        for (const Frame* frame : frames) __builtin_prefetch(&table.slots[place_of(key_of(*frame)) & table.mask]);
    std::uint64_t last_key = 0;
    const transform::InboundSa* last = nullptr;
    for (Frame* frame : frames) {
        const std::uint64_t key = key_of(*frame);
        if (key != last_key) {
            last = find(key);
            last_key = key;
            if (last != nullptr) {
                __builtin_prefetch(last);
                __builtin_prefetch(reinterpret_cast<const char*>(last) + 64);
            }
        }
        frame->inbound = last;
        if (last == nullptr) frame->reason = DropReason::unknown_spi;
    }
}

DropReason Sad::why_missing(std::uint32_t spi) const {
    return spi < wire::first_free_spi || reserved_.meet(spi) ? DropReason::reserved_spi : DropReason::unknown_spi;
}

} // namespace sallyport::tables
