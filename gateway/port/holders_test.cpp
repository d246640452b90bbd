// SPDX-License-Identifier: Apache-2.0
#include "gateway/port/chunks.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace sallyport {
namespace {

static_assert(checked, "this test is of builds with checks");

class HoldersTest : public testing::Test {
protected:
    HoldersTest() : octets_(std::size_t{8} * chunk_size), depot_({octets_.data(), 8}), chunks_(depot_, 4, holder_of(3)) {
        GTEST_FLAG_SET(death_test_style, "threadsafe");
    }
    Frame take() {
        Frame frame;
        EXPECT_TRUE(chunks_.take(frame.index));
        return frame;
    }
    std::vector<std::uint8_t> octets_;
    Depot depot_;
    Chunks chunks_;
};

TEST_F(HoldersTest, AFrameGoesItsWay) {
    const Frame frame = take();
    chunks_.lend(frame.index);
    chunks_.received({&frame, 1});
    chunks_.pushing(frame);
    chunks_.not_pushed(frame); // the ring was full
    chunks_.pushing(frame);
    chunks_.popped({&frame, 1});
    chunks_.transmitted({&frame, 1});
    chunks_.expect_nothing_in_hand();
    chunks_.take_back(frame.index);
    depot_.holders().expect_nothing_in_hand();
}

TEST_F(HoldersTest, GivenBackTwice) {
    const Frame frame = take();
    chunks_.give(frame);
    EXPECT_DEATH(chunks_.give(frame), "goes from worker 3 to the free ones and is with the free ones");
    EXPECT_DEATH(depot_.give(&frame.index, 1), "goes from others to the free ones and is with the free ones");
}

TEST_F(HoldersTest, GivenOnByOneWhoDoesNotHaveIt) {
    const Frame frame = take();
    chunks_.transmitted({&frame, 1});
    EXPECT_DEATH(chunks_.transmitted({&frame, 1}), "goes from worker 3 to a port and is with a port");
    EXPECT_DEATH(chunks_.give(frame), "goes from worker 3 to the free ones and is with a port");
    Chunks other(depot_, 4, holder_of(4));
    chunks_.received({&frame, 1});
    EXPECT_DEATH(other.pushing(frame), "goes from worker 4 to a ring between threads and is with worker 3");
    EXPECT_DEATH(depot_.holders().move(8, Holder::stage, Holder::free), "there is no chunk 8 of 8");
    chunks_.give(frame);
}

TEST_F(HoldersTest, KeptPastTheEndOfARound) {
    const Frame frame = take();
    EXPECT_DEATH(chunks_.expect_nothing_in_hand(), "worker 3 has 1 chunks and knows of 0: " + std::to_string(frame.index));
    EXPECT_DEATH(depot_.holders().expect_nothing_in_hand(), "worker 3 has 1 chunks");
    chunks_.give(frame);
    chunks_.expect_nothing_in_hand();
}

} // namespace
} // namespace sallyport
