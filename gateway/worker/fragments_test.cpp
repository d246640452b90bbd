// SPDX-License-Identifier: Apache-2.0
// Workers and the exception stage together: fragments on their way from side to side.
#include "gateway/exception/cutter.hpp"
#include "gateway/exception/inner_fragments.hpp"
#include "gateway/exception/reassembly.hpp"
#include "gateway/exception/stage.hpp"
#include "gateway/exception/testing.hpp"
#include "gateway/mode/tunnel.hpp"
#include "gateway/worker/rig.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sallyport::worker {
namespace {

using namespace rig;
using namespace wire::samples;
using exception::testing::Cut;

constexpr std::uint64_t second = 1'000'000'000;

/// A gateway whose exception stage is there, driven by hand.
struct Helped {
    explicit Helped(const Options& options = {}) : gateway(options) {
        stage.serve(Errand::reassemble_outer, reassembly);
        stage.serve(Errand::reassemble_inner, inner_reassembly);
        stage.serve(Errand::inner_fragment, inner);
        stage.serve(Errand::cut, cutter);
        stage.meet({&gateway.worker().inbox()});
    }

    std::vector<Octets> send(unsigned which, const std::vector<Octets>& frames) {
        for (const Octets& frame : frames) EXPECT_TRUE(gateway.port(which).inject(frame));
        return pump();
    }
    std::vector<Octets> send(unsigned which, const Octets& frame) { return send(which, std::vector<Octets>{frame}); }

    std::vector<Octets> pump(std::uint64_t now = 0) {
        std::array<Frame, 64> frames;
        do {
            gateway.run();
            const unsigned count = gateway.exceptions().pop(frames);
            EXPECT_EQ(stage.inbox().push(std::span(frames).first(count)), count);
            stage.run_once(now);
        } while (!gateway.worker().inbox().empty() || !gateway.exceptions().empty());
        gateway.run();
        std::vector<Octets> sent;
        for (const unsigned port : {black, red})
            for (Octets& octets : gateway.port(port).take()) sent.push_back(std::move(octets));
        return sent;
    }
    [[nodiscard]] std::uint64_t dropped(DropReason reason) const {
        return gateway.dropped(reason) + stage.counters().dropped[static_cast<std::size_t>(reason)];
    }

    Gateway gateway;
    exception::Reassembly reassembly, inner_reassembly{{}, DropReason::fragment_transport};
    exception::InnerFragments inner;
    exception::Cutter cutter{1};
    exception::Stage stage{gateway.depot()};
};

Options right_side(bool ipv6_outside = false) {
    Options options;
    options.left = false;
    options.ipv6_outside = ipv6_outside;
    return options;
}

Octets inner_packet(const char* source, const char* destination, const Octets& data, const Cut& cut, std::uint8_t protocol = 17) {
    const auto from = data.begin() + cut.offset;
    return ipv4(source, destination, protocol, Octets(from, from + cut.octets), 64,
                static_cast<std::uint16_t>(cut.offset / 8 | (cut.more ? 0x2000U : 0U)));
}

/// The sealed packet as a router on the way cuts it.
std::vector<Octets> cut_on_the_way(const Octets& frame, unsigned each) {
    const Octets packet = rig::packet_in(frame);
    std::vector<Octets> pieces;
    const bool four = packet[0] >> 4 == 4;
    const unsigned header = four ? 20 : 40;
    for (unsigned at = 0; at < packet.size() - header; at += each) {
        const unsigned octets = std::min(each, static_cast<unsigned>(packet.size()) - header - at);
        const bool more = header + at + octets < packet.size();
        const Octets data(packet.begin() + header + at, packet.begin() + header + at + octets);
        if (four)
            pieces.push_back(
                ethernet(ipv4("192.0.2.1", "192.0.2.2", 50, data, 64, static_cast<std::uint16_t>(at / 8 | (more ? 0x2000U : 0U)))));
        else
            pieces.push_back(ethernet(ipv6("2001:db8:ff::1", "2001:db8:ff::2", 44,
                                           fragment_header(50, static_cast<std::uint16_t>(at | (more ? 1U : 0U))) + data)));
    }
    return pieces;
}

TEST(Fragments, OuterOnesAreOpenedWhole) {
    for (const bool six : {false, true}) {
        Options left_options;
        left_options.ipv6_outside = six;
        Helped left(left_options), right(right_side(six));
        left.gateway.protect(1000, left.gateway.everything());
        right.gateway.protect(1000, right.gateway.everything());
        const Octets packet = ipv4("10.1.0.5", "10.2.0.5", 17, udp(1000, 2000, payload(1000)));
        for (unsigned order = 0; order < 2; ++order) {
            const std::vector<Octets> sealed = left.send(red, ethernet(packet));
            ASSERT_EQ(sealed.size(), 1U);
            std::vector<Octets> pieces = cut_on_the_way(sealed[0], 400);
            ASSERT_EQ(pieces.size(), 3U);
            if (order == 1) std::ranges::reverse(pieces);
            const std::vector<Octets> opened = right.send(black, pieces);
            ASSERT_EQ(opened.size(), 1U);
            EXPECT_EQ(Octets(opened[0].begin() + 14 + 20, opened[0].end()), Octets(packet.begin() + 20, packet.end()));
        }
        EXPECT_EQ(right.gateway.worker().counters().opened, 2U);
        std::vector<Octets> pieces = cut_on_the_way(left.send(red, ethernet(packet)).at(0), 400);
        pieces.pop_back();
        EXPECT_TRUE(right.send(black, pieces).empty());
        EXPECT_TRUE(right.pump(3 * second).empty());
        EXPECT_EQ(right.dropped(DropReason::fragment_outer), 2U);
    }
}

/// BEET carries whole packets: fragments are put together, sealed whole, cut on both links, and the host gets what was sent.
TEST(Fragments, AreSealedWholeWhereTheirModeWantsIt) {
    const auto make = [](bool is_left) {
        Options options;
        options.left = is_left;
        auto made = std::make_unique<Helped>(options);
        const char *here = is_left ? "10.1.0.5" : "10.2.0.5", *there = is_left ? "10.2.0.5" : "10.1.0.5";
        const std::vector<Selector> selectors{{*parse_range(here), *parse_range(there)}};
        made->gateway.add_pair(1000, selectors, wan_vpn, [](SaSpec& spec) { spec.mode = SaMode::beet, spec.mtu = 1500; });
        made->gateway.policy(PolicyAction::protect, selectors, &made->gateway.outbound(0));
        return made;
    };
    const auto left = make(true), right = make(false);
    const Octets message = udp(1000, 2000, payload(2000));
    std::vector<Octets> pieces;
    for (const Cut& cut : {Cut{1000, 1008, false}, Cut{0, 1000, true}})
        pieces.push_back(ethernet(inner_packet("10.1.0.5", "10.2.0.5", message, cut)));
    const std::vector<Octets> sealed = left->send(red, pieces);
    ASSERT_EQ(sealed.size(), 2U) << "one packet in two pieces";
    EXPECT_EQ(left->gateway.worker().counters().sealed, 1U);
    const std::vector<Octets> opened = right->send(black, sealed);
    ASSERT_EQ(opened.size(), 2U);
    EXPECT_EQ(right->gateway.worker().counters().opened, 1U);
    Octets got;
    for (const Octets& frame : opened) got.insert(got.end(), frame.begin() + 34, frame.end());
    EXPECT_EQ(got, message);

    pieces.pop_back();
    EXPECT_TRUE(left->send(red, pieces).empty());
    EXPECT_TRUE(left->pump(3 * second).empty());
    EXPECT_EQ(left->dropped(DropReason::fragment_transport), 1U) << "a packet that stays incomplete";
    EXPECT_EQ(left->gateway.outbound(0).counters->errors, 0U);
}

TEST(Fragments, ReassembledIkeIsSeenAsIke) {
    Helped gateway(right_side());
    const Octets message = udp(500, 500, payload(1000));
    std::vector<Octets> pieces;
    for (const Cut& cut : {Cut{504, 504, false}, Cut{0, 504, true}})
        pieces.push_back(ethernet(inner_packet("192.0.2.1", "192.0.2.2", message, cut)));
    EXPECT_TRUE(gateway.send(black, pieces).empty());
    EXPECT_EQ(gateway.dropped(DropReason::ike_nobody_listening), 1U);
    EXPECT_EQ(gateway.dropped(DropReason::fragment_outer), 0U);
}

/// RFC 4301 7.3 outbound: fragments go where a whole packet with these ports would go.
TEST(Fragments, PolicyThatNamesPorts) {
    Helped left;
    const auto between = [&](PortRange ports) {
        return std::vector{Selector{*parse_range("10.1.0.0/16"), *parse_range("10.2.0.0/16"), 17, {}, ports}};
    };
    left.gateway.protect(1000, between({53, 53}));
    left.gateway.protect(2000, between({123, 123}));
    const auto spi_of = [](const Octets& frame) { return wire::load32(&frame[14 + 20]); };
    for (const auto& [port, spi] : {std::pair{53U, 1000U}, std::pair{123U, 2000U}}) {
        const Octets data = udp(4000, static_cast<std::uint16_t>(port), payload(1200));
        std::vector<Octets> pieces;
        for (const Cut& cut : {Cut{800, 408, false}, Cut{400, 400, true}, Cut{0, 400, true}})
            pieces.push_back(ethernet(inner_packet("10.1.0.5", "10.2.0.5", data, cut)));
        const std::vector<Octets> sealed = left.send(red, pieces);
        ASSERT_EQ(sealed.size(), 3U);
        for (const Octets& frame : sealed) EXPECT_EQ(spi_of(frame), spi);
    }
    const Octets data = udp(4000, 80, payload(1200));
    EXPECT_TRUE(left.send(red, {ethernet(inner_packet("10.1.0.5", "10.2.0.5", data, {400, 808, false})),
                                ethernet(inner_packet("10.1.0.5", "10.2.0.5", data, {0, 400, true}))})
                    .empty());
    EXPECT_EQ(left.dropped(DropReason::no_policy), 2U) << "all of them: no policy for these ports";
    EXPECT_TRUE(left.send(red, ethernet(inner_packet("10.1.0.5", "10.2.0.5", data, {400, 808, false}))).empty());
    EXPECT_TRUE(left.pump(3 * second).empty());
    EXPECT_EQ(left.dropped(DropReason::fragment_inner), 1U);
}

/// RFC 4301 7.3 inbound: only fragments whose first one passed the same SA.
TEST(Fragments, SaThatNamesPorts) {
    Helped left, right(right_side());
    const Selector any{*parse_range("0.0.0.0/0"), *parse_range("0.0.0.0/0"), 0, {}, {}};
    left.gateway.protect(1000, {any});
    right.gateway.add_pair(1000, {{*parse_range("10.2.0.0/16"), *parse_range("10.1.0.0/16"), 17, {2000, 2009}, {}}});
    right.gateway.add_pair(3000, {any});
    const auto carried = [&](std::uint16_t port, const std::vector<Cut>& cuts) {
        const Octets data = udp(1000, port, payload(1192));
        std::vector<Octets> pieces;
        for (const Cut& cut : cuts) pieces.push_back(ethernet(inner_packet("10.1.0.5", "10.2.0.5", data, cut)));
        return right.send(black, left.send(red, pieces)).size();
    };
    EXPECT_EQ(carried(2003, {{0, 400, true}, {400, 400, true}, {800, 400, false}}), 3U);
    EXPECT_EQ(carried(2003, {{800, 400, false}, {400, 400, true}, {0, 400, true}}), 3U);
    EXPECT_EQ(carried(2010, {{800, 400, false}, {0, 400, true}}), 0U);
    EXPECT_EQ(right.dropped(DropReason::selector_mismatch), 1U) << "the first";
    right.pump(3 * second);
    EXPECT_EQ(right.dropped(DropReason::fragment_inner), 1U) << "the one that waited for it";
    EXPECT_EQ(carried(2003, {{0, 0, true}}), 0U); // nothing of UDP in it
    EXPECT_EQ(right.dropped(DropReason::fragment_tiny), 1U);
    EXPECT_EQ(right.gateway.worker().counters().opened, 9U);
}

/// RFC 4301 7.4: a bypass entry with ports, both ways.
TEST(Fragments, BypassThatNamesPorts) {
    Helped left;
    left.gateway.policy(PolicyAction::bypass, {{*parse_range("10.1.0.0/16"), *parse_range("10.8.0.0/16"), 17, {}, {123, 123}}});
    const auto carried = [&](unsigned from, std::uint16_t port) {
        const Octets data = from == red ? udp(9, port, payload(792)) : udp(port, 9, payload(792));
        std::vector<Octets> pieces;
        for (const Cut& cut : {Cut{400, 400, false}, Cut{0, 400, true}})
            pieces.push_back(
                ethernet(from == red ? inner_packet("10.1.0.5", "10.8.0.1", data, cut) : inner_packet("10.8.0.1", "10.1.0.5", data, cut)));
        return left.send(from, pieces).size();
    };
    EXPECT_EQ(carried(red, 123), 2U);
    EXPECT_EQ(carried(black, 123), 2U);
    EXPECT_EQ(carried(red, 124), 0U);
    EXPECT_EQ(carried(black, 124), 0U);
    EXPECT_EQ(left.dropped(DropReason::no_policy), 2U);
    EXPECT_EQ(left.dropped(DropReason::transit_from_black), 2U);
}

/// In clear a router cuts what may be cut (RFC 1812 5.2.6).
TEST(Fragments, ClearPacketLargerThanItsWay) {
    Options options;
    options.mtu = 1000;
    Helped left(options);
    left.gateway.policy(PolicyAction::bypass, {{*parse_range("10.1.0.0/16"), *parse_range("10.8.0.0/16"), 0, {}, {}}});
    const Octets packet = ipv4("10.1.0.5", "10.8.0.1", 17, udp(1, 2, payload(1400)));
    const std::vector<Octets> pieces = left.send(red, ethernet(packet));
    ASSERT_EQ(pieces.size(), 2U);
    EXPECT_EQ(pieces[0].size(), 14U + 20 + 976);
    EXPECT_EQ(pieces[1].size(), 14U + 20 + 1408 - 976);
    EXPECT_EQ(pieces[1][14 + 8], 63) << "one hop";
    Octets whole = packet;
    wire::store16(&whole[wire::ipv4_fragment], wire::ipv4_dont_fragment);
    wire::write_ipv4_checksum(whole.data(), 20);
    EXPECT_TRUE(left.send(red, ethernet(whole)).empty());
    EXPECT_EQ(left.dropped(DropReason::too_big), 1U);
}

/// RFC 4301 8.2.1: each inner fragment is sealed, also where the policy names ports, which only the first shows.
TEST(Fragments, CutBeforeSealing) {
    for (const bool six : {false, true}) {
        Options options;
        options.ipv6_outside = six;
        Helped left(options), right(right_side(six));
        left.gateway.protect(1000, {{*parse_range("10.1.0.0/16"), *parse_range("10.2.0.0/16"), 17, {}, {2000, 2000}}});
        right.gateway.protect(1000, right.gateway.everything());
        transform::set_fit(left.gateway.outbound(0), transform::make_fit(left.gateway.outbound(0), 600, clamp_mss_off));
        const Octets packet = ipv4("10.1.0.5", "10.2.0.5", 17, udp(1000, 2000, payload(1400)));
        const std::vector<Octets> sealed = left.send(red, ethernet(packet));
        ASSERT_EQ(sealed.size(), 3U);
        Octets whole = Octets(packet.begin(), packet.begin() + 20);
        for (const Octets& frame : sealed) {
            EXPECT_LE(frame.size(), 14U + 600);
            const std::vector<Octets> opened = right.send(black, frame);
            ASSERT_EQ(opened.size(), 1U);
            EXPECT_EQ(opened[0][14 + 8], 62) << "two hops, as of any packet";
            append(whole, Octets(opened[0].begin() + 34, opened[0].end()));
        }
        EXPECT_EQ(whole, packet);
        EXPECT_EQ(left.gateway.dropped() + left.dropped(DropReason::too_big), 0U);
        EXPECT_EQ(left.gateway.worker().counters().sealed, 3U);
    }
}

/// The other way: the sealed packet is cut. An IPv6 packet that every link must carry has no other way, whatever the connection says.
TEST(Fragments, CutAfterSealing) {
    for (const bool six : {false, true}) {
        Options options;
        options.ipv6_outside = six;
        Helped left(options), right(right_side(six));
        left.gateway.protect(1000, left.gateway.everything());
        right.gateway.protect(1000, right.gateway.everything());
        transform::OutboundSa& sa = left.gateway.outbound(0);
        transform::set_fit(sa, transform::make_fit(sa, 600, clamp_mss_off));
        const auto carried = [&](const Octets& packet, unsigned pieces) {
            const std::vector<Octets> sent = left.send(red, ethernet(packet));
            EXPECT_EQ(sent.size(), pieces);
            for (const Octets& frame : sent) {
                EXPECT_LE(frame.size(), 14U + 600);
                EXPECT_EQ(frame[14] >> 4, six ? 6 : 4);
            }
            return right.send(black, sent);
        };
        const Octets ipv6_packet = ipv6("2001:db8:1::5", "2001:db8:2::5", 17, udp(1, 2, payload(1280 - 48)));
        const Octets ipv4_packet = ipv4("10.1.0.5", "10.2.0.5", 17, udp(1, 2, payload(1400)));
        EXPECT_EQ(carried(ipv6_packet, 3).at(0).size(), 14U + 1280);
        EXPECT_TRUE(left.send(red, ethernet(ipv6("2001:db8:1::5", "2001:db8:2::5", 17, udp(1, 2, payload(1281 - 48))))).empty());
        EXPECT_EQ(left.dropped(DropReason::too_big), 1U) << "its sender is told";
        EXPECT_EQ(carried(ipv4_packet, 3).size(), 3U) << "before";
        sa.rules |= mode::tunnel_cut_after;
        EXPECT_EQ(carried(ipv4_packet, 3).size(), 1U) << "after";
        EXPECT_EQ(left.gateway.worker().counters().sealed, 5U);
        Octets whole = ipv4_packet;
        wire::store16(&whole[wire::ipv4_fragment], wire::ipv4_dont_fragment);
        wire::write_ipv4_checksum(whole.data(), 20);
        EXPECT_TRUE(left.send(red, ethernet(whole)).empty());
        EXPECT_EQ(left.dropped(DropReason::too_big), 2U);
        EXPECT_EQ(right.gateway.dropped(), 0U);
    }
}

/// Fragments in, fragments of fragments out: nothing is lost, and every chunk is where it belongs.
TEST(Fragments, EveryChunkIsAccountedFor) {
    auto left = std::make_unique<Helped>();
    left->gateway.protect(1000, {{*parse_range("10.1.0.0/16"), *parse_range("10.2.0.0/16"), 17, {}, {2000, 2000}}});
    transform::set_fit(left->gateway.outbound(0), transform::make_fit(left->gateway.outbound(0), 600, clamp_mss_off));
    const Octets data = udp(1000, 2000, payload(2992));
    std::size_t sealed = 0;
    for (unsigned i = 0; i < 500; ++i) {
        const Cut cut = i % 3 == 0 ? Cut{1000, 1000, true} : i % 3 == 1 ? Cut{0, 1000, true} : Cut{2000, 1000, false};
        sealed += left->send(red, ethernet(inner_packet("10.1.0.5", "10.2.0.5", data, cut))).size();
    }
    EXPECT_EQ(sealed, 1000U) << "each in two";
    EXPECT_EQ(left->stage.counters().held, 0U);
    EXPECT_EQ(left->gateway.dropped(), 0U);
    EXPECT_EQ(left->gateway.chunks_after_the_workers(), 4096U);
}

} // namespace
} // namespace sallyport::worker
