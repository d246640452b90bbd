// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/ike_spis.hpp"
#include "gateway/store/spi_space.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

using namespace sallyport;
using namespace sallyport::store;

namespace {

struct Setting {
    std::unique_ptr<state::Units> units = state::Units::anonymous(1000).value();
    Store store{*units, nullptr, 1};
    tables::ReservedSpis reserved;
    SpiSpace spis{store, reserved};

    void install(std::uint32_t spi) {
        SaSpec spec{.name = "sa" + std::to_string(spi), .direction = Direction::inbound, .spi = spi};
        spec.outer_local = spec.outer_remote = parse_address("192.0.2.1").value();
        spec.algorithm = Algorithm::aes_128_gcm_16;
        spec.key.size = 20;
        std::memcpy(spec.key.octets.data(), &spi, sizeof spi);
        spec.selectors.push_back({.local = parse_range("10.1.0.0/16").value(), .remote = parse_range("10.2.0.0/16").value()});
        spec.manual = false;
        ASSERT_TRUE(store.apply({.install = {spec}}));
        spis.installed(spi);
    }
};

} // namespace

TEST(SpiSpace, GivesRandomOnesOfTheGoodRange) {
    Setting given;
    std::set<std::uint32_t> all;
    for (int call = 0; call < 64; ++call) {
        const auto some = given.spis.reserve(256, 1, 0);
        ASSERT_TRUE(some);
        all.insert(some->begin(), some->end());
    }
    EXPECT_EQ(all.size(), SpiSpace::most_reserved);
    EXPECT_GE(*all.begin(), 256U);
    EXPECT_LT(*all.rbegin(), 0x80000000U);
    std::set<std::uint32_t> tops;
    for (const std::uint32_t spi : all) tops.insert(spi >> 24);
    EXPECT_EQ(tops.size(), 128U) << "they lie in a part of the range only";
    const auto more = given.spis.reserve(1, 1, 0);
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().code, ErrorCode::exhausted);
    given.spis.expire(SpiSpace::reservation - 1);
    EXPECT_EQ(given.spis.reserved(), SpiSpace::most_reserved);
    given.spis.expire(SpiSpace::reservation);
    EXPECT_EQ(given.spis.reserved(), 0U);
    EXPECT_FALSE(given.reserved.meet(*all.begin()));
}

TEST(SpiSpace, BlocksAreAligned) {
    Setting given;
    for (const std::uint32_t block : {1U, 2U, 16U, 256U}) {
        const auto firsts = given.spis.reserve(256 / block, block, 0);
        ASSERT_TRUE(firsts) << block;
        ASSERT_EQ(firsts->size(), 256 / block);
        for (const std::uint32_t first : *firsts) {
            EXPECT_EQ(first % block, 0U);
            for (std::uint32_t spi = first; spi < first + block; ++spi) EXPECT_TRUE(given.spis.is_reserved(spi));
        }
    }
    EXPECT_EQ(given.spis.reserve(1, 3, 0).error().place, "block");
    EXPECT_EQ(given.spis.reserve(1, 0, 0).error().place, "block");
    EXPECT_EQ(given.spis.reserve(1, 512, 0).error().place, "block");
    EXPECT_EQ(given.spis.reserve(0, 1, 0).error().place, "count");
    EXPECT_EQ(given.spis.reserve(257, 1, 0).error().place, "count");
    EXPECT_EQ(given.spis.reserve(3, 128, 0).error().place, "count");
}

TEST(SpiSpace, OneThatIsInUseOrHalfClosedIsNobodys) {
    Setting given;
    const std::uint32_t spi = given.spis.reserve(1, 1, 0).value()[0];
    EXPECT_TRUE(given.spis.may_install(spi));
    given.install(spi);
    EXPECT_EQ(given.spis.reserved(), 0U);
    EXPECT_FALSE(given.spis.may_install(spi));
    ASSERT_TRUE(given.store.apply({.remove = {{"sa" + std::to_string(spi), Direction::inbound}}}));
    given.spis.closed(spi, 1000);
    EXPECT_FALSE(given.spis.may_install(spi)) << "the peer may still send on it";
    given.spis.expire(1000 + SpiSpace::closing - 1);
    EXPECT_FALSE(given.spis.may_install(spi));
    given.spis.expire(1000 + SpiSpace::closing);
    EXPECT_TRUE(given.spis.may_install(spi));
}

TEST(SpiSpace, WhatIsReleasedAndTakenAgainHasItsOwnTime) {
    Setting given;
    const auto spis = given.spis.reserve(4, 1, 0).value();
    EXPECT_EQ(given.spis.release(spis), 4U);
    EXPECT_EQ(given.spis.release(spis), 0U);
    EXPECT_EQ(given.spis.reserved(), 0U);
    const auto others = given.spis.reserve(4, 1, 30'000).value();
    given.spis.expire(60'000);
    EXPECT_EQ(given.spis.reserved(), 4U);
    given.spis.expire(90'000);
    EXPECT_EQ(given.spis.reserved(), 0U);
}

TEST(SpiSpace, APacketOnAReservedOneIsRemembered) {
    Setting given;
    const auto spis = given.spis.reserve(200, 1, 0).value();
    EXPECT_TRUE(given.reserved.take_met().empty());
    EXPECT_TRUE(given.reserved.meet(spis[7]));
    EXPECT_TRUE(given.reserved.meet(spis[7]));
    EXPECT_FALSE(given.reserved.meet(spis[7] ^ 1));
    EXPECT_FALSE(given.reserved.meet(spis[7] | 0x80000000));
    EXPECT_EQ(given.reserved.take_met(), std::vector<std::uint32_t>{spis[7]});
    EXPECT_TRUE(given.reserved.take_met().empty());
    EXPECT_TRUE(given.reserved.meet(spis[8]));
    given.spis.release(spis);
    EXPECT_FALSE(given.reserved.meet(spis[8]));
    EXPECT_TRUE(given.reserved.take_met().empty());
}

TEST(IkeSpis, AreAddedRemovedAndListedInParts) {
    IkeSpis table;
    EXPECT_TRUE(table.add(std::vector<std::uint64_t>{5, 0xffffffffffffffff, 7}, 1));
    EXPECT_TRUE(table.add(std::vector<std::uint64_t>{7, 8}, 2));
    EXPECT_EQ(table.list(1, 2), (std::vector<IkeSpis::Entry>{{7, 2}, {8, 2}}));
    EXPECT_EQ(table.list(3, 9), (std::vector<IkeSpis::Entry>{{0xffffffffffffffff, 1}}));
    EXPECT_TRUE(table.list(4, 9).empty());
    EXPECT_EQ(table.remove(std::vector<std::uint64_t>{7, 9}), 1U);
    EXPECT_FALSE(table.contains(7));
    const auto wrong = table.add(std::vector<std::uint64_t>{9, 0}, 3);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().place, "spis[1]");
    EXPECT_FALSE(table.contains(9)) << "half of a call";
    EXPECT_EQ(table.add(std::vector<std::uint64_t>(1025, 1), 3).error().code, ErrorCode::exhausted);
    for (std::uint64_t i = 0; i < IkeSpis::most / 1024; ++i) {
        std::vector<std::uint64_t> many;
        for (std::uint64_t j = 1; j <= 1024; ++j) many.push_back(i * 1024 + j);
        if (i + 1 == IkeSpis::most / 1024) {
            EXPECT_EQ(table.add(many, 4).error().code, ErrorCode::exhausted); // 5, 7 and 8 are among them, the last is not
            many.pop_back();
        }
        EXPECT_TRUE(table.add(many, 4)) << i;
    }
    EXPECT_EQ(table.size(), IkeSpis::most);
}
