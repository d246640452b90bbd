// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/traffic.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace sallyport::control {
namespace {

/// An SA as the store has it, as far as its traffic is looked at.
struct Receiving {
    store::Sa sa;
    SaSpec spec;
    transform::SaCounters counters;
    sequence::Unit unit;
    transform::InboundSa hot;

    explicit Receiving(std::uint32_t number, std::uint16_t idle = 0) {
        sa.number = number;
        spec.direction = Direction::inbound;
        spec.generation = 1;
        spec.idle = idle;
        hot.counters = &counters;
        hot.space.memory = &unit;
        sa.inbound = &hot;
    }
    Receiving(const Receiving&) = delete;
    Receiving& operator=(const Receiving&) = delete;

    void receive() {
        ++counters.packets;
        ++unit.words[sequence::number_word];
    }
};

/// What adds, removes and looks as the control thread does.
struct Watching {
    Traffic traffic;
    std::map<std::uint32_t, const store::Sa*> installed;

    void add(const Receiving& one, std::uint64_t now) {
        installed[one.sa.number] = &one.sa;
        traffic.add(one.sa, one.spec, now);
    }
    void remove(const Receiving& one) {
        if (installed[one.sa.number] == &one.sa) installed.erase(one.sa.number);
        traffic.remove(one.sa);
    }
    std::vector<Traffic::Seen> look(std::uint64_t now) {
        return traffic.look(now, [this](std::uint32_t number) {
            const auto at = installed.find(number);
            return at != installed.end() ? at->second : nullptr;
        });
    }
};

std::string said(const std::vector<Traffic::Seen>& seen) {
    std::string text;
    for (const auto& one : seen) text += std::to_string(one.sa->number) + (one.idle ? " idle " : " traffic ");
    return text;
}

TEST(Traffic, TheFirstPacketIsToldOnce) {
    Watching traffic;
    Receiving one(1), two(2);
    for (Receiving* each : {&one, &two}) traffic.add(*each, 10);
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
    Watching traffic;
    Receiving one(1, 5);
    traffic.add(one, 100);
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
    Watching traffic;
    Receiving before(1), after(1);
    after.hot = before.hot; // the same series of numbers
    traffic.add(before, 0);
    traffic.add(after, 1);
    traffic.remove(before);
    before.receive();
    const auto seen = traffic.look(2);
    ASSERT_EQ(said(seen), "1 traffic ");
    EXPECT_EQ(seen[0].sa, &after.sa);
    // It is told, and no later update tells it again.
    traffic.add(before, 3);
    traffic.remove(after);
    before.receive();
    EXPECT_EQ(said(traffic.look(4)), "");
    // With an idle time it is watched from then on.
    after.spec.idle = 5;
    traffic.add(after, 10);
    traffic.remove(before);
    EXPECT_EQ(said(traffic.look(15)), "1 idle ");
    before.receive();
    EXPECT_EQ(said(traffic.look(16)), "1 traffic ");
}

TEST(Traffic, OtherSasAreNoMatter) {
    Watching traffic;
    Receiving out(1, 5), manual(2, 5), gone(3, 5);
    out.spec.direction = Direction::outbound;
    transform::OutboundSa sending;
    sending.counters = &out.counters;
    out.sa.inbound = nullptr;
    out.sa.outbound = &sending;
    manual.spec.generation = 0;
    for (Receiving* each : {&out, &manual, &gone}) traffic.add(*each, 0);
    traffic.remove(gone);
    for (Receiving* each : {&out, &manual, &gone}) each->receive();
    EXPECT_EQ(said(traffic.look(100)), "");
}

} // namespace
} // namespace sallyport::control
