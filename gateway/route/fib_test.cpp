// SPDX-License-Identifier: Apache-2.0
#include "gateway/route/fib.hpp"

#include <algorithm>
#include <map>
#include <random>

namespace sallyport::route {
namespace {

Address random_address(std::mt19937& random, Family family) {
    Address address;
    address.family = family;
    for (unsigned i = 0; i < address.size(); ++i)
        // Few values in the first octets, so that prefixes lie inside each other.
        address.octets[i] = static_cast<std::uint8_t>(i < 2 ? random() % 4 : random() % 3 == 0 ? random() : random() % 2 * 0x80);
    return address;
}

void clear_host_bits(Prefix& prefix) {
    for (unsigned bit = prefix.length; bit < prefix.address.bits(); ++bit)
        prefix.address.octets[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
}

void compare_with_brute_force(Family family, unsigned count, unsigned seed) {
    std::mt19937 random(seed);
    std::map<std::pair<Address, std::uint8_t>, std::uint32_t> routes;
    for (unsigned i = 0; i < count; ++i) {
        Prefix prefix{random_address(random, family), 0};
        prefix.length = static_cast<std::uint8_t>(random() % (prefix.address.bits() + 1));
        clear_host_bits(prefix);
        routes[{prefix.address, prefix.length}] = 1 + i;
    }
    std::vector<Trie::Entry> entries;
    for (const auto& [key, value] : routes) entries.push_back({{key.first, key.second}, value});
    const Trie trie(entries);
    for (unsigned i = 0; i < 1500; ++i) {
        Address address = random_address(random, family);
        if (i % 2 == 0) { // near the edge of a route
            address = entries[random() % entries.size()].prefix.address;
            address.octets[random() % address.size()] ^= static_cast<std::uint8_t>(random() % 4);
        }
        std::uint32_t want = 0;
        int longest = -1;
        for (const Trie::Entry& entry : entries)
            if (contains(entry.prefix, address) && entry.prefix.length > longest) {
                longest = entry.prefix.length;
                want = entry.value;
            }
        ASSERT_EQ(trie.lookup(address.octets.data()), want) << to_string(address) << " seed " << seed;
    }
}

TEST(Trie, MatchesBruteForce) {
    for (unsigned seed = 0; seed < 12; ++seed) {
        compare_with_brute_force(Family::ipv4, 1 + seed * 60, seed);
        compare_with_brute_force(Family::ipv6, 1 + seed * 60, seed);
    }
    compare_with_brute_force(Family::ipv4, 3000, 77); // with the large top
    compare_with_brute_force(Family::ipv6, 3000, 78);
}

TEST(Trie, EmptyAndDefaultOnly) {
    const Address address = *parse_address("192.0.2.1");
    EXPECT_EQ(Trie().lookup(address.octets.data()), 0U);
    const Trie::Entry everything{*parse_prefix("0.0.0.0/0"), 7};
    EXPECT_EQ(Trie({&everything, 1}).lookup(address.octets.data()), 7U);
}

TEST(NeighbourTable, AddsFindsChanges) {
    NeighbourTable table(8);
    std::vector<std::uint32_t> slots;
    for (unsigned i = 0; i < 128; ++i) {
        const Address address = *parse_address("10.0.0." + std::to_string(i));
        const std::uint32_t slot = table.add(3, address);
        ASSERT_NE(slot, NeighbourTable::nowhere);
        EXPECT_FALSE(table.value(slot).usable);
        table.set(slot, {true, {2, 0, 0, 0, 0, static_cast<std::uint8_t>(i)}});
        slots.push_back(slot);
    }
    EXPECT_EQ(table.add(3, *parse_address("10.0.1.0")), NeighbourTable::nowhere) << "half full";
    for (unsigned i = 0; i < 128; ++i) {
        const Address address = *parse_address("10.0.0." + std::to_string(i));
        EXPECT_EQ(table.find(3, Family::ipv4, address.octets.data()), slots[i]);
        EXPECT_EQ(table.find(4, Family::ipv4, address.octets.data()), NeighbourTable::nowhere) << "another interface";
        EXPECT_EQ(table.value(slots[i]).mac[5], i);
    }
    EXPECT_FALSE(table.take_used(slots[5]));
    EXPECT_TRUE(table.use(slots[5]).usable);
    EXPECT_TRUE(table.take_used(slots[5]));
    EXPECT_FALSE(table.take_used(slots[5]));
    table.set(slots[5], {});
    EXPECT_FALSE(table.value(slots[5]).usable);
}

// Two VPNs with equal addresses, two black ways with weights 1 and 3.
class FibTest : public testing::Test {
protected:
    FibTest() : neighbours(std::make_shared<NeighbourTable>(8)) {
        const Link red1{
            .interface = 10, .port = 1, .role = Role::red, .up = true, .vlan = 0, .mtu = 1500, .vpn = 1, .mac = {2, 0, 0, 0, 0, 1}};
        Link red2 = red1;
        red2.interface = 11;
        red2.port = 2;
        red2.vpn = 2;
        red2.vlan = 7;
        Link black = red1;
        black.interface = 12;
        black.port = 0;
        black.role = Role::black;
        black.vpn = wan_vpn;
        Link black2 = black;
        black2.interface = 13;
        black2.port = 3;
        links = {Link{}, red1, red2, black, black2};
        for (std::uint32_t interface : {10U, 11U}) known(interface, "10.0.0.2", static_cast<std::uint8_t>(interface));
        known(12, "192.0.2.1", 12);
        known(13, "198.51.100.1", 13);
        tables = {wan(), red(1), red(2)};
    }

    std::uint32_t known(std::uint32_t interface, const char* address, std::uint8_t mac) {
        const std::uint32_t slot = neighbours->add(interface, *parse_address(address));
        neighbours->set(slot, {true, {2, 1, 1, 1, 1, mac}});
        return slot;
    }

    std::shared_ptr<const Table> wan() {
        auto table = std::make_shared<Table>();
        table->hops = {
            {.link = 3, .slot = known(12, "192.0.2.1", 12), .weight_end = 1, .has_gateway = true, .gateway = *parse_address("192.0.2.1")},
            {.link = 4,
             .slot = known(13, "198.51.100.1", 13),
             .weight_end = 4,
             .mtu = 1400,
             .has_gateway = true,
             .gateway = *parse_address("198.51.100.1")},
            {.link = 0}};
        table->groups = {Group{}, Group{DropReason::none, 2, 0}, Group{DropReason::none, 1, 2}, Group{DropReason::route_refused, 0, 0}};
        const std::vector<Trie::Entry> entries{
            {*parse_prefix("0.0.0.0/0"), 1}, {*parse_prefix("10.9.0.0/16"), 2}, {*parse_prefix("10.9.1.0/24"), 3}};
        table->ipv4 = Trie(entries);
        return table;
    }

    std::shared_ptr<const Table> red(std::uint32_t link) {
        auto table = std::make_shared<Table>();
        table->hops = {{.link = link}};
        table->groups = {Group{}, Group{DropReason::none, 1, 0}};
        const Trie::Entry entry{*parse_prefix("10.0.0.0/24"), 1};
        table->ipv4 = Trie({&entry, 1});
        return table;
    }

    NextHop find(VpnNumber vpn, Role role, const char* address, std::uint32_t hash = 0) {
        const Fib fib(tables, links, neighbours);
        const Address destination = *parse_address(address);
        return fib.lookup(vpn, role, destination.family, destination.octets.data(), hash);
    }

    std::shared_ptr<NeighbourTable> neighbours;
    std::vector<Link> links;
    std::vector<std::shared_ptr<const Table>> tables;
};

TEST_F(FibTest, EqualAddressesInTwoVpnsNeverMeet) {
    const NextHop one = find(1, Role::red, "10.0.0.2");
    EXPECT_EQ(one.reason, DropReason::none);
    EXPECT_EQ(one.port, 1);
    EXPECT_EQ(one.destination[5], 10);
    EXPECT_EQ(one.source[5], 1);
    const NextHop two = find(2, Role::red, "10.0.0.2");
    EXPECT_EQ(two.port, 2);
    EXPECT_EQ(two.vlan, 7);
    EXPECT_EQ(two.destination[5], 11);
    EXPECT_EQ(find(3, Role::red, "10.0.0.2").reason, DropReason::no_route) << "a VPN that is not there";
    tables[2] = tables[1];
    EXPECT_EQ(find(2, Role::red, "10.0.0.2").reason, DropReason::route_not_ours) << "a route into the other VPN's port";
}

TEST_F(FibTest, SaysWhereAllDestinationsOfARouteGoOneWay) {
    auto table = std::make_shared<Table>();
    table->hops = {
        {.link = 3, .slot = known(12, "192.0.2.1", 12), .weight_end = 1, .has_gateway = true, .gateway = *parse_address("192.0.2.1")}};
    table->groups = {Group{}, Group{DropReason::none, 1, 0}};
    const std::vector<Trie::Entry> entries{{*parse_prefix("203.0.113.0/24"), 1}, {*parse_prefix("198.51.100.0/24"), 1}};
    table->ipv4 = Trie(std::vector<Trie::Entry>{entries[1], entries[0]});
    EXPECT_FALSE(find(0, Role::black, "203.0.113.1").shared) << "two ways";
    EXPECT_FALSE(find(1, Role::red, "10.0.0.2").shared) << "each is its own neighbour";
    tables[0] = table;
    EXPECT_TRUE(find(0, Role::black, "203.0.113.1").shared);
    const Fib fib(tables, links, neighbours);
    const auto group = [&](const char* address) { return fib.group(0, Family::ipv4, parse_address(address)->octets.data()); };
    EXPECT_EQ(group("203.0.113.1"), group("198.51.100.9"));
    EXPECT_NE(group("203.0.113.1"), group("203.0.114.1"));
    EXPECT_EQ(fib.group(7, Family::ipv4, parse_address("203.0.113.1")->octets.data()), nullptr);
    neighbours->set(table->hops[0].slot, {false, {}});
    EXPECT_FALSE(find(0, Role::black, "203.0.113.1").shared) << "somebody must ask for its address";
}

TEST_F(FibTest, GivesAReason) {
    EXPECT_EQ(find(0, Role::red, "203.0.113.1").reason, DropReason::route_not_ours) << "no red packet leaves by the black port";
    EXPECT_EQ(find(0, Role::black, "10.9.2.1").reason, DropReason::route_not_ours);
    EXPECT_EQ(find(0, Role::black, "10.9.1.1").reason, DropReason::route_refused);
    EXPECT_EQ(find(1, Role::red, "10.0.1.1").reason, DropReason::no_route);
    EXPECT_EQ(find(1, Role::red, "2001:db8::1").reason, DropReason::no_route);
    links[1].up = false;
    EXPECT_EQ(find(1, Role::red, "10.0.0.2").reason, DropReason::link_down);
}

/// What a look-up would say, but for the neighbour.
TEST_F(FibTest, HindranceIsThatOfALookUp) {
    const auto agree = [&](VpnNumber vpn, Role role, const char* address) {
        DropReason reason = find(vpn, role, address).reason;
        if (reason == DropReason::neighbour_unresolved) reason = DropReason::none;
        EXPECT_EQ(Fib(tables, links, neighbours).hindrance(vpn, role, *parse_address(address)), reason) << address;
        return reason;
    };
    EXPECT_EQ(agree(0, Role::black, "203.0.113.1"), DropReason::none);
    EXPECT_EQ(agree(1, Role::red, "10.0.0.99"), DropReason::none) << "a neighbour that nobody knows";
    EXPECT_EQ(agree(0, Role::red, "203.0.113.1"), DropReason::route_not_ours);
    EXPECT_EQ(agree(0, Role::black, "10.9.1.1"), DropReason::route_refused);
    EXPECT_EQ(agree(3, Role::red, "10.0.0.2"), DropReason::no_route);
    EXPECT_EQ(agree(1, Role::red, "2001:db8::1"), DropReason::no_route);
    links[1].up = false;
    EXPECT_EQ(agree(1, Role::red, "10.0.0.2"), DropReason::link_down);
}

TEST_F(FibTest, UnknownNeighbourIsNamed) {
    const NextHop hop = find(1, Role::red, "10.0.0.99");
    EXPECT_EQ(hop.reason, DropReason::neighbour_unresolved);
    EXPECT_EQ(hop.interface, 10U);
    EXPECT_EQ(to_string(hop.gateway), "10.0.0.99");
    known(10, "10.0.0.99", 99);
    EXPECT_EQ(find(1, Role::red, "10.0.0.99").destination[5], 99);
    neighbours->set(neighbours->add(12, *parse_address("192.0.2.1")), {});
    const NextHop far = find(0, Role::black, "203.0.113.1", 0);
    EXPECT_EQ(far.reason, DropReason::neighbour_unresolved);
    EXPECT_EQ(to_string(far.gateway), "192.0.2.1");
}

TEST_F(FibTest, SpreadsFlowsByWeight) {
    std::mt19937 random(1);
    unsigned second = 0;
    for (unsigned i = 0; i < 10000; ++i) {
        const NextHop hop = find(0, Role::black, "203.0.113.1", static_cast<std::uint32_t>(random()));
        ASSERT_EQ(hop.reason, DropReason::none);
        if (hop.port == 3) {
            ++second;
            ASSERT_EQ(hop.mtu, 1400);
        }
    }
    EXPECT_NEAR(second, 7500, 200);
    links[3].up = false;
    EXPECT_EQ(find(0, Role::black, "203.0.113.1", 0).port, 3) << "the other way takes over";
}

} // namespace
} // namespace sallyport::route
