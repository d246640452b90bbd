// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/path_mtus.hpp"

#include "gateway/wire/octets.hpp"

#include <array>
#include <memory>
#include <string_view>

namespace sallyport::exception {
namespace {

using transform::fit_of;

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t minute = 60 * second;

/// A Fib with one black link and a default route of both families, whose MTU is given.
std::unique_ptr<const route::Fib> fib_with(std::uint16_t mtu, std::uint16_t second_way = 0) {
    auto table = std::make_shared<route::Table>();
    table->groups = {route::Group{}, route::Group{DropReason::none, static_cast<std::uint16_t>(second_way != 0 ? 2 : 1), 0}};
    table->hops = {{.link = 1}, {.link = 1, .weight_end = 2, .mtu = second_way}};
    const route::Trie::Entry any4{*parse_prefix("0.0.0.0/0"), 1}, any6{*parse_prefix("::/0"), 1};
    table->ipv4 = route::Trie({&any4, 1});
    table->ipv6 = route::Trie({&any6, 1});
    const route::Link black{.interface = 11, .port = 0, .role = Role::black, .up = true, .mtu = mtu};
    return std::make_unique<route::Fib>(std::vector<std::shared_ptr<const route::Table>>{table}, std::vector<route::Link>{{}, black},
                                        std::make_shared<route::NeighbourTable>(4U));
}

/// Hot parts without keys: only what sizes and quotes depend on.
struct Sa {
    sequence::Unit unit;
    transform::OutboundSa out;
    transform::InboundSa in;

    explicit Sa(std::uint32_t spi, std::uint64_t sent = 1000, bool ipv6 = false, VpnNumber vpn = wan_vpn) {
        const Address local = *parse_address(ipv6 ? "2001:db8:ff::1" : "192.0.2.1"),
                      remote = *parse_address(ipv6 ? "2001:db8:ff::2" : "192.0.2.2");
        unit.words[sequence::number_word] = sent;
        out.space.memory = &unit;
        out.outer_length = ipv6 ? 40 : 20;
        out.transform = transform::row_of(Algorithm::aes_128_gcm_16);
        out.outer_vpn = vpn;
        std::copy_n(local.octets.begin(), local.size(), out.outer.begin() + (ipv6 ? 8 : 12));
        std::copy_n(remote.octets.begin(), remote.size(), out.outer.begin() + (ipv6 ? 24 : 16));
        wire::store32(out.outer.data() + out.outer_length, spi);
        in.transform = out.transform;
        in.outer_vpn = vpn;
        in.spi = spi + 1;
        in.outer_family = local.family;
        in.outer_local = local.octets;
        in.outer_remote = remote.octets;
    }
    Sa(const Sa&) = delete;
    Sa& operator=(const Sa&) = delete;
};

MtuReport report(std::uint32_t spi, std::uint32_t sequence, std::uint32_t mtu, VpnNumber vpn = wan_vpn,
                 std::string_view remote = "192.0.2.2") {
    return {{vpn, *parse_address("192.0.2.1"), *parse_address(remote)}, spi, sequence, mtu};
}

TEST(Believed, TakesWhatLiesBetweenFloorAndPresent) {
    EXPECT_EQ(believed(Family::ipv4, 1500, 1499), 1499);
    EXPECT_EQ(believed(Family::ipv4, 1500, 576), 576);
    EXPECT_EQ(believed(Family::ipv4, 1500, 575), std::nullopt);
    EXPECT_EQ(believed(Family::ipv4, 1500, 0), std::nullopt) << "a router older than RFC 1191";
    EXPECT_EQ(believed(Family::ipv4, 1500, 1500), std::nullopt);
    EXPECT_EQ(believed(Family::ipv4, 1500, 65536 + 1300), std::nullopt);
    EXPECT_EQ(believed(Family::ipv6, 1500, 1280), 1280);
    EXPECT_EQ(believed(Family::ipv6, 1500, 1279), std::nullopt);
}

TEST(PathMtus, FollowRouteConfigurationAndReports) {
    PathMtus mtus;
    const auto fib = fib_with(1500);
    Sa one(0x1000), small(0x2000), six(0x3000, 1000, true);
    mtus.add(one.out, 0, clamp_mss_by_path, *fib);
    mtus.add(one.in, 0, clamp_mss_by_path, *fib);
    mtus.add(small.out, 1400, clamp_mss_off, *fib);
    mtus.add(six.out, 0, 1300, *fib);
    EXPECT_EQ(fit_of(one.out), (transform::Fit{1500, 1446, 1406, 1386}));
    EXPECT_EQ(fit_of(one.in), fit_of(one.out)) << "the way back is as wide";
    EXPECT_EQ(fit_of(small.out), (transform::Fit{1400, 1346, 65535, 65535})) << "the segments are left alone";
    EXPECT_EQ(fit_of(six.out), (transform::Fit{1500, 1426, 1300, 1300}));

    mtus.follow(*fib_with(9000));
    EXPECT_EQ(fit_of(one.out).outer, 9000);
    EXPECT_EQ(fit_of(small.out).outer, 1400) << "the configuration bounds it";
    mtus.follow(*fib_with(9000, 1450));
    EXPECT_EQ(fit_of(one.out).outer, 1450) << "the smaller of two ways";

    EXPECT_EQ(mtus.learn(report(0x1000, 1000, 1300), 0), DropReason::icmp_mtu_taken);
    EXPECT_EQ(fit_of(one.out), (transform::Fit{1300, 1246, 1206, 1220}));
    EXPECT_EQ(fit_of(one.in), fit_of(one.out));
    EXPECT_EQ(fit_of(small.out).outer, 1300) << "all SAs between these two";
    EXPECT_EQ(fit_of(six.out).outer, 1450) << "no other tunnel";
    EXPECT_EQ(mtus.learn(report(0x1000, 1000, 1400), 0), DropReason::icmp_mtu_known);
    EXPECT_EQ(mtus.learn(report(0x1000, 1000, 1300), 0), DropReason::icmp_mtu_known);
    mtus.follow(*fib_with(1280));
    EXPECT_EQ(fit_of(one.out).outer, 1280);
}

TEST(PathMtus, TellWhatHasChanged) {
    PathMtus mtus;
    Sa one(0x1000), other(0x2000), six(0x3000, 1000, true);
    one.out.number = 1;
    other.out.number = 2;
    six.out.number = 3;
    mtus.add(one.out, 0, clamp_mss_by_path, *fib_with(1500));
    mtus.add(one.in, 0, clamp_mss_by_path, *fib_with(1500));
    mtus.add(other.out, 1300, clamp_mss_by_path, *fib_with(1500));
    mtus.add(six.out, 0, clamp_mss_by_path, *fib_with(1500));
    EXPECT_TRUE(mtus.take_changes().each.empty()) << "what comes is no change";
    EXPECT_EQ(mtus.learn(report(0x1000, 1000, 1400), 0), DropReason::icmp_mtu_taken);
    auto changes = mtus.take_changes();
    ASSERT_EQ(changes.each.size(), 1U) << "the other one is bounded by its configuration, the third has another way";
    EXPECT_EQ(changes.each[0].sa, 1U);
    EXPECT_EQ(changes.each[0].before.outer, 1500);
    EXPECT_EQ(changes.each[0].now.outer, 1400);
    EXPECT_EQ(changes.each[0].now.inner, 1346);
    EXPECT_TRUE(mtus.take_changes().each.empty()) << "each once";
    mtus.age(PathMtus::lifetime);
    EXPECT_EQ(mtus.take_changes().each.at(0).now.outer, 1500);
    mtus.follow(*fib_with(1280));
    EXPECT_EQ(mtus.take_changes().each.size(), 3U);
}

TEST(PathMtus, OfManyChangesOnlySoMany) {
    PathMtus mtus;
    std::vector<std::unique_ptr<Sa>> all;
    for (std::uint32_t i = 0; i < PathMtus::most_changes + 7; ++i)
        mtus.add(all.emplace_back(std::make_unique<Sa>(0x1000 + i))->out, 0, clamp_mss_by_path, *fib_with(1500));
    mtus.follow(*fib_with(1400));
    const auto changes = mtus.take_changes();
    EXPECT_EQ(changes.each.size(), PathMtus::most_changes);
    EXPECT_EQ(changes.more, 7U);
    EXPECT_EQ(mtus.take_changes().more, 0U);
}

TEST(PathMtus, TakesNothingThatIsNotProven) {
    PathMtus mtus;
    const auto fib = fib_with(1500);
    Sa sa(0x1000, 1000), other(0x1000, 1000, false, 5);
    mtus.add(sa.out, 0, clamp_mss_by_path, *fib);
    mtus.add(other.out, 0, clamp_mss_by_path, *fib);
    mtus.add(sa.in, 0, clamp_mss_by_path, *fib);
    const transform::Fit before = fit_of(sa.out);
    for (const MtuReport& forged : {
             report(0x1001, 1000, 1300),                       // the SPI of the inbound SA
             report(0, 1000, 1300),                            //
             report(0x1000, 1001, 1300),                       // a number that was not given yet
             report(0x1000, 0, 1300),                          // nor ever
             report(0x1000, 0xfffffff0, 1300),                 //
             report(0x1000, 1000, 1300, wan_vpn, "192.0.2.3"), // another peer
             report(0x1000, 1000, 1300, 3),                    // another VPN
             report(0x1000, 1000, 68),
             report(0x1000, 1000, 0), // below the floor
             report(0x1000, 1000, 575),
             report(0x1000, 999, 575),
         }) {
        EXPECT_EQ(mtus.learn(forged, 0), DropReason::icmp_mtu_unproven);
        EXPECT_EQ(fit_of(sa.out), before);
    }
    EXPECT_EQ(mtus.next(), ~std::uint64_t{0});
    EXPECT_EQ(mtus.learn(report(0x1000, 1, 1300), 0), DropReason::icmp_mtu_taken) << "the first number counts";
    EXPECT_EQ(fit_of(other.out).outer, 65535) << "equal addresses in two VPNs never meet";
}

TEST(PathMtus, OldNumbersProveNothing) {
    PathMtus mtus;
    const auto fib = fib_with(1500);
    const std::uint64_t sent = (std::uint64_t{7} << 32) + 500; // the low half has just wrapped
    Sa sa(0x1000, sent);
    mtus.add(sa.out, 0, clamp_mss_by_path, *fib);
    EXPECT_EQ(mtus.learn(report(0x1000, static_cast<std::uint32_t>(sent - PathMtus::memory), 1300), 0), DropReason::icmp_mtu_unproven);
    EXPECT_EQ(mtus.learn(report(0x1000, static_cast<std::uint32_t>(sent - PathMtus::memory + 1), 1300), 0), DropReason::icmp_mtu_taken);
    EXPECT_EQ(mtus.learn(report(0x1000, 501, 1200), 0), DropReason::icmp_mtu_unproven);
}

TEST(PathMtus, AreInheritedAndAge) {
    PathMtus mtus;
    const auto fib = fib_with(1500);
    Sa first(0x1000), second_sa(0x2000), third(0x3000);
    mtus.add(first.out, 0, clamp_mss_by_path, *fib);
    EXPECT_EQ(mtus.learn(report(0x1000, 1000, 1300), 5 * second), DropReason::icmp_mtu_taken);
    EXPECT_EQ(mtus.next(), 5 * second + 10 * minute);
    mtus.add(second_sa.out, 0, clamp_mss_by_path, *fib);
    EXPECT_EQ(fit_of(second_sa.out).outer, 1300) << "the rekeyed SA";
    mtus.remove(first.out);
    mtus.remove(second_sa.out);
    mtus.add(third.out, 0, clamp_mss_by_path, *fib);
    EXPECT_EQ(fit_of(third.out).outer, 1300) << "even after a time without any";
    EXPECT_EQ(fit_of(first.out).outer, 1300) << "who has left is left alone";

    EXPECT_EQ(mtus.learn(report(0x3000, 1000, 1200), minute), DropReason::icmp_mtu_taken);
    mtus.age(5 * second + 10 * minute);
    EXPECT_EQ(fit_of(third.out).outer, 1200) << "the lower value is younger";
    EXPECT_EQ(mtus.next(), 11 * minute);
    mtus.age(11 * minute - 1);
    EXPECT_EQ(fit_of(third.out).outer, 1200);
    mtus.age(11 * minute);
    EXPECT_EQ(fit_of(third.out).outer, 1500);
    EXPECT_EQ(mtus.next(), ~std::uint64_t{0});
    EXPECT_EQ(mtus.learned({wan_vpn, *parse_address("192.0.2.1"), *parse_address("192.0.2.2")}), 0);
}

} // namespace
} // namespace sallyport::exception
