// SPDX-License-Identifier: Apache-2.0
#include "gateway/route/neighbours.hpp"

#include <cstring>
#include <sys/random.h>

namespace sallyport::route {

NeighbourTable::NeighbourTable(unsigned bits)
    : slots_(new Slot[std::size_t{1} << bits]), mask_((1U << bits) - 1), seed_(0x9e3779b97f4a7c15) {
    // Addresses on a link come from strangers too; with a seed of our own nobody picks those that meet in one slot.
    std::uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) == sizeof random) seed_ = random;
}

std::uint32_t NeighbourTable::hash(std::uint32_t interface, const std::array<std::uint8_t, 16>& address) const {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    std::memcpy(&high, address.data(), 8);
    std::memcpy(&low, address.data() + 8, 8);
    std::uint64_t x = (seed_ ^ high) * 0xff51afd7ed558ccd;
    x = ((x ^ x >> 32) + low + interface) * 0xc4ceb9fe1a85ec53;
    x = (x ^ x >> 29) * 0x9e3779b97f4a7c15;
    return static_cast<std::uint32_t>(x >> 32) & mask_;
}

std::uint32_t NeighbourTable::find(std::uint32_t interface, Family family, const std::uint8_t* address) const {
    std::array<std::uint8_t, 16> key{};
    std::memcpy(key.data(), address, family == Family::ipv4 ? 4 : 16);
    for (std::uint32_t at = hash(interface, key);; at = (at + 1) & mask_) {
        const Slot& slot = slots_[at];
        if ((slot.value.load(std::memory_order_acquire) & taken_bit) == 0) return nowhere;
        if (slot.interface == interface && slot.family == family && slot.address == key) return at;
    }
}

NeighbourTable::Value NeighbourTable::value(std::uint32_t slot) const {
    const std::uint64_t word = slots_[slot].value.load(std::memory_order_acquire);
    Value result;
    result.usable = (word & usable_bit) != 0;
    for (unsigned i = 0; i < 6; ++i) result.mac[i] = static_cast<std::uint8_t>(word >> (8 * i));
    return result;
}

NeighbourTable::Value NeighbourTable::use(std::uint32_t slot) const {
    // Reads first: most often the mark is there, and a line that nobody writes stays in every core's cache.
    if (slots_[slot].used.load(std::memory_order_relaxed) == 0) slots_[slot].used.store(1, std::memory_order_relaxed);
    return value(slot);
}

std::uint32_t NeighbourTable::add(std::uint32_t interface, const Address& address) {
    std::uint32_t at = find(interface, address.family, address.octets.data());
    if (at != nowhere) return at;
    if (count_ >= (mask_ + 1) / 2) return nowhere;
    for (at = hash(interface, address.octets); (slots_[at].value.load(std::memory_order_relaxed) & taken_bit) != 0; at = (at + 1) & mask_) {
    }
    Slot& slot = slots_[at];
    slot.interface = interface;
    slot.family = address.family;
    slot.address = address.octets;
    slot.value.store(taken_bit, std::memory_order_release);
    ++count_;
    return at;
}

void NeighbourTable::set(std::uint32_t slot, const Value& value) {
    std::uint64_t word = taken_bit;
    if (value.usable) {
        word |= usable_bit;
        for (unsigned i = 0; i < 6; ++i) word |= std::uint64_t{value.mac[i]} << (8 * i);
    }
    slots_[slot].value.store(word, std::memory_order_release);
}

bool NeighbourTable::take_used(std::uint32_t slot) {
    if (slots_[slot].used.load(std::memory_order_relaxed) == 0) return false;
    slots_[slot].used.store(0, std::memory_order_relaxed);
    return true;
}

} // namespace sallyport::route
