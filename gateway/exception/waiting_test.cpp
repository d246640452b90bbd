// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/waiting.hpp"

#include <string>

namespace sallyport::exception {
namespace {

constexpr std::uint64_t second = 1'000'000'000;

Neighbour neighbour(unsigned number) {
    return {7, *parse_address("10.0." + std::to_string(number / 250) + "." + std::to_string(number % 250))};
}

Frame frame(std::uint32_t index) {
    Frame result;
    result.index = index;
    result.reason = DropReason::neighbour_unresolved;
    return result;
}

std::vector<std::uint32_t> numbers(const std::vector<Frame>& frames) {
    std::vector<std::uint32_t> result;
    for (const Frame& f : frames) result.push_back(f.index);
    return result;
}

class WaitingTest : public testing::Test {
protected:
    WaitingFrames waiting{WaitingLimits{}};
    std::vector<Frame> out, dropped;
};

TEST_F(WaitingTest, AskedOnceAndReleasedInOrder) {
    EXPECT_TRUE(waiting.put(frame(1), neighbour(1), 0, dropped));
    EXPECT_TRUE(waiting.put(frame(2), neighbour(2), 0, dropped));
    EXPECT_FALSE(waiting.put(frame(3), neighbour(1), 5, dropped));
    EXPECT_EQ(waiting.neighbours().size(), 2U);
    waiting.release(neighbour(1), out);
    EXPECT_EQ(numbers(out), (std::vector<std::uint32_t>{1, 3}));
    EXPECT_EQ(waiting.size(), 1U);
    EXPECT_EQ(waiting.neighbours().size(), 1U);
    waiting.release(neighbour(1), out);
    EXPECT_EQ(out.size(), 2U);
    EXPECT_TRUE(waiting.put(frame(4), neighbour(1), 6, dropped)) << "asked anew";
    EXPECT_TRUE(dropped.empty());
}

TEST_F(WaitingTest, EachNeighbourHasItsLimit) {
    for (std::uint32_t i = 0; i < 16; ++i) waiting.put(frame(i), neighbour(1), 0, dropped);
    EXPECT_TRUE(dropped.empty());
    waiting.put(frame(16), neighbour(1), 0, dropped);
    ASSERT_EQ(numbers(dropped), (std::vector<std::uint32_t>{16}));
    EXPECT_EQ(dropped[0].reason, DropReason::neighbour_queue_full);
    waiting.put(frame(17), neighbour(2), 0, dropped);
    EXPECT_EQ(dropped.size(), 1U) << "others have theirs";
}

TEST_F(WaitingTest, InAllTheOldestMakesPlace) {
    for (std::uint32_t i = 0; i < 1024; ++i) EXPECT_TRUE(waiting.put(frame(i), neighbour(i), i, dropped));
    EXPECT_TRUE(dropped.empty());
    EXPECT_TRUE(waiting.put(frame(1024), neighbour(1024), 2000, dropped));
    ASSERT_EQ(numbers(dropped), (std::vector<std::uint32_t>{0}));
    EXPECT_EQ(dropped[0].reason, DropReason::neighbour_queue_full);
    EXPECT_EQ(waiting.size(), 1024U);
    EXPECT_EQ(waiting.neighbours().size(), 1024U);
    // The oldest is of the same neighbour, and its only one.
    EXPECT_TRUE(waiting.put(frame(1025), neighbour(1), 2000, dropped) || dropped.back().index == 1U);
    waiting.release(neighbour(1), out);
    EXPECT_EQ(numbers(out), (std::vector<std::uint32_t>{1025}));
}

TEST_F(WaitingTest, PatienceEnds) {
    waiting.put(frame(1), neighbour(1), 0, dropped);
    waiting.put(frame(2), neighbour(1), second, dropped);
    waiting.expire(3 * second - 1, dropped);
    EXPECT_TRUE(dropped.empty());
    EXPECT_EQ(waiting.next(), second) << "time to ask again";
    waiting.expire(3 * second, dropped);
    ASSERT_EQ(numbers(dropped), (std::vector<std::uint32_t>{1}));
    EXPECT_EQ(dropped[0].reason, DropReason::neighbour_unresolved);
    waiting.expire(4 * second, dropped);
    EXPECT_EQ(dropped.size(), 2U);
    EXPECT_TRUE(waiting.empty());
    EXPECT_TRUE(waiting.neighbours().empty());
}

TEST_F(WaitingTest, AsksAgainEverySecond) {
    std::vector<Neighbour> due;
    waiting.put(frame(1), neighbour(1), 0, dropped);
    waiting.due(second - 1, due);
    EXPECT_TRUE(due.empty());
    waiting.due(second, due);
    EXPECT_EQ(due.size(), 1U);
    due.clear();
    waiting.due(second + 1, due);
    EXPECT_TRUE(due.empty());
}

// Whatever happens, no frame is lost and none comes out twice.
TEST_F(WaitingTest, EveryFrameComesOutOnce) {
    std::uint32_t in = 0;
    std::uint64_t now = 0;
    unsigned state = 1;
    const auto random = [&](unsigned below) {
        state = state * 1664525 + 1013904223;
        return (state >> 8) % below;
    };
    for (int step = 0; step < 20000; ++step) {
        now += random(20'000'000);
        if (random(4) != 0) waiting.put(frame(in++), neighbour(random(300)), now, dropped);
        if (random(10) == 0) waiting.release(neighbour(random(300)), out);
        if (random(50) == 0) waiting.expire(now, dropped);
        ASSERT_EQ(out.size() + dropped.size() + waiting.size(), in);
        ASSERT_EQ(waiting.empty(), waiting.neighbours().empty());
    }
    waiting.expire(~std::uint64_t{0}, dropped);
    std::vector<bool> seen(in);
    for (const auto* list : {&out, &dropped})
        for (const Frame& f : *list) {
            EXPECT_FALSE(seen[f.index]);
            seen[f.index] = true;
        }
    EXPECT_EQ(out.size() + dropped.size(), in);
}

} // namespace
} // namespace sallyport::exception
