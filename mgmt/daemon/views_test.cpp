// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/capabilities.hpp"
#include "mgmt/daemon/views.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

namespace sallyport::daemon {
namespace {

class Views : public testing::Test {
protected:
    void SetUp() override {
        desired.vpns = {{"wan", 0, 254}, {"office", 3, 100}};
        desired.ports = {{.interface = "wan0", .role = Role::black, .vlans = {{0, 0}}},
                         {.interface = "lan0", .role = Role::red, .vlans = {{7, 3}}}};
        for (const Direction direction : {Direction::outbound, Direction::inbound}) {
            control::SaStatus sa;
            sa.name = "branch";
            sa.direction = direction;
            sa.spi = 0x1001;
            sa.outer_local = *parse_address("192.0.2.1");
            sa.outer_remote = *parse_address("198.51.100.1");
            sa.red_vpn = 3;
            sa.window = 64;
            sa.number = 9;
            sa.mark = 100;
            sa.marked = direction == Direction::outbound;
            sas.push_back(sa);
        }
        status.ports = {
            {.interface = "wan0", .role = Role::black, .present = true, .up = true, .mtu = 1500, .mac = {2, 0, 0, 0, 0, 1}, .native = true},
            {.interface = "lan0", .role = Role::red, .present = true, .up = true}};
    }

    varlink::ConnectionView connection() { return connections_of(status.ports, sas, desired).at(0); }

    Desired desired;
    control::Status status;
    std::vector<control::SaStatus> sas;
};

TEST_F(Views, AConnectionWithoutAWayToItsPeer) {
    EXPECT_TRUE(connection().up);
    sas[0].hindrance = DropReason::no_route;
    EXPECT_FALSE(connection().up);
    EXPECT_EQ(connection().reason, "no route to the peer: 198.51.100.1");
    sas[0].hindrance = DropReason::route_refused;
    EXPECT_EQ(connection().reason, "the route to the peer says unreachable, prohibit or blackhole: 198.51.100.1");
    sas[1].refused = "no mark";
    EXPECT_EQ(connection().reason, "no mark") << "what the operator must do first";
}

TEST_F(Views, Status) {
    status.workers = {{.number = 0, .core = -1, .sealed = 5}, {.number = 1, .core = 3}};
    status.crypto = "engine";
    status.marks_trouble = "disk full";
    status.chunks = {.all = 28, .free = 7, .receiving = 6, .transmitting = 5, .waiting = 4, .kept = 3, .in_hand = 2};
    const varlink::StatusView view = view_of(status, sas, desired);
    EXPECT_EQ(view.engine, "engine");
    EXPECT_EQ(view.chunks.all, 28U);
    EXPECT_EQ(view.chunks.free, 7U);
    EXPECT_EQ(view.chunks.transmitting, 5U);
    EXPECT_EQ(view.chunks.in_hand, 2U);
    EXPECT_EQ(view.trouble, "disk full");
    EXPECT_EQ(view.workers[0].core, std::nullopt);
    EXPECT_EQ(view.workers[0].sealed, 5U);
    EXPECT_EQ(view.workers[1].core, 3U);
    EXPECT_EQ(view.ports[0].mac, "02:00:00:00:00:01");
    EXPECT_EQ(view.ports[0].mode, "native");
    EXPECT_EQ(view.ports[1].mode, "generic");
    EXPECT_EQ(view.ports[1].vlans[0].id, 7U);
    EXPECT_EQ(view.ports[1].vlans[0].vpn, "office");
}

TEST_F(Views, AConnectionIsUpWhenItCanCarry) {
    ASSERT_EQ(connections_of(status.ports, sas, desired).size(), 1U);
    EXPECT_TRUE(connection().up);
    EXPECT_EQ(connection().vpn, "office");
    EXPECT_EQ(connection().peer, "198.51.100.1");
    status.ports[1].up = false;
    EXPECT_EQ(connection().reason, "no red port of the VPN office is up");
    status.ports[0].up = false;
    EXPECT_EQ(connection().reason, "no black port of the VPN wan is up");
    sas[1].refused = "no mark";
    sas[1].remedy = "make one";
    EXPECT_EQ(connection().reason, "no mark; make one");
    EXPECT_FALSE(connection().up);
}

TEST_F(Views, Sas) {
    const auto views = view_of(sas, desired);
    EXPECT_EQ(views[0].direction, "outbound");
    EXPECT_EQ(views[0].vpn, "office");
    EXPECT_EQ(views[0].outer_vpn, "wan");
    EXPECT_EQ(views[0].mark, 100U);
    EXPECT_EQ(views[0].window, 0U);
    EXPECT_EQ(views[1].direction, "inbound");
    EXPECT_EQ(views[1].mark, std::nullopt);
    EXPECT_EQ(views[1].window, 64U);
}

TEST_F(Views, PoliciesEndWithDiscard) {
    const auto views = view_of(std::vector<control::PolicyStatus>{{.name = "p", .vpn = 3, .action = PolicyAction::bypass}}, desired);
    ASSERT_EQ(views.size(), 2U);
    EXPECT_EQ(views[0].action, "bypass");
    EXPECT_TRUE(views[0].usable);
    EXPECT_EQ(views[1].action, "discard");
    EXPECT_GT(views[1].priority, 4294967295U);
}

TEST_F(Views, CountersNameEveryReasonAndEveryLoss) {
    control::Counters counters;
    counters.drops[static_cast<std::size_t>(DropReason::bad_icv)] = 4;
    counters.sealed = 8;
    counters.ports = {
        {.interface = "wan0", .verdicts = {{"esp", "socket", "ESP", 3, 300}, {"bad_ip", "drop", "bad", 1, 60}}, .kernel_ring_full = 6}};
    const auto views = view_of(counters);
    const auto find = [&](std::string_view group, std::string_view name) {
        const auto at = std::ranges::find_if(views, [&](const auto& one) { return one.group == group && one.name == name; });
        return at == views.end() ? varlink::CounterView{} : *at;
    };
    EXPECT_EQ(find("packets", "sealed").value, 8U);
    EXPECT_EQ(find("drop", "bad_icv").value, 4U);
    EXPECT_FALSE(find("drop", "bad_icv").remedy.empty());
    EXPECT_EQ(find("drop", "none").name, "") << "it is no drop";
    EXPECT_EQ(find("kernel", "esp").meaning, "to the gateway: ESP");
    EXPECT_EQ(find("kernel", "bad_ip").meaning, "dropped: bad");
    EXPECT_EQ(find("socket", "ring_full").value, 6U);
    EXPECT_EQ(find("socket", "ring_full").port, "wan0");
    EXPECT_EQ(std::ranges::count_if(views, [](const auto& one) { return one.group == "drop"; }), static_cast<long>(drop_reason_count) - 1);
}

/// In a child, for nothing brings capabilities back.
TEST(Capabilities, OnlyFourAreKept) {
    const pid_t child = fork();
    if (child == 0) {
        const std::size_t missing = missing_capabilities().size();
        if (!drop_capabilities() || missing_capabilities().size() != missing) _exit(1);
        _exit(setuid(geteuid() + 12345) == 0 ? 2 : 0); // takes CAP_SETUID
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

} // namespace
} // namespace sallyport::daemon
