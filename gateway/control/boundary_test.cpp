// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/boundary.hpp"

#include "gateway/control/difference.hpp"
#include "gateway/control/guard.hpp"
#include "gateway/control/threads.hpp"

#include <algorithm>
#include <chrono>
#include <string>

namespace sallyport::control {
namespace {

Selector selector(const char* local, const char* remote) { return {*parse_range(local), *parse_range(remote), 0, {}, {}}; }

PolicySpec policy(const char* name, std::uint32_t priority, PolicyAction action, const char* local, const char* remote,
                  const char* sa = "") {
    return {name, 1, priority, action, {selector(local, remote)}, sa};
}

SaSpec sa(const char* name, VpnNumber outer_vpn) {
    SaSpec result;
    result.name = name;
    result.outer_vpn = outer_vpn;
    result.key.size = 64;
    return result;
}

// Two black VPNs (0 on the port itself, 5 on its VLAN 50) and a red port.
Desired two_worlds() {
    Desired desired;
    desired.ports = {{"wan", Role::black, {{0, 0}, {50, 5}}, {}}, {"lan", Role::red, {{0, 1}}, {}}};
    desired.sas = {sa("office", 0), sa("far", 5)};
    return desired;
}

std::vector<std::string> texts(const std::vector<xdp::ProtectedSource>& sources) {
    std::vector<std::string> result;
    for (const auto& s : sources) result.push_back(std::to_string(s.vpn) + " " + to_string(s.prefix) + (s.exempt ? " exempt" : ""));
    std::ranges::sort(result);
    return result;
}

using Texts = std::vector<std::string>;

TEST(Boundary, ProtectedSourcesAreThoseOfTheSasVpn) {
    Desired desired = two_worlds();
    desired.policies = {policy("a", 10, PolicyAction::protect, "10.1.0.0/16", "10.2.0.0/16", "office"),
                        policy("b", 20, PolicyAction::protect, "10.1.0.0/16", "10.3.0.0/16", "far"),
                        policy("c", 30, PolicyAction::protect, "10.1.0.0/16", "10.4.0.0/16", "not there"),
                        policy("d", 40, PolicyAction::discard, "10.1.0.0/16", "10.5.0.0/16")};
    EXPECT_EQ(texts(protected_sources(desired)), (Texts{"0 10.2.0.0/16", "0 10.4.0.0/16", "5 10.3.0.0/16", "5 10.4.0.0/16"}));
}

TEST(Boundary, EverythingIsNoProtectedSource) {
    Desired desired = two_worlds();
    desired.policies = {policy("a", 10, PolicyAction::protect, "10.1.0.0/16", "0.0.0.0/0", "office"),
                        policy("b", 10, PolicyAction::protect, "2001:db8:1::/48", "::/0", "office"),
                        policy("c", 10, PolicyAction::protect, "10.1.0.0/16", "10.2.0.0/31", "office")};
    EXPECT_EQ(texts(protected_sources(desired)), (Texts{"0 10.2.0.0/31"}));
}

TEST(Boundary, BypassExemptsWhereNoProtectStandsBefore) {
    Desired desired = two_worlds();
    desired.ports[0].vlans.pop_back();
    desired.policies = {policy("first", 5, PolicyAction::bypass, "10.1.0.0/16", "10.2.7.0/24"),
                        policy("net", 10, PolicyAction::protect, "10.1.0.0/16", "10.2.0.0/16", "office"),
                        policy("late", 20, PolicyAction::bypass, "10.1.0.0/16", "10.2.8.0/24"),
                        policy("equal", 20, PolicyAction::bypass, "10.1.0.0/16", "10.2.0.0/16")};
    EXPECT_EQ(texts(protected_sources(desired)), (Texts{"0 10.2.0.0/16", "0 10.2.7.0/24 exempt"}));
    desired.policies[0].selectors[0].protocol = 6;
    EXPECT_EQ(texts(protected_sources(desired)), (Texts{"0 10.2.0.0/16"})) << "TCP only exempts nobody from the rest";
    const BypassPrefixes prefixes = bypass_prefixes(desired);
    EXPECT_EQ(prefixes.sources.size(), 3U);
    ASSERT_EQ(prefixes.destinations.size(), 1U);
    EXPECT_EQ(to_string(prefixes.destinations[0].prefix), "10.1.0.0/16");
}

/// From `wan` clear packets may come into every VPN, from another outer VPN into that of its name alone; a bypass of one VPN opens nothing
/// that another one has protected.
TEST(Boundary, BypassByVpn) {
    Desired desired = two_worlds();
    PolicySpec of_five = policy("five", 5, PolicyAction::bypass, "10.1.0.0/16", "10.2.7.0/24"), of_one = of_five, out = of_five;
    of_five.vpn = 5;
    of_one.name = "one";
    of_one.selectors = {selector("10.1.0.0/16", "10.3.7.0/24")};
    out.reach = PolicyReach::outbound;
    out.selectors = {selector("10.1.0.0/16", "10.8.0.0/16")};
    desired.policies = {of_five, of_one, out, policy("net", 10, PolicyAction::protect, "10.1.0.0/16", "10.2.0.0/15", "office")};
    EXPECT_EQ(texts(protected_sources(desired)), (Texts{"0 10.2.0.0/15", "0 10.3.7.0/24 exempt", "5 10.2.7.0/24 exempt"}))
        << "VPN 1 protects 10.2.7.0/24 on the wan, whatever VPN 5 does";
    Texts sources;
    for (const xdp::VpnPrefix& one : bypass_prefixes(desired).sources)
        sources.push_back(std::to_string(one.vpn) + " " + to_string(one.prefix));
    EXPECT_EQ(sources, (Texts{"0 10.2.7.0/24", "0 10.3.7.0/24", "5 10.2.7.0/24"}));
}

/// Ten thousand policies must not keep the control thread busy.
TEST(Boundary, Many) {
    Desired desired = two_worlds();
    for (unsigned i = 0; i < 10000; ++i) {
        const std::string remote = "10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".0/24";
        const PolicyAction action = i % 2 == 0 ? PolicyAction::protect : PolicyAction::bypass;
        desired.policies.push_back(policy("x", i, action, "10.100.0.0/16", remote.c_str(), "office"));
    }
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(protected_sources(desired).size(), 10000U);
    EXPECT_EQ(bypass_prefixes(desired).sources.size(), 5000U);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1)) << "a second is twenty times what it takes";
}

TEST(Boundary, TheMachineItselfSendsNothingThatIsProtected) {
    Desired desired = two_worlds();
    desired.policies = {policy("a", 10, PolicyAction::protect, "10.1.0.0/16", "10.2.0.0/16", "office"),
                        policy("b", 20, PolicyAction::protect, "10.1.0.0/16", "10.3.0.0/16", "far"),
                        policy("c", 30, PolicyAction::protect, "10.1.0.0/16", "10.4.0.0/16", "not there"),
                        policy("d", 40, PolicyAction::discard, "10.1.0.0/16", "10.5.0.0/16"),
                        policy("e", 50, PolicyAction::protect, "10.6.0.0/16", "0.0.0.0/0", "office"),
                        policy("f", 60, PolicyAction::protect, "0.0.0.0/0", "0.0.0.0/0", "office")};
    const EgressPrefixes egress = egress_prefixes(desired);
    EXPECT_EQ(texts(egress.destinations), (Texts{"0 10.2.0.0/16", "0 10.4.0.0/16", "5 10.3.0.0/16", "5 10.4.0.0/16"}));
    ASSERT_EQ(egress.sources.size(), 1U) << "not from everywhere: the machine would be cut off from the black side";
    EXPECT_EQ(egress.sources[0].vpn, 0);
    EXPECT_EQ(to_string(egress.sources[0].prefix), "10.6.0.0/16");
}

TEST(Boundary, ABypassExemptsFromTheLockOnlyWhatItAllLetsThrough) {
    Desired desired = two_worlds();
    desired.ports[0].vlans.pop_back();
    const auto destinations = [&] { return texts(egress_prefixes(desired).destinations); };
    desired.policies = {policy("first", 5, PolicyAction::bypass, "10.1.0.0/16", "10.2.7.0/24"),
                        policy("net", 10, PolicyAction::protect, "10.1.0.0/16", "10.2.0.0/16", "office"),
                        policy("late", 20, PolicyAction::bypass, "10.1.0.0/16", "10.2.8.0/24"),
                        policy("wide", 20, PolicyAction::bypass, "10.1.0.0/16", "10.0.0.0/8"),
                        policy("aside", 20, PolicyAction::bypass, "10.1.0.0/16", "10.9.0.0/16")};
    EXPECT_EQ(destinations(), (Texts{"0 10.2.0.0/16", "0 10.2.7.0/24 exempt", "0 10.9.0.0/16 exempt"}));
    desired.policies[0].selectors[0].protocol = 6;
    EXPECT_EQ(destinations(), (Texts{"0 10.2.0.0/16", "0 10.9.0.0/16 exempt"})) << "TCP only exempts nobody from the rest";
    desired.policies[0] = policy("first", 5, PolicyAction::bypass, "10.1.7.0/24", "10.2.7.0/24");
    EXPECT_EQ(destinations(), (Texts{"0 10.2.0.0/16", "0 10.9.0.0/16 exempt"})) << "from others it is protected";
    desired.policies[0] = policy("first", 5, PolicyAction::bypass, "10.1.0.0/16", "10.2.7.0/24");
    desired.policies[0].vpn = 2;
    EXPECT_EQ(destinations(), (Texts{"0 10.2.0.0/16", "0 10.9.0.0/16 exempt"})) << "another VPN's bypass is none here";
}

TEST(GuardOfBoot, KnowsPortsAndNetworks) {
    Desired desired = two_worlds();
    desired.vpns = {{"b", 1, 101}};
    desired.policies = {policy("first", 5, PolicyAction::bypass, "10.1.0.0/16", "10.2.7.0/24"),
                        policy("net", 10, PolicyAction::protect, "10.1.0.0/16", "10.2.0.0/16", "office"),
                        policy("all", 20, PolicyAction::protect, "10.6.0.0/16", "0.0.0.0/0", "office")};
    const guard::Wall wall = wall_of_boot(desired);
    EXPECT_EQ(wall.ports, (Texts{"wan", "lan"}));
    EXPECT_EQ(wall.tunnels, (Texts{"sp-b"}));
    const auto words = [](const std::vector<Prefix>& prefixes) {
        Texts result;
        for (const Prefix& prefix : prefixes) result.push_back(to_string(prefix));
        return result;
    };
    EXPECT_EQ(words(wall.networks), (Texts{"10.1.0.0/16", "10.2.0.0/16", "10.6.0.0/16"}));
    EXPECT_EQ(words(wall.sources), (Texts{"10.2.0.0/16"}));
    ASSERT_EQ(wall.ways.size(), 1U);
    EXPECT_EQ(wall.ways[0].interface, "");
    ASSERT_EQ(wall.ways[0].destinations.size(), 1U);
    EXPECT_FALSE(wall.ways[0].destinations[0].exempt);
}

TEST(StandingGuard, KnowsWhatStandsOnPorts) {
    Desired desired = two_worlds();
    desired.policies = {policy("first", 5, PolicyAction::bypass, "10.1.0.0/16", "10.2.7.0/24"),
                        policy("net", 10, PolicyAction::protect, "10.1.0.0/16", "10.2.0.0/16", "office")};
    std::map<std::uint32_t, route::KernelLink> links;
    links[2].name = "wan";
    links[3].name = "lan";
    links[7].name = "fifty";
    links[7].parent = 2;
    links[8].name = "other";
    guard::Wall wall = standing_wall(desired, links);
    EXPECT_EQ(wall.ports, (Texts{"wan", "lan", "fifty"}));
    EXPECT_TRUE(wall.networks.empty() && wall.sources.empty());
    ASSERT_EQ(wall.ways.size(), 2U);
    EXPECT_EQ(wall.ways[0].interface, "wan");
    EXPECT_EQ(wall.ways[1].interface, "fifty");
    EXPECT_EQ(wall.ways[0].destinations.size(), 1U) << "two VPNs: nothing is exempt";
    desired.ports[0].vlans.pop_back();
    wall = standing_wall(desired, {});
    ASSERT_EQ(wall.ways.size(), 1U);
    EXPECT_EQ(wall.ways[0].destinations.size(), 2U);
}

TEST(Boundary, LocalAddressesByVpnAndPort) {
    const Desired desired = two_worlds();
    const route::Link wan{.interface = 2, .port = 0, .role = Role::black, .up = true, .vpn = 0};
    const route::Link lan{.interface = 3, .port = 1, .role = Role::red, .up = true, .vpn = 1};
    const auto at = [](std::uint32_t interface, const char* address) {
        return route::KernelAddress{interface, *parse_address(address), 24, std::nullopt};
    };
    std::vector<route::LocalAddress> addresses{{at(2, "192.0.2.1"), &wan}, {at(3, "10.1.0.1"), &lan}, {at(1, "127.0.0.1"), nullptr}};
    addresses[0].address.broadcast = parse_address("192.0.2.255");
    const auto find = [&](const std::vector<xdp::LocalAddress>& list, std::uint32_t interface, VpnNumber vpn, const char* address) {
        for (const xdp::LocalAddress& a : list)
            if (a.ifindex == interface && a.vpn == vpn && a.address == *parse_address(address)) return a.ipsec ? 2 : 1;
        return 0;
    };
    auto list = local_addresses(desired.ports, {2, 3}, addresses);
    EXPECT_EQ(find(list, 2, 0, "192.0.2.1"), 2);
    EXPECT_EQ(find(list, 2, 0, "192.0.2.255"), 1) << "broadcast: for the gateway, no IPsec";
    EXPECT_EQ(find(list, 2, 0, "127.0.0.1"), 1) << "of no port of ours: wan's";
    EXPECT_EQ(find(list, 3, 1, "10.1.0.1"), 1);
    EXPECT_EQ(find(list, 2, 0, "10.1.0.1"), 0) << "an address of a red VPN is none of wan's";
    EXPECT_EQ(find(list, 3, 1, "192.0.2.1"), 0);
    EXPECT_EQ(find(list, 2, 5, "192.0.2.1"), 0) << "another VPN on the same port";
    std::vector<PortSpec> ports = desired.ports;
    ports[0].listen = {*parse_address("127.0.0.1")};
    list = local_addresses(ports, {2, 3}, addresses);
    EXPECT_EQ(find(list, 2, 0, "192.0.2.1"), 1) << "listen leaves it out";
    EXPECT_EQ(find(list, 2, 0, "127.0.0.1"), 2);
}

TEST(Difference, OnlyWhatDiffers) {
    Desired now = two_worlds();
    now.sas[0].key.octets.fill(1);
    now.sas[1].key.octets.fill(2);
    Desired wanted = now;
    const KeyPrints prints = take_keys(now.sas);
    EXPECT_TRUE(std::ranges::all_of(now.sas[0].key.octets, [](auto octet) { return octet == 0; })) << "no key is kept";
    SaDifference none = difference(now.sas, prints, wanted.sas);
    EXPECT_TRUE(none.install.empty() && none.update.empty() && none.remove.empty());
    wanted.sas[0].key.octets[5] = 9;
    wanted.sas[1].name = "farther";
    const SaDifference some = difference(now.sas, prints, wanted.sas);
    ASSERT_EQ(some.update.size(), 1U);
    EXPECT_EQ(some.update[0].name, "office");
    ASSERT_EQ(some.install.size(), 1U);
    EXPECT_EQ(some.install[0].name, "farther");
    ASSERT_EQ(some.remove.size(), 1U);
    EXPECT_EQ(some.remove[0].name, "far");
    wanted = now;
    wanted.sas[0].selectors.push_back(selector("10.1.0.0/16", "10.2.0.0/16"));
    for (std::size_t i = 0; i < 2; ++i) {
        wanted.sas[i].key.size = 64;
        wanted.sas[i].key.octets.fill(static_cast<std::uint8_t>(i + 1));
    }
    EXPECT_EQ(difference(now.sas, prints, wanted.sas).update.size(), 1U);
}

TEST(Difference, NeedsRestart) {
    const Desired now = two_worlds();
    Desired wanted = now;
    wanted.ports[0].listen = {*parse_address("192.0.2.1")};
    EXPECT_FALSE(needs_restart(now, wanted));
    wanted.ports[0].vlans[1].id = 51;
    EXPECT_EQ(needs_restart(now, wanted), "ports");
    wanted = now;
    wanted.settings.spin = true;
    EXPECT_EQ(needs_restart(now, wanted), "settings");
}

TEST(Cores, SpreadAndGiven) {
    using Lists = std::vector<std::vector<unsigned>>;
    EXPECT_EQ(cores_of_workers(2, {}, {0, 1, 2, 3}), (Lists{{0, 2}, {1, 3}}));
    EXPECT_EQ(cores_of_workers(2, {}, {4, 5}), (Lists{{4}, {5}}));
    EXPECT_EQ(cores_of_workers(3, {}, {0, 1}), (Lists{{}, {}, {}})) << "more workers than cores";
    EXPECT_EQ(cores_of_workers(2, {7, 3}, {0}), (Lists{{7}, {3}}));
}

} // namespace
} // namespace sallyport::control
