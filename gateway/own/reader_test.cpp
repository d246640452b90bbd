// SPDX-License-Identifier: Apache-2.0
// Devices, routes and the reader in a network namespace of the test's own: the kernel sends, the reader reads.
#include "gateway/own/device.hpp"
#include "gateway/own/kernel.hpp"
#include "gateway/own/reader.hpp"
#include "gateway/route/kernel.hpp"
#include "gateway/wire/checksum.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <array>
#include <cstdlib>
#include <cstring>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace sallyport::own {
namespace {

bool shell(const std::string& command) { return std::system(command.c_str()) == 0; }

Address address(const char* text) { return *parse_address(text); }

Prefix prefix(const char* text) { return *parse_prefix(text); }

std::string output(const std::string& command) {
    std::string text;
    FILE* pipe = popen(command.c_str(), "r");
    for (int c = 0; pipe != nullptr && (c = fgetc(pipe)) != EOF;) text += static_cast<char>(c);
    if (pipe != nullptr) pclose(pipe);
    return text;
}

/// From `source`, or from what the route says; false: the kernel does not send it.
bool send(const char* destination, const char* source = nullptr, unsigned octets = 10) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in from{}, to{};
    from.sin_family = to.sin_family = AF_INET;
    to.sin_port = htons(9);
    inet_pton(AF_INET, destination, &to.sin_addr);
    bool done = true;
    if (source != nullptr) {
        inet_pton(AF_INET, source, &from.sin_addr);
        done = bind(socket, reinterpret_cast<const sockaddr*>(&from), sizeof(from)) == 0;
    }
    const std::string text(octets, 'x');
    done = done &&
           sendto(socket, text.data(), octets, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == static_cast<ssize_t>(octets);
    close(socket);
    return done;
}

class Own : public testing::Test {
protected:
    static void SetUpTestSuite() {
        ASSERT_EQ(unshare(CLONE_NEWNET), 0) << std::strerror(errno);
        ASSERT_TRUE(shell("ip link set lo up && ip address add 10.1.0.1/32 dev lo && ip address add 10.1.2.1/32 dev lo && "
                          "ip -6 address add 2001:db8:1::1/128 dev lo nodad"));
    }

    void SetUp() override {
        auto opened = Tun::open(wan, 1400);
        ASSERT_TRUE(opened) << to_string(opened.error());
        tun = *opened;
    }

    void TearDown() override {
        tun.reset();
        remove_devices({});
        EXPECT_TRUE(forget_routes());
    }

    const VpnSpec wan{"wan", wan_vpn, 254};
    std::shared_ptr<Tun> tun;
    std::vector<std::uint8_t> memory = std::vector<std::uint8_t>(std::size_t{8} * chunk_size);
    Depot depot{{memory.data(), 8}};
    Waker waker;
    FrameRing inbox{4, waker};
    Reader reader{depot, {&inbox}};
};

TEST_F(Own, NamesOfDevices) {
    EXPECT_EQ(device_name({"customer-one", 7, 100}), "sp-customer-one");
    EXPECT_EQ(device_name({"customer-three", 7, 100}), "sp.7");
}

TEST_F(Own, TheDeviceStays) {
    const std::uint32_t interface = tun->interface();
    EXPECT_NE(interface, 0U);
    EXPECT_FALSE(Tun::open(wan, 1400)) << "one process a device";
    tun.reset();
    EXPECT_EQ(if_nametoindex("sp-wan"), interface);
    auto again = Tun::open(wan, 1300);
    ASSERT_TRUE(again);
    EXPECT_EQ((*again)->interface(), interface);
    const std::string about = output("ip -d link show dev sp-wan");
    EXPECT_NE(about.find("mtu 1300"), std::string::npos) << about;
    EXPECT_NE(about.find("addrgenmode none"), std::string::npos) << about;
    EXPECT_EQ(output("cat /proc/sys/net/ipv4/conf/sp-wan/rp_filter"), "0\n");
    EXPECT_TRUE((*again)->set_mtu(1350));
    EXPECT_NE(output("ip link show dev sp-wan").find("mtu 1350"), std::string::npos);
    ASSERT_TRUE(shell("ip tuntap add dev sp-other mode tun"));
    EXPECT_TRUE(remove_devices({"sp-wan"}).empty()) << "not ours, for all its name says";
    EXPECT_TRUE((*again)->there());
    EXPECT_EQ(remove_devices({}), std::vector<std::string>{"sp-wan"});
    EXPECT_FALSE((*again)->there());
    ASSERT_TRUE(shell("ip link delete sp-other"));
}

TEST_F(Own, RoutesAreOursAlone) {
    ASSERT_TRUE(shell("ip route add 10.2.0.0/16 dev lo metric 7 && ip rule add from 10.9.0.0/16 table 99"));
    auto routes = KernelRoutes::open();
    ASSERT_TRUE(routes) << to_string(routes.error());
    const Route first{254, prefix("10.2.0.0/16"), tun->interface(), address("10.1.0.1")};
    const Route second{102, prefix("2001:db8:2::/48"), tun->interface(), address("2001:db8:1::1")};
    const Route third{102, prefix("0.0.0.0/0"), tun->interface(), std::nullopt};
    const Rule rule{address("10.1.2.1"), 102};
    auto set = routes->set({first, second, third}, {rule});
    ASSERT_TRUE(set) << to_string(set.error());
    EXPECT_NE(output("ip route").find("10.2.0.0/16 dev sp-wan proto 83 scope link src 10.1.0.1 metric 5000"), std::string::npos)
        << output("ip route");
    EXPECT_NE(output("ip -6 route show table 102").find("2001:db8:2::/48 dev sp-wan proto 83 src 2001:db8:1::1 metric 5000"),
              std::string::npos);
    EXPECT_NE(output("ip route show table 102").find("default dev sp-wan proto 83"), std::string::npos);
    EXPECT_NE(output("ip rule").find("from 10.1.2.1 lookup 102 proto 83"), std::string::npos) << output("ip rule");

    EXPECT_TRUE(routes->set({third}, {})) << "the difference";
    EXPECT_EQ(output("ip -6 route show table 102"), "");
    EXPECT_EQ(output("ip rule").find("proto 83"), std::string::npos);
    EXPECT_TRUE(routes->set_anew({first, third}, {rule}));
    EXPECT_FALSE(routes->set({Route{254, prefix("10.7.0.0/16"), 9999, std::nullopt}}, {})) << "no such device";
    EXPECT_TRUE(routes->set({first}, {rule}));

    ASSERT_TRUE(KernelRoutes::open()) << "the next one begins with none";
    EXPECT_EQ(output("ip route").find("proto 83"), std::string::npos);
    EXPECT_EQ(output("ip rule").find("proto 83"), std::string::npos);
    EXPECT_NE(output("ip route").find("10.2.0.0/16 dev lo scope link metric 7"), std::string::npos) << output("ip route");
    EXPECT_NE(output("ip rule").find("from 10.9.0.0/16 lookup 99"), std::string::npos);
    ASSERT_TRUE(shell("ip route delete 10.2.0.0/16 dev lo metric 7 && ip rule delete from 10.9.0.0/16 table 99"));
}

class OwnReader : public Own {
protected:
    void SetUp() override {
        Own::SetUp();
        auto opened = KernelRoutes::open();
        ASSERT_TRUE(opened);
        ASSERT_TRUE(opened->set({{254, prefix("10.2.0.0/16"), tun->interface(), address("10.1.0.1")}}, {}));
        reader.set({{tun, wan_vpn, {address("10.1.2.1")}}});
        while (reader.run_once()) {
        } // what the kernel says on a new device: all for the link
        ASSERT_EQ(reader.counters().sent, 0U);
        ASSERT_EQ(depot.size(), 8U);
    }

    std::uint64_t dropped(DropReason reason) { return reader.counters().dropped[static_cast<std::size_t>(reason)]; }

    std::vector<Frame> taken() {
        std::array<Frame, 8> frames;
        return {frames.begin(), frames.begin() + inbox.pop(frames)};
    }
};

TEST_F(OwnReader, APacketIsAFrameOfTheRedSide) {
    ASSERT_TRUE(send("10.2.0.7"));
    EXPECT_TRUE(reader.run_once());
    const auto frames = taken();
    ASSERT_EQ(frames.size(), 1U);
    const Frame& frame = frames[0];
    EXPECT_EQ(frame.flags & (frame_ours | frame_from_red | frame_ports | frame_fragment), frame_ours | frame_from_red | frame_ports);
    EXPECT_EQ(frame.vpn, wan_vpn);
    EXPECT_EQ(frame.family, 4);
    EXPECT_EQ(frame.protocol, 17);
    EXPECT_EQ(frame.network_length(), 20U + 8 + 10);
    EXPECT_EQ(frame.end - frame.transport, 18);
    EXPECT_GE(frame.begin, head_room);
    EXPECT_EQ(std::memcmp(frame.at(frame.network + 12U), address("10.1.0.1").octets.data(), 4), 0) << "the route's source";
    EXPECT_EQ(reader.counters().sent, 1U);
    depot.give(&frame.index, 1);
    EXPECT_FALSE(reader.run_once());
}

TEST_F(OwnReader, LargePacketsComeInPieces) {
    ASSERT_TRUE(send("10.2.0.7", nullptr, 2000));
    EXPECT_TRUE(reader.run_once());
    const auto frames = taken();
    ASSERT_EQ(frames.size(), 2U);
    for (const Frame& frame : frames) {
        EXPECT_NE(frame.flags & frame_fragment, 0);
        EXPECT_LE(frame.network_length(), 1400U);
        depot.give(&frame.index, 1);
    }
}

TEST_F(OwnReader, AnAddressOfAnotherVpnIsRefused) {
    ASSERT_TRUE(send("10.2.0.7", "10.1.2.1"));
    EXPECT_TRUE(reader.run_once());
    EXPECT_EQ(dropped(DropReason::own_other_vpn), 1U);
    EXPECT_EQ(taken().size(), 0U);
    EXPECT_EQ(depot.size(), 8U);
}

TEST_F(OwnReader, AFullWorkerAndNoMemory) {
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(send("10.2.0.7"));
    while (reader.run_once()) {
    }
    EXPECT_EQ(reader.counters().sent, 4U);
    EXPECT_EQ(dropped(DropReason::own_full), 2U);
    EXPECT_EQ(depot.size(), 4U);
    std::array<std::uint32_t, 8> chunks{};
    ASSERT_EQ(depot.take(chunks.data(), 8), 4U);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(send("10.2.0.7"));
    while (reader.run_once()) {
    }
    EXPECT_EQ(dropped(DropReason::no_chunk), 3U) << "read all the same, so that what comes later is not older than it needs be";
}

TEST_F(OwnReader, WhatIsForTheLinkIsNobodys) {
    ASSERT_TRUE(shell("ip route add 224.0.0.0/24 dev sp-wan src 10.1.0.1 2>/dev/null"));
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(9);
    inet_pton(AF_INET, "224.0.0.5", &to.sin_addr);
    ASSERT_EQ(sendto(socket, "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 1);
    close(socket);
    EXPECT_TRUE(reader.run_once());
    EXPECT_EQ(taken().size(), 0U);
    EXPECT_EQ(reader.counters().sent, 0U);
    for (const std::uint64_t count : reader.counters().dropped) EXPECT_EQ(count, 0U);
}

TEST_F(OwnReader, AThreadWakesForPacketsAndForTheEnd) {
    std::atomic<bool> stop{false};
    std::thread thread([&] { reader.run(stop); });
    for (unsigned i = 1; i <= 3; ++i) {
        ASSERT_TRUE(send("10.2.0.7"));
        for (int wait = 0; reader.counters().sent < i && wait < 2000; ++wait) usleep(1000);
        EXPECT_EQ(reader.counters().sent, i);
    }
    stop = true;
    reader.wake();
    thread.join();
}

TEST_F(OwnReader, WhatIsWrittenTheKernelTakes) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_port = htons(7);
    inet_pton(AF_INET, "10.1.0.1", &here.sin_addr);
    ASSERT_EQ(bind(socket, reinterpret_cast<const sockaddr*>(&here), sizeof(here)), 0);
    // From 10.2.0.7 port 9 to 10.1.0.1 port 7, without a UDP checksum: "hi".
    std::array<std::uint8_t, 30> packet{0x45, 0,  0, 30, 0, 1, 0, 0, 64, 17, 0,  0, 10, 2,   0,
                                        7,    10, 1, 0,  1, 0, 9, 0, 7,  0,  10, 0, 0,  'h', 'i'};
    wire::write_ipv4_checksum(packet.data(), 20);
    EXPECT_TRUE(tun->write(packet));
    std::array<char, 8> got{};
    timeval patience{2, 0};
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    EXPECT_EQ(recv(socket, got.data(), got.size(), 0), 2);
    EXPECT_STREQ(got.data(), "hi");
    close(socket);
    packet[0] = 0x05;
    EXPECT_FALSE(tun->write(packet)) << "neither IPv4 nor IPv6";
}

} // namespace
} // namespace sallyport::own
