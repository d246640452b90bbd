// SPDX-License-Identifier: Apache-2.0
// Free chunks of the packet memory (UMEM). Every chunk is at every moment in exactly one place: a ring, a frame, a worker's stack or the
// depot; builds for tests hold to it (holders.hpp).
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/port/holders.hpp"
#include "gateway/port/places.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
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
    Depot(PacketMemory memory, std::vector<std::uint32_t> chunks); // these do; the others are with ports
    ~Depot();
    Depot(const Depot&) = delete;
    Depot& operator=(const Depot&) = delete;
    [[nodiscard]] PacketMemory memory() const { return memory_; }
    /// Moves up to `wanted` chunk numbers to `out`; returns how many. `to`: who has them then.
    unsigned take(std::uint32_t* out, unsigned wanted, Holder to = Holder::others);
    void give(const std::uint32_t* chunks, unsigned count, Holder from = Holder::others);
    [[nodiscard]] std::size_t size();
    void audit(ChunkPlaces& places);
    [[nodiscard]] Holders& holders() { return holders_; }

private:
    PacketMemory memory_;
    Holders holders_;
    std::mutex mutex_;
    std::vector<std::uint32_t> free_;
};

/// One worker's stack of free chunks. Threads: its worker only.
class Chunks {
public:
    /// Keeps at most `most` chunks; beyond that a batch goes to the depot. `holder`: whose they are when they are taken.
    Chunks(Depot& depot, unsigned most, Holder holder = Holder::others);
    ~Chunks(); // gives everything back to the depot
    Chunks(const Chunks&) = delete;
    Chunks& operator=(const Chunks&) = delete;

    /// False: none left here nor in the depot.
    bool take(std::uint32_t& index) {
        if (free_.empty() && !fetch()) return false;
        index = free_.back();
        free_.pop_back();
        move(index, Holder::free, holder_);
        return true;
    }
    void give(std::uint32_t index) {
        move(index, holder_, Holder::free);
        put(index);
    }
    void give(const Frame& frame) { give(frame.index); }
    /// One that was taken belongs to a port now.
    void lend(std::uint32_t index) { move(index, holder_, Holder::port); }
    /// A port has no more use for it.
    void take_back(std::uint32_t index) {
        move(index, Holder::port, Holder::free);
        put(index);
    }
    /// Frames of the worker that come and go: by a port, by a ring between threads.
    void received(std::span<const Frame> frames) { move(frames, Holder::port, holder_); }
    void transmitted(std::span<const Frame> frames) { move(frames, holder_, Holder::port); }
    void popped(std::span<const Frame> frames) { move(frames, Holder::passing, holder_); }
    void pushing(const Frame& frame) { move(frame.index, holder_, Holder::passing); } // before it is pushed
    void not_pushed(const Frame& frame) { move(frame.index, Holder::passing, holder_); }
    /// The worker has no frame in hand.
    void expect_nothing_in_hand() const { depot_.holders().expect(holder_, 0); }
    [[nodiscard]] PacketMemory memory() const { return depot_.memory(); }
    [[nodiscard]] std::size_t size() const { return free_.size(); }
    void audit(ChunkPlaces& places) const;

private:
    void move(std::uint32_t index, Holder from, Holder to) { depot_.holders().move(index, from, to); }
    void move(std::span<const Frame> frames, Holder from, Holder to) {
        if constexpr (checked)
            for (const Frame& frame : frames) move(frame.index, from, to);
    }
    void put(std::uint32_t index) {
        free_.push_back(index);
        if (free_.size() >= most_) shed();
    }
    bool fetch();
    void shed();
    Depot& depot_;
    std::vector<std::uint32_t> free_; // capacity most_, never grows
    unsigned most_;
    Holder holder_;
};

} // namespace sallyport
