// SPDX-License-Identifier: Apache-2.0
// RFC 7296 2.9; RFC 4301 4.4.1.3.
#include "ike/selector/narrow.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace sallyport::ike {
namespace {

TrafficSelector ts(std::string_view range, std::uint8_t protocol = 0, PortRange ports = {}) {
    return {protocol, ports, *parse_range(range)};
}
using List = std::vector<TrafficSelector>;

struct Row {
    const char* name;
    SelectorPair proposed, answer; // seen from the responder
};
const SelectorPair policy{{ts("192.0.2.0/24")}, {ts("10.1.0.0/16")}};
const std::vector<Row> rows{
    {"the same", {{ts("192.0.2.0/24")}, {ts("10.1.0.0/16")}}, policy},
    {"everything", {{ts("0.0.0.0/0")}, {ts("0.0.0.0/0")}}, policy},
    {"a packet first, which the policy allows",
     {{ts("192.0.2.9", 6, {443, 443}), ts("0.0.0.0/0")}, {ts("10.1.5.7", 6, {1025, 1025}), ts("10.0.0.0/8")}},
     policy},
    {"a packet first, which it does not allow", {{ts("192.0.2.9"), ts("192.0.2.0/24")}, {ts("10.9.0.1"), ts("10.0.0.0/8")}}, policy},
    {"something else", {{ts("192.0.2.0/24")}, {ts("10.2.0.0/16")}}, {}},
    {"the other family", {{ts("::/0")}, {ts("::/0")}}, {}},
    {"both families", {{ts("192.0.2.0/24"), ts("2001:db8:1::/48")}, {ts("10.1.0.0/16"), ts("2001:db8::/32")}}, policy},
    {"one protocol and port", {{ts("192.0.2.0/24")}, {ts("10.1.0.0/16", 17, {53, 53})}}, {policy.local, {ts("10.1.0.0/16", 17, {53, 53})}}},
    {"echo requests one way",
     {{ts("192.0.2.0/24", 1, opaque_ports)}, {ts("10.1.0.0/16", 1, {2048, 2048})}},
     {{ts("192.0.2.0/24", 1, opaque_ports)}, {ts("10.1.0.0/16", 1, {2048, 2048})}}},
    {"protocols that do not pair up", {{ts("192.0.2.0/24", 6)}, {ts("10.1.0.0/16", 17)}}, {}},
};

TEST(Narrow, gives_what_both_want) {
    for (const Row& row : rows) {
        const SelectorPair answer = narrow(policy, row.proposed);
        if (row.answer.empty())
            EXPECT_TRUE(answer.empty()) << row.name;
        else
            EXPECT_EQ(answer, row.answer) << row.name << ": " << to_string(answer.local) << " | " << to_string(answer.remote);
    }
}

TEST(Narrow, drops_the_family_that_the_other_side_lacks) {
    const SelectorPair mixed{{ts("192.0.2.0/24"), ts("2001:db8:1::/48")}, {ts("10.1.0.0/16")}};
    EXPECT_EQ(narrow(mixed, mixed), policy);
}

TEST(Narrow, is_bounded) {
    SelectorPair many{List(300, ts("10.0.0.0/8")), {ts("10.0.0.0/8")}};
    EXPECT_TRUE(narrow(many, many).empty());
}

TEST(Within, is_what_was_asked_for_or_less) {
    const SelectorPair asked{{ts("10.1.0.0/16"), ts("10.3.0.0/16")}, {ts("192.0.2.0/24", 6)}};
    EXPECT_TRUE(within(asked, asked));
    EXPECT_TRUE(within(asked, {{ts("10.3.7.0/24")}, {ts("192.0.2.9", 6, {443, 443})}}));
    EXPECT_FALSE(within(asked, {{ts("10.2.0.0/16")}, {ts("192.0.2.9", 6)}}));
    EXPECT_FALSE(within(asked, {{ts("10.1.0.0/16")}, {ts("192.0.2.0/24")}}));
    EXPECT_FALSE(within(asked, {{ts("10.0.0.0/15")}, {ts("192.0.2.0/24", 6)}}));
    EXPECT_FALSE(within(asked, {{ts("10.1.0.0/16")}, {}}));
}

TEST(Pairs, are_those_that_a_packet_can_match) {
    const SelectorPair mixed{{ts("10.1.0.0/16"), ts("2001:db8:1::/48", 17)}, {ts("10.2.0.0/16", 6, {443, 443}), ts("2001:db8:2::/48")}};
    const std::vector<Selector> all = pairs(mixed);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0], (Selector{*parse_range("10.1.0.0/16"), *parse_range("10.2.0.0/16"), 6, {}, {443, 443}}));
    EXPECT_EQ(all[1], (Selector{*parse_range("2001:db8:1::/48"), *parse_range("2001:db8:2::/48"), 17, {}, {}}));
}

List drawn(std::mt19937& random) {
    List list;
    for (unsigned count = 1 + random() % 4; count != 0; --count) {
        TrafficSelector one;
        one.protocol = static_cast<std::uint8_t>(random() % 3 == 0 ? 17 : 0);
        if (one.protocol != 0 && random() % 2 == 0) {
            const auto first = static_cast<std::uint16_t>(random() % 8);
            one.ports = {first, static_cast<std::uint16_t>(first + random() % 8)};
        }
        auto first = static_cast<std::uint8_t>(random() % 16), last = static_cast<std::uint8_t>(first + random() % 8);
        one.addresses = {{{10, 0, 0, first}, Family::ipv4}, {{10, 0, 0, last}, Family::ipv4}};
        list.push_back(one);
    }
    return list;
}

/// Does a packet match one of them?
bool has(const List& list, std::uint8_t address, std::uint8_t protocol, std::uint16_t port) {
    return std::ranges::any_of(list, [&](const TrafficSelector& one) {
        return one.addresses.contains({{10, 0, 0, address}, Family::ipv4}) && (one.protocol == 0 || one.protocol == protocol) &&
               one.ports.contains(port);
    });
}

TEST(Narrow, of_random_policies_is_what_both_have_and_all_of_it) {
    std::mt19937 random(5);
    for (unsigned run = 0; run < 2000; ++run) {
        const SelectorPair one{drawn(random), drawn(random)}, other{drawn(random), drawn(random)};
        const SelectorPair answer = narrow(one, other);
        for (std::uint8_t address = 0; address < 24; ++address) {
            for (std::uint16_t port = 0; port < 16; port += 3) {
                const bool both = has(one.local, address, 17, port) && has(other.local, address, 17, port);
                if (!answer.empty()) {
                    ASSERT_EQ(has(answer.local, address, 17, port), both) << run;
                }
                ASSERT_FALSE(has(answer.local, address, 6, port) && !has(one.local, address, 6, port)) << run;
            }
        }
        if (!answer.empty()) {
            ASSERT_TRUE(within(other, answer)) << run;
        }
    }
}

} // namespace
} // namespace sallyport::ike
