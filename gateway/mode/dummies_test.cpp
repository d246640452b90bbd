// SPDX-License-Identifier: Apache-2.0
#include "gateway/mode/dummies.hpp"

#include "gateway/wire/ip.hpp"

#include <cstdlib>
#include <memory>
#include <set>

namespace sallyport::mode {
namespace {

constexpr std::uint64_t second = 1'000'000'000;

class DummiesTest : public testing::Test {
protected:
    // Only ever compared: a mode does not look into an SA.
    static const transform::OutboundSa* sa(std::uintptr_t number) {
        return reinterpret_cast<const transform::OutboundSa*>(number); // NOLINT(performance-no-int-to-ptr)
    }

    // What came out; the chunks go back.
    std::vector<Frame> tick(std::uint64_t now) {
        Batch batch;
        mode.tick(now, batch, chunks);
        std::vector<Frame> result;
        for (const Frame* frame : batch.span()) {
            result.push_back(*frame);
            chunks.give(*frame);
        }
        return result;
    }

    static constexpr std::uint32_t chunk_count = 128;
    std::unique_ptr<std::uint8_t, void (*)(void*)> memory{
        static_cast<std::uint8_t*>(std::aligned_alloc(4096, std::size_t{chunk_count} * chunk_size)), &std::free};
    Depot depot{PacketMemory{memory.get(), chunk_count}};
    Chunks chunks{depot, 64};
    Dummies mode{7};
};

TEST_F(DummiesTest, NobodyWantsThem) {
    EXPECT_EQ(mode.next(), Mode::never);
    Batch batch;
    Frame frame;
    batch.add(&frame);
    mode.take(batch, chunks);
    EXPECT_EQ(batch.count, 1U) << "what comes in is sealed at once";
    EXPECT_EQ(batch.at[0], &frame);
}

TEST_F(DummiesTest, SoManyASecondOfEachSaInSizesThatVary) {
    const std::array rates{DummyRate{sa(64), 100}, DummyRate{sa(128), 10}};
    mode.plan(rates, 5 * second);
    std::uint64_t now = 5 * second;
    unsigned many = 0, few = 0;
    std::set<unsigned> sizes;
    while (mode.next() < 6 * second) {
        ASSERT_GE(mode.next(), now) << "time does not go back";
        now = mode.next();
        for (const Frame& frame : tick(now)) {
            ++(frame.outbound == sa(64) ? many : few);
            sizes.insert(frame.network_length());
            EXPECT_EQ(frame.protocol, wire::protocol_no_next_header);
            EXPECT_EQ(frame.family, 0);
            EXPECT_NE(frame.flags & frame_ours, 0);
            for (unsigned at = frame.network; at < frame.end; ++at) ASSERT_EQ(*frame.at(at), 0);
        }
    }
    EXPECT_EQ(many, 100U);
    EXPECT_EQ(few, 10U);
    EXPECT_GT(sizes.size(), 50U);
}

TEST_F(DummiesTest, WhoSleptTooLongDoesNotCatchUp) {
    const std::array rates{DummyRate{sa(64), 1000}};
    mode.plan(rates, 0);
    EXPECT_EQ(tick(10 * second).size(), 1U);
    EXPECT_EQ(mode.next(), 10 * second);
    EXPECT_EQ(tick(10 * second).size(), 1U);
    EXPECT_EQ(mode.next(), 10 * second + second / 1000);
}

TEST_F(DummiesTest, ABatchAndThePacketMemoryAreTheLimit) {
    const std::vector<DummyRate> rates(100, DummyRate{sa(64), 1});
    mode.plan(rates, 0);
    EXPECT_EQ(tick(second - 1).size(), 64U) << "the others come with the next";
    EXPECT_LT(mode.next(), second);
    std::vector<std::uint32_t> all(chunk_count);
    unsigned taken = 0;
    while (taken < chunk_count && chunks.take(all[taken])) ++taken;
    EXPECT_TRUE(tick(second - 1).empty());
    EXPECT_LT(mode.next(), second) << "still due";
    for (unsigned i = 0; i < taken; ++i) chunks.give(all[i]);
    EXPECT_EQ(tick(second - 1).size(), 36U) << "those that were left; the others' next is a second later";
}

TEST_F(DummiesTest, ANewPlanForgetsTheOld) {
    const std::array first{DummyRate{sa(64), 10}}, other{DummyRate{sa(128), 10}};
    mode.plan(first, 0);
    mode.plan(other, 0);
    for (const Frame& frame : tick(second)) EXPECT_EQ(frame.outbound, sa(128));
    mode.plan({}, second);
    EXPECT_EQ(mode.next(), Mode::never);
}

} // namespace
} // namespace sallyport::mode
