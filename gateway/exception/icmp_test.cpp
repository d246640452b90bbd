// SPDX-License-Identifier: Apache-2.0
// The handlers of ICMP: what is made of received errors, and which are made.
#include "gateway/exception/icmp_errors.hpp"
#include "gateway/exception/icmp_received.hpp"
#include "gateway/exception/testing.hpp"
#include "gateway/exception/token_bucket.hpp"

#include "gateway/wire/checksum.hpp"

#include <memory>

namespace sallyport::exception {
namespace {

using testing::Bench;
using wire::samples::Octets;

constexpr std::uint64_t second = 1'000'000'000;
constexpr VpnNumber office = 3;

TEST(TokenBucket, GivesARateAndABurst) {
    TokenBucket bucket(10, 5);
    unsigned taken = 0;
    for (unsigned i = 0; i < 100; ++i) taken += bucket.take(second) ? 1U : 0U;
    EXPECT_EQ(taken, 5U);
    for (std::uint64_t ms = 1000; ms <= 3000; ++ms) taken += bucket.take(ms * 1'000'000) ? 1U : 0U;
    EXPECT_EQ(taken, 25U);
    TokenBucket none(0, 5);
    EXPECT_FALSE(none.take(second));
}

/// Red interface 12 (10.1.0.0/24, 10.1.6.0/24 and 2001:db8:1::/64) and 13 (10.9.0.0/24) in the VPN office.
class IcmpErrorsTest : public ::testing::Test {
protected:
    IcmpErrorsTest()
        : neighbours(std::make_shared<route::NeighbourTable>(6U)), fib(make_fib()),
          addresses(std::make_unique<const RedAddresses>(RedAddresses{
              {wan_vpn, 12, *parse_address("10.1.0.254"), 24}, // of another VPN
              {office, 13, *parse_address("10.9.0.1"), 24},
              {office, 12, *parse_address("fe80::1"), 64},
              {office, 12, *parse_address("10.1.0.1"), 24},
              {office, 12, *parse_address("10.1.6.1"), 24},
              {office, 12, *parse_address("2001:db8:1::1"), 64},
          })) {}

    std::unique_ptr<const route::Fib> make_fib() const {
        auto table = std::make_shared<route::Table>();
        table->groups = {route::Group{}, {DropReason::none, 1, 0}, {DropReason::none, 1, 1}, {DropReason::none, 1, 2}};
        table->hops = {{.link = 1}, {.link = 2}, {.link = 3}};
        const std::array entries4{route::Trie::Entry{*parse_prefix("10.1.0.0/16"), 1}, route::Trie::Entry{*parse_prefix("10.7.0.0/16"), 3},
                                  route::Trie::Entry{*parse_prefix("10.9.0.0/16"), 2}};
        const std::array entries6{route::Trie::Entry{*parse_prefix("2001:db8:1::/48"), 1}};
        table->ipv4 = route::Trie(entries4);
        table->ipv6 = route::Trie(entries6);
        const route::Link red{.interface = 12, .port = 1, .role = Role::red, .up = true, .mtu = 1500, .vpn = office};
        route::Link other = red, black = red;
        other.interface = 13;
        black.role = Role::black;
        return std::make_unique<route::Fib>(std::vector<std::shared_ptr<const route::Table>>{nullptr, nullptr, nullptr, table},
                                            std::vector<route::Link>{{}, red, other, black}, neighbours);
    }

    /// Gives a packet of the VPN office that was dropped; what came back, if anything did.
    std::vector<Frame> refuse(IcmpErrors& errors, const Octets& packet, DropReason reason, std::uint16_t flags = 0, std::uint32_t spi = 0,
                              std::uint64_t now = second) {
        Frame frame = bench.receive(packet);
        EXPECT_EQ(frame.reason, DropReason::none);
        frame.reason = reason;
        frame.flags |= flags;
        frame.spi = spi;
        frame.vpn = office;
        frame.worker = 5;
        const unsigned before = bench.dropped[reason];
        errors.take(frame, now, bench);
        EXPECT_EQ(bench.dropped[reason], before + 1) << "it counts with its reason either way";
        auto made = bench.returned();
        EXPECT_EQ(bench.out(), 0U);
        return made;
    }

    static Octets datagram4(const char* source, std::uint16_t fragment = wire::ipv4_dont_fragment, unsigned size = 100) {
        return wire::samples::ipv4(source, "10.2.0.2", 17, wire::samples::udp(1, 2, wire::samples::payload(size)), 64, fragment);
    }
    static Octets datagram6(const char* source) {
        return wire::samples::ipv6(source, "2001:db8:2::2", 17, wire::samples::udp(1, 2, wire::samples::payload(100)));
    }

    Bench bench{64};
    std::shared_ptr<route::NeighbourTable> neighbours;
    tables::Published<route::Fib> fib;
    tables::Published<RedAddresses> addresses;
};

TEST_F(IcmpErrorsTest, TellTheRedSideOfASize) {
    IcmpErrors errors(fib, addresses, 100);
    const auto made = refuse(errors, datagram4("10.1.6.2"), DropReason::too_big, 0, 1246);
    ASSERT_EQ(made.size(), 1U);
    const Frame& frame = made[0];
    EXPECT_EQ(frame.flags & (frame_ours | frame_to_red | frame_from_red | frame_secret), frame_ours | frame_to_red);
    EXPECT_EQ(frame.vpn, office);
    EXPECT_EQ(frame.worker, 5);
    EXPECT_EQ(frame.reason, DropReason::none);
    EXPECT_EQ(to_string(wire::source_of(frame.at(frame.network), 4)), "10.1.6.1") << "of the network where the source is";
    EXPECT_EQ(to_string(wire::destination_of(frame.at(frame.network), 4)), "10.1.6.2");
    const auto error = wire::parse_icmp_error(frame);
    ASSERT_TRUE(error);
    EXPECT_TRUE(error->too_big);
    EXPECT_EQ(error->mtu, 1246U);

    const auto made6 = refuse(errors, datagram6("2001:db8:1::2"), DropReason::too_big, 0, 1246);
    ASSERT_EQ(made6.size(), 1U);
    EXPECT_EQ(to_string(wire::source_of(made6[0].at(made6[0].network), 6)), "2001:db8:1::1") << "never a link-local one";
    EXPECT_EQ(wire::parse_icmp_error(made6[0])->mtu, 1280U) << "never less is told";
    EXPECT_EQ(errors.counters().told, 2U);
}

TEST_F(IcmpErrorsTest, SpeakFromTheInterfaceThatFacesTheSource) {
    IcmpErrors errors(fib, addresses, 100);
    auto made = refuse(errors, datagram4("10.9.77.2"), DropReason::ttl_expired);
    ASSERT_EQ(made.size(), 1U);
    EXPECT_EQ(to_string(wire::source_of(made[0].at(made[0].network), 4)), "10.9.0.1");
    EXPECT_EQ(wire::parse_icmp_error(made[0])->type, 11);
    EXPECT_TRUE(refuse(errors, datagram4("10.7.0.2"), DropReason::ttl_expired).empty()) << "its source is not on the red side";
    EXPECT_TRUE(refuse(errors, datagram4("10.77.0.2"), DropReason::ttl_expired).empty()) << "no way there";
    EXPECT_EQ(errors.counters().mute, 2U);
}

TEST_F(IcmpErrorsTest, AnswerWhatWasOpenedThroughTheTunnelAlone) {
    IcmpErrors errors(fib, addresses, 100);
    const Octets packet = wire::samples::ipv4("10.2.0.2", "10.9.0.2", 17, wire::samples::udp(1, 2, {}), 1);
    auto made = refuse(errors, packet, DropReason::ttl_expired, frame_to_red);
    ASSERT_EQ(made.size(), 1U);
    EXPECT_EQ(made[0].flags & (frame_ours | frame_to_red | frame_from_red | frame_secret), frame_ours | frame_from_red | frame_secret);
    EXPECT_EQ(to_string(wire::source_of(made[0].at(made[0].network), 4)), "10.9.0.1") << "of the network where it was to go";
    EXPECT_EQ(to_string(wire::destination_of(made[0].at(made[0].network), 4)), "10.2.0.2");
    made = refuse(errors, packet, DropReason::no_route, frame_to_red | frame_bypassed);
    ASSERT_EQ(made.size(), 1U);
    EXPECT_EQ(made[0].flags & (frame_from_red | frame_secret), frame_from_red) << "it came in clear";
    EXPECT_EQ(wire::parse_icmp_error(made[0])->code, 0);
    made = refuse(errors, packet, DropReason::neighbour_unresolved, frame_to_red);
    EXPECT_EQ(wire::parse_icmp_error(made.at(0))->code, 1);
    made = refuse(errors, packet, DropReason::policy_discard);
    EXPECT_TRUE(made.empty()) << "10.2.0.2 is not to be reached on the red side";
}

TEST_F(IcmpErrorsTest, KeepSilentWhereTheRulesSaySo) {
    IcmpErrors errors(fib, addresses, 100);
    EXPECT_TRUE(refuse(errors, datagram4("10.1.0.2", 0), DropReason::too_big, 0, 1246).empty()) << "it may be fragmented";
    EXPECT_TRUE(refuse(errors, datagram4("10.1.0.2", 0x2001), DropReason::ttl_expired).empty()) << "a later fragment";
    Octets message = wire::samples::payload(40);
    message[0] = 3;
    EXPECT_TRUE(refuse(errors, wire::samples::ipv4("10.1.0.2", "10.2.0.2", 1, message), DropReason::ttl_expired).empty()) << "an error";
    EXPECT_TRUE(refuse(errors, wire::samples::ipv4("10.1.0.2", "10.2.0.2", 99, {}, 0), DropReason::ttl_expired).empty()) << "TTL 0";
    EXPECT_TRUE(refuse(errors, datagram4("10.1.0.2"), DropReason::bad_icv).empty()) << "nobody's business";
    EXPECT_EQ(errors.counters().told + errors.counters().limited + errors.counters().mute, 0U);
}

TEST_F(IcmpErrorsTest, AreLimitedByVpnAndKind) {
    IcmpErrors errors(fib, addresses, 8);
    unsigned told = 0;
    for (unsigned i = 0; i < 50; ++i) told += refuse(errors, datagram4("10.1.0.2"), DropReason::ttl_expired).empty() ? 0U : 1U;
    EXPECT_EQ(told, 2U) << "a quarter of a second at once";
    EXPECT_EQ(errors.counters().limited, 48U);
    EXPECT_EQ(refuse(errors, datagram4("10.1.0.2"), DropReason::too_big, 0, 1300).size(), 1U) << "sizes have a bucket of their own";
    EXPECT_EQ(refuse(errors, datagram4("10.1.0.2"), DropReason::ttl_expired, 0, 0, 2 * second).size(), 1U);
    IcmpErrors none(fib, addresses, 0);
    EXPECT_TRUE(refuse(none, datagram4("10.1.0.2"), DropReason::too_big, 0, 1300).empty());
}

TEST_F(IcmpErrorsTest, WithoutAChunkThereIsNone) {
    IcmpErrors errors(fib, addresses, 100);
    std::vector<Frame> all;
    Frame last = bench.receive(datagram4("10.1.0.2"));
    for (Frame frame; bench.make(frame);) all.push_back(frame);
    last.reason = DropReason::ttl_expired;
    last.vpn = office;
    errors.take(last, second, bench);
    EXPECT_TRUE(bench.back.empty());
    EXPECT_EQ(errors.counters().mute, 1U);
    for (const Frame& frame : all) bench.used_up(frame);
    EXPECT_EQ(bench.out(), 0U);
}

// --- received ---

Octets needed(std::uint16_t mtu, std::uint8_t type = 3, std::uint8_t code = 4) {
    Octets esp(16);
    wire::store32(esp.data(), 0x1000);
    wire::store32(esp.data() + 4, 9);
    Octets message{type, code, 0, 0, 0, 0, static_cast<std::uint8_t>(mtu >> 8), static_cast<std::uint8_t>(mtu)};
    wire::samples::append(message, wire::samples::ipv4("192.0.2.1", "192.0.2.2", 50, esp));
    wire::store_raw(message.data() + 2, wire::checksum_raw(message.data(), static_cast<unsigned>(message.size())));
    return wire::samples::ipv4("203.0.113.9", "192.0.2.1", 1, message);
}

TEST(IcmpReceived, TakesProvenSizesAndCountsTheRest) {
    Bench bench(16);
    PathMtus mtus;
    IcmpReceived received(mtus);
    sequence::Unit unit;
    unit.words[sequence::number_word] = 10;
    transform::OutboundSa sa;
    sa.space.memory = &unit;
    sa.outer_length = 20;
    std::copy_n(parse_address("192.0.2.1")->octets.begin(), 4, sa.outer.begin() + 12);
    std::copy_n(parse_address("192.0.2.2")->octets.begin(), 4, sa.outer.begin() + 16);
    wire::store32(sa.outer.data() + 20, 0x1000);
    mtus.add(sa, 0, clamp_mss_off, route::Fib({}, {}, nullptr));

    const auto take = [&](const Octets& packet, DropReason reason, VpnNumber vpn = wan_vpn) {
        Frame frame = bench.receive(packet);
        frame.vpn = vpn;
        const unsigned before = bench.dropped[reason];
        received.take(frame, second, bench);
        EXPECT_EQ(bench.dropped[reason], before + 1) << info(reason).name;
        EXPECT_EQ(bench.out(), 0U);
    };
    take(needed(1300), DropReason::icmp_mtu_unproven, 7);
    take(needed(1300, 3, 1), DropReason::icmp_other);
    take(needed(1300, 11, 0), DropReason::icmp_other);
    Octets wrong = needed(1300);
    wrong.back() ^= 1;
    take(wrong, DropReason::icmp_malformed);
    EXPECT_EQ(transform::fit_of(sa).outer, 65535);
    EXPECT_EQ(received.next(), Handler::never);
    take(needed(1300), DropReason::icmp_mtu_taken);
    EXPECT_EQ(transform::fit_of(sa).outer, 1300);
    take(needed(1300), DropReason::icmp_mtu_known);
    take(needed(500), DropReason::icmp_mtu_unproven);
    EXPECT_EQ(received.next(), second + PathMtus::lifetime);
    received.look(second + PathMtus::lifetime, bench);
    EXPECT_EQ(transform::fit_of(sa).outer, 65535) << "aged back";
}

} // namespace
} // namespace sallyport::exception
