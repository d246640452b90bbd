// SPDX-License-Identifier: Apache-2.0
// The mirror against the kernel itself: in a network namespace of its own, changed by ip(8).
#include "gateway/route/mirror.hpp"

#include <cstdlib>
#include <ctime>
#include <poll.h>
#include <sched.h>
#include <string>
#include <unistd.h>

namespace sallyport::route {
namespace {

std::uint64_t now_ms() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

void ip(const std::string& arguments) { ASSERT_EQ(std::system(("ip " + arguments).c_str()), 0) << "ip " << arguments; }

struct Listener : MirrorListener {
    void publish(std::unique_ptr<const Fib> next) override {
        old.push_back(std::move(fib));
        fib = std::move(next);
    }
    void neighbours_changed() override { ++neighbour_changes; }
    void addresses_changed(const Picture& picture) override { addresses = picture.local_addresses(); }
    std::unique_ptr<const Fib> fib;
    std::vector<std::unique_ptr<const Fib>> old;
    std::vector<LocalAddress> addresses;
    unsigned neighbour_changes = 0;
};

class MirrorTest : public testing::Test {
protected:
    // One namespace for the process is enough: each test makes its links anew.
    static void SetUpTestSuite() {
        static const bool alone = unshare(CLONE_NEWNET) == 0;
        if (alone) std::system("ip link set lo up; sysctl -qw net.ipv6.conf.default.accept_dad=0");
    }

    void SetUp() override {
        if (geteuid() != 0) GTEST_FAIL() << "needs root rights for a network namespace";
        for (const char* name : {"wan", "redA", "redB"}) {
            ip(std::string("link add ") + name + " address 02:00:00:00:00:0" +
               (name[0] == 'w'   ? "6"
                : name[3] == 'A' ? "1"
                                 : "2") +
               " type veth peer name peer" + name);
            ip(std::string("link set ") + name + " up");
            ip(std::string("link set peer") + name + " up");
        }
        ip("addr add 192.0.2.1/24 dev wan");
        ip("addr add 2001:db8:1::1/64 dev wan nodad");
        const std::vector<PortSpec> ports{
            {"wan", Role::black, {{0, 0}}, {}}, {"redA", Role::red, {{0, 1}}, {}}, {"redB", Role::red, {{0, 2}}, {}}};
        auto opened = Mirror::open({{"wan", 0, 254}, {"a", 1, 101}, {"b", 2, 102}}, ports, listener);
        ASSERT_TRUE(opened) << to_string(opened.error());
        mirror = std::move(*opened);
    }

    void TearDown() override {
        mirror.reset();
        for (const char* name : {"wan", "redA", "redB"}) std::system((std::string("ip link del ") + name + " 2>/dev/null").c_str());
        std::system("ip route flush table 102 2>/dev/null");
    }

    NextHop find(VpnNumber vpn, Role role, const char* address) {
        const Address destination = *parse_address(address);
        return listener.fib->lookup(vpn, role, destination.family, destination.octets.data(), 0);
    }

    // Dispatches until the look-up gives this reason; returns how long it took, or nothing after two seconds.
    testing::AssertionResult comes(VpnNumber vpn, Role role, const char* address, DropReason wanted, std::uint64_t at_most_ms = 2000) {
        const std::uint64_t begin = now_ms();
        for (;;) {
            pollfd waiting{mirror->descriptor(), POLLIN, 0};
            poll(&waiting, 1, 5);
            mirror->dispatch();
            const std::uint64_t took = now_ms() - begin;
            const DropReason reason = find(vpn, role, address).reason;
            if (reason == wanted)
                return took <= at_most_ms ? testing::AssertionSuccess() : testing::AssertionFailure() << "took " << took << " ms";
            if (took > 2000) return testing::AssertionFailure() << address << ": " << info(reason).name << ", not " << info(wanted).name;
        }
    }

    Listener listener;
    std::unique_ptr<Mirror> mirror;
};

TEST_F(MirrorTest, InitialDump) {
    EXPECT_EQ(find(0, Role::black, "192.0.2.1").reason, DropReason::for_gateway);
    EXPECT_EQ(find(0, Role::black, "192.0.2.9").reason, DropReason::neighbour_unresolved);
    EXPECT_EQ(find(0, Role::black, "2001:db8:1::9").reason, DropReason::neighbour_unresolved);
    EXPECT_TRUE(comes(0, Role::black, "2001:db8:1::1", DropReason::for_gateway)); // the kernel enters it a little after the address
    EXPECT_EQ(find(0, Role::black, "203.0.113.1").reason, DropReason::no_route);
    bool seen = false;
    for (const LocalAddress& address : listener.addresses)
        seen |= to_string(address.address.address) == "192.0.2.1" && address.link != nullptr && address.link->port == 0;
    EXPECT_TRUE(seen);
}

TEST_F(MirrorTest, RoutesAndNeighboursLive) {
    ip("route add 203.0.113.0/24 via 192.0.2.254");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::neighbour_unresolved));
    ip("neigh add 192.0.2.254 lladdr 02:11:22:33:44:55 dev wan");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::none));
    const std::uint64_t published = mirror->counters().published;
    EXPECT_EQ(find(0, Role::black, "203.0.113.1").destination, (Mac{2, 0x11, 0x22, 0x33, 0x44, 0x55}));
    EXPECT_EQ(find(0, Role::black, "203.0.113.1").source, (Mac{2, 0, 0, 0, 0, 6}));
    EXPECT_EQ(find(0, Role::black, "203.0.113.1").mtu, 1500);
    ip("neigh replace 192.0.2.254 lladdr 02:11:22:33:44:66 dev wan");
    for (int i = 0; i < 100 && find(0, Role::black, "203.0.113.1").destination[5] != 0x66; ++i) {
        usleep(1000);
        mirror->dispatch();
    }
    EXPECT_EQ(find(0, Role::black, "203.0.113.1").destination[5], 0x66);
    EXPECT_EQ(mirror->counters().published, published) << "a neighbour needs no new Fib";
    EXPECT_GE(listener.neighbour_changes, 2U);
    ip("route change 203.0.113.0/24 via 192.0.2.253 mtu 1300");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::neighbour_unresolved));
    EXPECT_EQ(find(0, Role::black, "203.0.113.1").mtu, 1300);
    ip("route del 203.0.113.0/24");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::no_route));
    ip("route add unreachable 203.0.113.0/24");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::route_refused));
    ip("route del unreachable 203.0.113.0/24");
    ip("-6 route add 2001:db8:9::/48 via 2001:db8:1::2");
    ip("neigh add 2001:db8:1::2 lladdr 02:00:00:00:01:02 dev wan");
    EXPECT_TRUE(comes(0, Role::black, "2001:db8:9::1", DropReason::none));
    ip("-6 route append 2001:db8:9::/48 via 2001:db8:1::3");
    ip("-6 route del 2001:db8:9::/48 via 2001:db8:1::2");
    EXPECT_TRUE(comes(0, Role::black, "2001:db8:9::1", DropReason::neighbour_unresolved));
    EXPECT_EQ(to_string(find(0, Role::black, "2001:db8:9::1").gateway), "2001:db8:1::3");
    ip("-6 route del 2001:db8:9::/48");
    EXPECT_TRUE(comes(0, Role::black, "2001:db8:9::1", DropReason::no_route));
}

TEST_F(MirrorTest, EqualAddressesInTwoVpns) {
    for (const char* name : {"redA", "redB"}) {
        ip(std::string("addr add 10.0.0.1/24 dev ") + name);
        ip(std::string("neigh add 10.0.0.2 lladdr 02:00:00:00:00:") + (name[3] == 'A' ? "aa" : "bb") + " dev " + name);
    }
    EXPECT_TRUE(comes(1, Role::red, "10.0.0.2", DropReason::none));
    EXPECT_TRUE(comes(2, Role::red, "10.0.0.2", DropReason::none));
    EXPECT_EQ(find(1, Role::red, "10.0.0.2").destination[5], 0xaa);
    EXPECT_EQ(find(2, Role::red, "10.0.0.2").destination[5], 0xbb);
    EXPECT_EQ(find(0, Role::black, "10.0.0.2").reason, DropReason::no_route);
    ip("route add 10.5.0.0/16 via 10.0.0.2 dev redB table 102");
    EXPECT_TRUE(comes(2, Role::red, "10.5.0.1", DropReason::none));
    EXPECT_EQ(find(1, Role::red, "10.5.0.1").reason, DropReason::no_route);
}

TEST_F(MirrorTest, LinkDownAddressGoneLinkGone) {
    ip("route add 203.0.113.0/24 via 192.0.2.254");
    ip("neigh add 192.0.2.254 lladdr 02:11:22:33:44:55 dev wan");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::none));
    ip("link set peerwan down");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::link_down));
    ip("link set peerwan up");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::none));
    // The kernel says nothing of the IPv4 routes that go with these.
    ip("addr del 192.0.2.1/24 dev wan");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::no_route));
    ip("addr add 192.0.2.1/24 dev wan");
    ip("route add 203.0.113.0/24 via 192.0.2.254");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::neighbour_unresolved)) << "neighbours go with the last address";
    ip("neigh add 192.0.2.254 lladdr 02:11:22:33:44:55 dev wan");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::none));
    ip("link set wan down");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::no_route));
    ip("link set wan up");
    ip("route add 203.0.113.0/24 via 192.0.2.254");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::neighbour_unresolved)) << "neighbours go with the link";
    ip("link del wan");
    EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::no_route));
    ip("link add wan type veth peer name peerwan");
    ip("link set wan up");
    ip("link set peerwan up");
    ip("addr add 192.0.2.1/24 dev wan");
    ip("neigh add 192.0.2.7 lladdr 02:11:22:33:44:77 dev wan");
    EXPECT_TRUE(comes(0, Role::black, "192.0.2.7", DropReason::none)) << "another interface of the same name takes its place";
}

TEST_F(MirrorTest, ChangesAreVisibleSoon) {
    for (int i = 0; i < 5; ++i) {
        ip("route add 203.0.113.0/24 via 192.0.2.254");
        EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::neighbour_unresolved, 100)); // 5 ms are meant; the machine may be busy
        ip("route del 203.0.113.0/24");
        EXPECT_TRUE(comes(0, Role::black, "203.0.113.1", DropReason::no_route, 100));
    }
}

TEST_F(MirrorTest, ManyRoutesInABurst) {
    FILE* batch = popen("ip -batch -", "w");
    ASSERT_NE(batch, nullptr);
    for (int i = 0; i < 10000; ++i) std::fprintf(batch, "route add 100.%d.%d.0/24 via 192.0.2.254\n", 64 + i / 256, i % 256);
    ASSERT_EQ(pclose(batch), 0);
    EXPECT_TRUE(comes(0, Role::black, "100.103.15.1", DropReason::neighbour_unresolved));
    EXPECT_EQ(find(0, Role::black, "100.64.0.1").reason, DropReason::neighbour_unresolved);
    EXPECT_GE(mirror->counters().routes, 10000U);
    RecordProperty("build_us", static_cast<int>(mirror->counters().last_build_ns / 1000));
    ip("route flush root 100.64.0.0/10");
    EXPECT_TRUE(comes(0, Role::black, "100.64.0.1", DropReason::no_route));
    EXPECT_TRUE(comes(0, Role::black, "100.103.15.1", DropReason::no_route));
}

// The kernel's own answer: the peer lies in a namespace of its own and answers ARP and ND.
TEST_F(MirrorTest, AskedNeighboursAreFoundAndKept) {
    std::system("ip netns del sp-mirror-peer 2>/dev/null");
    ip("netns add sp-mirror-peer");
    ip("link set peerwan netns sp-mirror-peer");
    std::system("ip netns exec sp-mirror-peer sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.peerwan.accept_dad=0");
    ip("-n sp-mirror-peer link set peerwan up");
    ip("-n sp-mirror-peer addr add 192.0.2.2/24 dev peerwan");
    ip("-n sp-mirror-peer addr add 2001:db8:1::2/64 dev peerwan nodad");
    auto asker = NeighbourAsker::open();
    ASSERT_TRUE(asker);
    EXPECT_TRUE(comes(0, Role::black, "192.0.2.2", DropReason::neighbour_unresolved));
    for (const char* address : {"192.0.2.2", "2001:db8:1::2"}) {
        const NextHop hop = find(0, Role::black, address);
        (*asker)->ask(hop.interface, hop.gateway);
        EXPECT_TRUE(comes(0, Role::black, address, DropReason::none));
    }
    // What is used and stale is asked for again, and then the kernel vouches for it once more.
    std::system("sysctl -qw net.ipv4.neigh.wan.delay_first_probe_time=0");
    ip("neigh change 192.0.2.2 dev wan nud stale");
    for (const std::uint64_t begin = now_ms(); now_ms() - begin < 1500;) {
        mirror->dispatch();
        find(0, Role::black, "192.0.2.2");
        usleep(2000);
    }
    EXPECT_EQ(find(0, Role::black, "192.0.2.2").reason, DropReason::none);
    EXPECT_GE(mirror->counters().asked, 1U);
    EXPECT_EQ(std::system("ip neigh show 192.0.2.2 dev wan | grep -q REACHABLE"), 0);
    ip("netns del sp-mirror-peer");
}

TEST_F(MirrorTest, LostNotificationsAreMadeGood) {
    // More than fits into the socket's buffer while nobody reads: the kernel says ENOBUFS.
    FILE* batch = popen("ip -batch -", "w");
    ASSERT_NE(batch, nullptr);
    for (int round = 0; round < 6; ++round)
        for (int i = 0; i < 4000; ++i) std::fprintf(batch, "route replace 100.64.%d.%d/32 via 192.0.2.%d\n", i / 250, i % 250, 100 + round);
    ASSERT_EQ(pclose(batch), 0);
    EXPECT_TRUE(comes(0, Role::black, "100.64.1.1", DropReason::neighbour_unresolved));
    EXPECT_EQ(to_string(find(0, Role::black, "100.64.1.1").gateway), "192.0.2.105");
    EXPECT_EQ(to_string(find(0, Role::black, "100.64.15.249").gateway), "192.0.2.105");
    EXPECT_EQ(mirror->counters().resyncs, 1U) << "the test must overflow the buffer";
}

} // namespace
} // namespace sallyport::route
