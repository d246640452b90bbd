// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/marks_file.hpp"

#include <gtest/gtest.h>

using namespace sallyport;
using namespace sallyport::state;

namespace {

SaSpec sa(Direction direction, Algorithm algorithm) {
    SaSpec spec{.name = "office", .direction = direction, .spi = 0x1000, .algorithm = algorithm};
    spec.key.size = static_cast<std::uint8_t>(info(algorithm).material());
    for (unsigned i = 0; i < spec.key.size; ++i) spec.key.octets[i] = static_cast<std::uint8_t>(i);
    return spec;
}

MarksFile example() {
    MarksFile marks{.clean = true};
    marks.units.fill(0x5a);
    marks.records.push_back({Direction::outbound, 65536, fingerprint_of(sa(Direction::outbound, Algorithm::aes_128_gcm_16)), "office"});
    marks.records.push_back({Direction::inbound, 0, fingerprint_of(sa(Direction::inbound, Algorithm::aes_128_gcm_16)), "office"});
    marks.records.push_back({Direction::outbound, ~std::uint64_t{0}, {}, "a name of words"});
    return marks;
}

} // namespace

TEST(MarksFile, WhatIsWrittenIsRead) {
    const std::string text = format_marks(example());
    const auto marks = parse_marks(text);
    ASSERT_TRUE(marks) << to_string(marks.error());
    EXPECT_TRUE(marks->clean);
    EXPECT_EQ(marks->units, example().units);
    ASSERT_EQ(marks->records.size(), 3U);
    EXPECT_EQ(marks->records[0].mark, 65536U);
    EXPECT_EQ(marks->records[1].direction, Direction::inbound);
    EXPECT_EQ(marks->records[2].name, "a name of words");
    EXPECT_EQ(format_marks(*marks), text);
    EXPECT_TRUE(parse_marks(format_marks({})));
}

TEST(MarksFile, EveryFlippedBitIsSeen) {
    const std::string text = format_marks(example());
    for (std::size_t at = 0; at < text.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            std::string damaged = text;
            damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
            EXPECT_FALSE(parse_marks(damaged)) << at << " bit " << bit;
        }
    }
}

TEST(MarksFile, EveryCutAndEveryTailIsSeen) {
    const std::string text = format_marks(example());
    for (std::size_t length = 0; length < text.size(); ++length) EXPECT_FALSE(parse_marks(text.substr(0, length))) << length;
    EXPECT_FALSE(parse_marks(text + "\n"));
    EXPECT_FALSE(parse_marks(text + "x"));
    EXPECT_FALSE(parse_marks(text + text));
    EXPECT_FALSE(parse_marks(std::string(1, '\0') + text));
}

TEST(MarksFile, WhatIsNoRecordIsRefusedEvenWithAGoodChecksum) {
    for (const char* name : {"", "line\nbreak", "bell\a"}) {
        MarksFile marks = example();
        marks.records[0].name = name;
        EXPECT_FALSE(parse_marks(format_marks(marks))) << name;
    }
    MarksFile marks = example();
    marks.records[0].name = std::string(256, 'a');
    EXPECT_FALSE(parse_marks(format_marks(marks)));
    marks = example();
    marks.records[2] = marks.records[0];
    EXPECT_FALSE(parse_marks(format_marks(marks)));
}

TEST(Fingerprint, OutboundWithAnAeadItIsTheKeyAlone) {
    SaSpec one = sa(Direction::outbound, Algorithm::aes_256_gcm_16);
    SaSpec other = one;
    other.spi = 0x2000;
    other.name = "other";
    EXPECT_EQ(fingerprint_of(one), fingerprint_of(other)); // a nonce repeats whatever the SPI
    other.key.octets[35] ^= 1;                             // the salt
    EXPECT_NE(fingerprint_of(one), fingerprint_of(other));
    other = one;
    other.algorithm = Algorithm::aes_256_gcm_16_iiv;
    EXPECT_EQ(fingerprint_of(one), fingerprint_of(other)) << "the same cipher would be given the same nonces";
    other.algorithm = Algorithm::null_aes_256_gmac;
    EXPECT_EQ(fingerprint_of(one), fingerprint_of(other));
    one = sa(Direction::outbound, Algorithm::aes_256_cbc_hmac_sha2_256_128);
    other = one;
    other.spi = 0x2000;
    EXPECT_NE(fingerprint_of(one), fingerprint_of(other));
    one = sa(Direction::inbound, Algorithm::aes_256_gcm_16);
    other = one;
    other.spi = 0x2000;
    EXPECT_NE(fingerprint_of(one), fingerprint_of(other));
    other = one;
    other.direction = Direction::outbound;
    EXPECT_NE(fingerprint_of(one), fingerprint_of(other));
    other = one;
    other.algorithm = Algorithm::chacha20_poly1305;
    EXPECT_NE(fingerprint_of(one), fingerprint_of(other));
}
