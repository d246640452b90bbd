// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/sa_records.hpp"

#include "gateway/store/testing.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>

using namespace sallyport;
using namespace sallyport::store;

namespace {

/// Everything of it that is not as its type has it.
SaSpec rich_spec(Direction direction) {
    SaSpec spec = spec_of("branch-17.of-a_long.name", direction, 0x7fffffff, Algorithm::aes_256_cbc_hmac_sha2_512_256);
    spec.child = 0x01020304;
    spec.generation = 77;
    spec.outer_local = *parse_address("2001:db8::1");
    spec.outer_remote = *parse_address("2001:db8::2");
    spec.outer_vpn = 3;
    spec.red_vpn = 259;
    spec.sequence = SequenceKind::short_32;
    spec.window = 64;
    spec.selectors.push_back({*parse_range("2001:db8::/32"), *parse_range("::/0"), 6, {1, 2}, {7, 8}});
    spec.dscp = DscpRule::set;
    spec.dscp_value = 46;
    spec.df = DfRule::clear;
    spec.fragment = FragmentRule::after;
    spec.hop_limit = 255;
    spec.udp_port = 4501;
    spec.keepalive = 20;
    spec.tfc_padding = tfc_full;
    spec.mtu = 1280;
    spec.clamp_mss = 1200;
    spec.dummies_per_second = 5;
    spec.soft = {1, 2, 3};
    spec.hard = {4, 5, 6};
    spec.jitter = 10;
    spec.begun = 1'000'000;
    return spec;
}

/// All that a record has of it, its key aside.
void expect_same(const SaSpec& one, const SaSpec& other) {
    record::SaRecord records[2];
    ASSERT_TRUE(record::store(one, 0, records[0]));
    ASSERT_TRUE(record::store(other, 0, records[1]));
    for (record::SaRecord& record : records) record.key = {}, record.key_size = 0;
    EXPECT_EQ(std::memcmp(&records[0], &records[1], sizeof records[0]), 0);
    EXPECT_EQ(one.selectors, other.selectors);
}

} // namespace

TEST(SaRecords, WhatAnSaWasAskedToBeIsKeptPackedWithoutItsKey) {
    for (const bool with_table : {true, false})
        for (const Direction direction : {Direction::outbound, Direction::inbound}) {
            Lives given;
            std::optional<Store> without;
            Store& store = with_table ? *given.store : without.emplace(*given.units, nullptr, 4);
            const SaSpec asked = rich_spec(direction);
            const auto applied = store.apply({.install = {asked}}).value();
            const Sa& sa = *applied.added[0];
            expect_same(sa.spec(), asked);
            EXPECT_EQ(sa.name(), asked.name);
            EXPECT_EQ(sa.direction(), direction);
            EXPECT_EQ(sa.spi(), asked.spi);
            EXPECT_TRUE(sa.negotiated);
            EXPECT_EQ(sa.spec().key.size, 0);
            EXPECT_EQ(applied.specs[0]->key.octets, KeyMaterial{}.octets) << "what came is wiped";
            // What is gone has left the table, and can be asked until it is drained.
            const auto removed = store.apply({.remove = {name_of(asked)}}).value();
            EXPECT_EQ(given.names(), Names{});
            expect_same(removed.gone[0]->spec(), asked);
            store.drain();
        }
}

TEST(SaRecords, APackedSaHoldsNoKey) {
    SaSpec one = rich_spec(Direction::inbound), other = one;
    for (std::uint8_t& octet : other.key.octets) octet ^= 0x55;
    Lives given;
    const SecretTable::Record record = stage(*given.table, one).value();
    given.table->commit();
    const std::size_t without_key = given.table->octets(record).size() - one.key.size; // and what tells its octets
    const PackedSa packed[] = {pack(one).value(), pack(other).value(), pack(given.table->octets(record).data())};
    for (const PackedSa& same : packed) EXPECT_EQ(std::memcmp(same.get(), packed[0].get(), without_key - 12), 0);
}
