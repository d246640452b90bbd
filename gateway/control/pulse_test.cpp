// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/pulse.hpp"

#include <array>
#include <gmock/gmock.h>

namespace sallyport::control {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Rounds = std::array<std::uint64_t, 2>;

TEST(Pulse, AllHaveMovedSinceTheLastTime) {
    Pulse pulse;
    EXPECT_TRUE(pulse.look(Rounds{1, 1}).all);
    EXPECT_FALSE(pulse.look(Rounds{1, 1}).all);
    EXPECT_FALSE(pulse.look(Rounds{2, 1}).all);
    EXPECT_TRUE(pulse.look(Rounds{2, 2}).all) << "the first one moved before";
    EXPECT_FALSE(pulse.look(Rounds{2, 3}).all) << "since then only the second one";
}

TEST(Pulse, WhoStandsStillIsSaidOnceAndWhenHeGoesOn) {
    Pulse pulse;
    std::uint64_t rounds = 1;
    EXPECT_THAT(pulse.look(Rounds{1, rounds}).stopped, IsEmpty());
    for (unsigned look = 1; look < Pulse::patience; ++look) EXPECT_THAT(pulse.look(Rounds{1, ++rounds}).stopped, IsEmpty());
    EXPECT_THAT(pulse.look(Rounds{1, ++rounds}).stopped, ElementsAre(0U));
    const auto later = pulse.look(Rounds{1, ++rounds});
    EXPECT_THAT(later.stopped, IsEmpty());
    EXPECT_FALSE(later.all);
    const auto again = pulse.look(Rounds{2, ++rounds});
    EXPECT_THAT(again.again, ElementsAre(0U));
    EXPECT_TRUE(again.all);
}

TEST(Pulse, AWorkerThatNeverBegan) {
    Pulse pulse;
    for (unsigned look = 1; look < Pulse::patience; ++look) EXPECT_THAT(pulse.look(Rounds{0, look}).stopped, IsEmpty());
    EXPECT_THAT(pulse.look(Rounds{0, 9}).stopped, ElementsAre(0U));
}

} // namespace
} // namespace sallyport::control
