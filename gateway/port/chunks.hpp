// SPDX-License-Identifier: Apache-2.0
// Free chunks of the packet memory (UMEM). Every chunk is at every moment in exactly one place: a ring, a frame, a worker's stack or the
// depot.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/port/places.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace sallyport {

/// The packet memory: `count` chunks of chunk_size octets. Does not own the memory it is given.
struct PacketMemory {
    std::uint8_t* base = nullptr; // page aligned
    std::uint32_t count = 0;
    [[nodiscard]] std::uint8_t* chunk(std::uint32_t index) const { return base + std::uint64_t{index} * chunk_size; }
};

/// Where workers leave chunks they have too many of and fetch when they run short, a batch at a time. Threads: any.
class Depot {
public:
    explicit Depot(PacketMemory memory);                           // all chunks of the memory lie in it
    Depot(PacketMemory memory, std::vector<std::uint32_t> chunks); // these do
    [[nodiscard]] PacketMemory memory() const { return memory_; }
    /// Moves up to `wanted` chunk numbers to `out`; returns how many.
    unsigned take(std::uint32_t* out, unsigned wanted);
    void give(const std::uint32_t* chunks, unsigned count);
    [[nodiscard]] std::size_t size();
    void audit(ChunkPlaces& places);

private:
    PacketMemory memory_;
    std::mutex mutex_;
    std::vector<std::uint32_t> free_;
};

/// One worker's stack of free chunks. Threads: its worker only.
class Chunks {
public:
    /// Keeps at most `most` chunks; beyond that a batch goes to the depot.
    Chunks(Depot& depot, unsigned most);
    ~Chunks(); // gives everything back to the depot
    Chunks(const Chunks&) = delete;
    Chunks& operator=(const Chunks&) = delete;

    /// False: none left here nor in the depot.
    bool take(std::uint32_t& index) {
        if (free_.empty() && !fetch()) return false;
        index = free_.back();
        free_.pop_back();
        return true;
    }
    void give(std::uint32_t index) {
        free_.push_back(index);
        if (free_.size() >= most_) shed();
    }
    void give(const Frame& frame) { give(frame.index); }
    [[nodiscard]] PacketMemory memory() const { return depot_.memory(); }
    [[nodiscard]] std::size_t size() const { return free_.size(); }
    void audit(ChunkPlaces& places) const;

private:
    bool fetch();
    void shed();
    Depot& depot_;
    std::vector<std::uint32_t> free_; // capacity most_, never grows
    unsigned most_;
};

} // namespace sallyport
