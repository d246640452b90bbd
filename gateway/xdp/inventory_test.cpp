// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/inventory.hpp"

#include "gateway/state/checksum.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace sallyport::xdp {
namespace {

using Octets = std::vector<std::uint8_t>;
using testing::HasSubstr;

Inventory example() {
    return {.frames = 16000,
            .chunks = 16384,
            .chunk_octets = 4096,
            .ring_entries = 2048,
            .huge_pages = true,
            .queues = 2,
            .ports = {{"eth0", 7}, {"a-long-ifname-x", 12}},
            .memory = 4711,
            .sockets = {101, 102, 103, 104}};
}

constexpr std::size_t layout_at = 8, length_at = 12, flags_at = 32, queues_at = 36, ports_at = 40, names_at = 44,
                      identities_at = 44 + 2 * 20;

void put(Octets& octets, std::size_t at, std::uint32_t value) { std::memcpy(octets.data() + at, &value, sizeof value); }

// Length and checksum made right again.
Octets sealed(Octets octets) {
    put(octets, length_at, static_cast<std::uint32_t>(octets.size()));
    const std::uint64_t sum = state::fnv1a(std::span(octets).first(octets.size() - 8));
    std::memcpy(octets.data() + octets.size() - 8, &sum, sizeof sum);
    return octets;
}

std::string why_not(const Octets& octets) {
    const auto read = read_inventory(octets);
    return read ? "" : read.error().sentence;
}

// As layout 1 had it: no identities.
Octets of_layout_1(const Inventory& inventory) {
    Octets octets = write_inventory(inventory);
    octets.erase(octets.begin() + identities_at, octets.end() - 8);
    put(octets, layout_at, 1);
    return sealed(octets);
}

TEST(Inventory, WhatIsWrittenIsRead) {
    const auto read = read_inventory(write_inventory(example()));
    ASSERT_TRUE(read) << to_string(read.error());
    EXPECT_EQ(*read, example());
}

TEST(Inventory, TheLayoutBeforeIsReadWithoutIdentities) {
    const auto read = read_inventory(of_layout_1(example()));
    ASSERT_TRUE(read) << to_string(read.error());
    Inventory expected = example();
    expected.memory = 0;
    expected.sockets.clear();
    EXPECT_EQ(*read, expected);
}

TEST(Inventory, OtherLayoutsAreRefusedByNumber) {
    for (const std::uint32_t layout : {0U, 3U, ~0U}) {
        Octets octets = write_inventory(example());
        put(octets, layout_at, layout);
        EXPECT_THAT(why_not(sealed(octets)), HasSubstr("layout is " + std::to_string(layout)));
    }
}

TEST(Inventory, EveryFlippedBitIsSeen) {
    for (const Octets& good : {write_inventory(example()), of_layout_1(example())})
        for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
            Octets damaged = good;
            damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ 1U << bit % 8);
            EXPECT_NE(why_not(damaged), "") << "bit " << bit;
        }
}

TEST(Inventory, EveryCutAndEveryTailIsSeen) {
    const Octets good = write_inventory(example());
    for (std::size_t length = 0; length < good.size(); ++length)
        EXPECT_NE(why_not({good.begin(), good.begin() + static_cast<long>(length)}), "") << length;
    Octets longer = good;
    longer.push_back(0);
    EXPECT_NE(why_not(longer), "");
}

TEST(Inventory, NumbersOutOfRangeAreRefusedThoughTheChecksumIsRight) {
    for (const auto& [at, value] :
         {std::pair{flags_at, 2U}, {queues_at, 129U}, {ports_at, 257U}, {queues_at, 3U}, {ports_at, 1U}, {ports_at, 3U}}) {
        Octets octets = write_inventory(example());
        put(octets, at, value);
        EXPECT_NE(why_not(sealed(octets)), "") << at << " = " << value;
    }
    for (const char first : {'\0', 'x'}) { // an empty name; one that does not end
        Octets octets = write_inventory(example());
        std::memset(octets.data() + names_at, first, 16);
        EXPECT_NE(why_not(sealed(octets)), "");
    }
}

} // namespace
} // namespace sallyport::xdp
