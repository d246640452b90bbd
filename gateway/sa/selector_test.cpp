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

TEST(Selector, TypesAreTheSendersAndOneRange) {
    Selector wanted = selector();
    wanted.protocol = 1;
    wanted.local_ports = type_range(3, 5, 1, 2); // RFC 4301 4.4.1.1: 3/1 <= type/code <= 5/2
    wanted.remote_ports = type_range(0, 0);
    const auto of = [](bool out, std::uint8_t type, std::uint8_t code) {
        Flow one = out ? flow("10.1.0.1", "10.2.0.1") : flow("10.2.0.1", "10.1.0.1");
        one.protocol = 1;
        one.source_port = static_cast<std::uint16_t>(type * 256 + code);
        one.destination_port = 0;
        return one;
    };
    for (const auto& [type, code, good] :
         {std::tuple(3, 0, false), {3, 1, true}, {3, 255, true}, {4, 0, true}, {5, 2, true}, {5, 3, false}})
        EXPECT_EQ(matches(wanted, Direction::outbound, of(true, static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(code))), good)
            << type << "/" << code;
    EXPECT_TRUE(matches(wanted, Direction::inbound, of(false, 0, 9)));
    EXPECT_FALSE(matches(wanted, Direction::inbound, of(false, 3, 1)));
    EXPECT_FALSE(matches(wanted, Direction::outbound, of(true, 0, 0)));
}

TEST(Selector, AnyAndOpaque) {
    Selector wanted = selector();
    wanted.protocol = 6;
    const Flow shown = flow("10.1.0.1", "10.2.0.1");
    Flow hidden = shown;
    hidden.ports_known = false;
    EXPECT_TRUE(matches(wanted, Direction::outbound, shown));
    EXPECT_TRUE(matches(wanted, Direction::outbound, hidden));
    wanted.local_ports = opaque_ports;
    EXPECT_FALSE(matches(wanted, Direction::outbound, shown));
    EXPECT_TRUE(matches(wanted, Direction::outbound, hidden));
    EXPECT_TRUE(PortRange{}.covers(opaque_ports));
    EXPECT_FALSE(opaque_ports.covers({}));
    EXPECT_FALSE((PortRange{1, 65535}.covers(opaque_ports)));
    EXPECT_TRUE((PortRange{1, 9}.covers({2, 9})));
    EXPECT_FALSE((PortRange{1, 9}.covers({2, 10})));
}

TEST(Selector, Faults) {
    const auto of = [](std::uint8_t protocol, PortRange local, PortRange remote) {
        Selector one = selector();
        one.protocol = protocol;
        one.local_ports = local;
        one.remote_ports = remote;
        return fault(one);
    };
    EXPECT_EQ(of(0, {}, {}), "");
    EXPECT_EQ(of(6, {1, 2}, {}), "");
    EXPECT_EQ(of(1, type_range(8, 8), opaque_ports), "");
    EXPECT_EQ(of(50, opaque_ports, opaque_ports), "");
    EXPECT_EQ(of(0, {80, 80}, {}), "a selector names ports or types of a protocol that has none");
    EXPECT_EQ(of(50, {}, {1, 2}), "a selector names ports or types of a protocol that has none");
    EXPECT_EQ(of(0, {}, opaque_ports), "a selector for any protocol asks for opaque ports");
    EXPECT_EQ(of(6, {9, 8}, {}), "a selector's port range ends before it begins");
    EXPECT_EQ(of(6, opaque_ports, {80, 80}), "a selector wants ports of one side to be known and those of the other not to be");
    Selector wrong = selector();
    wrong.remote = *parse_range("2001:db8::/32");
    EXPECT_EQ(fault(wrong), "the two sides of a selector are of different families");
    std::swap(wrong.local.first, wrong.local.last);
    EXPECT_EQ(fault(wrong), "a selector's range ends before it begins");
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
    wanted.protocol = 1;
    EXPECT_EQ(to_string(wanted), "10.1.0.0/16 <-> 10.2.0.0/16 icmp");
    wanted.local_ports = type_range(8, 8);
    wanted.remote_ports = opaque_ports;
    EXPECT_EQ(to_string(wanted), "10.1.0.0/16 <-> 10.2.0.0/16 icmp sends type 8, receives type opaque");
}
