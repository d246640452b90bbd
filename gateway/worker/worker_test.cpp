// SPDX-License-Identifier: Apache-2.0
#include "gateway/worker/rig.hpp"
#include "gateway/worker/worker.hpp"

#include <gtest/gtest.h>

namespace sallyport::worker {
namespace {

using namespace rig;
using namespace wire::samples;

Options right_side(Options options = {}) {
    options.left = false;
    return options;
}

/// Two gateways with one SA pair for everything.
struct Pair {
    explicit Pair(const Options& options = {}) : left(options), right(right_side(options)) {
        left.protect(1000, left.everything());
        right.protect(1000, right.everything());
    }
    Gateway left, right;
};

Octets datagram(std::size_t size = 20, std::uint8_t ttl = 64, const char* to = "10.2.0.5") {
    return ipv4("10.1.0.5", to, wire::protocol_udp, udp(1000, 2000, payload(size)), ttl);
}

Octets datagram6(std::size_t size = 20, std::uint8_t hop_limit = 64) {
    return ipv6("2001:db8:1::5", "2001:db8:2::5", wire::protocol_udp, udp(1000, 2000, payload(size)), hop_limit);
}

/// Through both gateways: what goes in with 64 comes out with 62 and the right MACs.
void expect_carried(const Options& options) {
    Pair pair(options);
    for (const std::size_t size : {0U, 1U, 2U, 3U, 18U, 64U, 1300U}) {
        for (const bool six : {false, true}) {
            const auto sealed = pair.left.send(red, ethernet(six ? datagram6(size) : datagram(size)));
            ASSERT_EQ(sealed.size(), 1U) << size;
            EXPECT_EQ(sealed[0][12], options.ipv6_outside ? 0x86 : 0x08);
            EXPECT_EQ(Octets(sealed[0].begin(), sealed[0].begin() + 12),
                      Octets({2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 1})); // peer_mac, black_mac
            EXPECT_EQ(sealed[0][14 + (options.ipv6_outside ? 6 : 9)], wire::protocol_esp);
            const auto opened = pair.right.send(black, sealed[0]);
            ASSERT_EQ(opened.size(), 1U) << size;
            EXPECT_EQ(packet_in(opened[0]), six ? datagram6(size, 62) : datagram(size, 62));
            EXPECT_EQ(Octets(opened[0].begin(), opened[0].begin() + 12), Octets({2, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 2}));
        }
    }
    EXPECT_EQ(pair.left.dropped() + pair.right.dropped(), 0U);
}

TEST(Worker, CarriesAllFamilies) {
    for (const Algorithm algorithm : {Algorithm::aes_128_gcm_16, Algorithm::chacha20_poly1305, Algorithm::aes_256_cbc_hmac_sha2_256_128})
        for (const bool six : {false, true}) {
            Options options;
            options.algorithm = algorithm;
            options.ipv6_outside = six;
            expect_carried(options);
        }
}

TEST(Worker, Counts) {
    Pair pair;
    const auto sealed = pair.left.send(red, ethernet(datagram(100)));
    (void)pair.right.send(black, sealed.at(0));
    const Counters left = pair.left.worker().counters();
    EXPECT_EQ(left.ports[red].received, 1U);
    EXPECT_EQ(left.ports[red].received_octets, 14U + 128U);
    EXPECT_EQ(left.ports[black].transmitted, 1U);
    EXPECT_EQ(left.ports[black].transmitted_octets, sealed[0].size());
    EXPECT_EQ(left.sealed, 1U);
    EXPECT_EQ(pair.right.worker().counters().opened, 1U);
    EXPECT_EQ(pair.left.outbound(0).counters->packets, 1U);
    EXPECT_EQ(pair.right.inbound(0).counters->octets, 128U);
}

TEST(Worker, TellsOfWhatIsAudited) {
    Pair pair;
    auto sealed = pair.left.send(red, ethernet(datagram()));
    sealed.at(0).back() ^= 1U;
    EXPECT_TRUE(pair.right.send(black, sealed[0]).empty());
    EXPECT_TRUE(pair.left.send(red, ethernet(datagram(20, 1))).empty()); // its hops are used up: counted, not audited
    EXPECT_TRUE(pair.left.send(red, ethernet(ipv6("2001:db8:1::5", "2001:db8:9::5", 58, payload(8)))).empty());
    std::array<Event, 4> of_left;
    ASSERT_EQ(pair.left.events().pop(of_left), 1U);
    EXPECT_EQ(of_left[0].reason, DropReason::no_policy);
    EXPECT_EQ(of_left[0].flow.source_port, 0x0108U) << "type and code";
    std::array<Event, 4> events;
    ASSERT_EQ(pair.right.events().pop(events), 1U);
    EXPECT_EQ(events[0].reason, DropReason::bad_icv);
    EXPECT_EQ(events[0].sa, pair.right.inbound(0).number);
    EXPECT_EQ(events[0].spi, 1000U);
    EXPECT_EQ(events[0].sequence, 1U);
    EXPECT_EQ(events[0].port, black);
    EXPECT_EQ(to_string(events[0].flow.source), "192.0.2.1");
    EXPECT_EQ(pair.right.dropped(), 1U);
    EXPECT_EQ(pair.left.dropped(), 2U);
}

/// No chunk is lost or given twice, whatever becomes of the frames.
TEST(Worker, ChunksStay) {
    Options options;
    options.chunks = 2048;
    auto gateway = std::make_unique<Gateway>(options);
    gateway->protect(1000, gateway->everything());
    for (unsigned i = 0; i < 5000; ++i)
        ASSERT_EQ(gateway->send(red, ethernet(i % 3 == 0 ? datagram() : datagram(20, 1))).size(), i % 3 == 0 ? 1U : 0U);
    const std::size_t held = gateway->port(black).held() + gateway->port(red).held();
    EXPECT_LE(held, 2048U);
    EXPECT_GE(gateway->depot().size() + held + 1024, 2048U);
}

/// The same to the last one, where rings are full and frames wait in them when the workers end.
TEST(Worker, EveryChunkIsAccountedFor) {
    Options options;
    options.workers = 2;
    options.chunks = 8192;
    Gateway gateway(options);
    gateway.protect(1000, gateway.everything());
    gateway.policy(PolicyAction::bypass, {{*parse_range("10.1.0.0/16"), *parse_range("10.8.0.0/16"), 0, {}, {}}});
    const auto round = [&](unsigned worker) {
        while (gateway.worker(worker).run_once()) {
        }
    };
    for (unsigned i = 0; i < 1200; ++i) ASSERT_TRUE(gateway.port(red, 1).inject(ethernet(datagram())));
    round(1);
    EXPECT_GT(gateway.dropped(DropReason::handover_full), 0U);
    gateway.port(black).transmit_at_most(10);
    round(0);
    EXPECT_GT(gateway.dropped(DropReason::transmit_full), 0U);
    for (unsigned i = 0; i < 100; ++i) ASSERT_TRUE(gateway.port(red).inject(ethernet(datagram(20, 64, "10.8.0.77"))));
    round(0);
    EXPECT_GT(gateway.dropped(DropReason::exception_full), 0U);
    for (unsigned i = 0; i < 200; ++i) ASSERT_TRUE(gateway.port(red, 1).inject(ethernet(datagram())));
    round(1); // they stay in worker 0's inbox
    EXPECT_EQ(gateway.chunks_after_the_workers(), options.chunks);
}

TEST(Worker, SixtyFourAtATimeInOrder) {
    Pair pair;
    for (unsigned i = 0; i < 200; ++i) EXPECT_TRUE(pair.left.port(red).inject(ethernet(datagram(i))));
    pair.left.run();
    const auto sealed = pair.left.port(black).take();
    ASSERT_EQ(sealed.size(), 200U);
    for (const Octets& frame : sealed) EXPECT_TRUE(pair.right.port(black).inject(frame));
    pair.right.run();
    const auto opened = pair.right.port(red).take();
    ASSERT_EQ(opened.size(), 200U);
    for (unsigned i = 0; i < 200; ++i) EXPECT_EQ(packet_in(opened[i]).size(), 28U + i);
}

/// Every reason on the way from red to black, once, and nothing leaves.
TEST(Worker, DropsFromRed) {
    Gateway gateway;
    gateway.protect(1000, gateway.everything());
    gateway.policy(PolicyAction::discard, {{*parse_range("10.1.0.0/16"), *parse_range("10.3.0.0/16"), 0, {}, {}}});
    gateway.policy(PolicyAction::protect, {{*parse_range("10.1.0.0/16"), *parse_range("10.4.0.0/16"), 0, {}, {}}});
    gateway.policy(PolicyAction::protect, {{*parse_range("10.1.0.0/16"), *parse_range("10.5.0.0/16"), 17, {1, 9}, {}}},
                   &gateway.outbound(0));
    const auto expect = [&](DropReason reason, const Octets& frame) {
        const std::uint64_t before = gateway.dropped(reason);
        EXPECT_TRUE(gateway.send(red, frame).empty()) << info(reason).name;
        EXPECT_EQ(gateway.dropped(reason), before + 1) << info(reason).name;
    };
    Octets bad = datagram();
    bad[10] ^= 1;
    expect(DropReason::malformed_ethernet, Octets(13, 0));
    expect(DropReason::malformed_ip, ethernet(Octets{0x45}));
    expect(DropReason::bad_header_checksum, ethernet(bad));
    expect(DropReason::malformed_extension, ethernet(ipv6("2001:db8:1::5", "2001:db8:2::5", 60, {17})));
    expect(DropReason::malformed_transport, ethernet(ipv4("10.1.0.5", "10.2.0.5", 17, payload(4))));
    expect(DropReason::not_ip, Octets(60, 0));
    expect(DropReason::unknown_vlan, tagged(datagram(), {31}));
    expect(DropReason::unknown_vlan, tagged(datagram(), {tag, tag}));
    expect(DropReason::no_policy, tagged(datagram(), {tag})); // of another VPN
    expect(DropReason::martian_source, ethernet(ipv4("127.0.0.1", "10.2.0.5", 17, udp(1, 2, {}))));
    expect(DropReason::no_policy, ethernet(datagram(8, 64, "10.9.0.1")));
    expect(DropReason::policy_discard, ethernet(datagram(8, 64, "10.3.0.1")));
    expect(DropReason::no_sa, ethernet(datagram(8, 64, "10.4.0.1")));
    expect(DropReason::ttl_expired, ethernet(datagram(8, 1)));
    expect(DropReason::ttl_expired, ethernet(datagram(8, 0)));
    expect(DropReason::ttl_expired, ethernet(datagram6(8, 1)));
    expect(DropReason::too_big, ethernet(datagram(1440)));
    gateway.outbound(0).space.last = 0;
    expect(DropReason::sequence_exhausted, ethernet(datagram()));
    gateway.outbound(0).space.last = ~std::uint64_t{1};
    std::uint64_t mark = 0;
    gateway.outbound(0).space.mark = &mark;
    expect(DropReason::mark_not_durable, ethernet(datagram()));
    gateway.outbound(0).space.mark = nullptr;
    gateway.port(black).transmit_at_most(0);
    expect(DropReason::transmit_full, ethernet(datagram()));
    gateway.port(black).transmit_at_most(~0U);
    EXPECT_EQ(gateway.send(red, ethernet(datagram())).size(), 1U);
}

TEST(Worker, APolicyWithoutItsSaAsks) {
    Gateway gateway;
    gateway.policy(PolicyAction::discard, {});
    gateway.policy(PolicyAction::protect, gateway.everything());
    for (unsigned i = 0; i < 20; ++i) EXPECT_TRUE(gateway.send(red, ethernet(i < 10 ? datagram() : datagram6())).empty());
    EXPECT_EQ(gateway.dropped(DropReason::no_sa), 20U);
    const auto asked = gateway.spd().acquires().take();
    ASSERT_EQ(asked.size(), 1U) << "the first one";
    EXPECT_EQ(asked[0].policy, 1U);
    EXPECT_EQ(to_string(asked[0].flow.source), "10.1.0.5");
    EXPECT_EQ(asked[0].flow.destination_port, 2000);
}

/// The same from black to red.
TEST(Worker, DropsFromBlack) {
    Pair pair;
    const auto expect = [&](DropReason reason, const Octets& frame) {
        const std::uint64_t before = pair.right.dropped(reason), all = pair.right.dropped();
        EXPECT_TRUE(pair.right.send(black, frame).empty()) << info(reason).name;
        EXPECT_EQ(pair.right.dropped(reason), before + 1) << info(reason).name;
        EXPECT_EQ(pair.right.dropped(), all + 1) << info(reason).name;
    };
    const auto sealed = [&](const Octets& packet) { return pair.left.send(red, ethernet(packet)).at(0); };
    const auto esp = [](const Octets& octets, const char* from = "192.0.2.1", const char* to = "192.0.2.2") {
        return ethernet(ipv4(from, to, wire::protocol_esp, octets));
    };
    const Octets known{0, 0, 3, 0xe8, 0, 0, 0, 99}; // SPI 1000, number 99
    expect(DropReason::malformed_esp, esp({1, 2, 3}));
    expect(DropReason::malformed_esp, esp(known));
    expect(DropReason::reserved_spi, esp(Octets(60, 0)));
    expect(DropReason::reserved_spi, esp(Octets{0, 0, 0, 255} + Octets(60, 0)));
    expect(DropReason::unknown_spi, esp(Octets{0, 0, 3, 0xe9} + Octets(60, 0))); // of an outbound SA
    expect(DropReason::wrong_outer_address, esp(known + Octets(60, 0), "192.0.2.3"));
    expect(DropReason::bad_icv, esp(known + Octets(60, 0)));
    expect(DropReason::malformed_ah, ethernet(ipv4("192.0.2.1", "192.0.2.2", wire::protocol_ah, payload(11))));
    expect(DropReason::unknown_spi, ethernet(ipv4("192.0.2.1", "192.0.2.2", wire::protocol_ah, payload(24))));
    expect(DropReason::unknown_spi,
           ethernet(ipv4("192.0.2.1", "192.0.2.2", wire::protocol_ah, Octets{17, 5, 0, 0, 0, 0, 3, 0xe8} + payload(24))));
    expect(DropReason::unsupported_protocol, ethernet(ipv4("192.0.2.1", "192.0.2.2", 47, payload(24))));
    expect(DropReason::unsupported_protocol, ethernet(ipv4("192.0.2.1", "192.0.2.2", wire::protocol_udp, udp(9, 9, {}))));
    expect(DropReason::unknown_spi, ethernet(ipv4("192.0.2.1", "192.0.2.2", wire::protocol_udp, udp(4500, 4500, payload(64)))));
    expect(DropReason::should_be_protected, ethernet(datagram()));
    expect(DropReason::transit_from_black, ethernet(ipv4("10.9.0.1", "10.2.0.5", 17, udp(1, 2, {}))));
    expect(DropReason::transit_from_black, ethernet(ipv4("10.9.0.1", "10.9.0.5", wire::protocol_esp, payload(64)))); // ESP of others
    expect(DropReason::unknown_vlan, tagged(datagram(), {tag}));

    const Octets once = sealed(datagram());
    EXPECT_EQ(pair.right.send(black, once).size(), 1U);
    expect(DropReason::replayed, once);
    expect(DropReason::ttl_expired, sealed(datagram(8, 2)));
    expect(DropReason::for_gateway, sealed(datagram(8, 64, "10.2.0.1")));
    expect(DropReason::route_refused, sealed(datagram(8, 64, "10.2.66.1")));
    EXPECT_EQ(pair.right.send(black, sealed(ipv4("10.1.0.5", "10.2.0.5", 17, payload(24), 64, 0x2000))).size(), 1U); // a fragment
}

/// On port 4500 behind the marker (RFC 7296 2.23).
TEST(Worker, SendsIkeOnItsErrand) {
    Pair pair;
    const auto sent_on = [&](std::uint16_t port, const Octets& message) {
        EXPECT_TRUE(pair.right.send(black, ethernet(ipv4("192.0.2.1", "192.0.2.2", wire::protocol_udp, udp(port, port, message)))).empty());
        std::array<Frame, 2> frames;
        if (pair.right.exceptions().pop(frames) != 1) return DropReason::none;
        EXPECT_EQ(frames[0].errand, Errand::ike);
        pair.right.depot().give(&frames[0].index, 1);
        return frames[0].reason; // for which it counts where nobody takes it
    };
    EXPECT_EQ(sent_on(500, payload(28)), DropReason::ike_nobody_listening);
    EXPECT_EQ(sent_on(4500, Octets(32, 0)), DropReason::ike_nobody_listening);
    EXPECT_EQ(sent_on(4500, payload(28)), DropReason::none);
}

/// Every protocol in every mode over either family; a packet that says the other protocol finds nobody.
TEST(Worker, CarriesInEveryMode) {
    for (const SaProtocol protocol : {SaProtocol::esp, SaProtocol::ah})
        for (const SaMode mode : {SaMode::tunnel, SaMode::transport, SaMode::beet})
            for (const bool six : {false, true}) {
                if (protocol == SaProtocol::ah && mode == SaMode::beet) continue;
                SCOPED_TRACE(::testing::Message() << name_of(protocol) << " " << name_of(mode) << " over IPv" << (six ? 6 : 4));
                const char *left_end = six ? "2001:db8:ff::1" : "192.0.2.1", *right_end = six ? "2001:db8:ff::2" : "192.0.2.2";
                const bool transport = mode == SaMode::transport;
                const auto make = [&](bool left) {
                    auto gateway = std::make_unique<Gateway>(
                        Options{.left = left, .algorithm = Algorithm::null_hmac_sha2_256_128, .ipv6_outside = six});
                    const char *here = transport ? left_end : "10.1.0.5", *there = transport ? right_end : "10.2.0.5";
                    if (!left) std::swap(here, there);
                    const std::vector<Selector> selectors{{*parse_range(here), *parse_range(there)}};
                    gateway->add_pair(1000, selectors, wan_vpn, [&](SaSpec& spec) { spec.protocol = protocol, spec.mode = mode; });
                    gateway->policy(PolicyAction::protect, selectors, &gateway->outbound(0));
                    return gateway;
                };
                const auto left = make(true), right = make(false);
                const Octets packet = !transport ? datagram()
                                      : six      ? ipv6(left_end, right_end, 17, udp(1, 2, payload(40)))
                                                 : ipv4(left_end, right_end, 17, udp(1, 2, payload(40)));
                const auto sealed = left->send(red, ethernet(packet));
                ASSERT_EQ(sealed.size(), 1U);
                const auto opened = right->send(black, sealed[0]);
                EXPECT_EQ(right->inbound(0).counters->packets, 1U);
                if (transport) // the kernel of the other gateway gets it
                    EXPECT_EQ(right->dropped(DropReason::for_gateway), 1U);
                else
                    EXPECT_EQ(opened.size(), 1U);
                Octets other = sealed[0];
                const std::size_t place = 14 + (six ? wire::ipv6_next_header : wire::ipv4_protocol);
                other[place] = protocol == SaProtocol::esp ? wire::protocol_ah : wire::protocol_esp;
                if (protocol == SaProtocol::esp) std::copy_n(other.begin() + (six ? 54 : 34), 4, other.begin() + (six ? 58 : 38));
                if (!six) wire::write_ipv4_checksum(&other[14], 20);
                EXPECT_TRUE(right->send(black, other).empty());
                EXPECT_EQ(right->inbound(0).counters->packets, 1U);
                EXPECT_EQ(right->dropped(DropReason::unknown_spi) + right->dropped(DropReason::reserved_spi), 1U);
            }
}

/// ESP in UDP is taken as it comes, whatever the SA sends, without what lies behind the datagram; that of others goes on as it came.
TEST(Worker, EspInUdp) {
    Pair pair;
    const auto in_udp = [&](std::uint16_t from, std::size_t behind = 0) {
        const Octets sealed = pair.left.send(red, ethernet(datagram())).at(0);
        return ethernet(ipv4("192.0.2.1", "192.0.2.2", wire::protocol_udp,
                             udp(from, 4500, Octets(sealed.begin() + 34, sealed.end())) + Octets(behind, 7)));
    };
    const Octets bare = pair.left.send(red, ethernet(datagram())).at(0);
    const Octets inner = pair.right.send(black, bare).at(0);
    EXPECT_EQ(pair.right.worker().counters().other_form, 0U);
    EXPECT_EQ(pair.right.send(black, in_udp(4500)), (std::vector<Octets>{inner}));
    EXPECT_EQ(pair.right.send(black, in_udp(61000, 5)), (std::vector<Octets>{inner})) << "a NAT gives it any port";
    EXPECT_EQ(pair.right.worker().counters().other_form, 2U);
    const Octets of_others = ethernet(ipv4("10.9.0.1", "10.9.0.5", wire::protocol_udp, udp(4500, 4500, payload(64))));
    EXPECT_TRUE(pair.right.send(black, of_others).empty());
    EXPECT_EQ(pair.right.dropped(DropReason::transit_from_black), 1U);
    const Octets stump = ethernet(ipv4("192.0.2.1", "192.0.2.2", wire::protocol_udp, udp(4500, 4500, {0, 0, 3, 0xe8, 0, 0, 0})));
    EXPECT_TRUE(pair.right.send(black, stump).empty());
    EXPECT_EQ(pair.right.dropped(DropReason::malformed_esp), 1U);
}

TEST(Worker, TwoCopiesInOneBatch) {
    Pair pair;
    const Octets once = pair.left.send(red, ethernet(datagram())).at(0);
    EXPECT_TRUE(pair.right.port(black).inject(once));
    EXPECT_EQ(pair.right.send(black, once).size(), 1U);
    EXPECT_EQ(pair.right.dropped(DropReason::replayed), 1U);
}

/// An authentic packet that does not belong into its SA.
TEST(Worker, SelectorsOfTheSa) {
    Gateway left, right(right_side());
    const Selector wide{*parse_range("0.0.0.0/0"), *parse_range("0.0.0.0/0"), 0, {}, {}};
    left.protect(1000, {wide});
    right.add_pair(1000, {{*parse_range("10.2.0.0/16"), *parse_range("10.1.0.0/16"), 17, {2000, 2009}, {}}});
    const auto carried = [&](const Octets& packet) { return right.send(black, left.send(red, ethernet(packet)).at(0)).size(); };
    EXPECT_EQ(carried(datagram()), 1U);
    EXPECT_EQ(carried(ipv4("10.9.0.5", "10.2.0.5", 17, udp(1000, 2000, {}))), 0U); // source
    EXPECT_EQ(carried(ipv4("10.1.0.5", "10.9.0.5", 17, udp(1000, 2000, {}))), 0U); // destination
    EXPECT_EQ(carried(ipv4("10.1.0.5", "10.2.0.5", 6, payload(20))), 0U);          // protocol
    EXPECT_EQ(carried(ipv4("10.1.0.5", "10.2.0.5", 17, udp(1000, 2010, {}))), 0U); // port
    EXPECT_EQ(right.dropped(DropReason::selector_mismatch), 4U);
}

/// One field of the selector at a time is not met.
TEST(Worker, EachFieldOfASelectorCounts) {
    const Selector wide4{*parse_range("0.0.0.0/0"), *parse_range("0.0.0.0/0"), 0, {}, {}};
    const Selector wide6{*parse_range("::/0"), *parse_range("::/0"), 0, {}, {}};
    const auto carried = [&](const Selector& selector, const Octets& packet) {
        Gateway left, right(right_side());
        left.protect(1000, {wide4, wide6});
        right.add_pair(1000, {selector});
        const std::size_t count = right.send(black, left.send(red, ethernet(packet)).at(0)).size();
        EXPECT_EQ(right.dropped(DropReason::selector_mismatch), 1U - count);
        return count == 1;
    };
    const Octets tcp = ipv4("10.1.0.5", "10.2.0.5", 6, payload(20));
    const auto only_udp = Selector{wide4.local, wide4.remote, 17, {}, {}};
    EXPECT_TRUE(carried(only_udp, datagram()));
    EXPECT_FALSE(carried(only_udp, tcp));
    EXPECT_TRUE(carried({wide4.local, wide4.remote, 17, {}, {1000, 1000}}, datagram()));
    EXPECT_FALSE(carried({wide4.local, wide4.remote, 17, {}, {1001, 1001}}, datagram()));
    EXPECT_FALSE(carried({wide4.local, wide4.remote, 17, {2001, 2001}, {}}, datagram()));
    EXPECT_FALSE(carried({wide4.local, wide4.remote, 0, {}, {1000, 1000}}, ipv4("10.1.0.5", "10.2.0.5", 47, payload(20)))); // no ports
    EXPECT_TRUE(carried({wide6.local, *parse_range("2001:db8:1::5-2001:db8:1::5"), 0, {}, {}}, datagram6()));
    EXPECT_FALSE(carried({wide6.local, *parse_range("2001:db8:1::6-2001:db8:1::9"), 0, {}, {}}, datagram6()));
    EXPECT_FALSE(carried({wide6.local, *parse_range("2001:db8:1::1-2001:db8:1::4"), 0, {}, {}}, datagram6()));
    EXPECT_FALSE(carried({*parse_range("2001:db8:2::6-2001:db8:2::9"), wide6.remote, 0, {}, {}}, datagram6()));
    EXPECT_FALSE(carried(wide6, datagram()));
    EXPECT_FALSE(carried(wide4, datagram6()));
}

/// Both families and both VPNs side by side in one burst: each frame meets the policies and the routes of its own.
TEST(Worker, TypesOfTheSa) {
    Gateway left, right(right_side());
    left.protect(1000, left.everything());
    const auto icmp = [](PortRange ours, PortRange theirs) {
        return Selector{*parse_range("10.2.0.0/16"), *parse_range("10.1.0.0/16"), wire::protocol_icmp, ours, theirs};
    };
    right.add_pair(1000, {icmp(type_range(0, 0), type_range(8, 8)), icmp(opaque_ports, type_range(3, 3, 2, 4))});
    const auto send = [&](std::uint8_t type, std::uint8_t code, std::uint16_t fragment = 0) {
        Octets message = payload(16);
        message[0] = type;
        message[1] = code;
        const auto sealed = left.send(red, ethernet(ipv4("10.1.0.5", "10.2.0.5", wire::protocol_icmp, message, 64, fragment)));
        return right.send(black, sealed.at(0)).size();
    };
    EXPECT_EQ(send(8, 0), 1U);
    EXPECT_EQ(send(8, 7), 1U);
    EXPECT_EQ(send(3, 2), 1U);
    EXPECT_EQ(send(0, 0), 0U) << "only we may send it";
    EXPECT_EQ(send(3, 1), 0U);
    EXPECT_EQ(send(3, 5), 0U);
    EXPECT_EQ(right.dropped(DropReason::selector_mismatch), 3U);
    EXPECT_EQ(send(8, 0, 2), 0U);
    EXPECT_EQ(right.worker().counters().to_exceptions, 1U) << "a later fragment waits for the first, which shows the type";
}

/// RFC 4301 4.4.1: what matches the SA's selectors still meets the policies in their order.
TEST(Worker, OpenedPacketsMeetTheOrder) {
    Pair pair;
    const Octets good = ethernet(datagram()), early = ethernet(ipv4("10.1.0.9", "10.2.0.5", 17, udp(1, 2, {})));
    const auto through = [&](const Octets& frame) { return pair.right.send(black, pair.left.send(red, frame).at(0)).size(); };
    EXPECT_EQ(through(early), 1U);
    const std::vector<Selector> one{{*parse_range("10.2.0.0/16"), *parse_range("10.1.0.9"), 0, {}, {}}}, all = pair.right.everything();
    const std::vector<tables::Policy> policies{
        {.action = PolicyAction::discard, .selectors = one, .reach = PolicyReach::inbound},
        {.action = PolicyAction::protect, .selectors = all, .sa = &pair.right.outbound(0), .connection = 1}};
    const tables::Opening opening{pair.right.inbound(0).number, wan_vpn, 1};
    pair.right.publish(std::move(tables::Spd::build(policies, {&opening, 1}).value()));
    EXPECT_EQ(through(good), 1U);
    EXPECT_EQ(through(early), 0U);
    EXPECT_EQ(pair.right.dropped(DropReason::policy_mismatch), 1U);
    pair.right.publish(std::move(tables::Spd::build(policies).value()));
    EXPECT_EQ(through(good), 0U) << "an SA that the table does not know";
    EXPECT_EQ(pair.right.dropped(DropReason::policy_mismatch), 2U);
}

TEST(Worker, FamiliesAndVpnsInOneBatch) {
    Gateway left, right(right_side());
    for (Gateway* gateway : {&left, &right}) {
        gateway->protect(1000, gateway->everything());
        gateway->protect(2000, gateway->everything(), tagged_vpn);
    }
    const std::vector<std::uint16_t> untagged, one{tag};
    for (unsigned i = 0; i < 5; ++i) // either changes while the other stays
        for (const auto& [packet, tags] :
             {std::pair(datagram(), untagged), std::pair(datagram(), one), std::pair(datagram6(), one), std::pair(datagram6(), untagged),
              std::pair(datagram(), untagged), std::pair(datagram6(), untagged), std::pair(datagram6(), one), std::pair(datagram(), one)})
            ASSERT_TRUE(left.port(red).inject(tagged(packet, tags)));
    left.run();
    for (const Octets& frame : left.port(black).take()) ASSERT_TRUE(right.port(black).inject(frame));
    right.run();
    const auto opened = right.port(red).take();
    ASSERT_EQ(opened.size(), 40U);
    std::array<unsigned, 4> kinds{};
    for (const Octets& frame : opened) ++kinds[(frame[12] == 0x81 ? 2U : 0U) + (packet_in(frame)[0] >> 4 == 6 ? 1U : 0U)];
    EXPECT_EQ(kinds, (std::array<unsigned, 4>{10, 10, 10, 10}));
    EXPECT_EQ(left.dropped() + right.dropped(), 0U);
}

/// An opened packet and a bypassed one for the same address in the same round: the one may go red only, the other black only.
TEST(Worker, OneAddressOnBothSides) {
    Gateway left, right(right_side());
    const std::vector<Selector> wide{{*parse_range("0.0.0.0/0"), *parse_range("0.0.0.0/0"), 0, {}, {}}};
    left.add_pair(1000, wide);
    left.policy(PolicyAction::bypass, {{*parse_range("10.1.0.0/16"), *parse_range("10.8.0.0/16"), 0, {}, {}}});
    right.protect(1000, wide);
    const Octets sealed = right.send(red, ethernet(ipv4("10.2.0.5", "10.8.0.1", 17, udp(1, 2, {})))).at(0);
    ASSERT_TRUE(left.port(black).inject(sealed));
    ASSERT_TRUE(left.port(red).inject(ethernet(datagram(20, 64, "10.8.0.1"))));
    left.run();
    EXPECT_EQ(left.dropped(DropReason::route_not_ours), 1U);
    EXPECT_EQ(left.port(black).take().size(), 1U);
    EXPECT_TRUE(left.port(red).take().empty());
}

/// Each of the SA's outer addresses counts, in both families.
TEST(Worker, OuterAddressesOfTheSa) {
    for (const bool six : {false, true}) {
        Options options;
        options.ipv6_outside = six;
        Pair pair(options);
        const unsigned source = six ? wire::ipv6_source : wire::ipv4_source, size = six ? 16 : 4;
        const auto with = [&](unsigned place, const char* address) {
            Octets frame = pair.left.send(red, ethernet(datagram())).at(0);
            std::copy_n(parse_address(address)->octets.begin(), size, frame.begin() + 14 + place);
            if (!six) wire::write_ipv4_checksum(frame.data() + 14, 20);
            return frame;
        };
        EXPECT_TRUE(pair.right.send(black, with(source, six ? "2001:db8:ff::3" : "192.0.2.3")).empty());
        EXPECT_TRUE(pair.right.send(black, with(source + size, six ? "2001:db8:2::1" : "10.2.0.1")).empty()); // ours too
        EXPECT_EQ(pair.right.dropped(DropReason::wrong_outer_address), 2U);
        EXPECT_EQ(pair.right.dropped(), 2U);
        EXPECT_EQ(pair.right.send(black, with(source, six ? "2001:db8:ff::1" : "192.0.2.1")).size(), 1U);
    }
}

/// An authentic packet whose inner header no honest peer would seal.
TEST(Worker, InnerPacketsAreParsed) {
    Pair pair;
    const auto sealed = [&](const Octets& inner, std::uint8_t family) {
        std::vector<std::uint8_t> chunk(chunk_size);
        Frame frame;
        frame.chunk = chunk.data();
        frame.begin = frame_headroom;
        frame.network = frame_headroom + 14;
        frame.end = static_cast<std::uint16_t>(frame.network + inner.size());
        frame.family = family;
        frame.outbound = &pair.left.outbound(0);
        std::ranges::copy(inner, frame.at(frame.network));
        Frame* one = &frame;
        transform::transform(frame.outbound->transform).seal({&one, 1});
        Octets octets = ethernet({});
        octets.insert(octets.end(), frame.at(frame.network), frame.at(frame.end));
        return octets;
    };
    Octets options(8 * 9);
    for (unsigned i = 0; i < 9; ++i) options[8 * i] = i < 8 ? 60 : 17;
    Octets summed_wrong = datagram();
    summed_wrong[10] ^= 1;
    EXPECT_TRUE(pair.right.send(black, sealed(ipv4("127.0.0.1", "10.2.0.5", 17, udp(1, 2, {})), 4)).empty());
    EXPECT_EQ(pair.right.dropped(DropReason::martian_source), 1U);
    EXPECT_TRUE(pair.right.send(black, sealed(summed_wrong, 4)).empty());
    EXPECT_TRUE(pair.right.send(black, sealed(ipv6("2001:db8:1::5", "2001:db8:2::5", 60, options + udp(1, 2, {})), 6)).empty());
    EXPECT_TRUE(pair.right.send(black, sealed(ipv4("10.1.0.5", "10.2.0.5", 17, payload(7)), 4)).empty());
    EXPECT_EQ(pair.right.dropped(DropReason::malformed_inner), 3U);
    EXPECT_EQ(pair.right.send(black, sealed(datagram(), 4)).size(), 1U);
}

TEST(Worker, TwoVpnsWithEqualAddresses) {
    Gateway left, right(right_side());
    for (Gateway* gateway : {&left, &right}) {
        gateway->protect(1000, gateway->everything());
        gateway->protect(2000, gateway->everything(), tagged_vpn);
    }
    const auto plain = left.send(red, ethernet(datagram()));
    const auto other = left.send(red, tagged(datagram(), {tag}));
    ASSERT_EQ(plain.size() + other.size(), 2U);
    EXPECT_EQ(plain[0][14 + 22], 0x03); // SPI 0x3e8
    EXPECT_EQ(other[0][14 + 22], 0x07); // SPI 0x7d0
    const auto opened = right.send(black, other[0]);
    ASSERT_EQ(opened.size(), 1U);
    EXPECT_EQ(packet_in(opened[0]), datagram(20, 62));
    EXPECT_EQ(opened[0][12], 0x81);
    EXPECT_EQ(opened[0][15], tag);
    EXPECT_EQ(right.send(black, plain[0]).at(0)[12], 0x08);
}

TEST(Worker, Bypass) {
    Gateway gateway;
    gateway.policy(PolicyAction::bypass, {{*parse_range("10.1.0.0/16"), *parse_range("10.8.0.0/16"), 0, {}, {}}});
    const auto out = gateway.send(red, ethernet(datagram(20, 64, "10.8.0.1")));
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(packet_in(out[0]), datagram(20, 63, "10.8.0.1"));
    const Octets back = ipv4("10.8.0.1", "10.1.0.5", 17, udp(2000, 1000, {}));
    const auto in = gateway.send(black, ethernet(back));
    ASSERT_EQ(in.size(), 1U);
    EXPECT_EQ(in[0][5], 4); // host_mac
    EXPECT_EQ(packet_in(in[0])[8], 63);
    EXPECT_EQ(gateway.worker().counters().bypassed, 2U);
}

/// A clear packet that a VPN lets in goes to that VPN's red side, to no other, and pays its hop.
TEST(Worker, BypassInwardsIsOfItsVpn) {
    Gateway gateway;
    gateway.policy(PolicyAction::bypass, {{*parse_range("10.1.0.0/16"), *parse_range("10.8.0.0/16"), 0, {}, {}}}, nullptr, tagged_vpn);
    const auto packet = [](std::uint8_t ttl) { return ethernet(ipv4("10.8.0.1", "10.1.0.5", 17, udp(2000, 1000, {}), ttl)); };
    const auto in = gateway.send(black, packet(64));
    ASSERT_EQ(in.size(), 1U);
    EXPECT_EQ(in[0][12], 0x81);
    EXPECT_EQ(in[0][15], tag);
    EXPECT_EQ(packet_in(in[0])[8], 63);
    EXPECT_TRUE(gateway.send(black, packet(1)).empty());
    EXPECT_EQ(gateway.dropped(DropReason::ttl_expired), 1U);
}

TEST(Worker, UnresolvedNeighbourWaitsAndGoesOn) {
    Pair pair;
    const Octets to_new = datagram(20, 64, "10.2.0.77");
    const Octets sealed = pair.left.send(red, ethernet(to_new)).at(0);
    EXPECT_TRUE(pair.right.send(black, sealed).empty());
    std::array<Frame, 4> waiting;
    ASSERT_EQ(pair.right.exceptions().pop(waiting), 1U);
    EXPECT_EQ(waiting[0].reason, DropReason::neighbour_unresolved);
    EXPECT_EQ(waiting[0].vpn, wan_vpn);
    EXPECT_EQ(waiting[0].worker, 0);
    EXPECT_EQ(pair.right.worker().counters().to_exceptions, 1U);

    // Still unknown when it comes back: dropped for good.
    Frame frame = waiting[0];
    frame.reason = DropReason::none;
    frame.flags |= frame_waited;
    EXPECT_EQ(pair.right.worker().inbox().push({&frame, 1}), 1U);
    pair.right.run();
    EXPECT_EQ(pair.right.dropped(DropReason::neighbour_unresolved), 1U);

    const Octets second = pair.left.send(red, ethernet(to_new)).at(0);
    EXPECT_TRUE(pair.right.send(black, second).empty());
    ASSERT_EQ(pair.right.exceptions().pop(waiting), 1U);
    pair.right.neighbours().set(pair.right.neighbours().add(12, *parse_address("10.2.0.77")), {true, {2, 0, 0, 0, 0, 0x77}});
    frame = waiting[0];
    frame.reason = DropReason::none;
    frame.flags |= frame_waited;
    EXPECT_EQ(pair.right.worker().inbox().push({&frame, 1}), 1U);
    pair.right.run();
    const auto sent = pair.right.port(red).take();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0][5], 0x77);
    EXPECT_EQ(packet_in(sent[0]), datagram(20, 62, "10.2.0.77"));
}

TEST(Worker, ExceptionRingIsBounded) {
    Pair pair;
    for (unsigned i = 0; i < 70; ++i) {
        const Octets sealed = pair.left.send(red, ethernet(datagram(20, 64, "10.2.0.77"))).at(0);
        EXPECT_TRUE(pair.right.send(black, sealed).empty());
    }
    EXPECT_EQ(pair.right.dropped(DropReason::exception_full), 6U);
    EXPECT_EQ(pair.right.worker().counters().to_exceptions, 64U);
}

/// Frames arrive at worker 1, the SA belongs to worker 0: handed over there both ways, and in order.
TEST(Worker, WrongSteering) {
    Options options;
    options.workers = 2;
    Pair pair(options);
    for (unsigned i = 0; i < 100; ++i) EXPECT_TRUE(pair.left.port(red, 1).inject(ethernet(datagram(i))));
    pair.left.run();
    EXPECT_TRUE(pair.left.port(black, 1).take().empty());
    const auto sealed = pair.left.port(black, 0).take();
    ASSERT_EQ(sealed.size(), 100U);
    EXPECT_EQ(pair.left.worker(1).counters().handed_over, 100U);
    EXPECT_EQ(pair.left.worker(0).counters().taken_over, 100U);
    for (const Octets& frame : sealed) EXPECT_TRUE(pair.right.port(black, 1).inject(frame));
    pair.right.run();
    const auto opened = pair.right.port(red, 0).take();
    ASSERT_EQ(opened.size(), 100U);
    for (unsigned i = 0; i < 100; ++i) EXPECT_EQ(packet_in(opened[i]), datagram(i, 62));
    EXPECT_EQ(pair.left.dropped() + pair.right.dropped(), 0U);
}

TEST(Worker, HandOverIsBounded) {
    Options options;
    options.workers = 2;
    options.chunks = 8192;
    Gateway gateway(options);
    gateway.protect(1000, gateway.everything());
    for (unsigned i = 0; i < 1100; ++i) EXPECT_TRUE(gateway.port(red, 1).inject(ethernet(datagram())));
    while (gateway.worker(1).run_once()) {
    }
    EXPECT_EQ(gateway.dropped(DropReason::handover_full), 76U);
    gateway.run();
    EXPECT_EQ(gateway.port(black, 0).take().size(), 1024U);
}

TEST(Worker, Dummies) {
    Pair pair;
    pair.left.publish(tables::Unasked{.dummies = {{&pair.left.outbound(0), 1000}}});
    std::vector<Octets> sent;
    for (unsigned i = 0; i < 2000000 && sent.size() < 20; ++i) {
        pair.left.worker().run_once();
        for (Octets& frame : pair.left.port(black).take()) sent.push_back(std::move(frame));
    }
    ASSERT_GE(sent.size(), 20U);
    EXPECT_GE(pair.left.worker().counters().dummies, 20U);
    for (const Octets& frame : sent) EXPECT_TRUE(pair.right.send(black, frame).empty());
    EXPECT_EQ(pair.right.dropped(DropReason::dummy), sent.size());
    EXPECT_EQ(pair.right.dropped(), sent.size());
    pair.left.publish(tables::Unasked{});
    pair.left.run();
    (void)pair.left.port(black).take();
    for (unsigned i = 0; i < 1000; ++i) pair.left.worker().run_once();
    EXPECT_TRUE(pair.left.port(black).take().empty());
}

/// SAs of three algorithms in one batch: grouped by kind, none lost.
TEST(Worker, MixedAlgorithmsInOneBatch) {
    Gateway left, right(right_side());
    constexpr std::array kinds{Algorithm::aes_128_gcm_16, Algorithm::aes_256_cbc_hmac_sha2_256_128, Algorithm::chacha20_poly1305};
    for (Gateway* gateway : {&left, &right})
        for (std::uint16_t i = 0; i < 3; ++i) {
            const bool is_left = gateway == &left;
            const PortRange mine{static_cast<std::uint16_t>(2000 + i), static_cast<std::uint16_t>(2000 + i)};
            std::vector<Selector> selectors{{*parse_range(is_left ? "10.1.0.0/16" : "10.2.0.0/16"),
                                             *parse_range(is_left ? "10.2.0.0/16" : "10.1.0.0/16"), 17, is_left ? PortRange{} : mine,
                                             is_left ? mine : PortRange{}}};
            gateway->add_pair(1000U + i * 2U, selectors, wan_vpn, [&](SaSpec& spec) {
                spec.algorithm = kinds[i];
                spec.key.size = static_cast<std::uint8_t>(info(spec.algorithm).material());
            });
            gateway->policy(PolicyAction::protect, selectors, &gateway->outbound(i));
        }
    for (std::uint16_t i = 0; i < 60; ++i)
        EXPECT_TRUE(left.port(red).inject(
            ethernet(ipv4("10.1.0.5", "10.2.0.5", 17, udp(1, static_cast<std::uint16_t>(2000 + i % 3), payload(i))))));
    left.run();
    const auto sealed = left.port(black).take();
    ASSERT_EQ(sealed.size(), 60U);
    for (const Octets& frame : sealed) EXPECT_TRUE(right.port(black).inject(frame));
    right.run();
    EXPECT_EQ(right.port(red).take().size(), 60U);
    EXPECT_EQ(left.dropped() + right.dropped(), 0U);
}

} // namespace
} // namespace sallyport::worker
