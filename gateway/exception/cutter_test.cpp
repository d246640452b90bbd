// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/cutter.hpp"
#include "gateway/exception/reassembly.hpp"
#include "gateway/exception/testing.hpp"
#include "gateway/wire/fragment.hpp"

#include <gtest/gtest.h>

namespace sallyport::exception {
namespace {

using namespace testing;
using namespace wire::samples;

class CutterTest : public ::testing::Test {
protected:
    std::vector<Octets> cut(const Octets& packet, unsigned largest, std::uint16_t flags = frame_from_red) {
        Frame frame = bench.receive(packet);
        frame.flags |= flags;
        frame.sequence = largest;
        handler.take(frame, 0, bench);
        frames = bench.back;
        std::vector<Octets> result;
        for (const Frame& piece : bench.back) {
            result.push_back(packet_in(piece));
            EXPECT_LE(result.back().size(), largest);
            EXPECT_GE(piece.network, head_room);
            EXPECT_LE(piece.end, chunk_size - tail_room);
            if (piece.family == 4) {
                EXPECT_EQ(wire::checksum_raw(result.back().data(), (result.back()[0] & 15U) * 4U), 0);
            }
        }
        return result;
    }

    // What a host makes of them.
    Octets joined(const std::vector<Octets>& pieces) {
        bench.returned();
        Reassembly host;
        for (const Octets& piece : pieces) host.take(bench.receive(piece), 0, bench);
        EXPECT_EQ(bench.back.size(), 1U);
        const Octets whole = bench.back.empty() ? Octets{} : packet_in(bench.back[0]);
        bench.returned();
        EXPECT_EQ(bench.out(), 0U);
        return whole;
    }

    Bench bench;
    Cutter handler{0xfffffffe};
    std::vector<Frame> frames;
};

TEST_F(CutterTest, InnerPacketOfEverySize) {
    for (const unsigned largest : {68U, 576U, 1001U, 1446U})
        for (unsigned size = largest + 1; size < std::min(3500U, largest * 60 / 2); size += 37) {
            Octets packet = ipv4("10.1.0.2", "10.2.0.2", wire::protocol_udp, udp(7, 9, payload(size - 28)));
            wire::store16(&packet[wire::ipv4_identification], 77);
            wire::write_ipv4_checksum(packet.data(), 20);
            const std::vector<Octets> pieces = cut(packet, largest);
            ASSERT_GE(pieces.size(), 2U);
            for (const Frame& frame : frames) {
                EXPECT_EQ(frame.flags, frame_from_red | frame_ports | frame_gathered);
                EXPECT_EQ(wire::flow_of(frame).destination_port, 9) << "each shows the packet's ports";
            }
            for (std::size_t i = 0; i + 1 < pieces.size(); ++i) EXPECT_GT(pieces[i].size() + 8, largest) << "no smaller than it must be";
            ASSERT_EQ(joined(pieces), packet);
        }
    EXPECT_EQ(bench.drops(), 0U);
}

TEST_F(CutterTest, FragmentsAreCutFurther) {
    const Octets data = payload(1200);
    for (const bool more : {false, true}) {
        const Octets fragment = ipv4("10.1.0.2", "10.2.0.2", wire::protocol_udp, data, 64,
                                     static_cast<std::uint16_t>(100 | (more ? 0x2000 : 0)));
        const std::vector<Octets> pieces = cut(fragment, 576);
        ASSERT_EQ(pieces.size(), 3U);
        for (std::size_t i = 0; i < 3; ++i) {
            const wire::Fragment one = wire::fragment_of(bench.receive(pieces[i]));
            EXPECT_EQ(one.offset, 800 + i * 552);
            EXPECT_EQ(one.more, more || i < 2);
            EXPECT_NE(frames[i].flags & frame_fragment, 0) << "whose ports are as unknown as before";
        }
        bench.returned();
    }
}

TEST_F(CutterTest, OuterPackets) {
    const Octets data = payload(2000);
    for (unsigned round = 0; round < 4; ++round) {
        Octets packet = ipv4("192.0.2.1", "192.0.2.2", wire::protocol_esp, data, 64, 0x4000);
        const std::vector<Octets> pieces = cut(packet, 1400, frame_onward | frame_cut);
        ASSERT_EQ(pieces.size(), 2U);
        EXPECT_EQ(wire::load16(&pieces[0][wire::ipv4_identification]), static_cast<std::uint16_t>(0xfffe + 2 * round)) << "one of its own";
        EXPECT_EQ(wire::load16(&pieces[0][wire::ipv4_fragment]), 0x2000) << "no DF";
        const Octets whole = joined(pieces);
        EXPECT_EQ(Octets(whole.begin() + 20, whole.end()), data);

        packet = ipv6("2001:db8::1", "2001:db8::2", wire::protocol_esp, data);
        EXPECT_EQ(joined(cut(packet, 1400, frame_onward | frame_cut)), packet);
    }
}

TEST_F(CutterTest, WhatCannotBeCut) {
    const Octets udp6 = ipv6("2001:db8::1", "2001:db8::2", wire::protocol_udp, udp(7, 9, payload(2000)));
    EXPECT_TRUE(cut(udp6, 1400).empty()) << "not our packet";
    const Octets udp4 = ipv4("10.1.0.2", "10.2.0.2", wire::protocol_udp, udp(7, 9, payload(2000)));
    EXPECT_TRUE(cut(udp4, 27).empty());
    EXPECT_TRUE(cut(udp4, 30).empty()) << "too many pieces";
    EXPECT_TRUE(cut(udp4, 1400, 0).empty());
    EXPECT_EQ(bench.dropped[DropReason::too_big], 4U);
    EXPECT_EQ(bench.out(), 0U);
}

TEST_F(CutterTest, WithoutChunks) {
    Frame frame = bench.receive(ipv4("10.1.0.2", "10.2.0.2", wire::protocol_udp, udp(7, 9, payload(3000))));
    frame.flags |= frame_from_red;
    frame.sequence = 576;
    std::vector<std::uint32_t> all(4096);
    const unsigned taken = bench.depot().take(all.data(), 4093); // two are left, five are needed
    handler.take(frame, 0, bench);
    EXPECT_EQ(bench.dropped[DropReason::no_chunk], 1U);
    EXPECT_TRUE(bench.back.empty());
    bench.depot().give(all.data(), taken);
    EXPECT_EQ(bench.out(), 0U);
}

} // namespace
} // namespace sallyport::exception
