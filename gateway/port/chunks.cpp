// SPDX-License-Identifier: Apache-2.0
#include "gateway/port/chunks.hpp"

#include <algorithm>
#include <utility>

namespace sallyport {

Depot::Depot(PacketMemory memory) : memory_(memory), holders_(memory.count, Holder::free) {
    free_.reserve(memory.count);
    for (std::uint32_t index = memory.count; index-- > 0;) free_.push_back(index); // the first chunks go first
}

Depot::Depot(PacketMemory memory, std::vector<std::uint32_t> chunks)
    : memory_(memory), holders_(memory.count, Holder::port), free_(std::move(chunks)) {
    free_.reserve(memory.count);
    for (const std::uint32_t chunk : free_) holders_.move(chunk, Holder::port, Holder::free);
}

Depot::~Depot() { holders_.expect_nothing_in_hand(); }

unsigned Depot::take(std::uint32_t* out, unsigned wanted, Holder to) {
    const std::lock_guard lock(mutex_);
    const unsigned count = static_cast<unsigned>(std::min<std::size_t>(wanted, free_.size()));
    std::copy_n(free_.rbegin(), count, out);
    free_.resize(free_.size() - count);
    for (unsigned i = 0; i < count; ++i) holders_.move(out[i], Holder::free, to);
    return count;
}

void Depot::give(const std::uint32_t* chunks, unsigned count, Holder from) {
    const std::lock_guard lock(mutex_);
    for (unsigned i = 0; i < count; ++i) holders_.move(chunks[i], from, Holder::free);
    free_.insert(free_.end(), chunks, chunks + count);
}

std::size_t Depot::size() {
    const std::lock_guard lock(mutex_);
    return free_.size();
}

void Depot::audit(ChunkPlaces& places) {
    const std::lock_guard lock(mutex_);
    for (const std::uint32_t chunk : free_) places.put(chunk, ChunkPlace::free);
}

Chunks::Chunks(Depot& depot, unsigned most, Holder holder) : depot_(depot), most_(std::max(most, 2U)), holder_(holder) {
    free_.reserve(most_);
}

Chunks::~Chunks() { depot_.give(free_.data(), static_cast<unsigned>(free_.size()), Holder::free); }

void Chunks::audit(ChunkPlaces& places) const {
    for (const std::uint32_t chunk : free_) places.put(chunk, ChunkPlace::free);
}

bool Chunks::fetch() {
    free_.resize(most_ / 2);
    free_.resize(depot_.take(free_.data(), most_ / 2, Holder::free));
    return !free_.empty();
}

void Chunks::shed() {
    const unsigned kept = most_ / 2;
    depot_.give(free_.data() + kept, static_cast<unsigned>(free_.size()) - kept, Holder::free);
    free_.resize(kept);
}

} // namespace sallyport
