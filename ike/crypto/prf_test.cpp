// SPDX-License-Identifier: Apache-2.0
#include "ike/crypto/prf.hpp"

#include "ike/crypto/octets_of.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <thread>

namespace sallyport::ike {
namespace {

struct HmacVector {
    std::string name, key, data;
    std::array<std::string, prfs.size()> results; // in the order of `prfs`
};

std::vector<HmacVector> hmac_vectors() {
    std::ifstream file(SALLYPORT_SOURCE_DIR "/tests/vectors/rfc_hmac_sha2.txt");
    std::vector<HmacVector> vectors;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with('#')) continue;
        HmacVector vector;
        std::istringstream(line) >> vector.name >> vector.key >> vector.data >> vector.results[0] >> vector.results[1] >> vector.results[2];
        vectors.push_back(vector);
    }
    return vectors;
}

TEST(Prf, computes_what_rfc_4231_says) {
    const auto vectors = hmac_vectors();
    ASSERT_EQ(vectors.size(), 6U);
    for (const HmacVector& vector : vectors)
        for (std::size_t i = 0; i < prfs.size(); ++i)
            EXPECT_EQ(hex_of(compute(prfs[i].prf, octets_of(vector.key), {octets_of(vector.data)}).octets()), vector.results[i])
                << vector.name << " " << prfs[i].name;
}

TEST(Prf, takes_data_in_parts_that_may_be_empty) {
    const Bytes key = counting(1, 32), data = counting(9, 100);
    const Octets all = data;
    for (const PrfInfo& row : prfs) {
        const Secret whole = compute(row.prf, key, {all});
        EXPECT_EQ(whole.size(), row.size);
        for (std::size_t cut = 0; cut <= data.size(); ++cut)
            EXPECT_TRUE(equal(compute(row.prf, key, {all.first(cut), {}, all.subspan(cut)}).octets(), whole.octets()));
    }
}

TEST(Prf, does_not_take_an_empty_key_for_that_of_the_call_before) {
    // HMAC-SHA-256 of nothing under an empty key, which is widely printed.
    const std::string nothing = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
    EXPECT_FALSE(compute(Prf::hmac_sha2_256, counting(1, 32), {}).empty());
    EXPECT_EQ(hex_of(compute(Prf::hmac_sha2_256, {}, {}).octets()), nothing);
}

TEST(Prf, refuses_too_little_room) {
    std::array<std::uint8_t, 31> small;
    EXPECT_FALSE(compute(Prf::hmac_sha2_256, counting(1, 32), {}, small));
}

TEST(Prf, is_the_same_on_every_thread) {
    const Secret here = compute(Prf::hmac_sha2_512, counting(1, 64), {counting(2, 64)});
    std::vector<Bytes> there(4);
    std::vector<std::jthread> threads;
    for (Bytes& result : there)
        threads.emplace_back([&result] {
            for (unsigned i = 0; i < 500; ++i) {
                const Secret secret = compute(Prf::hmac_sha2_512, counting(1, 64), {counting(2, 64)});
                result.assign(secret.octets().begin(), secret.octets().end());
            }
        });
    threads.clear();
    for (const Bytes& result : there) EXPECT_EQ(hex_of(result), hex_of(here.octets()));
}

TEST(PrfPlus, is_made_of_blocks_that_go_into_the_next) {
    const Bytes key = counting(3, 40), seed = counting(100, 80);
    for (const PrfInfo& row : prfs) {
        Bytes expected, block;
        for (std::uint8_t number = 1; number <= 5; ++number) {
            block.resize(number == 1 ? 0 : row.size);
            const Secret next = compute(row.prf, key, {block, seed, Octets(&number, 1)});
            block.assign(next.octets().begin(), next.octets().end());
            expected.insert(expected.end(), block.begin(), block.end());
        }
        for (std::size_t size = 1; size <= expected.size(); ++size)
            EXPECT_EQ(hex_of(expand(row.prf, key, {Octets(seed).first(30), Octets(seed).subspan(30)}, size).octets()),
                      hex_of(Octets(expected).first(size)));
    }
}

TEST(PrfPlus, ends_after_255_blocks) {
    for (const PrfInfo& row : prfs) {
        EXPECT_EQ(expand(row.prf, counting(1, 32), {counting(2, 32)}, 255U * row.size).size(), 255U * row.size);
        EXPECT_TRUE(expand(row.prf, counting(1, 32), {counting(2, 32)}, 255U * row.size + 1).empty());
    }
}

TEST(PrfPlus, of_no_octets_is_no_secret) {
    EXPECT_TRUE(expand(Prf::hmac_sha2_256, counting(1, 32), {}, 0).empty());
    EXPECT_TRUE(expand(Prf::hmac_sha2_256, counting(1, 32), {}, std::span<std::uint8_t>()));
}

} // namespace
} // namespace sallyport::ike
