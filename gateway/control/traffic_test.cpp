// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/traffic.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::control {
namespace {

/// An SA as the store has it, as far as its traffic is looked at.
struct Receiving {
    store::Sa sa;
    transform::SaCounters counters;
    sequence::Unit unit;

    explicit Receiving(std::uint32_t number, std::uint16_t idle = 0) {
        sa.number = number;
        sa.spec.direction = Direction::inbound;
        sa.spec.generation = 1;
        sa.spec.idle = idle;
        sa.series = std::make_shared<store::Series>();
        sa.series->counters = &counters;
        sa.series->memory = &unit;
    }
    Receiving(const Receiving&) = delete;
    Receiving& operator=(const Receiving&) = delete;

    void receive() {
        ++counters.packets;
        ++unit.words[sequence::number_word];
    }
};

std::string said(const std::vector<Traffic::Seen>& seen) {
    std::string text;
    for (const auto& one : seen) text += std::to_string(one.sa->number) + (one.idle ? " idle " : " traffic ");
    return text;
}

TEST(Traffic, TheFirstPacketIsToldOnce) {
    Traffic traffic;
    Receiving one(1), two(2);
    for (Receiving* each : {&one, &two}) traffic.add(each->sa, 10);
    EXPECT_EQ(said(traffic.look(11)), "");
    one.receive();
    EXPECT_EQ(said(traffic.look(12)), "1 traffic ");
    one.receive();
    ++two.unit.words[sequence::number_word]; // a dummy: its SA works
    EXPECT_EQ(said(traffic.look(13)), "2 traffic ");
    two.receive();
    EXPECT_EQ(said(traffic.look(1000)), "") << "without an idle time silence says nothing";
}

TEST(Traffic, SilenceIsToldAndWhatEndsIt) {
    Traffic traffic;
    Receiving one(1, 5);
    traffic.add(one.sa, 100);
    EXPECT_EQ(said(traffic.look(104)), "");
    EXPECT_EQ(said(traffic.look(105)), "1 idle ") << "though nothing has ever come";
    EXPECT_EQ(said(traffic.look(200)), "") << "once";
    one.receive();
    EXPECT_EQ(said(traffic.look(201)), "1 traffic ");
    one.receive();
    EXPECT_EQ(said(traffic.look(204)), "");
    EXPECT_EQ(said(traffic.look(208)), "");
    EXPECT_EQ(said(traffic.look(209)), "1 idle ");
    ++one.counters.packets; // one that came late: the highest number stays
    EXPECT_EQ(said(traffic.look(210)), "1 traffic ");
    EXPECT_EQ(said(traffic.look(215)), "1 idle ");
}

TEST(Traffic, AnUpdateGoesOn) {
    Traffic traffic;
    Receiving before(1), after(1);
    after.sa.series = before.sa.series;
    traffic.add(before.sa, 0);
    traffic.add(after.sa, 1);
    traffic.remove(before.sa);
    before.receive();
    const auto seen = traffic.look(2);
    ASSERT_EQ(said(seen), "1 traffic ");
    EXPECT_EQ(seen[0].sa, &after.sa);
    // It is told, and no later update tells it again.
    traffic.add(before.sa, 3);
    traffic.remove(after.sa);
    before.receive();
    EXPECT_EQ(said(traffic.look(4)), "");
    // With an idle time it is watched from then on.
    after.sa.spec.idle = 5;
    traffic.add(after.sa, 10);
    traffic.remove(before.sa);
    EXPECT_EQ(said(traffic.look(15)), "1 idle ");
    before.receive();
    EXPECT_EQ(said(traffic.look(16)), "1 traffic ");
}

TEST(Traffic, OtherSasAreNoMatter) {
    Traffic traffic;
    Receiving out(1, 5), manual(2, 5), gone(3, 5);
    out.sa.spec.direction = Direction::outbound;
    manual.sa.spec.generation = 0;
    for (Receiving* each : {&out, &manual, &gone}) traffic.add(each->sa, 0);
    traffic.remove(gone.sa);
    for (Receiving* each : {&out, &manual, &gone}) each->receive();
    EXPECT_EQ(said(traffic.look(100)), "");
}

} // namespace
} // namespace sallyport::control
