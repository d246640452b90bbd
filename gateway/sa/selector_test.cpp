// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/selector.hpp"

#include <gtest/gtest.h>

using namespace sallyport;

namespace {

Selector selector() { return {.local = parse_range("10.1.0.0/16").value(), .remote = parse_range("10.2.0.0/16").value()}; }

Flow flow(std::string_view source, std::string_view destination) {
    return {.source = parse_address(source).value(),
            .destination = parse_address(destination).value(),
            .source_port = 4000,
            .destination_port = 80,
            .protocol = 6,
            .ports_known = true};
}

} // namespace

TEST(Selector, DirectionDecidesWhichSideIsTheSource) {
    EXPECT_TRUE(matches(selector(), Direction::outbound, flow("10.1.0.1", "10.2.0.1")));
    EXPECT_FALSE(matches(selector(), Direction::inbound, flow("10.1.0.1", "10.2.0.1")));
    EXPECT_TRUE(matches(selector(), Direction::inbound, flow("10.2.0.1", "10.1.0.1")));
    EXPECT_FALSE(matches(selector(), Direction::outbound, flow("10.1.0.1", "10.3.0.1")));
    EXPECT_FALSE(matches(selector(), Direction::outbound, flow("10.3.0.1", "10.2.0.1")));
    EXPECT_FALSE(matches(selector(), Direction::outbound, flow("2001:db8::1", "10.2.0.1")));
}

TEST(Selector, ProtocolAndPorts) {
    Selector wanted = selector();
    wanted.protocol = 6;
    wanted.remote_ports = {80, 81};
    EXPECT_TRUE(matches(wanted, Direction::outbound, flow("10.1.0.1", "10.2.0.1")));
    Flow other = flow("10.1.0.1", "10.2.0.1");
    other.destination_port = 82;
    EXPECT_FALSE(matches(wanted, Direction::outbound, other));
    other = flow("10.1.0.1", "10.2.0.1");
    other.protocol = 17;
    EXPECT_FALSE(matches(wanted, Direction::outbound, other));
    other = flow("10.1.0.1", "10.2.0.1");
    other.ports_known = false; // a fragment, or a protocol without ports
    EXPECT_FALSE(matches(wanted, Direction::outbound, other));
    wanted.remote_ports = {};
    EXPECT_TRUE(matches(wanted, Direction::outbound, other));
    // Inbound the packet's source port is the remote one.
    wanted.remote_ports = {4000, 4000};
    wanted.local_ports = {80, 80};
    EXPECT_TRUE(matches(wanted, Direction::inbound, flow("10.2.0.1", "10.1.0.1")));
    EXPECT_FALSE(matches(wanted, Direction::outbound, flow("10.1.0.1", "10.2.0.1")));
}

TEST(Selector, Prints) {
    Selector wanted = selector();
    EXPECT_EQ(to_string(wanted), "10.1.0.0/16 <-> 10.2.0.0/16");
    wanted.protocol = 17;
    wanted.local_ports = {53, 53};
    wanted.remote_ports = {1024, 65535};
    EXPECT_EQ(to_string(wanted), "10.1.0.0/16 port 53 <-> 10.2.0.0/16 port 1024-65535 udp");
    wanted.protocol = 89;
    wanted.local_ports = wanted.remote_ports = {};
    EXPECT_EQ(to_string(wanted), "10.1.0.0/16 <-> 10.2.0.0/16 protocol 89");
}
