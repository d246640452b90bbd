// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/address.hpp"

#include <gtest/gtest.h>

#include <random>

using namespace sallyport;

namespace {

Address address(std::string_view text) { return parse_address(text).value(); }

std::vector<std::string> texts(std::string_view range) {
    std::vector<std::string> result;
    for (const Prefix& prefix : prefixes_of(parse_range(range).value())) result.push_back(to_string(prefix));
    return result;
}

} // namespace

TEST(Address, ParsesAndPrints) {
    EXPECT_EQ(address("192.0.2.1").octets[3], 1);
    EXPECT_EQ(address("192.0.2.1").octets[4], 0);
    EXPECT_EQ(to_string(address("192.0.2.1")), "192.0.2.1");
    EXPECT_EQ(address("2001:DB8::1").family, Family::ipv6);
    EXPECT_EQ(to_string(address("2001:DB8:0:0::1")), "2001:db8::1");
    EXPECT_EQ(to_string(address("::")), "::");
}

TEST(Address, RefusesWhatIsNone) {
    using namespace std::string_view_literals;
    for (const std::string_view text : {""sv, "192.0.2"sv, "192.0.2.256"sv, "192.0.2.01"sv, " 192.0.2.1"sv, "192.0.2.1 "sv,
                                        "192.0.2.1\0x"sv, "192.0.2.1\0"sv, "2001:db8:::1"sv, "fe80::1%eth0"sv, "1:2:3:4:5:6:7:8:9"sv,
                                        "example.org"sv, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"sv})
        EXPECT_FALSE(parse_address(text)) << text;
}

TEST(Prefix, ParsesAndPrints) {
    EXPECT_EQ(to_string(parse_prefix("192.0.2.0/24").value()), "192.0.2.0/24");
    EXPECT_EQ(to_string(parse_prefix("192.0.2.7").value()), "192.0.2.7/32");
    EXPECT_EQ(to_string(parse_prefix("0.0.0.0/0").value()), "0.0.0.0/0");
    EXPECT_EQ(to_string(parse_prefix("::/0").value()), "::/0");
    EXPECT_EQ(to_string(parse_prefix("2001:db8::1/128").value()), "2001:db8::1/128");
}

TEST(Prefix, RefusesWhatIsNone) {
    for (const std::string_view text : {"192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/024", "192.0.2.0/+24", "192.0.2.0/-1",
                                        "192.0.2.0/24x", "/24", "2001:db8::/129", "2001:db8::1/64", "192.0.2.0/24/24", "::1/0"})
        EXPECT_FALSE(parse_prefix(text)) << text;
}

TEST(Prefix, Contains) {
    EXPECT_TRUE(contains(parse_prefix("192.0.2.0/25").value(), address("192.0.2.127")));
    EXPECT_FALSE(contains(parse_prefix("192.0.2.0/25").value(), address("192.0.2.128")));
    EXPECT_TRUE(contains(parse_prefix("0.0.0.0/0").value(), address("255.255.255.255")));
    EXPECT_FALSE(contains(parse_prefix("0.0.0.0/0").value(), address("::")));
    EXPECT_TRUE(contains(parse_prefix("::/0").value(), address("ffff::")));
    EXPECT_TRUE(contains(parse_prefix("2001:db8::/33").value(), address("2001:db8:7fff::1")));
    EXPECT_FALSE(contains(parse_prefix("2001:db8::/33").value(), address("2001:db8:8000::1")));
}

TEST(Range, ParsesAndPrints) {
    EXPECT_EQ(to_string(parse_range("192.0.2.0-192.0.2.255").value()), "192.0.2.0/24");
    EXPECT_EQ(to_string(parse_range("192.0.2.1-192.0.2.2").value()), "192.0.2.1-192.0.2.2");
    EXPECT_EQ(to_string(parse_range("192.0.2.1").value()), "192.0.2.1");
    EXPECT_EQ(to_string(parse_range("2001:db8::/32").value()), "2001:db8::/32");
    EXPECT_EQ(to_string(range_of(parse_prefix("192.0.2.128/25").value()).last), "192.0.2.255");
    EXPECT_EQ(to_string(range_of(parse_prefix("::/0").value()).last), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    for (const std::string_view text :
         {"192.0.2.2-192.0.2.1", "192.0.2.1-2001:db8::1", "192.0.2.1-", "-192.0.2.1", "a-b-c", "192.0.2.0/24-192.0.3.0"})
        EXPECT_FALSE(parse_range(text)) << text;
}

TEST(Range, ContainsOnlyItsFamily) {
    const AddressRange range = parse_range("0.0.0.0/0").value();
    EXPECT_TRUE(range.contains(address("10.0.0.1")));
    EXPECT_FALSE(range.contains(address("::")));
    const AddressRange small = parse_range("192.0.2.5-192.0.2.9").value();
    EXPECT_FALSE(small.contains(address("192.0.2.4")));
    EXPECT_TRUE(small.contains(address("192.0.2.5")));
    EXPECT_TRUE(small.contains(address("192.0.2.9")));
    EXPECT_FALSE(small.contains(address("192.0.2.10")));
}

TEST(PrefixesOf, KnownRanges) {
    EXPECT_EQ(texts("0.0.0.0-255.255.255.255"), std::vector<std::string>{"0.0.0.0/0"});
    EXPECT_EQ(texts("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), std::vector<std::string>{"::/0"});
    EXPECT_EQ(texts("192.0.2.1-192.0.2.6"), (std::vector<std::string>{"192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/31", "192.0.2.6/32"}));
    EXPECT_EQ(texts("255.255.255.254-255.255.255.255"), std::vector<std::string>{"255.255.255.254/31"});
    EXPECT_EQ(texts("0.0.0.1-255.255.255.254").size(), 62U);
    EXPECT_EQ(texts("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe").size(), 254U);
}

TEST(PrefixesOf, CoverExactlyTheRange) {
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
        // Inside one /20, so that every address can be looked at.
        unsigned a = random() % 4096, b = random() % 4096;
        if (a > b) std::swap(a, b);
        const auto make = [](unsigned n) {
            Address result;
            result.octets[0] = 10;
            result.octets[2] = static_cast<std::uint8_t>(n >> 8);
            result.octets[3] = static_cast<std::uint8_t>(n);
            return result;
        };
        unsigned next = a;
        for (const Prefix& prefix : prefixes_of({make(a), make(b)})) {
            ASSERT_EQ(prefix.address, make(next));
            next += 1U << (32 - prefix.length);
            ASSERT_EQ(range_of(prefix).last, make(next - 1));
        }
        ASSERT_EQ(next, b + 1);
    }
}
