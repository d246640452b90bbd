// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/lifetimes.hpp"

#include <gtest/gtest.h>
#include <set>

namespace sallyport::control {
namespace {

/// An SA as the store has it, as far as lifetimes look at it.
struct Living {
    store::Sa sa;
    SaSpec spec;
    transform::SaCounters counters;
    transform::OutboundSa hot;

    Living(std::uint32_t number, const Lifetime& soft, const Lifetime& hard, std::uint8_t jitter = 0) {
        sa.number = number;
        spec.soft = soft;
        spec.hard = hard;
        spec.jitter = jitter;
        hot.counters = &counters;
        sa.outbound = &hot;
    }
    Living(const Living&) = delete;
    Living& operator=(const Living&) = delete;
};

std::string said(const std::vector<Lifetimes::Reached>& reached) {
    std::string text;
    for (const auto& one : reached) text += std::to_string(one.sa->number) + (one.hard ? " hard " : " soft ");
    return text;
}

TEST(Lifetimes, PacketsAndOctets) {
    Lifetimes lifetimes(1);
    Living one(1, {.packets = 80}, {.packets = 100}), two(2, {.octets = 5000}, {.octets = 6000}), three(3, {}, {});
    for (Living* living : {&one, &two, &three}) lifetimes.add(living->sa, living->spec, 10);
    EXPECT_EQ(said(lifetimes.look(11)), "");
    one.counters.packets = 80;
    EXPECT_EQ(said(lifetimes.look(12)), "1 soft ");
    EXPECT_EQ(said(lifetimes.look(13)), "") << "each once";
    one.counters.packets = 100;
    EXPECT_EQ(said(lifetimes.look(14)), "1 hard ");
    two.counters.octets = 5990;
    EXPECT_EQ(said(lifetimes.look(15)), "2 soft ");
    two.counters.packet_limit = 0; // a worker has refused a packet that did not fit
    EXPECT_EQ(said(lifetimes.look(16)), "2 hard ");
    EXPECT_EQ(said(lifetimes.look(1U << 30)), "");
}

TEST(Lifetimes, TimeEndsEarlyRatherThanLate) {
    Lifetimes lifetimes(1);
    Living one(1, {.seconds = 80}, {.seconds = 100});
    one.spec.begun = 1000;
    lifetimes.add(one.sa, one.spec, 1050);
    EXPECT_EQ(said(lifetimes.look(1079)), "");
    EXPECT_EQ(said(lifetimes.look(1080)), "1 soft ");
    EXPECT_EQ(said(lifetimes.look(1098)), "");
    EXPECT_EQ(one.counters.packet_limit, transform::SaCounters::unlimited);
    EXPECT_EQ(said(lifetimes.look(1099)), "1 hard ");
    EXPECT_EQ(one.counters.packet_limit, 0U) << "no packet passes any more";
}

TEST(Lifetimes, WhatEndedWhileNoGatewayLivedPassesNothing) {
    Lifetimes lifetimes(1);
    Living over(1, {}, {.seconds = 100}), alive(2, {}, {.seconds = 100});
    over.spec.begun = 1000;
    alive.spec.begun = 1050;
    for (Living* living : {&over, &alive}) lifetimes.add(living->sa, living->spec, 1101);
    EXPECT_EQ(over.counters.packet_limit, 0U) << "before anybody looks";
    EXPECT_EQ(alive.counters.packet_limit, transform::SaCounters::unlimited);
    EXPECT_EQ(said(lifetimes.look(1102)), "1 hard ");
}

TEST(Lifetimes, HardAloneIsNoReasonToAskForKeys) {
    Lifetimes lifetimes(1);
    Living one(1, {}, {.packets = 5});
    lifetimes.add(one.sa, one.spec, 0);
    one.counters.packets = 5;
    EXPECT_EQ(said(lifetimes.look(1)), "1 hard ");
}

TEST(Lifetimes, JitterSpreadsTheSoftOnes) {
    Lifetimes lifetimes(7);
    std::vector<std::unique_ptr<Living>> all;
    for (std::uint32_t i = 0; i < 100; ++i) {
        all.push_back(std::make_unique<Living>(i, Lifetime{.seconds = 1000}, Lifetime{.seconds = 2000}, std::uint8_t{20}));
        lifetimes.add(all.back()->sa, all.back()->spec, 0);
    }
    std::set<std::uint64_t> times;
    std::size_t told = 0;
    for (std::uint64_t now = 0; now <= 1000; ++now)
        if (const auto reached = lifetimes.look(now); !reached.empty()) {
            times.insert(now);
            told += reached.size();
        }
    EXPECT_EQ(told, 100U);
    EXPECT_GE(*times.begin(), 800U);
    EXPECT_GE(times.size(), 50U) << "not all at once";
}

TEST(Lifetimes, AnUpdateTellsNothingAgain) {
    Lifetimes lifetimes(1);
    Living before(1, {.packets = 3}, {.packets = 5}), after(1, {.packets = 3}, {.packets = 5}), other(1, {.packets = 3}, {.packets = 5});
    after.hot = before.hot; // the same series of numbers
    lifetimes.add(before.sa, before.spec, 0);
    before.counters.packets = 4;
    EXPECT_EQ(said(lifetimes.look(1)), "1 soft ");
    lifetimes.add(after.sa, after.spec, 2);
    lifetimes.remove(before.sa);
    EXPECT_EQ(said(lifetimes.look(3)), "");
    before.counters.packets = 5;
    EXPECT_EQ(said(lifetimes.look(4)), "1 hard ");
    lifetimes.add(other.sa, other.spec, 5); // under a new key
    lifetimes.remove(after.sa);
    other.counters.packets = 3;
    EXPECT_EQ(said(lifetimes.look(6)), "1 soft ");
}

TEST(Lifetimes, WhatIsGoneIsNotLookedAt) {
    Lifetimes lifetimes(1);
    {
        Living one(1, {.packets = 1}, {.packets = 2});
        lifetimes.add(one.sa, one.spec, 0);
        one.counters.packets = 2;
        lifetimes.remove(one.sa);
    }
    EXPECT_TRUE(lifetimes.look(5).empty());
}

} // namespace
} // namespace sallyport::control
