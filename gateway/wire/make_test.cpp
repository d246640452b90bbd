// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/make.hpp"

#include "gateway/wire/parse.hpp"

#include <gtest/gtest.h>

namespace sallyport::wire {
namespace {

/// What our own parser sees in it.
Frame parsed(const std::vector<std::uint8_t>& octets, std::vector<std::uint8_t>& chunk) {
    chunk.assign(chunk_size, 0);
    std::copy(octets.begin(), octets.end(), chunk.begin() + frame_headroom);
    Frame frame;
    frame.chunk = chunk.data();
    frame.begin = frame_headroom;
    frame.end = static_cast<std::uint16_t>(frame_headroom + octets.size());
    parse(frame);
    return frame;
}

TEST(Make, IsWhatTheParserReads) {
    std::vector<std::uint8_t> chunk;
    for (const std::uint8_t protocol : {protocol_udp, protocol_tcp, protocol_sctp, protocol_icmp, std::uint8_t{89}})
        for (const bool six : {false, true}) {
            Flow flow{*parse_address(six ? "2001:db8::1" : "10.1.0.1"),
                      *parse_address(six ? "2001:db8::2" : "10.2.0.1"),
                      1000,
                      53,
                      protocol,
                      has_ports(protocol)};
            if (!flow.ports_known) flow.source_port = flow.destination_port = 0;
            for (const std::uint16_t length : std::initializer_list<std::uint16_t>{0, 60, 1400}) {
                const auto packet = make_packet(flow, {.hop_limit = 9, .length = length});
                EXPECT_TRUE(is_packet(packet));
                EXPECT_GE(packet.size(), length);
                const Frame frame = parsed(make_frame(packet, {2, 0, 0, 0, 0, 9}, 30), chunk);
                ASSERT_EQ(info(frame.reason).name, "none") << int{protocol};
                EXPECT_EQ(frame.vlan, 30);
                EXPECT_EQ(frame.hop_limit, 9);
                EXPECT_EQ(frame.network_length(), packet.size());
                const Flow seen = flow_of(frame);
                EXPECT_EQ(seen.source, flow.source);
                EXPECT_EQ(seen.destination, flow.destination);
                EXPECT_EQ(seen.protocol, protocol);
                if (!flow.ports_known) continue;
                EXPECT_EQ(seen.source_port, flow.source_port);
                EXPECT_EQ(seen.destination_port, flow.destination_port);
            }
        }
}

TEST(Make, IcmpHasItsType) {
    const Flow flow{*parse_address("10.1.0.1"), *parse_address("10.2.0.1"), 0, 0, protocol_icmp, false};
    const auto packet = make_packet(flow, {.icmp_type = 3, .icmp_code = 4});
    EXPECT_EQ(packet[ipv4_size], 3);
    EXPECT_EQ(packet[ipv4_size + 1], 4);
    EXPECT_EQ(packet[6], 0x40);
    EXPECT_EQ(make_packet(flow, {.dont_fragment = false})[6], 0);
}

TEST(Make, WhatIsAPacket) {
    const Flow flow{*parse_address("10.1.0.1"), *parse_address("10.2.0.1"), 0, 0, protocol_udp, false};
    auto packet = make_packet(flow, {});
    EXPECT_FALSE(is_packet(make_frame(packet, {2, 0, 0, 0, 0, 9}, 0)));
    packet.push_back(0);
    EXPECT_FALSE(is_packet(packet)) << "an octet too many";
    EXPECT_FALSE(is_packet({}));
}

} // namespace
} // namespace sallyport::wire
