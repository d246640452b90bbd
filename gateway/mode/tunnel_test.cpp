// SPDX-License-Identifier: Apache-2.0
#include "gateway/mode/tunnel.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <vector>

namespace sallyport::mode {
namespace {

SaSpec spec_of(Family family) {
    SaSpec spec;
    spec.spi = 0x12345678;
    spec.outer_local = *parse_address(family == Family::ipv4 ? "192.0.2.1" : "2001:db8::1");
    spec.outer_remote = *parse_address(family == Family::ipv4 ? "198.51.100.7" : "2001:db8:f::7");
    spec.hop_limit = 63;
    return spec;
}

std::vector<std::uint8_t> ipv4_packet(std::uint8_t tos, std::uint16_t fragment, unsigned length = 48) {
    std::vector<std::uint8_t> packet(length);
    packet[0] = 0x45;
    packet[wire::ipv4_tos] = tos;
    wire::store16(packet.data() + wire::ipv4_total_length, static_cast<std::uint16_t>(length));
    wire::store16(packet.data() + wire::ipv4_fragment, fragment);
    packet[wire::ipv4_ttl] = 17;
    wire::write_ipv4_checksum(packet.data(), wire::ipv4_size);
    return packet;
}

std::vector<std::uint8_t> ipv6_packet(std::uint8_t traffic_class, unsigned length = 60) {
    std::vector<std::uint8_t> packet(length);
    wire::store32(packet.data(), 0x600abcdeU | std::uint32_t{traffic_class} << 20);
    wire::store16(packet.data() + wire::ipv6_payload_length, static_cast<std::uint16_t>(length - wire::ipv6_size));
    packet[wire::ipv6_hop_limit] = 17;
    return packet;
}

/// A frame over a chunk of its own, with the packet at 300.
struct Held {
    std::vector<std::uint8_t> chunk = std::vector<std::uint8_t>(chunk_size, 0xcc);
    Frame frame;

    Held(const std::vector<std::uint8_t>& packet, std::uint8_t family) {
        frame.chunk = chunk.data();
        frame.network = 300;
        frame.end = static_cast<std::uint16_t>(300 + packet.size());
        frame.family = family;
        std::ranges::copy(packet, chunk.begin() + 300);
    }
};

TEST(OuterIpv4, IsWholeWithItsChecksumForEveryRule) {
    for (const DscpRule dscp : {DscpRule::copy, DscpRule::set})
        for (const DfRule df : {DfRule::copy, DfRule::set, DfRule::clear})
            for (const std::uint16_t fragment : {std::uint16_t{0}, wire::ipv4_dont_fragment})
                for (unsigned tos = 0; tos < 256; ++tos) {
                    SaSpec spec = spec_of(Family::ipv4);
                    spec.dscp = dscp;
                    spec.dscp_value = 46;
                    spec.df = df;
                    const Outer ready = make_outer(spec);
                    ASSERT_EQ(ready.length, 20);
                    EXPECT_EQ(wire::load32(ready.octets.data() + 20), spec.spi);
                    const Held held(ipv4_packet(static_cast<std::uint8_t>(tos), fragment), 4);
                    std::array<std::uint8_t, 20> header{};
                    put_outer_ipv4(header.data(), ready.octets.data(), 1400 + tos, static_cast<std::uint16_t>(0xff00 + tos),
                                   inner_of(held.frame), ready.rules);
                    EXPECT_EQ(wire::checksum_raw(header.data(), 20), 0);
                    EXPECT_EQ(header[0], 0x45);
                    EXPECT_EQ(header[wire::ipv4_tos], dscp == DscpRule::copy ? tos : (46U << 2 | (tos & 3U)));
                    EXPECT_EQ(wire::load16(header.data() + wire::ipv4_total_length), 1400 + tos);
                    EXPECT_EQ(wire::load16(header.data() + wire::ipv4_identification), 0xff00 + tos);
                    const bool set = df == DfRule::set || (df == DfRule::copy && fragment != 0);
                    EXPECT_EQ(wire::load16(header.data() + wire::ipv4_fragment), set ? 0x4000 : 0);
                    EXPECT_EQ(header[wire::ipv4_ttl], 63);
                    EXPECT_EQ(header[wire::ipv4_protocol], 50);
                    EXPECT_EQ(wire::load32(header.data() + wire::ipv4_source), 0xc0000201U);
                    EXPECT_EQ(wire::load32(header.data() + wire::ipv4_destination), 0xc6336407U);
                }
}

TEST(OuterIpv4, AroundIpv6IsNeverToBeFragmentedUnlessSaidSo) {
    for (const DfRule df : {DfRule::copy, DfRule::set, DfRule::clear}) {
        SaSpec spec = spec_of(Family::ipv4);
        spec.df = df;
        const Outer ready = make_outer(spec);
        const Held held(ipv6_packet(0xb9), 6);
        std::array<std::uint8_t, 20> header{};
        put_outer_ipv4(header.data(), ready.octets.data(), 200, 1, inner_of(held.frame), ready.rules);
        EXPECT_EQ(header[wire::ipv4_fragment] != 0, df != DfRule::clear);
        EXPECT_EQ(header[wire::ipv4_tos], 0xb9);
        EXPECT_EQ(wire::checksum_raw(header.data(), 20), 0);
    }
}

TEST(OuterIpv6, IsWhole) {
    SaSpec spec = spec_of(Family::ipv6);
    const Outer ready = make_outer(spec);
    ASSERT_EQ(ready.length, 40);
    EXPECT_EQ(wire::load32(ready.octets.data() + 40), spec.spi);
    const Held held(ipv4_packet(0xab, 0), 4);
    std::array<std::uint8_t, 40> header{};
    put_outer_ipv6(header.data(), ready.octets.data(), 140, inner_of(held.frame), ready.rules);
    const std::uint32_t first = wire::load32(header.data());
    EXPECT_EQ(first >> 28, 6U);
    EXPECT_EQ(first >> 20 & 0xff, 0xabU);
    EXPECT_NE(first & 0xfffff, 0U);
    EXPECT_EQ(first & 0xfffff, wire::load32(ready.octets.data()) & 0xfffff) << "the flow label is the SA's, not the packet's";
    EXPECT_EQ(wire::load16(header.data() + wire::ipv6_payload_length), 100);
    EXPECT_EQ(header[wire::ipv6_next_header], 50);
    EXPECT_EQ(header[wire::ipv6_hop_limit], 63);
    EXPECT_TRUE(std::equal(spec.outer_local.octets.begin(), spec.outer_local.octets.end(), header.begin() + 8));
    EXPECT_TRUE(std::equal(spec.outer_remote.octets.begin(), spec.outer_remote.octets.end(), header.begin() + 24));
    spec.spi ^= 1;
    EXPECT_NE(wire::load32(make_outer(spec).octets.data()), wire::load32(ready.octets.data())) << "another SA, another flow label";
    spec.dscp = DscpRule::set;
    spec.dscp_value = 10;
    const Outer set = make_outer(spec);
    put_outer_ipv6(header.data(), set.octets.data(), 140, inner_of(held.frame), set.rules);
    EXPECT_EQ(wire::load32(header.data()) >> 20 & 0xff, 10U << 2 | 3U);
}

TEST(HopLimit, IsCountedAndExpires) {
    for (const std::uint8_t family : {std::uint8_t{4}, std::uint8_t{6}})
        for (unsigned hops = 0; hops < 256; ++hops) {
            auto packet = family == 4 ? ipv4_packet(0, 0) : ipv6_packet(0);
            packet[family == 4 ? wire::ipv4_ttl : wire::ipv6_hop_limit] = static_cast<std::uint8_t>(hops);
            if (family == 4) wire::write_ipv4_checksum(packet.data(), 20);
            Held held(packet, family);
            const DropReason reason = count_hop(held.frame);
            const std::uint8_t* header = held.frame.at(300);
            EXPECT_EQ(reason, hops <= 1 ? DropReason::ttl_expired : DropReason::none);
            EXPECT_EQ(header[family == 4 ? wire::ipv4_ttl : wire::ipv6_hop_limit], hops <= 1 ? hops : hops - 1);
            if (family == 4) {
                EXPECT_EQ(wire::checksum_raw(header, 20), 0);
            }
        }
}

/// RFC 6040 figure 4, written out: rows inner Not-ECT, ECT(0), ECT(1), CE; columns outer the same; -1: drop.
constexpr std::array<int, 4> codepoints{0b00, 0b10, 0b01, 0b11};
constexpr std::array<std::array<int, 4>, 4> figure_4{{
    {0b00, 0b00, 0b00, -1},
    {0b10, 0b10, 0b01, 0b11},
    {0b01, 0b01, 0b01, 0b11},
    {0b11, 0b11, 0b11, 0b11},
}};

TEST(Ecn, IsMergedAsInFigure4) {
    for (const std::uint8_t family : {std::uint8_t{4}, std::uint8_t{6}})
        for (unsigned inner = 0; inner < 4; ++inner)
            for (unsigned outer = 0; outer < 4; ++outer) {
                SCOPED_TRACE(testing::Message() << "family " << int{family} << " inner " << inner << " outer " << outer);
                const auto before = static_cast<std::uint8_t>(0xa8 | codepoints[inner]);
                auto packet = family == 4 ? ipv4_packet(before, 0) : ipv6_packet(before);
                const auto untouched = packet;
                const DropReason reason = merge_ecn(packet.data(), family, static_cast<std::uint8_t>(0x54 | codepoints[outer]));
                const int expected = figure_4[inner][outer];
                EXPECT_EQ(reason, expected < 0 ? DropReason::ecn_illegal : DropReason::none);
                if (expected < 0 || expected == codepoints[inner]) {
                    EXPECT_EQ(packet, untouched);
                    continue;
                }
                const auto after = static_cast<std::uint8_t>(0xa8 | expected);
                EXPECT_EQ(packet, family == 4 ? ipv4_packet(after, 0) : ipv6_packet(after));
            }
}

TEST(InnerLength, ComesFromTheInnerHeader) {
    auto packet = ipv4_packet(0, 0, 48);
    EXPECT_EQ(inner_length(packet.data(), 4, 48), 48U);
    EXPECT_EQ(inner_length(packet.data(), 4, 600), 48U);
    EXPECT_EQ(inner_length(packet.data(), 4, 47), 0U);
    EXPECT_EQ(inner_length(packet.data(), 6, 48), 0U);
    EXPECT_EQ(inner_length(packet.data(), 4, 0), 0U);
    EXPECT_EQ(inner_length(packet.data(), 4, 19), 0U);
    packet[0] = 0x43;
    EXPECT_EQ(inner_length(packet.data(), 4, 48), 0U);
    packet[0] = 0x4f;
    EXPECT_EQ(inner_length(packet.data(), 4, 48), 0U);
    packet[0] = 0x45;
    wire::store16(packet.data() + 2, 19);
    EXPECT_EQ(inner_length(packet.data(), 4, 48), 0U);
    const auto six = ipv6_packet(0, 60);
    EXPECT_EQ(inner_length(six.data(), 6, 60), 60U);
    EXPECT_EQ(inner_length(six.data(), 6, 59), 0U);
    EXPECT_EQ(inner_length(six.data(), 6, 39), 0U);
    EXPECT_EQ(inner_length(six.data(), 6, 20), 0U);
}

/// Packet, TFC padding, padding, pad length, next header.
DropReason take(const std::vector<std::uint8_t>& plain, std::uint8_t outer_class = 0, Frame* result = nullptr) {
    Held held(plain, 0);
    held.frame.traffic_class = outer_class;
    auto end = static_cast<unsigned>(300 + plain.size());
    std::uint8_t next_header = 0;
    DropReason reason = take_trailer(held.frame, 300, end, next_header);
    if (reason == DropReason::none) reason = take_inner(held.frame, 300, end, next_header);
    if (result != nullptr) *result = held.frame;
    return reason;
}

std::vector<std::uint8_t> with_trailer(std::vector<std::uint8_t> packet, unsigned padding, std::uint8_t next_header) {
    for (unsigned i = 1; i <= padding; ++i) packet.push_back(static_cast<std::uint8_t>(i));
    packet.push_back(static_cast<std::uint8_t>(padding));
    packet.push_back(next_header);
    return packet;
}

TEST(TakeInner, CutsPaddingOfEveryLength) {
    for (unsigned padding = 0; padding < 256; ++padding) {
        Frame frame;
        EXPECT_EQ(take(with_trailer(ipv4_packet(0, 0, 48), padding, 4), 0, &frame), DropReason::none);
        EXPECT_EQ(frame.network, 300);
        EXPECT_EQ(frame.end, 348);
        EXPECT_EQ(frame.family, 4);
    }
    Frame frame;
    EXPECT_EQ(take(with_trailer(ipv6_packet(0, 60), 2, 41), 0, &frame), DropReason::none);
    EXPECT_EQ(frame.end, 360);
    EXPECT_EQ(frame.family, 6);
}

TEST(TakeInner, RefusesWrongPadding) {
    auto plain = with_trailer(ipv4_packet(0, 0, 48), 3, 4);
    for (unsigned i = 48; i < 51; ++i) {
        auto wrong = plain;
        wrong[i] ^= 0x80;
        EXPECT_EQ(take(wrong), DropReason::bad_padding);
    }
    for (unsigned padding = 0; padding < 256; ++padding)
        for (unsigned i = 0; i < padding; ++i) {
            auto wrong = with_trailer(ipv4_packet(0, 0, 48), padding, 4);
            wrong[48 + i] ^= 0x01;
            EXPECT_EQ(take(wrong), DropReason::bad_padding) << padding << " " << i;
        }
    plain[51] = 52; // one more than there is
    EXPECT_EQ(take(plain), DropReason::bad_padding);
    EXPECT_EQ(take({255, 4}), DropReason::bad_padding);
    EXPECT_EQ(take({0, 1, 2, 4, 4}), DropReason::bad_padding);
    EXPECT_EQ(take({1, 2, 2, 4}), DropReason::malformed_inner); // only padding
    EXPECT_EQ(take({0, 4}), DropReason::malformed_inner);
}

TEST(TakeInner, KnowsTheNextHeaders) {
    EXPECT_EQ(take(with_trailer(ipv4_packet(0, 0), 2, 6)), DropReason::bad_next_header);
    EXPECT_EQ(take(with_trailer(ipv4_packet(0, 0), 2, 41)), DropReason::malformed_inner);
    EXPECT_EQ(take(with_trailer(ipv6_packet(0), 2, 4)), DropReason::malformed_inner);
    EXPECT_EQ(take({7, 7, 7, 255, 59}), DropReason::dummy); // whatever its padding says
}

TEST(TakeInner, CutsTrafficFlowPaddingAndMergesEcn) {
    auto plain = ipv4_packet(2, 0, 48);
    plain.resize(648, 0);
    Frame frame;
    EXPECT_EQ(take(with_trailer(plain, 2, 4), 3, &frame), DropReason::none);
    EXPECT_EQ(frame.end, 348);
    EXPECT_EQ(take(with_trailer(ipv4_packet(0, 0), 2, 4), 3), DropReason::ecn_illegal);
}

TEST(Dummy, IsZeroAndOurs) {
    for (const unsigned octets : {0U, 1U, 100U, 2048U, 100000U}) {
        Held held({}, 4);
        make_dummy(held.frame, octets);
        EXPECT_EQ(held.frame.network_length(), std::clamp(octets, 1U, 2048U));
        EXPECT_TRUE(
            std::all_of(held.frame.at(held.frame.network), held.frame.at(held.frame.end), [](std::uint8_t octet) { return octet == 0; }));
        EXPECT_EQ(inner_of(held.frame).next_header, 59);
        EXPECT_EQ(held.frame.flags, frame_ours);
    }
}

} // namespace
} // namespace sallyport::mode
