// SPDX-License-Identifier: Apache-2.0
#include "ike/secret/secret.hpp"

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <vector>

namespace sallyport::ike {
namespace {

TEST(Secret, is_wiped_kept_apart_and_refused_when_the_arena_is_full) {
    ASSERT_TRUE(lock_arena(64 * 1024));
    const std::size_t before = arena_used();
    {
        Secret one(100);
        ASSERT_EQ(one.size(), 100U);
        EXPECT_EQ(CRYPTO_secure_allocated(one.data()), 1);
        one.data()[0] = 7;
        const Secret other = one.copy();
        EXPECT_NE(other.octets().data(), one.data());
        EXPECT_TRUE(equal(one.octets(), other.octets()));
        EXPECT_FALSE(equal(one.octets(), other.part(0, 99)));
        Secret moved = std::move(one);
        EXPECT_EQ(moved.octets()[0], 7);
        EXPECT_GT(arena_used(), before);
    }
    EXPECT_EQ(arena_used(), before);

    std::vector<Secret> many;
    for (unsigned i = 0; i < 2000; ++i) many.emplace_back(64);
    EXPECT_TRUE(many.back().empty());
    EXPECT_FALSE(many.front().empty());
    many.clear();
    EXPECT_EQ(arena_used(), before);
    EXPECT_FALSE(Secret(64).empty());
}

TEST(Secret, of_no_octets_is_empty) {
    EXPECT_TRUE(Secret().empty());
    EXPECT_TRUE(Secret(std::size_t{0}).empty());
    EXPECT_TRUE(equal({}, {}));
}

} // namespace
} // namespace sallyport::ike
