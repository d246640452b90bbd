// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/children.hpp"

#include <gmock/gmock.h>

namespace sallyport::control {
namespace {

using testing::ElementsAre;

SaSpec sa(Direction direction, std::uint32_t child, VpnNumber outer = 0) {
    SaSpec spec;
    spec.name = "office";
    spec.direction = direction;
    spec.child = child;
    spec.outer_vpn = outer;
    return spec;
}

SaSpec in(std::uint32_t child) { return sa(Direction::inbound, child); }

SaSpec out(std::uint32_t child) { return sa(Direction::outbound, child); }

record::Removal gone_in(std::uint32_t child, std::uint32_t drain = 0) { return {"office", Direction::inbound, child, drain}; }

record::Removal gone_out(std::uint32_t child) { return {"office", Direction::outbound, child, 0}; }

class ChildrenTest : public testing::Test {
protected:
    /// Plans and commits.
    Children::Plan bring(const record::Changes& changes) {
        auto plan = children.plan(changes);
        EXPECT_TRUE(plan) << to_string(plan.error());
        if (!plan) return {};
        Children::Plan kept = *plan;
        children.commit(std::move(*plan));
        return kept;
    }
    std::string refused(const record::Changes& changes) {
        const auto plan = children.plan(changes);
        return plan ? "taken" : plan.error().place;
    }
    ChildState state(std::uint32_t child) { return children.state("office", child); }
    Children children;
};

using enum ChildState;

TEST_F(ChildrenTest, ARekeyGoesThroughAllStates) {
    EXPECT_TRUE(bring({.install = {out(1), in(1)}}).senders_changed); // in whichever order they stand
    EXPECT_EQ(state(1), outbound_switched);
    EXPECT_FALSE(bring({.install = {in(2)}}).senders_changed);
    EXPECT_EQ(state(1), outbound_switched);
    EXPECT_EQ(state(2), inbound_installed);
    EXPECT_EQ(children.sender("office"), 1U);
    EXPECT_TRUE(bring({.install = {out(2)}}).senders_changed);
    EXPECT_EQ(state(1), outbound_retired);
    EXPECT_EQ(state(2), outbound_switched);
    EXPECT_EQ(children.sender("office"), 2U);
    const auto drained = bring({.remove = {gone_in(1, 500)}});
    EXPECT_FALSE(drained.senders_changed);
    EXPECT_THAT(drained.remove, ElementsAre(store::SaName{"office", Direction::outbound, 1})) << "nobody sends on it again";
    ASSERT_EQ(drained.drain.size(), 1U);
    EXPECT_EQ(drained.drain[0].name, (store::SaName{"office", Direction::inbound, 1}));
    EXPECT_EQ(drained.drain[0].milliseconds, 500U);
    EXPECT_EQ(state(1), inbound_drained);
    EXPECT_EQ(refused({.remove = {gone_in(1, 500)}}), "remove[0] child");
    EXPECT_THAT(bring({.remove = {gone_in(1)}}).remove, ElementsAre(store::SaName{"office", Direction::inbound, 1}));
    EXPECT_EQ(state(1), gone);
    EXPECT_EQ(state(2), outbound_switched);
}

TEST_F(ChildrenTest, AllOfARekeyMayStandInOneTransaction) {
    (void)bring({.install = {in(1), out(1)}});
    const auto plan = bring({.install = {out(2), in(2)}, .remove = {gone_in(1, 500), gone_out(1)}});
    EXPECT_TRUE(plan.senders_changed);
    EXPECT_THAT(plan.remove, ElementsAre(store::SaName{"office", Direction::outbound, 1}));
    EXPECT_EQ(state(1), inbound_drained);
    EXPECT_EQ(state(2), outbound_switched);
}

/// Both sides made new keys at once; the redundant child is deleted (RFC 7296 2.8.1).
TEST_F(ChildrenTest, WhenTheSenderGoesTheOneBeforeItSendsAgain) {
    (void)bring({.install = {in(1), out(1)}});
    (void)bring({.install = {in(2), out(2), in(3), out(3)}});
    EXPECT_EQ(children.sender("office"), 3U);
    EXPECT_EQ(state(2), outbound_retired);
    EXPECT_TRUE(bring({.remove = {gone_in(3), gone_out(3)}}).senders_changed);
    EXPECT_EQ(children.sender("office"), 2U);
    EXPECT_EQ(state(2), outbound_switched);
    EXPECT_EQ(state(1), outbound_retired);
    const auto last = bring({.remove = {gone_out(2), gone_in(2), gone_in(1), gone_out(1)}});
    EXPECT_EQ(last.remove.size(), 4U);
    EXPECT_TRUE(last.ways_changed);
    EXPECT_FALSE(children.has("office"));
    EXPECT_EQ(children.sender("office"), std::nullopt);
}

TEST_F(ChildrenTest, WhatWouldLosePacketsIsRefused) {
    EXPECT_EQ(refused({.install = {in(0)}}), "install[0] child");
    EXPECT_EQ(refused({.install = {out(1)}}), "install[0] child") << "it does not receive";
    (void)bring({.install = {in(1), out(1)}});
    EXPECT_EQ(refused({.install = {in(2), in(1)}}), "install[1] child");
    EXPECT_EQ(refused({.install = {out(1)}}), "install[0] child");
    EXPECT_EQ(refused({.remove = {gone_in(1)}}), "remove[0] child") << "it still sends";
    EXPECT_EQ(refused({.remove = {gone_out(1), gone_out(1)}}), "remove[1] child");
    EXPECT_EQ(refused({.remove = {gone_out(7)}}), "remove[0] child");
    EXPECT_EQ(refused({.update = {in(1), out(2)}}), "update[1] child");
    EXPECT_TRUE(bring({.update = {out(1)}}).senders_changed);
    EXPECT_EQ(state(1), outbound_switched) << "what was refused has changed nothing";
}

TEST_F(ChildrenTest, TheWayIsThatOfTheYoungest) {
    EXPECT_EQ(children.outer_vpn("office"), std::nullopt);
    EXPECT_TRUE(bring({.install = {in(1)}}).ways_changed);
    EXPECT_FALSE(bring({.install = {out(1)}}).ways_changed);
    EXPECT_TRUE(bring({.install = {sa(Direction::inbound, 2, 5)}}).ways_changed);
    EXPECT_EQ(children.outer_vpn("office"), 5);
}

TEST_F(ChildrenTest, WhatAnEarlierProcessLeftIsTakenOver) {
    children.take_over({in(1), in(2), out(1), out(2)});
    EXPECT_EQ(state(1), outbound_retired);
    EXPECT_EQ(state(2), outbound_switched);
    EXPECT_EQ(children.sender("office"), 2U);
}

} // namespace
} // namespace sallyport::control
