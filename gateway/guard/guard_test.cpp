// SPDX-License-Identifier: Apache-2.0
// The rules are put into a kernel: a network namespace of the test's own.
#include "gateway/guard/nftables.hpp"
#include "gateway/guard/rules.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sallyport::guard {
namespace {

// Sends a datagram to this host itself, with an address of the loopback network as source: how the kernel answers.
int send_to(const std::string& destination) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(9);
    inet_pton(AF_INET, destination.c_str(), &to.sin_addr);
    const int result = sendto(socket, "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 1 ? 0 : errno;
    close(socket);
    return result;
}

class Guard : public testing::Test {
protected:
    static void SetUpTestSuite() {
        ASSERT_EQ(unshare(CLONE_NEWNET), 0) << std::strerror(errno);
        const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ifreq call{};
        std::strcpy(call.ifr_name, "lo");
        call.ifr_flags = IFF_UP;
        ASSERT_EQ(ioctl(socket, SIOCSIFFLAGS, &call), 0) << std::strerror(errno);
        close(socket);
    }

    void TearDown() override { EXPECT_TRUE(carry_out(lower())); }

    static Prefix prefix(const char* text) { return *parse_prefix(text); }
};

TEST_F(Guard, WhatItSaysIsTaken) {
    EXPECT_FALSE(table_exists(table));
    const Wall wall{.ports = {"black", "red", "fifteen-letters", "a-b_c.7"},
                    .tunnels = {"sp-wan"},
                    .networks = {prefix("10.1.0.0/16"), prefix("10.1.2.0/24"), prefix("2001:db8:1::/48")},
                    .sources = {prefix("10.2.0.0/16"), prefix("10.2.0.0/16"), prefix("2001:db8:2::/48")},
                    .ways = {{"black", {{prefix("10.2.0.0/16"), false}, {prefix("10.2.9.0/24"), true}, {prefix("10.2.9.7/32"), false}}},
                             {"", {{prefix("2001:db8:2::/48"), false}}}}};
    const auto done = carry_out(raise(wall));
    EXPECT_TRUE(done) << to_string(done.error()) << raise(wall);
    EXPECT_TRUE(table_exists(table));
    EXPECT_TRUE(carry_out(raise(wall))) << "in the place of itself";
    EXPECT_TRUE(carry_out(raise_blindly()));
    EXPECT_TRUE(table_exists(table));
    EXPECT_TRUE(carry_out(raise({})));
    EXPECT_TRUE(carry_out(lower()));
    EXPECT_FALSE(table_exists(table));
    EXPECT_TRUE(carry_out(lower())) << "also where there is none";
}

TEST_F(Guard, TheLongestPrefixCounts) {
    const Wall wall{.ways = {{"", {{prefix("127.0.0.0/8"), false}, {prefix("127.9.0.0/16"), true}, {prefix("127.9.9.0/24"), false}}}}};
    std::string text = raise(wall);
    const std::string loopback = "oifname { \"lo\" } accept"; // which this test needs closed
    ASSERT_NE(text.find(loopback), std::string::npos);
    text.replace(text.find(loopback), loopback.size(), "");
    const auto done = carry_out(text);
    ASSERT_TRUE(done) << to_string(done.error()) << text;
    EXPECT_EQ(send_to("127.0.0.1"), EPERM);
    EXPECT_EQ(send_to("127.9.0.1"), 0);
    EXPECT_EQ(send_to("127.9.9.1"), EPERM);
}

TEST_F(Guard, ANameThatCannotBeSaidForwardsNothing) {
    for (const char* name : {"a\"b", "a*", "a\\b"}) {
        const std::string text = raise({.ports = {"red", name}});
        EXPECT_NE(text.find("hook forward priority -310; policy drop;"), std::string::npos) << text;
        const auto done = carry_out(text);
        EXPECT_TRUE(done) << to_string(done.error()) << text;
    }
    EXPECT_EQ(raise({.ports = {"red"}}).find("policy drop"), std::string::npos);
}

TEST_F(Guard, AllOrNothing) {
    ASSERT_TRUE(carry_out(raise({.ports = {"red"}})));
    EXPECT_FALSE(carry_out(lower() + "add rule inet sallyport_guard nowhere drop\n"));
    EXPECT_TRUE(table_exists(table));
    const auto refused = carry_out("nonsense\n");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().sentence.find("refuses our rules"), std::string::npos);
}

} // namespace
} // namespace sallyport::guard
