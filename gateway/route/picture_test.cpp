// SPDX-License-Identifier: Apache-2.0
#include "gateway/route/picture.hpp"

#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <optional>
#include <string>

namespace sallyport::route {
namespace {

constexpr std::uint32_t black = 2, red1 = 3, red2 = 4, other = 5;

// A gateway with a black port and a red port for each of two VPNs with tables 101 and 102.
class PictureTest : public testing::Test {
protected:
    PictureTest() {
        picture.arrange({{"wan", 0, 254}, {"one", 1, 101}, {"two", 2, 102}},
                        {port("wan0", Role::black, 0), port("red1", Role::red, 1), port("red2", Role::red, 2)});
        link(black, "wan0");
        link(red1, "red1");
        link(red2, "red2");
        link(other, "mgmt0");
    }

    static PortSpec port(const char* name, Role role, VpnNumber vpn) { return {name, role, {{0, vpn}}, {}}; }

    void link(std::uint32_t number, const char* name, bool up = true) {
        picture.link({.interface = number, .name = name, .mac = {2, 0, 0, 0, 0, static_cast<std::uint8_t>(number)}, .mtu = 1500, .up = up});
    }

    static KernelRoute make(std::uint32_t table, const char* prefix, std::vector<KernelHop> hops, std::uint8_t type = RTN_UNICAST,
                            std::uint8_t protocol = RTPROT_STATIC) {
        KernelRoute route;
        route.table = table;
        route.destination = *parse_prefix(prefix);
        route.type = type;
        route.protocol = protocol;
        route.hops = std::move(hops);
        return route;
    }

    static KernelHop via(std::uint32_t interface, const char* gateway = nullptr, std::uint16_t weight = 1) {
        KernelHop hop;
        hop.interface = interface;
        hop.weight = weight;
        if (gateway != nullptr) hop.gateway = parse_address(gateway);
        return hop;
    }

    void neighbour(std::uint32_t interface, const char* address, std::uint8_t mac, std::uint16_t state = NUD_REACHABLE) {
        picture.neighbour(
            {interface, *parse_address(address), state, {2, 9, 9, 9, 9, mac}, state != NUD_INCOMPLETE && state != NUD_FAILED});
    }

    NextHop find(VpnNumber vpn, Role role, const char* address, std::uint32_t hash = 0) {
        if (picture.changed() || !fib) fib = picture.build();
        const Address destination = *parse_address(address);
        return fib->lookup(vpn, role, destination.family, destination.octets.data(), hash);
    }

    DropReason reason(VpnNumber vpn, Role role, const char* address) { return find(vpn, role, address).reason; }

    Picture picture;
    std::unique_ptr<const Fib> fib;
};

TEST_F(PictureTest, EqualConnectedNetworksOfTwoVpns) {
    for (const std::uint32_t interface : {red1, red2}) {
        // As the kernel has it: both in the main table, and both local addresses in the local table.
        picture.route(make(254, "10.0.0.0/24", {via(interface)}, RTN_UNICAST, RTPROT_KERNEL), NLM_F_CREATE | NLM_F_APPEND);
        picture.route(make(255, "10.0.0.1/32", {via(interface)}, RTN_LOCAL, RTPROT_KERNEL), NLM_F_CREATE | NLM_F_APPEND);
        neighbour(interface, "10.0.0.2", static_cast<std::uint8_t>(interface));
    }
    picture.route(make(255, "10.0.0.3/32", {via(red2)}, RTN_LOCAL, RTPROT_KERNEL), NLM_F_CREATE);
    EXPECT_EQ(find(1, Role::red, "10.0.0.2").port, 1);
    EXPECT_EQ(find(1, Role::red, "10.0.0.2").destination[5], red1);
    EXPECT_EQ(find(2, Role::red, "10.0.0.2").port, 2);
    EXPECT_EQ(find(2, Role::red, "10.0.0.2").destination[5], red2);
    EXPECT_EQ(reason(1, Role::red, "10.0.0.1"), DropReason::for_gateway);
    EXPECT_EQ(reason(2, Role::red, "10.0.0.3"), DropReason::for_gateway);
    EXPECT_EQ(reason(1, Role::red, "10.0.0.3"), DropReason::neighbour_unresolved) << "an address of the other VPN is none of this one's";
    EXPECT_EQ(reason(0, Role::black, "10.0.0.2"), DropReason::no_route) << "networks of VPNs are none of wan's";
}

// A trunk whose VLAN 7 has no interface of the kernel.
TEST_F(PictureTest, AVlanWithoutAnInterfaceOfTheKernel) {
    PortSpec trunk = port("red1", Role::red, 1);
    trunk.vlans.push_back({.id = 7, .vpn = 2, .addresses = {{*parse_address("10.7.0.1"), 24}, {*parse_address("2001:db8:7::1"), 64}}});
    picture.arrange({{"wan", 0, 254}, {"one", 1, 101}, {"two", 2, 102}}, {port("wan0", Role::black, 0), trunk});
    picture.route(make(102, "10.9.0.0/16", {via(red1, "10.7.0.254")}), 0);
    picture.route(make(101, "10.9.0.0/16", {via(red1, "10.1.0.254")}), 0);
    const std::uint32_t own = own_vlan_number(1, 7);
    EXPECT_EQ(reason(2, Role::red, "10.7.0.1"), DropReason::for_gateway);
    EXPECT_EQ(reason(2, Role::red, "10.7.0.255"), DropReason::for_gateway);
    EXPECT_EQ(reason(2, Role::red, "2001:db8:7::1"), DropReason::for_gateway);
    EXPECT_EQ(reason(1, Role::red, "10.7.0.2"), DropReason::no_route) << "another VPN's";
    const NextHop asked = find(2, Role::red, "10.7.0.2");
    EXPECT_EQ(asked.reason, DropReason::neighbour_unresolved);
    EXPECT_EQ(asked.interface, own);
    EXPECT_EQ(find(2, Role::red, "10.9.0.1").interface, own) << "a route of this VPN by the port leaves by its VLAN";
    EXPECT_EQ(to_string(find(2, Role::red, "10.9.0.1").gateway), "10.7.0.254");
    EXPECT_EQ(find(1, Role::red, "10.9.0.1").interface, red1);
    neighbour(own, "10.7.0.254", 9);
    const NextHop hop = find(2, Role::red, "10.9.0.1");
    EXPECT_EQ(hop.reason, DropReason::none);
    EXPECT_EQ(hop.port, 1);
    EXPECT_EQ(hop.vlan, 7);
    EXPECT_EQ(hop.destination[5], 9);
    // The kernel's dumps do not name it.
    picture.begin_neighbours();
    picture.end_neighbours();
    EXPECT_EQ(reason(2, Role::red, "10.9.0.1"), DropReason::none);
    unsigned named = 0;
    for (const LocalAddress& local : picture.local_addresses())
        if (local.link != nullptr && local.link->interface == own) ++named;
    EXPECT_EQ(named, 2U);
    // Where the kernel has one after all, it stands.
    picture.link({.interface = 77, .name = "red1.7", .mac = {2}, .mtu = 1500, .up = true, .parent = red1, .vlan = 7});
    EXPECT_EQ(reason(2, Role::red, "10.7.0.1"), DropReason::no_route);
}

TEST_F(PictureTest, TableOfTheVpnBeforeConnected) {
    picture.route(make(254, "10.0.0.0/24", {via(red1)}, RTN_UNICAST, RTPROT_KERNEL), 0);
    picture.route(make(101, "10.0.0.0/24", {}, RTN_BLACKHOLE), 0);
    EXPECT_EQ(reason(1, Role::red, "10.0.0.2"), DropReason::route_refused);
    picture.route_gone(make(101, "10.0.0.0/24", {}, RTN_BLACKHOLE));
    EXPECT_EQ(reason(1, Role::red, "10.0.0.2"), DropReason::neighbour_unresolved);
}

TEST_F(PictureTest, KindsOfRoutes) {
    picture.route(make(101, "10.1.0.0/16", {via(red1, "10.0.0.9")}), 0);
    picture.route(make(101, "10.1.1.0/24", {}, RTN_UNREACHABLE), 0);
    picture.route(make(101, "10.1.2.0/24", {}, RTN_PROHIBIT), 0);
    picture.route(make(101, "10.1.3.0/24", {via(other)}), 0);
    picture.route(make(101, "10.1.4.0/24", {via(black, "192.0.2.1")}), 0);
    picture.route(make(101, "10.1.5.0/24", {}, RTN_THROW), 0);
    KernelRoute tunnel = make(101, "10.1.6.0/24", {via(red1, "10.0.0.9")});
    tunnel.encapsulated = true;
    picture.route(tunnel, 0);
    picture.route(make(101, "0.0.0.0/0", {via(red1, "10.0.0.9")}), 0);
    picture.route(make(101, "::/0", {via(red1, "fe80::9")}), 0);
    picture.route(make(101, "fe80::/64", {via(red1)}, RTN_UNICAST, RTPROT_KERNEL), 0);
    neighbour(red1, "10.0.0.9", 9);
    neighbour(red1, "fe80::9", 6);
    EXPECT_EQ(find(1, Role::red, "10.1.9.9").destination[5], 9);
    EXPECT_EQ(find(1, Role::red, "2001:db8::1").destination[5], 6);
    EXPECT_EQ(reason(1, Role::red, "10.1.1.1"), DropReason::route_refused);
    EXPECT_EQ(reason(1, Role::red, "10.1.2.1"), DropReason::route_refused);
    EXPECT_EQ(reason(1, Role::red, "10.1.3.1"), DropReason::route_not_ours);
    EXPECT_EQ(reason(1, Role::red, "10.1.4.1"), DropReason::route_not_ours) << "no opened packet leaves by the black port";
    EXPECT_EQ(reason(1, Role::black, "10.1.4.1"), DropReason::route_not_ours) << "which does not belong to the VPN";
    EXPECT_EQ(reason(1, Role::red, "10.1.5.1"), DropReason::no_route);
    EXPECT_EQ(reason(1, Role::red, "10.1.6.1"), DropReason::route_not_ours);
    for (const char* never : {"224.0.0.5", "255.255.255.255", "127.0.0.1", "0.1.2.3", "ff02::1", "ff0e::1", "::1", "fe80::1"})
        EXPECT_EQ(reason(1, Role::red, never), DropReason::route_refused) << never << " is not passed on, default route or not";
}

TEST_F(PictureTest, LowestPriorityCountsAndReplacing) {
    KernelRoute slow = make(254, "198.51.100.0/24", {via(black, "192.0.2.2")});
    slow.priority = 100;
    KernelRoute fast = make(254, "198.51.100.0/24", {via(black, "192.0.2.1")});
    fast.priority = 10;
    neighbour(black, "192.0.2.1", 1);
    neighbour(black, "192.0.2.2", 2);
    neighbour(black, "192.0.2.3", 3);
    picture.route(slow, 0);
    EXPECT_EQ(find(0, Role::black, "198.51.100.7").destination[5], 2);
    picture.route(fast, 0);
    EXPECT_EQ(find(0, Role::black, "198.51.100.7").destination[5], 1);
    fast.hops[0].gateway = parse_address("192.0.2.3");
    picture.route(fast, NLM_F_REPLACE);
    EXPECT_EQ(find(0, Role::black, "198.51.100.7").destination[5], 3);
    picture.route_gone(fast);
    EXPECT_EQ(find(0, Role::black, "198.51.100.7").destination[5], 2);
    picture.route_gone(slow);
    EXPECT_EQ(reason(0, Role::black, "198.51.100.7"), DropReason::no_route);
}

TEST_F(PictureTest, OneWayOfSeveralGoesIpv6) {
    const KernelRoute both = make(254, "2001:db8:9::/48", {via(black, "fe80::1", 1), via(black, "fe80::2", 1)});
    neighbour(black, "fe80::1", 1);
    neighbour(black, "fe80::2", 2);
    picture.route(both, 0);
    EXPECT_EQ(find(0, Role::black, "2001:db8:9::1", 0).destination[5], 1);
    EXPECT_EQ(find(0, Role::black, "2001:db8:9::1", 0xffffffff).destination[5], 2);
    picture.route_gone(make(254, "2001:db8:9::/48", {via(black, "fe80::1")}));
    EXPECT_EQ(find(0, Role::black, "2001:db8:9::1", 0).destination[5], 2);
    picture.route_gone(make(254, "2001:db8:9::/48", {via(black, "fe80::2")}));
    EXPECT_EQ(reason(0, Role::black, "2001:db8:9::1"), DropReason::no_route);
}

TEST_F(PictureTest, LinkDownAndMtuWithoutBuildingRoutesAnew) {
    picture.route(make(254, "0.0.0.0/0", {via(black, "192.0.2.1")}), 0);
    neighbour(black, "192.0.2.1", 1);
    EXPECT_EQ(reason(0, Role::black, "198.51.100.1"), DropReason::none);
    const auto table = fib->table(0);
    link(black, "wan0", false);
    EXPECT_EQ(reason(0, Role::black, "198.51.100.1"), DropReason::link_down);
    EXPECT_EQ(fib->table(0), table);
    link(black, "wan0");
    EXPECT_EQ(reason(0, Role::black, "198.51.100.1"), DropReason::none);
    picture.link_gone(black);
    EXPECT_EQ(reason(0, Role::black, "198.51.100.1"), DropReason::route_not_ours);
}

TEST_F(PictureTest, NeighbourChangesInPlace) {
    picture.route(make(254, "0.0.0.0/0", {via(black, "192.0.2.1")}), 0);
    EXPECT_EQ(reason(0, Role::black, "198.51.100.1"), DropReason::neighbour_unresolved);
    neighbour(black, "192.0.2.1", 1);
    EXPECT_FALSE(picture.changed());
    EXPECT_EQ(find(0, Role::black, "198.51.100.1").destination[5], 1);
    neighbour(black, "192.0.2.1", 7, NUD_STALE);
    EXPECT_EQ(find(0, Role::black, "198.51.100.1").destination[5], 7);
    neighbour(black, "192.0.2.1", 7, NUD_FAILED);
    EXPECT_EQ(reason(0, Role::black, "198.51.100.1"), DropReason::neighbour_unresolved);
    neighbour(black, "192.0.2.1", 8);
    EXPECT_EQ(find(0, Role::black, "198.51.100.1").destination[5], 8);
    picture.neighbour_gone({black, *parse_address("192.0.2.1"), NUD_REACHABLE, {}, false});
    EXPECT_EQ(reason(0, Role::black, "198.51.100.1"), DropReason::neighbour_unresolved);
    EXPECT_FALSE(picture.neighbour({other, *parse_address("192.0.2.1"), NUD_REACHABLE, {2}, true})) << "not on one of our links";
}

TEST_F(PictureTest, NeighboursThatADumpDoesNotNameAreGone) {
    picture.route(make(254, "192.0.2.0/24", {via(black)}), 0);
    neighbour(black, "192.0.2.1", 1);
    neighbour(black, "192.0.2.2", 2);
    picture.begin_neighbours();
    neighbour(black, "192.0.2.2", 2);
    EXPECT_EQ(reason(0, Role::black, "192.0.2.1"), DropReason::none) << "still there while the dump is taken in";
    picture.end_neighbours();
    EXPECT_EQ(reason(0, Role::black, "192.0.2.1"), DropReason::neighbour_unresolved);
    EXPECT_EQ(reason(0, Role::black, "192.0.2.2"), DropReason::none);
}

TEST_F(PictureTest, ManyNeighboursAndGateways) {
    picture.route(make(254, "10.0.0.0/8", {via(black)}), 0);
    for (unsigned i = 0; i < 5000; ++i) {
        const std::string address = "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250);
        neighbour(black, address.c_str(), static_cast<std::uint8_t>(i));
        const std::string gateway = "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250);
        const std::string prefix = "172.16." + std::to_string(i / 250) + "." + std::to_string(i % 250);
        picture.route(make(254, prefix.c_str(), {via(black, gateway.c_str())}), 0);
    }
    for (unsigned i = 0; i < 5000; ++i) {
        const std::string address = "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250);
        const NextHop hop = find(0, Role::black, address.c_str());
        ASSERT_EQ(hop.reason, DropReason::none) << address;
        ASSERT_EQ(hop.destination[5], i & 0xff);
    }
    EXPECT_EQ(to_string(find(0, Role::black, "172.16.3.4").gateway), "10.1.3.4");
    neighbour(black, "10.1.3.4", 44);
    EXPECT_EQ(find(0, Role::black, "172.16.3.4").destination[5], 44);
}

TEST_F(PictureTest, OnlyUsedAndStaleNeighboursAreAskedAgain) {
    picture.route(make(254, "192.0.2.0/24", {via(black)}), 0);
    neighbour(black, "192.0.2.1", 1, NUD_STALE);
    neighbour(black, "192.0.2.2", 2, NUD_STALE);
    neighbour(black, "192.0.2.3", 3, NUD_REACHABLE);
    find(0, Role::black, "192.0.2.1");
    find(0, Role::black, "192.0.2.3");
    const std::vector<KernelNeighbour> ask = picture.used_and_stale();
    ASSERT_EQ(ask.size(), 1U);
    EXPECT_EQ(to_string(ask[0].address), "192.0.2.1");
    EXPECT_TRUE(picture.used_and_stale().empty()) << "once for each use";
}

TEST_F(PictureTest, VlanDevicesOfThePort) {
    picture.arrange({{"wan", 0, 254}, {"one", 1, 101}, {"two", 2, 102}}, {{"trunk", Role::red, {{7, 1}, {8, 2}}, {}}});
    link(20, "trunk");
    picture.link({.interface = 21, .name = "trunk.7", .mac = {2}, .mtu = 1400, .up = true, .parent = 20, .vlan = 7});
    picture.link({.interface = 22, .name = "trunk.9", .mac = {2}, .mtu = 1400, .up = true, .parent = 20, .vlan = 9});
    picture.route(make(101, "10.0.0.0/24", {via(21)}), 0);
    picture.route(make(101, "10.0.1.0/24", {via(22)}), 0);
    picture.route(make(101, "10.0.2.0/24", {via(20)}), 0);
    neighbour(21, "10.0.0.2", 2);
    const NextHop hop = find(1, Role::red, "10.0.0.2");
    EXPECT_EQ(hop.reason, DropReason::none);
    EXPECT_EQ(hop.port, 0);
    EXPECT_EQ(hop.vlan, 7);
    EXPECT_EQ(hop.mtu, 1400);
    EXPECT_EQ(reason(1, Role::red, "10.0.1.1"), DropReason::route_not_ours) << "a VLAN that is not configured";
    EXPECT_EQ(reason(1, Role::red, "10.0.2.1"), DropReason::route_not_ours) << "no VPN has the untagged frames";
    link(20, "trunk", false);
    EXPECT_EQ(reason(1, Role::red, "10.0.0.2"), DropReason::link_down);
}

} // namespace
} // namespace sallyport::route
