// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/inner_fragments.hpp"
#include "gateway/exception/reassembly.hpp"
#include "gateway/exception/testing.hpp"
#include "gateway/wire/fragment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace sallyport::exception {
namespace {

using namespace testing;
using namespace wire::samples;

constexpr std::uint64_t second = 1'000'000'000;

// An ESP packet's payload begins with an SPI.
Octets esp(std::size_t octets) {
    Octets data = payload(octets);
    wire::store32(data.data(), 0x12345678);
    return data;
}

std::vector<Cut> cuts_of(unsigned whole, unsigned each) {
    std::vector<Cut> cuts;
    for (unsigned at = 0; at < whole; at += each) cuts.push_back({at, std::min(each, whole - at), at + each < whole});
    return cuts;
}

class ReassemblyTest : public ::testing::TestWithParam<unsigned> {
protected:
    void send(const Octets& packet, std::uint64_t now = 0) { handler.take(bench.receive(packet), now, bench); }
    void send(const Octets& data, const Cut& cut, std::uint16_t identification = 1, std::uint8_t tos = 0) {
        send(fragment(GetParam(), data, cut, wire::protocol_esp, identification, tos));
    }
    Octets whole(const Octets& data, std::uint8_t tos = 0) {
        if (GetParam() == 4) {
            Octets packet = ipv4("192.0.2.2", "192.0.2.1", wire::protocol_esp, data);
            packet[wire::ipv4_tos] = tos;
            wire::store16(&packet[wire::ipv4_identification], 1);
            wire::write_ipv4_checksum(packet.data(), wire::ipv4_size);
            return packet;
        }
        Octets packet = ipv6("2001:db8::2", "2001:db8::1", wire::protocol_esp, data);
        wire::store16(packet.data(), static_cast<std::uint16_t>(0x6000U | tos << 4U));
        return packet;
    }
    void expect_nothing_left() {
        handler.leave(bench);
        for (const Frame& frame : bench.returned()) EXPECT_EQ(frame.reason, DropReason::none);
        EXPECT_EQ(bench.out(), 0U);
        EXPECT_EQ(handler.held(), 0U);
    }

    Bench bench;
    Reassembly handler{FragmentLimits{}};
};

INSTANTIATE_TEST_SUITE_P(Families, ReassemblyTest, ::testing::Values(4U, 6U), ::testing::PrintToStringParamName());

TEST_P(ReassemblyTest, PutsTogetherInAnyOrder) {
    const Octets data = esp(3001);
    std::vector<Cut> cuts = cuts_of(3001, 1000);
    do {
        for (const Cut& cut : cuts) send(data, cut);
        ASSERT_EQ(bench.back.size(), 1U);
        const Frame frame = bench.back[0];
        EXPECT_EQ(packet_in(frame), whole(data));
        EXPECT_EQ(frame.flags, 0);
        EXPECT_EQ(frame.protocol, wire::protocol_esp);
        EXPECT_EQ(frame.spi, 0x12345678U);
        EXPECT_EQ(frame.network, frame.begin + 14);
        EXPECT_EQ(bench.returned().size(), 1U);
        EXPECT_EQ(bench.out(), 0U);
    } while (std::ranges::next_permutation(cuts, {}, &Cut::offset).found);
    EXPECT_EQ(bench.drops(), 0U);
}

TEST_P(ReassemblyTest, TimeIsOver) {
    const Octets data = esp(64);
    send(data, {0, 32, true});
    EXPECT_EQ(handler.next(), 2 * second);
    handler.look(2 * second - 1, bench);
    EXPECT_EQ(handler.held(), 1U);
    handler.look(2 * second, bench);
    EXPECT_EQ(bench.dropped[DropReason::fragment_outer], 1U);
    EXPECT_EQ(handler.next(), Handler::never);
    expect_nothing_left();
}

TEST_P(ReassemblyTest, OverlapTakesThePacketWithIt) {
    const Octets data = esp(96);
    Octets other = data;
    other[40] ^= 1;
    const std::vector<std::pair<Cut, Cut>> overlaps{
        {{0, 32, true}, {24, 16, true}},    {{32, 32, true}, {24, 16, true}}, {{0, 64, true}, {32, 8, true}},
        {{32, 8, true}, {0, 64, true}},     {{0, 32, true}, {0, 40, true}},   {{32, 64, false}, {32, 32, false}},
        {{64, 32, true}, {32, 32, false}}, // ends before what is there
        {{32, 32, false}, {64, 32, true}}, // begins where the packet has ended
        {{32, 32, false}, {64, 32, false}},
    };
    std::uint16_t identification = 0;
    for (const auto& [first, then] : overlaps) {
        bench.dropped.clear();
        ++identification;
        send(data, first, identification);
        send(data, then, identification);
        EXPECT_EQ(bench.dropped[DropReason::fragment_overlap], 2U) << identification;
        send(data, {8, 8, true}, identification);
        EXPECT_EQ(bench.dropped[DropReason::fragment_overlap], 3U) << "what comes after it goes too (RFC 5722 3)";
    }
    bench.dropped.clear();
    send(data, {0, 48, true}, 100);
    send(data, {0, 48, true}, 100);
    EXPECT_EQ(bench.dropped[DropReason::fragment_overlap], 1U) << "a copy goes alone (RFC 8200 4.5)";
    send(data, {48, 48, false}, 100);
    EXPECT_EQ(bench.returned().size(), 1U);
    send(data, {0, 48, true}, 101);
    send(other, {0, 48, true}, 101);
    EXPECT_EQ(bench.dropped[DropReason::fragment_overlap], 3U) << "same place, other octets";
    expect_nothing_left();
}

TEST_P(ReassemblyTest, Malformed) {
    const Octets data = esp(64);
    send(data, {0, 12, true});
    send(data, {8, 0, false});
    EXPECT_EQ(bench.dropped[DropReason::fragment_outer], 2U);
    send(data, {0, 8, true}, 2);
    send(data, {8, 1, false}, 2);
    EXPECT_EQ(bench.returned().size(), 1U);
    Octets no_spi(4);
    send(no_spi, {0, 0, true}, 3);
    expect_nothing_left();
}

TEST_P(ReassemblyTest, LargerThanAChunk) {
    const Octets data = esp(9000);
    send(data, {1400, 1400, true});
    send(data, {0, 1400, true});
    send(data, {4200, 1400, true});
    EXPECT_EQ(bench.dropped[DropReason::fragment_too_big], 3U);
    send(data, {2800, 1400, true});
    EXPECT_EQ(bench.dropped[DropReason::fragment_too_big], 4U);
    // The largest that fits, and eight octets more.
    const unsigned room = chunk_size - tail_room - frame_headroom - 14 - (GetParam() == 4 ? 20 : 48);
    for (const unsigned size : {room, room + 8}) {
        bench.dropped.clear();
        for (const Cut& cut : cuts_of(size, 1400)) send(data, cut, static_cast<std::uint16_t>(size));
        EXPECT_EQ(bench.returned().size(), size == room ? 1U : 0U);
        EXPECT_EQ(bench.dropped[DropReason::fragment_too_big], size == room ? 0U : 3U);
    }
    expect_nothing_left();
}

// RFC 3168 5.3.
TEST_P(ReassemblyTest, Ecn) {
    const Octets data = esp(24);
    for (std::uint8_t first = 0; first < 4; ++first)
        for (std::uint8_t second_one = 0; second_one < 4; ++second_one) {
            bench.dropped.clear();
            send(data, {0, 16, true}, 1, first);
            send(data, {16, 8, false}, 1, second_one);
            const bool congestion = first == 3 || second_one == 3;
            if (congestion && (first == 0 || second_one == 0)) {
                EXPECT_EQ(bench.dropped[DropReason::ecn_illegal], 2U);
                continue;
            }
            ASSERT_EQ(bench.back.size(), 1U);
            EXPECT_EQ(packet_in(bench.back[0]), whole(data, congestion ? 3 : first));
            EXPECT_EQ(bench.back[0].traffic_class, congestion ? 3 : first);
            bench.returned();
        }
    expect_nothing_left();
}

TEST_P(ReassemblyTest, FloodsAreBounded) {
    const Octets data = esp(64);
    for (unsigned i = 0; i < 10000; ++i) {
        send(data, {0, 32, true}, static_cast<std::uint16_t>(i));
        ASSERT_LE(bench.out(), 64U) << "the share of one source";
    }
    EXPECT_EQ(bench.dropped[DropReason::fragment_limit], 10000U - 64U);
    send(data, {32, 32, false}, 9999);
    EXPECT_EQ(bench.returned().size(), 1U) << "the latest are still there";
    expect_nothing_left();
    const Octets large = esp(1024);
    for (unsigned i = 0; i < 70; ++i) send(large, {i * 8 % 64 + i / 8 * 64, 8, true}, 1); // more pieces than a packet may have
    expect_nothing_left();
}

TEST(Reassembly, FloodFromManySources) {
    Bench bench;
    Reassembly handler(FragmentLimits::of(1024));
    const Octets data = esp(64);
    for (unsigned i = 0; i < 2000; ++i) {
        Octets packet = fragment4(data, {0, 32, true});
        wire::store16(&packet[wire::ipv4_source + 2], static_cast<std::uint16_t>(i));
        wire::write_ipv4_checksum(packet.data(), 20);
        handler.take(bench.receive(packet), 0, bench);
        ASSERT_LE(bench.out(), 128U) << "an eighth of the packet memory";
    }
    EXPECT_EQ(handler.held(), 128U);
    handler.leave(bench);
    EXPECT_EQ(bench.out(), 0U);
}

TEST(Reassembly, KeysAreKeptApart) {
    Bench bench;
    Reassembly handler;
    const Octets data = esp(64);
    Frame frame = bench.receive(fragment4(data, {0, 32, true}));
    frame.vpn = 1;
    handler.take(frame, 0, bench);
    handler.take(bench.receive(fragment4(data, {32, 32, false})), 0, bench);                        // another VPN
    handler.take(bench.receive(fragment4(data, {0, 32, true}, wire::protocol_udp)), 0, bench);      // another protocol
    handler.take(bench.receive(fragment4(data, {32, 32, false}, wire::protocol_udp, 2)), 0, bench); // another identification
    handler.take(bench.receive(fragment6(data, {32, 32, false}, wire::protocol_udp)), 0, bench);    // another family
    EXPECT_TRUE(bench.back.empty());
    EXPECT_EQ(handler.held(), 5U);
    handler.take(bench.receive(fragment6(data, {0, 32, true}, wire::protocol_esp)), 0, bench); // IPv6: whatever later ones say
    ASSERT_EQ(bench.back.size(), 1U);
    EXPECT_EQ(bench.back[0].protocol, wire::protocol_esp);
    handler.leave(bench);
    bench.returned();
    EXPECT_EQ(bench.out(), 0U);
}

// Random packets, cut at random, some pieces doubled, lost, or overlapping, all mixed: what comes out is exactly what went in, and of no
// packet with an overlap anything.
TEST(Reassembly, AgainstAModel) {
    std::mt19937 random(20261121);
    const auto below = [&](unsigned bound) { return static_cast<unsigned>(random() % bound); };
    Bench bench;
    Reassembly handler(FragmentLimits{.packets = 100000, .frames = 3000, .each = 64, .share = 1});
    std::size_t joined = 0, spoilt = 0;
    for (unsigned round = 0; round < 300; ++round) {
        struct Sent {
            Octets data;
            bool complete = true, overlap = false;
            unsigned family;
        };
        std::vector<Sent> packets;
        std::vector<std::pair<Octets, unsigned>> pieces;
        for (std::uint16_t identification = 0; identification < 10; ++identification) {
            Sent sent{.data = esp(16 + below(3000)), .family = below(2) != 0 ? 4U : 6U};
            sent.data[15] = static_cast<std::uint8_t>(round);
            sent.data[14] = static_cast<std::uint8_t>(identification);
            const auto size = static_cast<unsigned>(sent.data.size());
            std::vector<Cut> cuts;
            for (unsigned at = 0; at < size;) {
                const unsigned octets = std::min(size - at, 8 * (1 + below(180)));
                cuts.push_back({at, octets, at + octets < size});
                at += octets;
            }
            if (cuts.size() < 2) continue;
            if (below(4) == 0) {
                cuts.erase(cuts.begin() + below(static_cast<unsigned>(cuts.size())));
                sent.complete = false;
            } else if (below(4) == 0) {
                Cut cut = cuts[below(static_cast<unsigned>(cuts.size()))];
                if (cut.octets > 8) {
                    cut.octets -= 8;
                    cut.octets -= cut.octets % 8;
                    cut.more = true;
                    cuts.push_back(cut);
                    sent.overlap = true;
                }
            }
            const std::size_t count = cuts.size();
            for (const Cut& cut : cuts)
                pieces.emplace_back(fragment(sent.family, sent.data, cut, wire::protocol_esp, identification), packets.size());
            if (!sent.overlap && below(3) == 0) pieces.push_back(pieces[pieces.size() - 1 - below(static_cast<unsigned>(count))]); // a copy
            packets.push_back(std::move(sent));
        }
        std::ranges::shuffle(pieces, random);
        for (const auto& [octets, packet] : pieces) handler.take(bench.receive(octets), round * 10 * second, bench);
        std::vector<unsigned> found(packets.size());
        for (const Frame& frame : bench.back) {
            const Octets data(frame.at(frame.transport), frame.at(frame.end));
            const auto at = std::ranges::find(packets, data, &Sent::data);
            ASSERT_NE(at, packets.end());
            ++found[static_cast<std::size_t>(at - packets.begin())];
        }
        bench.returned();
        for (std::size_t i = 0; i < packets.size(); ++i) {
            // An overlap that comes when the packet has been put together finds nothing to overlap with.
            if (packets[i].overlap)
                EXPECT_LE(found[i], 1U);
            else
                EXPECT_EQ(found[i], packets[i].complete ? 1U : 0U);
            joined += found[i];
            spoilt += packets[i].overlap && found[i] == 0 ? 1 : 0;
        }
        handler.look(round * 10 * second + 3 * second, bench);
        EXPECT_EQ(handler.held(), 0U);
        EXPECT_EQ(bench.out(), 0U);
    }
    EXPECT_GT(joined, 1000U);
    EXPECT_GT(spoilt, 100U);
}

// --- fragments that follow their first ---

class InnerTest : public ::testing::TestWithParam<unsigned> {
protected:
    void send(const Cut& cut, std::uint64_t way = way_red, std::uint8_t protocol = wire::protocol_udp, const Octets& from = segment) {
        Frame frame = bench.receive(fragment(GetParam(), from, cut, protocol));
        frame.sequence = way;
        handler.take(frame, 0, bench);
    }
    void expect_nothing_left() {
        handler.leave(bench);
        bench.returned();
        EXPECT_EQ(bench.out(), 0U);
    }

    static const Octets segment;
    Bench bench;
    InnerFragments handler;
};

const Octets InnerTest::segment = udp(4000, 5000, payload(2000));

INSTANTIATE_TEST_SUITE_P(Families, InnerTest, ::testing::Values(4U, 6U), ::testing::PrintToStringParamName());

TEST_P(InnerTest, AllFollowTheFirst) {
    send({1600, 408, false});
    send({800, 800, true});
    EXPECT_TRUE(bench.back.empty());
    EXPECT_EQ(handler.held(), 2U);
    send({0, 800, true});
    ASSERT_EQ(bench.back.size(), 3U);
    EXPECT_EQ(wire::fragment_of(bench.receive(packet_in(bench.back[0]))).offset, 0U) << "the first goes first";
    for (const Frame& frame : bench.back) {
        EXPECT_EQ(frame.flags, frame_ports | frame_gathered);
        const Flow flow = wire::flow_of(frame);
        EXPECT_TRUE(flow.ports_known);
        EXPECT_EQ(flow.protocol, wire::protocol_udp);
        EXPECT_EQ(flow.source_port, 4000);
        EXPECT_EQ(flow.destination_port, 5000);
    }
    EXPECT_EQ(packet_in(bench.back[1]), fragment(GetParam(), segment, {1600, 408, false}, wire::protocol_udp)) << "unchanged";
    EXPECT_EQ(handler.next(), Handler::never) << "the packet is through: forgotten";
}

TEST_P(InnerTest, LaterOnesPassWhileTheFirstIsKnown) {
    send({0, 800, true});
    send({800, 800, true});
    EXPECT_EQ(bench.returned().size(), 2U);
    handler.look(2 * second, bench);
    send({1600, 408, false});
    EXPECT_TRUE(bench.back.empty()) << "forgotten meanwhile";
    handler.look(second * 5, bench);
    EXPECT_EQ(bench.dropped[DropReason::fragment_inner], 1U);
    expect_nothing_left();
}

TEST_P(InnerTest, WaysAreKeptApart) {
    send({0, 800, true});
    for (const std::uint64_t way : {way_black, way_opened, way_opened + 1}) send({800, 800, true}, way);
    EXPECT_EQ(bench.returned().size(), 1U);
    EXPECT_EQ(handler.held(), 3U);
    send({0, 800, true}, way_opened + 1);
    ASSERT_EQ(bench.back.size(), 2U);
    for (const Frame& frame : bench.back) {
        EXPECT_NE(frame.flags & frame_onward, 0) << "judged: to be routed";
        EXPECT_NE(frame.flags & frame_fragment, 0);
    }
    bench.returned();
    expect_nothing_left();
}

TEST_P(InnerTest, TinyOnes) {
    const Octets tcp = payload(64);
    send({24, 8, true}, way_red, wire::protocol_tcp, tcp);
    send({0, 16, true}, way_red, wire::protocol_tcp, tcp);
    EXPECT_EQ(bench.dropped[DropReason::fragment_tiny], 2U) << "and what waited for it";
    send({32, 8, true}, way_red, wire::protocol_tcp, tcp);
    EXPECT_EQ(bench.dropped[DropReason::fragment_tiny], 3U) << "and what comes after it";
    expect_nothing_left();
}

TEST(Inner, LaterFragmentThatWritesOverThePorts) {
    Bench bench;
    InnerFragments handler;
    const Octets tcp = payload(64);
    handler.take(bench.receive(fragment4(tcp, {0, 24, true}, wire::protocol_tcp)), 0, bench);
    EXPECT_EQ(bench.returned().size(), 1U);
    handler.take(bench.receive(fragment4(tcp, {8, 24, true}, wire::protocol_tcp)), 0, bench);
    EXPECT_EQ(bench.dropped[DropReason::fragment_tiny], 1U);
    handler.take(bench.receive(fragment4(tcp, {24, 24, true}, wire::protocol_tcp)), 0, bench);
    EXPECT_EQ(bench.dropped[DropReason::fragment_tiny], 2U);
    EXPECT_EQ(bench.out(), 0U);
}

TEST_P(InnerTest, SecondFirstFragmentWithOtherPorts) {
    send({800, 800, true});
    send({0, 800, true});
    send({0, 800, true}); // a copy
    EXPECT_EQ(bench.returned().size(), 3U);
    send({0, 800, true}, way_red, wire::protocol_udp, udp(4000, 22, payload(2000)));
    EXPECT_EQ(bench.dropped[DropReason::fragment_overlap], 1U);
    send({1600, 408, false});
    EXPECT_EQ(bench.dropped[DropReason::fragment_overlap], 2U);
    expect_nothing_left();
}

TEST_P(InnerTest, FloodsAreBounded) {
    for (unsigned i = 0; i < 5000; ++i) {
        Frame frame = bench.receive(fragment(GetParam(), segment, {800, 800, true}, wire::protocol_udp, static_cast<std::uint16_t>(i)));
        handler.take(frame, 0, bench);
        ASSERT_LE(bench.out(), 64U);
    }
    expect_nothing_left();
}

// Random packets whose fragments come in any order, some of them lost: everything of a packet whose first fragment comes goes on, nothing
// of the others.
TEST(Inner, AgainstAModel) {
    std::mt19937 random(7);
    Bench bench;
    InnerFragments handler(FragmentLimits{.packets = 1000, .frames = 3000, .each = 64, .share = 1});
    for (unsigned round = 0; round < 200; ++round) {
        std::vector<Octets> pieces;
        std::size_t expected = 0;
        for (std::uint16_t identification = 0; identification < 10; ++identification) {
            const unsigned family = random() % 2 != 0 ? 4 : 6;
            const Octets data = udp(static_cast<std::uint16_t>(1000 + identification), 53, payload(100 + random() % 3000));
            std::vector<Cut> cuts = cuts_of(static_cast<unsigned>(data.size()), static_cast<unsigned>(8 * (2 + random() % 100)));
            if (cuts.size() < 2 || cuts.size() > 64) continue;
            const bool first_lost = random() % 3 == 0;
            if (first_lost) cuts.erase(cuts.begin());
            expected += first_lost ? 0 : cuts.size();
            for (const Cut& cut : cuts) pieces.push_back(fragment(family, data, cut, wire::protocol_udp, identification));
        }
        std::ranges::shuffle(pieces, random);
        for (const Octets& piece : pieces) handler.take(bench.receive(piece), round * 10 * second, bench);
        EXPECT_EQ(bench.back.size(), expected);
        for (const Frame& frame : bench.back) {
            const Octets packet = packet_in(frame);
            const Frame parsed = bench.receive(packet);
            EXPECT_EQ(wire::flow_of(frame).source_port - 1000U, wire::fragment_of(parsed).identification);
            bench.used_up(parsed);
        }
        bench.returned();
        handler.look(round * 10 * second + 3 * second, bench);
        EXPECT_EQ(bench.out(), 0U);
    }
}

} // namespace
} // namespace sallyport::exception
