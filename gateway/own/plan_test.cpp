// SPDX-License-Identifier: Apache-2.0
#include "gateway/own/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

namespace sallyport::own {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Address address(const char* text) { return *parse_address(text); }

class OwnPlan : public testing::Test {
protected:
    void vpn(const char* name, VpnNumber number, std::uint32_t table) { desired.vpns.push_back({name, number, table}); }

    void protect(const char* name, VpnNumber vpn, const char* local, const char* remote) {
        Selector selector;
        selector.local = *parse_range(local);
        selector.remote = *parse_range(remote);
        desired.policies.push_back(
            {.name = name, .vpn = vpn, .action = PolicyAction::protect, .selectors = {selector}, .sa = std::string(name)});
    }

    /// On a port of this role and VPN; black in 0xffff: on an interface that is no port.
    void has(const char* text, Role role, VpnNumber vpn) {
        links.push_back({.interface = static_cast<std::uint32_t>(links.size() + 1), .role = role, .vpn = vpn});
        addresses.push_back({{links.back().interface, address(text), 24, {}}, vpn == 0xffff ? nullptr : &links.back()});
    }

    [[nodiscard]] std::vector<std::string> routes(std::size_t device) const {
        std::vector<std::string> result;
        const Plan made = plan(desired, addresses);
        for (const Route& route : made.devices.at(device).routes)
            result.push_back("table " + std::to_string(route.table) + " " + to_string(route.destination) +
                             (route.source ? " from " + to_string(*route.source) : ""));
        return result;
    }

    Desired desired;
    std::deque<route::Link> links;
    std::vector<route::LocalAddress> addresses;
};

TEST_F(OwnPlan, NothingWithoutProtectEntries) {
    protect("a", wan_vpn, "10.1.0.0/24", "10.2.0.0/16");
    desired.policies[0].action = PolicyAction::bypass;
    EXPECT_THAT(plan(desired, addresses).devices, IsEmpty());
}

TEST_F(OwnPlan, TheSourceLiesInTheLocalNetworks) {
    protect("a", wan_vpn, "10.1.0.0/24", "10.2.0.0/16");
    protect("b", wan_vpn, "10.1.9.0/24", "10.2.0.0/16");
    protect("c", wan_vpn, "2001:db8:1::/48", "2001:db8:2::/48");
    protect("d", wan_vpn, "10.77.0.0/24", "10.3.0.0/16");
    has("192.0.2.1", Role::black, wan_vpn);
    has("10.1.9.1", Role::red, wan_vpn);
    has("10.77.0.1", Role::red, 0xffff); // on the loopback device, say
    has("fe80::1", Role::red, wan_vpn);
    has("10.1.0.9", Role::red, wan_vpn); // on a VLAN of which the kernel knows nothing
    addresses.back().address.interface = route::first_own_vlan;
    has("2001:db8:1::1", Role::red, wan_vpn);
    EXPECT_THAT(routes(0), ElementsAre("table 254 10.2.0.0/16 from 10.1.9.1", "table 254 10.3.0.0/16 from 10.77.0.1",
                                       "table 254 2001:db8:2::/48 from 2001:db8:1::1"));
    EXPECT_THAT(plan(desired, addresses).notes, IsEmpty());
    EXPECT_THAT(plan(desired, addresses).devices[0].rules, IsEmpty());
}

TEST_F(OwnPlan, ABlackAddressComesLast) {
    protect("a", wan_vpn, "0.0.0.0/0", "10.2.0.0/16");
    has("192.0.2.1", Role::black, wan_vpn);
    EXPECT_THAT(routes(0), ElementsAre("table 254 10.2.0.0/16 from 192.0.2.1"));
    has("10.1.0.1", Role::red, wan_vpn);
    EXPECT_THAT(routes(0), ElementsAre("table 254 10.2.0.0/16 from 10.1.0.1"));
}

TEST_F(OwnPlan, NoSourceIsTold) {
    protect("a", wan_vpn, "10.1.0.0/24", "10.2.0.0/16");
    has("192.0.2.1", Role::black, wan_vpn);
    EXPECT_THAT(routes(0), ElementsAre("table 254 10.2.0.0/16"));
    EXPECT_THAT(plan(desired, addresses).notes, ElementsAre(HasSubstr("local networks of policy a")));
}

TEST_F(OwnPlan, EverywhereIsNoRouteOfTheMainTable) {
    vpn("b", 2, 102);
    protect("a", wan_vpn, "10.1.0.0/24", "0.0.0.0/0");
    protect("b", 2, "10.1.2.0/24", "0.0.0.0/0");
    has("10.1.0.1", Role::red, wan_vpn);
    has("10.1.2.1", Role::red, 2);
    EXPECT_THAT(routes(0), IsEmpty());
    EXPECT_THAT(routes(1), ElementsAre("table 102 0.0.0.0/0 from 10.1.2.1"));
    EXPECT_THAT(plan(desired, addresses).notes, ElementsAre(HasSubstr("Policy a protects what goes to everywhere")));
}

TEST_F(OwnPlan, AVpnIsFoundByTheAddress) {
    vpn("b", 2, 102);
    protect("a", wan_vpn, "10.1.0.0/24", "10.2.0.0/16");
    protect("b", 2, "10.1.2.0/24", "10.2.0.0/16");
    has("10.1.0.1", Role::red, wan_vpn);
    has("10.1.2.1", Role::red, 2);
    const Plan made = plan(desired, addresses);
    ASSERT_EQ(made.devices.size(), 2U);
    EXPECT_THAT(made.devices[0].here, ElementsAre(address("10.1.0.1")));
    EXPECT_THAT(made.devices[0].strangers, ElementsAre(address("10.1.2.1")));
    EXPECT_THAT(made.devices[1].here, ElementsAre(address("10.1.2.1")));
    EXPECT_THAT(made.devices[1].strangers, ElementsAre(address("10.1.0.1")));
    ASSERT_EQ(made.devices[1].rules.size(), 1U);
    EXPECT_EQ(made.devices[1].rules[0].source, address("10.1.2.1"));
    EXPECT_EQ(made.devices[1].rules[0].table, 102U);
    EXPECT_THAT(made.notes, IsEmpty());
}

TEST_F(OwnPlan, AnAddressInTwoVpnsIsThatOfTheMainTable) {
    vpn("b", 2, 102);
    protect("a", wan_vpn, "10.1.0.0/24", "10.2.0.0/16");
    protect("b", 2, "10.1.0.0/24", "10.2.0.0/16");
    has("10.1.0.1", Role::red, 2);
    has("10.1.0.1", Role::red, wan_vpn);
    const Plan made = plan(desired, addresses);
    EXPECT_THAT(made.devices[0].here, ElementsAre(address("10.1.0.1")));
    EXPECT_THAT(made.devices[1].here, IsEmpty());
    EXPECT_THAT(made.devices[1].strangers, ElementsAre(address("10.1.0.1")));
    EXPECT_THAT(made.devices[1].rules, IsEmpty());
    EXPECT_THAT(made.notes, testing::Contains(HasSubstr("10.1.0.1 in another VPN too")));
}

TEST_F(OwnPlan, AnAddressInTwoOtherVpnsIsInNone) {
    vpn("b", 2, 102);
    vpn("c", 3, 103);
    protect("b", 2, "10.1.0.0/24", "10.2.0.0/16");
    protect("c", 3, "10.1.0.0/24", "10.2.0.0/16");
    has("10.1.0.1", Role::red, 2);
    has("10.1.0.1", Role::red, 3);
    const Plan made = plan(desired, addresses);
    for (const PlannedDevice& device : made.devices) {
        EXPECT_THAT(device.here, IsEmpty());
        EXPECT_THAT(device.strangers, ElementsAre(address("10.1.0.1")));
        EXPECT_THAT(device.rules, IsEmpty());
    }
}

} // namespace
} // namespace sallyport::own
