// SPDX-License-Identifier: Apache-2.0
#include "gateway/port/memory_port.hpp"
#include "gateway/port/ring.hpp"

#include <gtest/gtest.h>

#include <poll.h>
#include <set>
#include <thread>
#include <vector>

namespace sallyport {
namespace {

struct Memory {
    explicit Memory(std::uint32_t count) : octets(std::size_t{count} * chunk_size), memory{octets.data(), count} {}
    std::vector<std::uint8_t> octets;
    PacketMemory memory;
};

TEST(Chunks, EveryChunkIsInOnePlace) {
    Memory memory(100);
    Depot depot(memory.memory);
    EXPECT_EQ(depot.size(), 100U);
    std::set<std::uint32_t> seen;
    {
        Chunks chunks(depot, 16);
        std::uint32_t index = 0;
        for (unsigned i = 0; i < 100; ++i) {
            ASSERT_TRUE(chunks.take(index));
            EXPECT_TRUE(seen.insert(index).second);
        }
        EXPECT_FALSE(chunks.take(index));
        EXPECT_EQ(depot.size(), 0U);
        for (const std::uint32_t one : seen) chunks.give(one);
        EXPECT_LT(chunks.size(), 16U);
        EXPECT_EQ(depot.size() + chunks.size(), 100U);
    }
    EXPECT_EQ(depot.size(), 100U);
    EXPECT_EQ(*seen.rbegin(), 99U);
}

TEST(Chunks, TheAuditNamesTheFirstFault) {
    Memory memory(8);
    Depot depot(memory.memory, {1, 2, 3, 4, 5});
    Chunks chunks(depot, 4);
    std::uint32_t index = 0;
    ASSERT_TRUE(chunks.take(index)); // one in hand, another in the stack, three in the depot
    ChunkPlaces places(8);
    depot.audit(places);
    chunks.audit(places);
    EXPECT_EQ(places.count(ChunkPlace::free), 4U);
    EXPECT_EQ(places[index], ChunkPlace::unknown);
    EXPECT_TRUE(places.put(index, ChunkPlace::transmit));
    EXPECT_EQ(places.chunks_at(ChunkPlace::unknown), (std::vector<std::uint32_t>{0, 6, 7}));
    EXPECT_EQ(places.fault(), "");
    EXPECT_FALSE(places.put(index, ChunkPlace::receive));
    EXPECT_FALSE(places.put(8, ChunkPlace::receive));
    EXPECT_EQ(places.fault(), "Chunk " + std::to_string(index) + " is being transmitted and with a receive side.");
    EXPECT_EQ(places[index], ChunkPlace::transmit);
    ChunkPlaces others(8);
    EXPECT_FALSE(others.put(8, ChunkPlace::free));
    EXPECT_EQ(others.fault(), "Chunk 8 is not one of 8.");
}

TEST(MemoryPort, ReceivesAndSends) {
    Memory memory(16);
    Depot depot(memory.memory);
    Chunks chunks(depot, 32);
    MemoryPort port(4);
    std::array<Frame, 8> frames;
    EXPECT_TRUE(port.inject({1, 2, 3}));
    EXPECT_FALSE(port.inject(std::vector<std::uint8_t>(largest_frame + 1)));
    EXPECT_EQ(port.receive(frames), 0U); // no chunk to receive into
    port.refill(chunks);
    EXPECT_EQ(port.held(), 4U);
    ASSERT_EQ(port.receive(frames), 1U);
    EXPECT_EQ(frames[0].length(), 3U);
    EXPECT_EQ(frames[0].data()[2], 3);
    EXPECT_GE(frames[0].begin, head_room);
    frames[0].end = static_cast<std::uint16_t>(frames[0].end - 1);
    EXPECT_EQ(port.transmit({frames.data(), 1}), 1U);
    port.complete(chunks);
    EXPECT_EQ(port.take(), (std::vector<std::vector<std::uint8_t>>{{1, 2}}));
    EXPECT_TRUE(port.take().empty());
    port.transmit_at_most(0);
    EXPECT_EQ(port.transmit({frames.data(), 1}), 0U);
    EXPECT_EQ(port.held() + chunks.size() + depot.size(), 16U);
}

TEST(FrameRing, BoundedAndInOrder) {
    Waker waker;
    FrameRing ring(8, waker);
    std::array<Frame, 10> in, out;
    for (unsigned i = 0; i < 10; ++i) in[i].index = i;
    EXPECT_TRUE(ring.empty());
    EXPECT_EQ(ring.push(in), 8U);
    EXPECT_FALSE(ring.empty());
    EXPECT_EQ(ring.push({in.data(), 1}), 0U);
    EXPECT_EQ(ring.pop({out.data(), 3}), 3U);
    EXPECT_EQ(ring.push({in.data() + 8, 2}), 2U);
    EXPECT_EQ(ring.pop(out), 7U);
    for (unsigned i = 0; i < 7; ++i) EXPECT_EQ(out[i].index, i + 3);
    EXPECT_TRUE(ring.empty());
}

TEST(Waker, RingsOnlyASleeper) {
    Waker waker;
    ASSERT_TRUE(waker.good());
    pollfd one{waker.descriptor(), POLLIN, 0};
    waker.wake();
    EXPECT_EQ(poll(&one, 1, 0), 0);
    waker.prepare();
    waker.wake();
    waker.wake();
    EXPECT_EQ(poll(&one, 1, 0), 1);
    waker.woken();
    EXPECT_EQ(poll(&one, 1, 0), 0);
}

/// Three writers, one reader that sleeps whenever nothing is there: nothing is lost, each writer's frames stay in order, nobody hangs.
TEST(FrameRing, ManyWritersAndASleepingReader) {
    constexpr unsigned each = 20000;
    Waker waker;
    FrameRing ring(64, waker);
    std::vector<std::jthread> writers;
    for (std::uint8_t number = 0; number < 3; ++number)
        writers.emplace_back([&ring, number] {
            for (std::uint32_t i = 0; i < each;) {
                Frame frame;
                frame.worker = number;
                frame.index = i;
                if (ring.push({&frame, 1}) == 1)
                    ++i;
                else
                    std::this_thread::yield();
                ring.wake();
            }
        });
    std::array<std::uint32_t, 3> next{};
    for (unsigned got = 0; got < 3 * each;) {
        std::array<Frame, 16> out;
        const unsigned count = ring.pop(out);
        for (unsigned i = 0; i < count; ++i) ASSERT_EQ(out[i].index, next[out[i].worker]++);
        got += count;
        if (count != 0) continue;
        waker.prepare();
        if (ring.empty()) {
            pollfd one{waker.descriptor(), POLLIN, 0};
            ASSERT_EQ(poll(&one, 1, 10000), 1) << "a wake-up was lost";
        }
        waker.woken();
    }
}

} // namespace
} // namespace sallyport
