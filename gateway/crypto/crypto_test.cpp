// SPDX-License-Identifier: Apache-2.0
#include "gateway/crypto/crypto.hpp"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <vector>

namespace sallyport::crypto {
namespace {

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::uint8_t, Free>;

Memory memory_for(const Suite& suite) {
    auto* octets = static_cast<std::uint8_t*>(std::aligned_alloc(key_alignment, suite.key_size));
    std::memset(octets, 0xa5, suite.key_size);
    return Memory(octets);
}

std::vector<std::uint8_t> material_of(Algorithm algorithm, std::uint8_t seed) {
    std::vector<std::uint8_t> material(info(algorithm).material());
    for (std::size_t i = 0; i < material.size(); ++i) material[i] = static_cast<std::uint8_t>(seed + 7 * i);
    return material;
}

/// A batch of packets of growing length with room of their own: 8 octets of ESP header, 16 of which an IV takes the last, text, ICV.
struct Batch {
    static constexpr unsigned head = 24;
    std::vector<std::vector<std::uint8_t>> octets;
    std::vector<Packet> packets;

    Batch(const void* key, const AlgorithmInfo& row, unsigned count, unsigned first_length) {
        for (unsigned i = 0; i < count; ++i) {
            const unsigned length = first_length + 16 * i;
            octets.emplace_back(head + length + row.icv);
            for (std::size_t k = 0; k < octets.back().size(); ++k) octets.back()[k] = static_cast<std::uint8_t>(k * 3 + i);
        }
        for (unsigned i = 0; i < count; ++i) {
            std::uint8_t* begin = octets[i].data();
            const auto length = static_cast<std::uint32_t>(octets[i].size() - head - row.icv);
            Packet packet{};
            packet.key = key;
            packet.text = begin + head;
            packet.icv = begin + head + length;
            packet.aad = row.unique_nonce() ? begin : begin + head - row.iv - 8;
            packet.length = length;
            packet.aad_length = row.unique_nonce() ? 8 : 8 + row.iv;
            packet.tail_length = row.unique_nonce() ? 0 : 4 * (i % 2);
            packet.nonce = {1, 2, 3, 4, static_cast<std::uint8_t>(i)};
            packet.extra = {0, 0, 0, 5};
            packets.push_back(packet);
        }
    }

    unsigned count() const { return static_cast<unsigned>(packets.size()); }
    std::vector<std::uint8_t> text(unsigned i) const { return {packets[i].text, packets[i].text + packets[i].length}; }
};

using Case = std::tuple<Engine, Algorithm>;

class EveryEngine : public testing::TestWithParam<Case> {
protected:
    void SetUp() override {
        const auto [engine, algorithm] = GetParam();
        if (!available(engine)) GTEST_SKIP() << describe(engine);
        suite_ = &suite(engine, algorithm);
        row_ = &info(algorithm);
        const auto material = material_of(algorithm, 1);
        seal_key_ = memory_for(*suite_);
        open_key_ = memory_for(*suite_);
        ASSERT_TRUE(suite_->expand(Direction::outbound, material, seal_key_.get()));
        ASSERT_TRUE(suite_->expand(Direction::inbound, material, open_key_.get()));
    }
    void TearDown() override {
        for (Memory* key : {&seal_key_, &open_key_}) {
            if (*key == nullptr) continue;
            suite_->wipe(key->get());
            const std::vector<std::uint8_t> zero(suite_->key_size);
            EXPECT_EQ(std::memcmp(key->get(), zero.data(), zero.size()), 0) << "the key is still there after wipe";
        }
    }

    const Suite* suite_ = nullptr;
    const AlgorithmInfo* row_ = nullptr;
    Memory seal_key_, open_key_;
};

TEST_P(EveryEngine, SealsAndOpensBatchesOfEverySize) {
    for (unsigned count = 1; count <= batch_size; ++count) {
        Batch batch(seal_key_.get(), *row_, count, 16);
        const Batch before(seal_key_.get(), *row_, count, 16);
        suite_->seal(batch.packets.data(), count);
        for (unsigned i = 0; i < count; ++i) {
            EXPECT_TRUE(batch.packets[i].good);
            EXPECT_EQ(batch.text(i) == before.text(i), row_->cipher == Cipher::null || row_->construction == Construction::gmac);
            batch.packets[i].key = open_key_.get();
        }
        suite_->open(batch.packets.data(), count);
        for (unsigned i = 0; i < count; ++i) {
            EXPECT_TRUE(batch.packets[i].good);
            EXPECT_EQ(batch.text(i), before.text(i));
        }
    }
}

TEST_P(EveryEngine, RefusesEachWrongOctetAndLetsNothingOut) {
    Batch sealed(seal_key_.get(), *row_, 1, 32);
    suite_->seal(sealed.packets.data(), 1);
    const std::vector<std::uint8_t> zero(32);
    const std::ptrdiff_t first_of_aad = sealed.packets[0].aad - sealed.octets[0].data();
    for (std::size_t place = 0; place < sealed.octets[0].size(); ++place) {
        // Between AAD and text lies what is not authenticated from there: with GMAC its IV is.
        const auto first = static_cast<std::size_t>(first_of_aad);
        const std::size_t second = Batch::head - (row_->construction == Construction::gmac ? row_->iv : 0U);
        if (place < first || (place >= first + sealed.packets[0].aad_length && place < second)) continue;
        Batch batch(open_key_.get(), *row_, 3, 32);
        suite_->seal(nullptr, 0);
        for (unsigned i = 0; i < 3; ++i) { // the bad one between two good ones
            std::memcpy(batch.octets[i].data(), sealed.octets[0].data(), sealed.octets[0].size());
            batch.packets[i] = sealed.packets[0];
            batch.packets[i].key = open_key_.get();
            batch.packets[i].aad = batch.octets[i].data() + first_of_aad;
            batch.packets[i].text = batch.octets[i].data() + Batch::head;
            batch.packets[i].icv = batch.packets[i].text + 32;
        }
        batch.octets[1][place] ^= 0x40;
        suite_->open(batch.packets.data(), 3);
        EXPECT_TRUE(batch.packets[0].good);
        EXPECT_FALSE(batch.packets[1].good) << "octet " << place;
        EXPECT_TRUE(batch.packets[2].good);
        EXPECT_EQ(batch.text(1), zero) << "octet " << place;
    }
}

TEST_P(EveryEngine, KeepsPacketsOfManyKeysApart) {
    constexpr unsigned count = 40;
    std::vector<Memory> keys;
    const Algorithm algorithm = std::get<1>(GetParam());
    Batch batch(nullptr, *row_, count, 64);
    const Batch before(nullptr, *row_, count, 64);
    for (unsigned i = 0; i < count; ++i) {
        for (const Direction direction : {Direction::outbound, Direction::inbound}) {
            keys.push_back(memory_for(*suite_));
            ASSERT_TRUE(suite_->expand(direction, material_of(algorithm, static_cast<std::uint8_t>(i)), keys.back().get()));
        }
        batch.packets[i].key = keys[2 * i].get();
    }
    suite_->seal(batch.packets.data(), count);
    for (unsigned i = 0; i < count; ++i) batch.packets[i].key = keys[2 * (i == 7 ? 8 : i) + 1].get();
    suite_->open(batch.packets.data(), count);
    for (unsigned i = 0; i < count; ++i) {
        EXPECT_EQ(batch.packets[i].good, i != 7);
        if (i != 7) {
            EXPECT_EQ(batch.text(i), before.text(i));
        }
    }
    for (const Memory& key : keys) suite_->wipe(key.get());
}

TEST_P(EveryEngine, RefusesKeyMaterialOfAnotherSize) {
    auto material = material_of(std::get<1>(GetParam()), 1);
    material.pop_back();
    const Memory key = memory_for(*suite_);
    EXPECT_FALSE(suite_->expand(Direction::outbound, material, key.get()));
}

std::vector<Case> every_case() {
    std::vector<Case> cases;
    for (const Engine engine : engines)
        for (const AlgorithmInfo& row : algorithms) cases.emplace_back(engine, row.algorithm);
    return cases;
}

INSTANTIATE_TEST_SUITE_P(Crypto, EveryEngine, testing::ValuesIn(every_case()), [](const testing::TestParamInfo<Case>& param) {
    std::string name = std::get<0>(param.param) == Engine::openssl ? "openssl_" : "ipsec_mb_";
    for (const char c : sallyport::info(std::get<1>(param.param)).name) name += c == '-' ? '_' : c;
    return name;
});

TEST(Engines, BothGiveTheSameOctets) {
    if (!available(Engine::ipsec_mb)) GTEST_SKIP() << describe(Engine::ipsec_mb);
    for (const AlgorithmInfo& row : algorithms) {
        std::vector<std::vector<std::uint8_t>> results;
        for (const Engine engine : engines) {
            const Suite& calls = suite(engine, row.algorithm);
            const Memory key = memory_for(calls);
            ASSERT_TRUE(calls.expand(Direction::outbound, material_of(row.algorithm, 3), key.get()));
            Batch batch(key.get(), row, batch_size, 16);
            calls.seal(batch.packets.data(), batch.count());
            for (const auto& octets : batch.octets) results.push_back(octets);
            calls.wipe(key.get());
        }
        for (unsigned i = 0; i < batch_size; ++i) EXPECT_EQ(results[i], results[batch_size + i]) << row.name << " packet " << i;
    }
}

TEST(Engines, AreDescribed) {
    EXPECT_TRUE(describe(Engine::openssl).starts_with("OpenSSL 3."));
    EXPECT_TRUE(describe(Engine::ipsec_mb).starts_with("ipsec-mb"));
    EXPECT_EQ(best_engine() == Engine::ipsec_mb, available(Engine::ipsec_mb));
}

TEST(Icv, IsComparedWhole) {
    const std::array<std::uint8_t, largest_icv> a{};
    for (unsigned i = 0; i < largest_icv; ++i) {
        std::array<std::uint8_t, largest_icv> b{};
        b[i] = 0x80;
        EXPECT_EQ(equal_icv<8>(a.data(), b.data()), i >= 8);
        EXPECT_EQ(equal_icv<16>(a.data(), b.data()), i >= 16);
        EXPECT_EQ(equal_icv<24>(a.data(), b.data()), i >= 24);
        EXPECT_FALSE(equal_icv<32>(a.data(), b.data()));
    }
}

TEST(RandomIvs, NeverRepeat) {
    std::set<std::array<std::uint8_t, 16>> seen;
    for (unsigned round = 0; round < 100; ++round) {
        std::array<std::array<std::uint8_t, 16>, 10> ivs{};
        std::array<std::uint8_t*, 10> places{};
        for (unsigned i = 0; i < 10; ++i) places[i] = ivs[i].data();
        ASSERT_TRUE(random_ivs(places.data(), 10));
        seen.insert(ivs.begin(), ivs.end());
    }
    EXPECT_EQ(seen.size(), 1000U);
}

} // namespace
} // namespace sallyport::crypto
