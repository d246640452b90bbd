// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/ah.hpp"

#include "gateway/wire/samples.hpp"

#include <gtest/gtest.h>
#include <string_view>

namespace sallyport::wire {
namespace {

using samples::Octets;

Octets hex(std::string_view text) {
    Octets octets;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
        octets.push_back(static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
    return octets;
}

Octets muted(std::string_view text, std::uint8_t family) {
    Octets octets = hex(text);
    EXPECT_TRUE(mute(octets.data(), static_cast<unsigned>(octets.size()), family));
    return octets;
}

bool refused(std::string_view text, std::uint8_t family) {
    Octets octets = hex(text);
    return !mute(octets.data(), static_cast<unsigned>(octets.size()), family);
}

TEST(Ah, LengthsAreThoseOfTheFamily) { // RFC 4302 3.3.3.2.1
    EXPECT_EQ(ah_length(4, 16), 28U);
    EXPECT_EQ(ah_length(6, 16), 32U);
    EXPECT_EQ(ah_length(4, 12), 24U);
    EXPECT_EQ(ah_length(6, 12), 24U);
    EXPECT_EQ(ah_length(6, 24), 40U) << "GMAC needs padding too, whatever RFC 4543 4 says";
    EXPECT_EQ(ah_length(4, 32), 44U);
    EXPECT_EQ(ah_length(6, 32), 48U);
}

TEST(Ah, MutesWhatRoutersChangeInIpv4) {
    EXPECT_EQ(muted("45b8003c123440003d333e51c000020ac6336414", 4), hex("4500003c123400000033"
                                                                        "0000c000020ac6336414"));
}

TEST(Ah, MutesOptionsOfIpv4ByTheirTable) { // RFC 4302 A1
    const std::string head = "4a000050123400000033"
                             "0000c000020ac6336414";
    // Record Route goes, Router Alert and NOP stay, and all behind the end of the list.
    EXPECT_EQ(muted(head + "070704000000000194040000" + "00abcdef" + "82040102", 4),
              hex(head + "000000000000000194040000" + "00abcdef" + "82040102"));
    EXPECT_EQ(muted(head + "440801020304050601010101" + "1f04ffff" + "85040102", 4),
              hex(head + "000000000000000001010101" + "00000000" + "85040102"))
        << "Timestamp and an unknown one go";
    EXPECT_TRUE(refused(head + "8307040102030401", 4)) << "a loose source route";
    EXPECT_TRUE(refused(head + "8907040102030401", 4));
    EXPECT_TRUE(refused(head + "07010000", 4)) << "shorter than its own type and length";
    EXPECT_TRUE(refused(head + "07050000", 4)) << "longer than the header";
    EXPECT_TRUE(refused(head + "01010107", 4)) << "without its length";
}

TEST(Ah, MutesWhatRoutersChangeInIpv6) {
    const std::string addresses = "20010db8000000000000000000000001"
                                  "20010db8000000000000000000000002";
    EXPECT_EQ(muted("6abcdef100203340" + addresses, 6), hex("6000000000203300" + addresses));
    // Hop-by-hop: PadN of two octets kept, an option that may change emptied, Pad1 passed by.
    EXPECT_EQ(muted("60000000002000ff" + addresses + "3301" + "01021122" + "3e041234abcd" + "05020000", 6),
              hex("6000000000200000" + addresses + "3301" + "01021122" + "3e0400000000" + "05020000"));
    EXPECT_EQ(muted("60000000002000ff" + addresses + "3c00" + "00" + "1e03aaaaaa" + "3300" + "c20400001000", 6),
              hex("6000000000200000" + addresses + "3c00" + "00" + "1e03aaaaaa" + "3300" + "c20400001000"))
        << "two headers, nothing in them changes";
    EXPECT_TRUE(refused("6000000000202bff" + addresses + "3302040100000000" + std::string(32, '0'), 6)) << "a routing header";
    EXPECT_TRUE(refused("6000000000202cff" + addresses + "3300000000000001", 6)) << "a fragment header";
    EXPECT_TRUE(refused("60000000002000ff" + addresses + "330104051111", 6)) << "longer than what is there";
    EXPECT_TRUE(refused("60000000002000ff" + addresses + "3300" + "3e051111" + "1111", 6)) << "an option longer than its header";
}

TEST(Ah, RefusesWhatDoesNotFit) {
    Octets octets(most_before_ah + 4, 0);
    EXPECT_FALSE(mute(octets.data(), most_before_ah + 4, 4));
    EXPECT_FALSE(mute(octets.data(), 16, 4));
    EXPECT_FALSE(mute(octets.data(), 20, 6));
}

} // namespace
} // namespace sallyport::wire
