// SPDX-License-Identifier: Apache-2.0
#include "ike/crypto/protection.hpp"

#include "ike/crypto/octets_of.hpp"
#include "ike/crypto/prf.hpp"

#include <gtest/gtest.h>
#include <set>

namespace sallyport::ike {
namespace {

/// Keys of both kinds for a pair of algorithms.
struct Keys {
    Bytes encryption, integrity;
    explicit Keys(const Protection& protection, unsigned seed = 7)
        : encryption(counting(seed, protection.encryption_key(), 3)), integrity(counting(seed + 1, protection.integrity_key(), 5)) {}
    DirectionKeys direction() const { return {encryption, integrity}; }
};

const Bytes head = counting(0x40, 32); // what stands before the body

Bytes sealed(const Protection& protection, const DirectionKeys& keys, std::uint64_t counter, Octets plain, Octets before = head) {
    Bytes message(before.begin(), before.end());
    message.resize(before.size() + protection.sealed(plain.size()), 0xee);
    if (!seal(protection, keys, counter, plain, message)) return {};
    return message;
}

std::optional<Bytes> opened(const Protection& protection, const DirectionKeys& keys, Bytes message, std::size_t body = head.size()) {
    const auto plain = open(protection, keys, message, body);
    if (!plain) return std::nullopt;
    return Bytes(plain->begin(), plain->end());
}

/// Every combined cipher, and every other cipher with every integrity algorithm.
std::vector<Protection> every_protection() {
    std::vector<Protection> all;
    for (const EncryptionInfo& encryption : encryptions) {
        if (encryption.aead()) all.push_back({&encryption, nullptr});
        for (const IntegrityInfo& integrity : integrities)
            if (!encryption.aead()) all.push_back({&encryption, &integrity});
    }
    return all;
}

class EveryProtection : public testing::TestWithParam<Protection> {
protected:
    const Protection& protection = GetParam();
    const Keys keys{protection};
};

TEST_P(EveryProtection, opens_what_it_sealed_of_every_length) {
    for (std::size_t size = 0; size <= 300; ++size) {
        const Bytes plain = counting(1, size), message = sealed(protection, keys.direction(), size, plain);
        ASSERT_EQ(message.size(), head.size() + protection.sealed(size));
        EXPECT_EQ(hex_of(Octets(message).first(head.size())), hex_of(head));
        ASSERT_EQ(opened(protection, keys.direction(), message), plain) << size;
    }
}

TEST_P(EveryProtection, refuses_each_flipped_bit) {
    const Bytes plain = counting(1, 21), message = sealed(protection, keys.direction(), 5, plain);
    for (std::size_t bit = 0; bit < 8 * message.size(); ++bit) {
        Bytes wrong = message;
        wrong[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
        EXPECT_FALSE(opened(protection, keys.direction(), wrong)) << bit;
    }
}

TEST_P(EveryProtection, refuses_what_is_cut_or_too_long) {
    const Bytes plain = counting(1, 21), message = sealed(protection, keys.direction(), 5, plain);
    for (std::size_t size = 0; size < message.size(); ++size)
        EXPECT_FALSE(opened(protection, keys.direction(), Bytes(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size))))
            << size;
    EXPECT_FALSE(opened(protection, keys.direction(), joined({message, Bytes(1)})));
    EXPECT_FALSE(opened(protection, keys.direction(), joined({message, Bytes(16)})));
    EXPECT_FALSE(opened(protection, keys.direction(), message, message.size()));
    EXPECT_FALSE(opened(protection, keys.direction(), message, message.size() + 1));
}

TEST_P(EveryProtection, refuses_other_keys_and_those_of_a_wrong_size) {
    const Bytes plain = counting(1, 21), message = sealed(protection, keys.direction(), 5, plain);
    const Keys other(protection, 8);
    const Octets integrity = protection.encryption->aead() ? Octets() : Octets(other.integrity);
    EXPECT_FALSE(opened(protection, {other.encryption, integrity}, message));
    const DirectionKeys small{Octets(keys.encryption).subspan(1), keys.integrity};
    EXPECT_FALSE(opened(protection, small, message));
    EXPECT_TRUE(sealed(protection, small, 5, plain).empty());
    if (protection.encryption->aead()) return;
    const DirectionKeys half{keys.encryption, Octets(keys.integrity).subspan(1)};
    EXPECT_FALSE(opened(protection, half, message));
    EXPECT_TRUE(sealed(protection, half, 5, plain).empty());
}

TEST_P(EveryProtection, never_seals_twice_alike) {
    std::set<Bytes> messages;
    for (std::uint64_t counter = 0; counter < 50; ++counter)
        messages.insert(sealed(protection, keys.direction(), counter, counting(1, 40)));
    EXPECT_EQ(messages.size(), 50U);
}

TEST_P(EveryProtection, knows_how_much_fits) {
    const std::size_t least = protection.sealed(0);
    for (std::size_t body = 0; body < 400; ++body) {
        const std::size_t fits = protection.fits(body);
        if (body < least) {
            EXPECT_EQ(fits, 0U);
            continue;
        }
        EXPECT_LE(protection.sealed(fits), body);
        EXPECT_GT(protection.sealed(fits + 1), body);
    }
}

TEST_P(EveryProtection, refuses_a_message_that_is_too_small_to_seal_into) {
    Bytes message(protection.sealed(10) - 1);
    EXPECT_FALSE(seal(protection, keys.direction(), 1, counting(1, 10), message));
    EXPECT_FALSE(seal(protection, keys.direction(), 1, counting(1, 1000), message));
}

std::string name_of(const testing::TestParamInfo<Protection>& param) {
    std::string name(param.param.encryption->name);
    if (param.param.integrity != nullptr) name += "_" + std::string(param.param.integrity->name);
    for (char& c : name) c = c == '-' ? '_' : c;
    return name;
}

INSTANTIATE_TEST_SUITE_P(Protection, EveryProtection, testing::ValuesIn(every_protection()), name_of);

// Messages of others

const Protection gcm{&encryptions[0], nullptr}; // aes-256-gcm

/// Of keys_test.cpp's Handshake.
const Bytes sk_ei = octets_of("70e732a6c56917e366f61cce022b09af750f1d01f6b16ac35f156b4d778eb86bd6c0be8f");
const Bytes inner = octets_of(
    "2700001502000000612e6578616d706c652e6e65742100002802000000e1de59da358d01acb4f6a31c567b53d6561ec130f314da21d7165e24c980"
    "c59e2c0000240000002001030402c00000010300000c01000014800e008000000008050000002d00001801000000070000100000ffff0a010000"
    "0a01ffff0000001801000000070000100000ffff0a0200000a02ffff");

void check_message(const Protection& protection, const DirectionKeys& keys, std::uint64_t counter, const Bytes& message, std::size_t body,
                   Octets plain) {
    EXPECT_EQ(hex_of(sealed(protection, keys, counter, plain, Octets(message).first(body))), hex_of(message));
    const auto found = opened(protection, keys, message, body);
    ASSERT_TRUE(found);
    EXPECT_EQ(hex_of(*found), hex_of(plain));
}

TEST(Message, of_ike_auth_is_sealed_and_opened) {
    const Bytes message = octets_of("a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b82e20230800000001000000ca230000ae0000000000000001d3e3a65a5f38780b42eb61"
                                    "df7b8071cbe6891c12b6a25b6a23e4b5"
                                    "9ad9707e3207137a3cf08d321f390a073409eca9bb9ef97952131bc28525cfa2c37a6adad1fd9fb7d86da1e40434cc9314a10b"
                                    "e431b03d0f6de648415c0d8d389e181f"
                                    "4b444a0acd377cd4f09d1f7f8e1c270769285be313e6407ce8ab22693e02de3669cca47cd2ab993f3a46f09e21ca5d0696efff"
                                    "22fc588f60a9ef2a2b9b671a06362e55"
                                    "ce");
    check_message(gcm, {sk_ei, {}}, 1, message, 32, inner);
}

TEST(Message, of_ike_auth_is_sealed_and_opened_in_fragments) {
    const Bytes first = octets_of("a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b835202308000000010000008d23000071000100020000000000000002666c2f31432770ff"
                                  "35382c0adab40d11c8de1e839e21e1"
                                  "52f0609174018d959ba4b7722c22ce12d28f1506404d743271ac10d6f1dff2c0f16c51bb1a2b3a821f93bc0d7c6bc1156bedaf7c"
                                  "8f4ba5ca3cb94bb814659813c8c23b"
                                  "e801e4c0409810");
    const Bytes second = octets_of(
        "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b835202308000000010000007e000000620002000200000000000000030d696e791c1723664a0e765053c88c55c5bb4e1252"
        "d4ed"
        "07e5302db01d98ed30301959a10016042e916a5b4284f7e2cc53f9fb3cb0c715c12df8f25b007b0536ce67b8f442bb1a8162b7ce0b6a62886923dd");
    check_message(gcm, {sk_ei, {}}, 2, first, 36, Octets(inner).first(80));
    check_message(gcm, {sk_ei, {}}, 3, second, 36, Octets(inner).subspan(80));
}

TEST(Message, of_rfc_7634_appendix_b_is_sealed_and_opened) {
    const Protection chacha{&encryptions[3], nullptr};
    const Bytes key = joined({counting(0x80, 32), counting(0xa0, 4)});
    const Bytes message = octets_of("c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029 1011121314151617"
                                    "610394701f8d017f7c12924889 6b71bfe25236efd7cdc67066906315b2");
    check_message(chacha, {key, {}}, 0x1011121314151617, message, 32, octets_of("0000000c000040010000000a"));
}

/// RFC 7296 3.14: the sender may pad as it likes, and by whole blocks.
TEST(Padding, of_any_content_is_taken_and_of_an_impossible_length_refused) {
    const Protection cbc{&encryptions[5], &integrities[0]}; // aes-128-cbc, hmac-sha2-256
    const Keys keys(cbc);
    const Bytes plain = counting(1, 47); // with a Pad Length of 0 it fills three blocks
    const Bytes message = sealed(cbc, keys.direction(), 0, plain);
    // The last octet of the text is the Pad Length: what it says is set by changing the block before, and the ICV made anew.
    const auto with_pad_length = [&](std::uint8_t length) {
        Bytes changed = message;
        const std::size_t text = head.size() + 16, icv = message.size() - 16;
        changed[text + 31] ^= length;
        const Secret mac = compute(Prf::hmac_sha2_256, keys.integrity, {Octets(changed).first(icv)});
        std::copy_n(mac.octets().begin(), 16, changed.begin() + static_cast<std::ptrdiff_t>(icv));
        return opened(cbc, keys.direction(), changed);
    };
    for (unsigned length = 0; length < 256; ++length) {
        const auto found = with_pad_length(static_cast<std::uint8_t>(length));
        EXPECT_EQ(found.has_value(), length < 48) << length;
        if (found) {
            EXPECT_EQ(found->size(), 47 - length);
        }
    }
}

TEST(Protection, has_no_wrong_pairs) {
    const Protection none, half{find_encryption(12, 128), nullptr};
    Bytes message(200);
    EXPECT_FALSE(seal(none, {}, 1, {}, message));
    EXPECT_FALSE(open(none, {}, message, 32));
    const Bytes key = counting(1, 16);
    EXPECT_FALSE(seal(half, {key, {}}, 1, {}, message));
    EXPECT_FALSE(open(half, {key, {}}, message, 32));
}

TEST(Algorithms, are_found_by_their_numbers) {
    for (const EncryptionInfo& row : encryptions) EXPECT_EQ(find_encryption(row.id, row.key_length), &row);
    for (const IntegrityInfo& row : integrities) EXPECT_EQ(find_integrity(row.id), &row);
    EXPECT_EQ(find_encryption(20, 0), nullptr);
    EXPECT_EQ(find_encryption(28, 256), nullptr);
    EXPECT_EQ(find_encryption(3, 0), nullptr);
    EXPECT_EQ(find_integrity(2), nullptr);
}

} // namespace
} // namespace sallyport::ike
