// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/record.hpp"

#include <gmock/gmock.h>

#include <cstddef>
#include <cstring>
#include <random>

namespace sallyport::record {
namespace {

SaSpec make_sa(Direction direction = Direction::inbound) {
    SaSpec sa;
    sa.name = "office-1.x_y";
    sa.direction = direction;
    sa.child = 7;
    sa.generation = 0x0102030405060708;
    sa.spi = 0x80001000;
    sa.outer_local = *parse_address("2001:db8::1");
    sa.outer_remote = *parse_address("2001:db8::2");
    sa.outer_vpn = 3;
    sa.red_vpn = 4;
    sa.algorithm = Algorithm::chacha20_poly1305;
    sa.key.size = 36;
    for (unsigned i = 0; i < sa.key.size; ++i) sa.key.octets[i] = static_cast<std::uint8_t>(i + 1);
    sa.sequence = SequenceKind::short_32;
    sa.window = 64;
    sa.selectors = {{*parse_range("10.0.0.0/8"), *parse_range("10.1.0.5-10.1.0.9"), 17, {1, 2}, {3, 65535}},
                    {*parse_range("fd00::/8"), *parse_range("fd01::1"), 0, {}, {}}};
    sa.dscp = DscpRule::set;
    sa.dscp_value = 46;
    sa.df = DfRule::clear;
    sa.fragment = FragmentRule::after;
    sa.clamp_mss = 1200;
    sa.hop_limit = 17;
    sa.mtu = 1400;
    sa.udp_port = 4501;
    sa.keepalive = 19;
    sa.tfc_padding = 128;
    sa.soft = {900, 90000, 90};
    sa.hard = {1000, 100000, 100};
    sa.jitter = 20;
    sa.begun = 12345;
    sa.idle = 77;
    sa.follow = direction == Direction::inbound;
    sa.dummies_per_second = direction == Direction::outbound ? 9 : 0;
    sa.owner = 2;
    sa.manual = false;
    return sa;
}

Changes make_changes() {
    Changes changes;
    changes.install = {make_sa(), make_sa(Direction::outbound)};
    changes.update = {make_sa()};
    changes.update[0].name = "other";
    changes.remove = {{"old", Direction::inbound, 6, 5000}, {"old", Direction::outbound, 6, 0}};
    changes.policies = {{"through", 1, 10, PolicyAction::protect, make_sa().selectors, "office-1.x_y"},
                        {"not", 0, 20, PolicyAction::discard, {make_sa().selectors[0]}, "", PolicyReach::inbound}};
    changes.remove_policies = {"gone"};
    return changes;
}

std::vector<std::uint8_t> encoded(const Changes& changes) {
    const auto size = encoded_size(changes);
    EXPECT_TRUE(size);
    std::vector<std::uint8_t> octets(*size);
    const auto done = encode(changes, octets);
    EXPECT_TRUE(done) << to_string(done.error());
    return octets;
}

constexpr std::size_t install = sizeof(CallHeader), update = install + 2 * sizeof(SaRecord), removal = update + sizeof(SaRecord),
                      policy = removal + 2 * sizeof(RemovalRecord), name = policy + 2 * sizeof(PolicyRecord), selector = name + name_size;

/// Octets of a good call with `value` written at `at`.
template <class T>
std::vector<std::uint8_t> broken(std::size_t at, T value) {
    std::vector<std::uint8_t> octets = encoded(make_changes());
    EXPECT_LE(at + sizeof value, octets.size());
    std::memcpy(octets.data() + at, &value, sizeof value);
    return octets;
}

std::string place_of(const std::vector<std::uint8_t>& octets) {
    const auto changes = decode(octets);
    return changes ? "taken" : changes.error().place;
}

TEST(RecordTest, WhatIsWrittenIsRead) {
    const Changes changes = make_changes();
    const auto octets = encoded(changes);
    const auto read = decode(octets);
    ASSERT_TRUE(read) << to_string(read.error());
    ASSERT_EQ(read->install.size(), 2U);
    const SaSpec &is = read->install[1], &was = changes.install[1];
    EXPECT_EQ(std::tie(is.name, is.direction, is.child, is.generation, is.spi, is.outer_local, is.outer_remote, is.outer_vpn, is.red_vpn),
              std::tie(was.name, was.direction, was.child, was.generation, was.spi, was.outer_local, was.outer_remote, was.outer_vpn,
                       was.red_vpn));
    EXPECT_EQ(
        std::tie(is.algorithm, is.key.size, is.key.octets, is.sequence, is.window, is.dscp, is.dscp_value, is.df, is.hop_limit),
        std::tie(was.algorithm, was.key.size, was.key.octets, was.sequence, was.window, was.dscp, was.dscp_value, was.df, was.hop_limit));
    EXPECT_EQ(std::tie(is.mtu, is.fragment, is.clamp_mss, is.dummies_per_second, is.owner, is.manual, is.selectors),
              std::tie(was.mtu, was.fragment, was.clamp_mss, was.dummies_per_second, was.owner, was.manual, was.selectors));
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(read->install[i].idle, 77);
        EXPECT_EQ(read->install[i].follow, i == 0);
    }
    EXPECT_EQ(read->update[0].name, "other");
    EXPECT_EQ(read->remove, changes.remove);
    ASSERT_EQ(read->policies.size(), 2U);
    for (std::size_t i = 0; i < 2; ++i) {
        const PolicySpec &now = read->policies[i], &then = changes.policies[i];
        EXPECT_EQ(std::tie(now.name, now.vpn, now.priority, now.action, now.selectors, now.sa),
                  std::tie(then.name, then.vpn, then.priority, then.action, then.selectors, then.sa));
    }
    EXPECT_EQ(read->remove_policies, changes.remove_policies);
    EXPECT_EQ(encoded(*read), octets);
}

TEST(RecordTest, ModesAndProtocolsAreWrittenAndJudged) {
    SaSpec sa = make_sa();
    sa.outer_local = *parse_address("192.0.2.1");
    sa.outer_remote = *parse_address("192.0.2.2");
    sa.selectors = {{*parse_range("192.0.2.1"), *parse_range("192.0.2.2")}};
    sa.mode = SaMode::transport;
    sa.tfc_padding = 0;
    sa.original_local = *parse_address("203.0.113.7");
    sa.original_remote = *parse_address("10.9.9.9");
    SaSpec ah = sa;
    ah.protocol = SaProtocol::ah;
    ah.algorithm = Algorithm::null_aes_cmac_96;
    ah.key.size = 16;
    std::fill(ah.key.octets.begin() + 16, ah.key.octets.end(), std::uint8_t{0});
    ah.udp_port = ah.keepalive = 0;
    ah.follow = false;
    ah.original_local = ah.original_remote = {};
    const auto octets = encoded({.install = {sa, ah}});
    const auto read = decode(octets);
    ASSERT_TRUE(read) << to_string(read.error());
    EXPECT_EQ(read->install[0].mode, SaMode::transport);
    EXPECT_EQ(read->install[0].original_local, sa.original_local);
    EXPECT_EQ(read->install[0].original_remote, sa.original_remote);
    EXPECT_EQ(read->install[1].protocol, SaProtocol::ah);
    EXPECT_EQ(encoded(*read), octets);
    sa.selectors.push_back({*parse_range("192.0.2.1"), *parse_range("192.0.2.3")});
    EXPECT_EQ(place_of(encoded({.install = {sa}})), "install[0] mode");
}

TEST(RecordTest, EverySizeButTheRightOneIsRefused) {
    const auto octets = encoded(make_changes());
    for (std::size_t size = 0; size < octets.size(); ++size) ASSERT_FALSE(decode(std::span(octets).first(size))) << size;
    auto longer = octets;
    longer.push_back(0);
    EXPECT_EQ(place_of(longer), "header size");
    EXPECT_TRUE(decode(encoded({}))); // of nothing
}

TEST(RecordTest, TheHeaderIsChecked) {
    EXPECT_EQ(place_of(broken(offsetof(CallHeader, magic), magic + 1)), "header magic");
    EXPECT_EQ(place_of(broken(offsetof(CallHeader, version), version + 1)), "header version");
    EXPECT_EQ(place_of(broken(offsetof(CallHeader, zero) + 8, std::uint64_t{1})), "header zero");
    EXPECT_EQ(place_of(broken(offsetof(CallHeader, installs), 16381U)), "header size");
    EXPECT_EQ(place_of(broken(offsetof(CallHeader, installs), most_sas + 1)), "header installs");
    EXPECT_EQ(place_of(broken(offsetof(CallHeader, updates), 0xffffffffU)), "header installs");
    EXPECT_EQ(place_of(broken(offsetof(CallHeader, removals), most_sas)), "header installs");
    EXPECT_EQ(place_of(broken(offsetof(CallHeader, policies), most_policies + 1)), "header policies");
    EXPECT_EQ(place_of(broken(offsetof(CallHeader, policy_removals), 0xffffffffU)), "header policies");
    EXPECT_EQ(place_of(broken(offsetof(CallHeader, selectors), most_selectors + 1)), "header selectors");
    EXPECT_EQ(place_of(broken(offsetof(CallHeader, selectors), 0U)), "header size");
}

TEST(RecordTest, EveryFieldOfAnSaIsCheckedAndNamed) {
    const std::size_t second = install + sizeof(SaRecord);
    const auto octet = [&](std::size_t field, unsigned value) {
        return place_of(broken(second + field, static_cast<std::uint8_t>(value)));
    };
    EXPECT_EQ(octet(offsetof(SaRecord, name), '/'), "install[1] name");
    EXPECT_EQ(octet(offsetof(SaRecord, name), 0), "install[1] name");
    EXPECT_EQ(octet(offsetof(SaRecord, name) + 62, 'x'), "install[1] name"); // behind its end
    EXPECT_EQ(place_of(broken(second + offsetof(SaRecord, spi), 255U)), "install[1] spi");
    EXPECT_EQ(place_of(broken(second + offsetof(SaRecord, window), 33U)), "install[1] window");
    EXPECT_EQ(place_of(broken(second + offsetof(SaRecord, window), 131072U)), "install[1] window");
    EXPECT_EQ(place_of(broken(second + offsetof(SaRecord, first_selector), 8U)), "install[1] selectors");
    EXPECT_EQ(place_of(broken(second + offsetof(SaRecord, first_selector), 0xffffffffU)), "install[1] first_selector");
    EXPECT_EQ(place_of(broken(second + offsetof(SaRecord, selectors), 0xffffffffU)), "install[1] selectors");
    EXPECT_EQ(place_of(broken(second + offsetof(SaRecord, selectors), 0U)), "install[1] selectors");
    EXPECT_EQ(place_of(broken(second + offsetof(SaRecord, owner), std::int16_t{-2})), "install[1] owner");
    EXPECT_EQ(octet(offsetof(SaRecord, outer_family), 5), "install[1] outer_family");
    EXPECT_EQ(octet(offsetof(SaRecord, outer_family), 4), "install[1] outer_local"); // sixteen octets
    EXPECT_EQ(octet(offsetof(SaRecord, direction), 2), "install[1] direction");
    EXPECT_EQ(octet(offsetof(SaRecord, algorithm), algorithms.size()), "install[1] algorithm");
    EXPECT_EQ(octet(offsetof(SaRecord, algorithm), 0), "install[1] key_size");
    EXPECT_EQ(octet(offsetof(SaRecord, sequence), 2), "install[1] sequence");
    EXPECT_EQ(octet(offsetof(SaRecord, dscp), 2), "install[1] dscp");
    EXPECT_EQ(octet(offsetof(SaRecord, dscp_value), 64), "install[1] dscp_value");
    EXPECT_EQ(octet(offsetof(SaRecord, df), 3), "install[1] df");
    EXPECT_EQ(octet(offsetof(SaRecord, hop_limit), 0), "install[1] hop_limit");
    EXPECT_EQ(octet(offsetof(SaRecord, fragment), 2), "install[1] fragment");
    EXPECT_EQ(octet(offsetof(SaRecord, manual), 2), "install[1] manual");
    EXPECT_EQ(octet(offsetof(SaRecord, key_size), 37), "install[1] key_size");
    EXPECT_EQ(octet(offsetof(SaRecord, key) + 36, 1), "install[1] zero");
    EXPECT_EQ(octet(offsetof(SaRecord, zero), 1), "install[1] zero");
    EXPECT_EQ(octet(offsetof(SaRecord, follow), 2), "install[1] follow");
    EXPECT_EQ(octet(offsetof(SaRecord, follow), 1), "taken");
    EXPECT_EQ(octet(offsetof(SaRecord, last_zero) + 4, 1), "install[1] zero");
    Changes bare = make_changes();
    bare.install[0].udp_port = bare.install[0].keepalive = 0;
    EXPECT_EQ(place_of(encoded(bare)), "install[0] follow") << "only behind a NAT";
    EXPECT_EQ(place_of(broken(update + offsetof(SaRecord, spi), 0U)), "update[0] spi");
}

TEST(RecordTest, RemovalsPoliciesAndSelectorsAreChecked) {
    const auto octet = [&](std::size_t at, unsigned value) { return place_of(broken(at, static_cast<std::uint8_t>(value))); };
    EXPECT_EQ(octet(removal + offsetof(RemovalRecord, name), ' '), "remove[0] name");
    EXPECT_EQ(octet(removal + offsetof(RemovalRecord, direction), 2), "remove[0] direction");
    EXPECT_EQ(octet(removal + offsetof(RemovalRecord, zero), 2), "remove[0] zero");
    EXPECT_EQ(place_of(broken(removal + offsetof(RemovalRecord, drain), longest_drain + 1)), "remove[0] drain");
    EXPECT_EQ(place_of(broken(removal + sizeof(RemovalRecord) + offsetof(RemovalRecord, drain), 1U)), "remove[1] drain"); // outbound
    EXPECT_EQ(octet(policy + offsetof(PolicyRecord, action), 3), "policy[0] action");
    EXPECT_EQ(octet(policy + offsetof(PolicyRecord, sa), 0), "policy[0] sa");
    EXPECT_EQ(octet(policy + offsetof(PolicyRecord, reach), 1), "policy[0] reach"); // protects
    EXPECT_EQ(octet(policy + sizeof(PolicyRecord) + offsetof(PolicyRecord, reach), 3), "policy[1] reach");
    EXPECT_EQ(octet(policy + sizeof(PolicyRecord) + offsetof(PolicyRecord, sa), 'x'), "policy[1] sa"); // discards
    EXPECT_EQ(place_of(broken(policy + offsetof(PolicyRecord, first_selector), 77U)), "policy[0] first_selector");
    EXPECT_EQ(octet(name, '-'), "remove-policy[0] name");
    EXPECT_EQ(octet(selector + offsetof(SelectorRecord, family), 0), "selector[0] family");
    EXPECT_EQ(octet(selector + offsetof(SelectorRecord, family), 6), "taken"); // 10.0.0.0 with zeros behind it is an address of IPv6, too
    EXPECT_EQ(octet(selector + offsetof(SelectorRecord, local_first) + 15, 1), "selector[0] local");
    EXPECT_EQ(octet(selector + offsetof(SelectorRecord, remote_first), 11), "selector[0] remote");
    EXPECT_EQ(place_of(broken(selector + offsetof(SelectorRecord, local_ports), std::uint16_t{3})), "selector[0] local_ports");
    EXPECT_EQ(place_of(broken(selector + offsetof(SelectorRecord, remote_ports) + 2, std::uint16_t{2})), "selector[0] remote_ports");
    EXPECT_EQ(octet(selector + offsetof(SelectorRecord, protocol), 47), "selector[0] protocol"); // GRE has no ports
    EXPECT_EQ(octet(selector + offsetof(SelectorRecord, zero) + 5, 1), "selector[0] zero");
}

/// Whatever octet is changed: it is refused with a place, or is another good call.
TEST(RecordTest, NoOctetIsWithoutMeaning) {
    const auto octets = encoded(make_changes());
    std::mt19937 random(1);
    for (std::size_t at = 0; at < octets.size(); ++at) {
        auto other = octets;
        other[at] ^= static_cast<std::uint8_t>(1 + random() % 255);
        const auto changes = decode(other);
        if (changes)
            EXPECT_EQ(encoded(*changes).size(), octets.size()) << at;
        else
            EXPECT_FALSE(changes.error().place.empty()) << at;
    }
}

TEST(RecordTest, TooMuchForOneCallIsNotWritten) {
    Changes changes;
    changes.remove.resize(most_sas + 1);
    const auto size = encoded_size(changes);
    ASSERT_FALSE(size);
    EXPECT_EQ(size.error().code, ErrorCode::exhausted);
    changes.remove.resize(1);
    changes.remove[0].name = "not a name";
    std::vector<std::uint8_t> octets(*encoded_size(changes));
    EXPECT_FALSE(encode(changes, octets));
}

} // namespace
} // namespace sallyport::record
