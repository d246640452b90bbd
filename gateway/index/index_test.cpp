// SPDX-License-Identifier: Apache-2.0
#include "gateway/index/index.hpp"

#include "gateway/index/few.hpp"
#include "gateway/index/slab.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <unordered_map>

namespace sallyport::index {
namespace {

TEST(Index, FindsWhatWasPutInAndNothingElse) {
    // Keys are few and hashes fewer, so that many lie in each other's way; beside it a map that is known to be right.
    std::mt19937 random(3);
    for (const std::uint64_t hashes : {1U, 7U, 100'000U}) {
        Slab<std::string> things;
        Index index;
        std::unordered_map<std::string, std::uint32_t> reference;
        for (int step = 0; step < 20'000; ++step) {
            const std::uint64_t value = random() % 500;
            const std::string key = std::to_string(value);
            const auto found = index.find(value % hashes, [&](std::uint32_t number) { return things[number] == key; });
            const auto known = reference.find(key);
            ASSERT_EQ(found.has_value(), known != reference.end());
            if (found) {
                ASSERT_EQ(*found, known->second);
                index.erase(value % hashes, *found);
                things.erase(*found);
                reference.erase(known);
            } else {
                const std::uint32_t number = things.put(key);
                index.insert(value % hashes, number);
                reference.emplace(key, number);
            }
            ASSERT_EQ(index.size(), reference.size());
            ASSERT_EQ(things.size(), reference.size());
        }
        std::size_t met = 0;
        index.each([&](std::uint32_t number) { met += reference.at(things[number]) == number ? 1 : 0; });
        EXPECT_EQ(met, reference.size());
    }
}

TEST(Index, OneKeyMayBeThereSeveralTimes) {
    Index index;
    for (std::uint32_t number = 0; number < 5; ++number) index.insert(9, number);
    index.erase(9, 2);
    std::vector<std::uint32_t> met;
    EXPECT_FALSE(index.find(9, [&](std::uint32_t number) {
        met.push_back(number);
        return false;
    }));
    std::ranges::sort(met);
    EXPECT_EQ(met, (std::vector<std::uint32_t>{0, 1, 3, 4}));
}

TEST(Slab, ThingsStayWhereTheyAre) {
    Slab<int> slab;
    std::vector<const int*> places;
    for (int i = 0; i < 5000; ++i) {
        const std::uint32_t number = slab.put(i);
        EXPECT_EQ(number, static_cast<std::uint32_t>(i));
        places.push_back(&slab[number]);
    }
    for (std::uint32_t i = 0; i < 5000; ++i) EXPECT_EQ(places[i], &slab[i]);
    slab.erase(17);
    EXPECT_EQ(slab.size(), 4999U);
    EXPECT_EQ(slab.put(99), 17U) << "a free number is given again";
    EXPECT_EQ(*places[17], 99);
}

TEST(Few, IsAsAVector) {
    struct Pair {
        std::uint32_t number;
        std::uint16_t other;
        bool operator==(const Pair&) const = default;
    };
    std::mt19937 random(4);
    Few<Pair, 2> few;
    EXPECT_EQ(sizeof few, 8 + 2 * sizeof(Pair));
    std::vector<Pair> reference;
    for (int step = 0; step < 10'000; ++step) {
        const std::size_t at = random() % (reference.size() + 1);
        if (random() % 32 < 17 - reference.size() && at <= reference.size()) {
            const Pair pair{static_cast<std::uint32_t>(random()), static_cast<std::uint16_t>(step)};
            EXPECT_EQ(*few.insert(few.begin() + at, pair), pair);
            reference.insert(reference.begin() + static_cast<std::ptrdiff_t>(at), pair);
        } else if (at < reference.size()) {
            few.erase(few.begin() + at);
            reference.erase(reference.begin() + static_cast<std::ptrdiff_t>(at));
        }
        ASSERT_TRUE(std::ranges::equal(few, reference));
        if (step % 100 != 0) continue;
        Few<Pair, 2> copy = few;
        ASSERT_TRUE(std::ranges::equal(copy, reference));
        few = std::move(copy);
        if (step % 1000 == 0) few = {}, reference = {};
    }
}

} // namespace
} // namespace sallyport::index
