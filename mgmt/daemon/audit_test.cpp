// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/audit.hpp"

#include "mgmt/daemon/views.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sallyport::daemon {
namespace {

using testing::HasSubstr;

control::Told told(DropReason reason) {
    control::Told result;
    result.event.reason = reason;
    result.event.spi = 0x1001;
    result.event.sequence = 7;
    result.event.sa = 3;
    result.event.direction = Direction::inbound;
    result.event.has_flow = true;
    result.event.flow = {*parse_address("10.2.0.2"), *parse_address("10.1.0.2"), 1000, 53, 17, true};
    result.connection = "branch";
    result.peer = "198.51.100.1";
    result.vpn = "office";
    result.port = "wan0";
    return result;
}

TEST(Audit, ALineSaysWhatIsKnown) {
    Audit audit;
    const auto line = audit.dropped(told(DropReason::selector_mismatch), 5);
    ASSERT_TRUE(line);
    EXPECT_EQ(line->message, "Dropped a packet (selector_mismatch): the opened packet does not match its SA's selectors; 10.2.0.2 to "
                             "10.1.0.2, protocol 17, ports 1000 and 53, SPI 0x00001001, sequence 7, connection branch");
    EXPECT_EQ(line->fields.reason, "selector_mismatch");
    EXPECT_EQ(line->fields.connection, "branch");
    EXPECT_EQ(line->fields.peer, "198.51.100.1");
    EXPECT_EQ(line->fields.vpn, "office");
    EXPECT_EQ(line->fields.port, "wan0");
    EXPECT_EQ(line->fields.spi, 0x1001U);
    EXPECT_EQ(line->fields.source, "10.2.0.2");
    EXPECT_EQ(line->fields.destination_port, 53U);
    EXPECT_EQ(line->fields.remedy, info(DropReason::selector_mismatch).remedy);
}

TEST(Audit, TypesSelectorsAndFlowLabel) {
    Audit audit;
    control::Told one = told(DropReason::selector_mismatch);
    one.event.flow = {*parse_address("2001:db8::1"), *parse_address("2001:db8::2"), 128 * 256 + 3, 0, 58, true};
    one.event.flow_label = 0x12345;
    one.selectors = {"a <-> b", "c <-> d"};
    const auto line = audit.dropped(one, 5);
    ASSERT_TRUE(line);
    EXPECT_THAT(line->message, HasSubstr("2001:db8::1 to 2001:db8::2, protocol 58, type 128 code 3, SPI"));
    EXPECT_THAT(line->message, testing::EndsWith("connection branch, which carries a <-> b, c <-> d"));
    EXPECT_THAT(journal::record(journal::Event::packet_dropped, "x", line->fields),
                testing::IsSupersetOf({"TYPE=128", "CODE=3", "FLOW_LABEL=74565", "SELECTORS=a <-> b, c <-> d"}));
    EXPECT_FALSE(line->fields.source_port);
    const varlink::EventView view = view_of(one);
    EXPECT_EQ(view.type, 128U);
    EXPECT_EQ(view.source_port, std::nullopt);
}

TEST(Audit, AFloodMakesFewLinesAndTheSumIsRight) {
    Audit audit;
    Drops drops{};
    EXPECT_FALSE(audit.due(1'000'000));
    unsigned lines = 0;
    for (unsigned i = 0; i < 100; ++i) lines += audit.dropped(told(DropReason::bad_icv), 1000 + i).has_value() ? 1 : 0;
    EXPECT_EQ(lines, Audit::most_lines);
    EXPECT_TRUE(audit.dropped(told(DropReason::replayed), 2000)) << "another reason has its own lines";
    EXPECT_FALSE(audit.due(1000 + Audit::period - 1));
    drops[static_cast<std::size_t>(DropReason::bad_icv)] = 5000; // most made no event at all
    drops[static_cast<std::size_t>(DropReason::replayed)] = 1;
    ASSERT_TRUE(audit.due(1000 + Audit::period));
    const auto sums = audit.periods_over(drops, 3000 + Audit::period);
    ASSERT_EQ(sums.size(), 1U);
    EXPECT_THAT(sums[0].message, HasSubstr("Dropped 4997 more packets (bad_icv)"));
    EXPECT_EQ(sums[0].fields.count, 4997U);
    EXPECT_FALSE(audit.due(~std::uint64_t{0} - 1));
    // The next period begins with lines again, and counts from there.
    const std::uint64_t later = 10 * Audit::period;
    EXPECT_TRUE(audit.dropped(told(DropReason::bad_icv), later));
    drops[static_cast<std::size_t>(DropReason::bad_icv)] = 5001;
    EXPECT_TRUE(audit.periods_over(drops, later + Audit::period).empty());
}

TEST(Audit, PeriodsEndEachForItself) {
    Audit audit;
    Drops drops{};
    drops.fill(50);
    EXPECT_TRUE(audit.dropped(told(DropReason::bad_icv), 0));
    EXPECT_TRUE(audit.dropped(told(DropReason::replayed), 1000));
    EXPECT_EQ(audit.periods_over(drops, Audit::period).size(), 1U);
    EXPECT_FALSE(audit.due(Audit::period + 999));
    EXPECT_EQ(audit.periods_over(drops, Audit::period + 1000).size(), 1U);
}

TEST(EventViews, Dropped) {
    const varlink::EventView view = view_of(told(DropReason::bad_icv));
    EXPECT_EQ(view.kind, "dropped");
    EXPECT_EQ(view.reason, "bad_icv");
    EXPECT_EQ(view.meaning, "the integrity check failed");
    EXPECT_EQ(view.direction, "inbound");
    EXPECT_EQ(view.source, "10.2.0.2");
    EXPECT_EQ(view.source_port, 1000U);
    EXPECT_EQ(view.generation, std::nullopt);
}

TEST(EventViews, WhatAKeyExchangeWaitsFor) {
    control::Told asked;
    asked.event = {.kind = EventKind::acquire, .has_flow = true};
    asked.event.flow = {*parse_address("10.1.0.2"), *parse_address("10.2.0.2"), 1000, 53, 17, true};
    asked.policy = "to-branch";
    asked.connection = "branch";
    asked.vpn = "office";
    const varlink::EventView acquire = view_of(asked);
    EXPECT_EQ(acquire.policy, "to-branch");
    EXPECT_EQ(acquire.connection, "branch");
    EXPECT_EQ(acquire.vpn, "office");
    EXPECT_EQ(acquire.destination, "10.2.0.2");
    EXPECT_EQ(acquire.destination_port, 53U);
    EXPECT_EQ(acquire.direction, "");

    control::Told moved;
    moved.event = {.kind = EventKind::address_changed, .direction = Direction::inbound, .has_flow = true, .spi = 7, .sa = 3, .sequence = 9};
    moved.event.flow = {*parse_address("198.51.100.9"), *parse_address("192.0.2.1"), 61000, 4500, 17, true};
    moved.peer = "198.51.100.1";
    moved.udp_port = 4500;
    const varlink::EventView at = view_of(moved);
    EXPECT_EQ(at.peer, "198.51.100.1");
    EXPECT_EQ(at.udp_port, 4500U);
    EXPECT_EQ(at.new_peer, "198.51.100.9");
    EXPECT_EQ(at.new_udp_port, 61000U);
    EXPECT_EQ(at.spi, 7U);
    EXPECT_EQ(at.sequence, 9U);
    EXPECT_EQ(at.direction, "inbound");
    EXPECT_EQ(at.source, "") << "no packet of the traffic inside";

    control::Told narrow;
    narrow.event = {.kind = EventKind::path_mtu, .sa = 3, .old_mtu = 1500, .mtu = 1400, .largest_inner = 1346};
    EXPECT_EQ(view_of(narrow).old_path_mtu, 1500U);
    EXPECT_EQ(view_of(narrow).path_mtu, 1400U);
    EXPECT_EQ(view_of(narrow).largest_inner, 1346U);
    narrow.event = {.kind = EventKind::path_mtu, .count = 500};
    EXPECT_EQ(view_of(narrow).path_mtu, std::nullopt);
    EXPECT_EQ(view_of(narrow).count, 500U);
}

TEST(EventViews, Others) {
    control::Told committed;
    committed.event = {.kind = EventKind::committed, .generation = 4};
    EXPECT_EQ(view_of(committed).generation, 4U);
    EXPECT_EQ(view_of(committed).vpn, "");
    EXPECT_EQ(view_of(committed).direction, "");
    control::Told many;
    many.event = {.kind = EventKind::sa_installed, .count = 500};
    EXPECT_EQ(view_of(many).count, 500U);
    EXPECT_EQ(view_of(many).spi, std::nullopt);
}

} // namespace
} // namespace sallyport::daemon
