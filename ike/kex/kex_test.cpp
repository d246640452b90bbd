// SPDX-License-Identifier: Apache-2.0
#include "ike/kex/evp.hpp"
#include "ike/kex/method.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <optional>
#include <string>
#include <thread>

namespace sallyport::ike::kex {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes octets_of(std::string_view hex) {
    const auto value = [](char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; };
    Bytes octets;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) octets.push_back(static_cast<std::uint8_t>(value(hex[i]) * 16 + value(hex[i + 1])));
    return octets;
}

std::string hex_of(Octets octets) {
    std::string hex;
    for (const std::uint8_t octet : octets) {
        hex += "0123456789abcdef"[octet / 16];
        hex += "0123456789abcdef"[octet % 16];
    }
    return hex;
}

const Method& method(std::string_view name) { return *find(methods(), name); }

/// The fault of the responder and of the initiator about this value; nothing: at least one of them took it.
std::optional<Fault> fault_of(const Method& row, const Bytes& value) {
    const auto answered = row.answer(row, value);
    const auto share = row.generate(row);
    if (answered || !share) return std::nullopt;
    const auto finished = row.finish(row, *share->secret, value);
    return finished || finished.error() != answered.error() ? std::nullopt : std::optional(answered.error());
}

struct Sizes {
    std::uint16_t id;
    std::string_view name;
    std::uint32_t initiator, responder, secret;
    bool post_quantum;
};
constexpr std::array sizes{
    Sizes{14, "modp-2048", 256, 256, 256, false},  Sizes{15, "modp-3072", 384, 384, 384, false},
    Sizes{16, "modp-4096", 512, 512, 512, false},  Sizes{19, "ecp-256", 64, 64, 32, false},
    Sizes{20, "ecp-384", 96, 96, 48, false},       Sizes{21, "ecp-521", 132, 132, 66, false},
    Sizes{31, "x25519", 32, 32, 32, false},        Sizes{35, "ml-kem-512", 800, 768, 32, true},
    Sizes{36, "ml-kem-768", 1184, 1088, 32, true}, Sizes{37, "ml-kem-1024", 1568, 1568, 32, true},
};

TEST(Methods, have_the_numbers_and_sizes_of_the_standards) {
    ASSERT_EQ(methods().size(), sizes.size());
    for (const Sizes& expected : sizes) {
        const Method* row = find(methods(), expected.id);
        ASSERT_NE(row, nullptr) << expected.name;
        EXPECT_EQ(row, find(methods(), expected.name));
        EXPECT_EQ(row->name, expected.name);
        EXPECT_EQ(row->initiator_size, expected.initiator) << expected.name;
        EXPECT_EQ(row->responder_size, expected.responder) << expected.name;
        EXPECT_EQ(row->secret_size, expected.secret) << expected.name;
        EXPECT_EQ(row->post_quantum, expected.post_quantum) << expected.name;
    }
}

TEST(Methods, are_not_found_by_other_numbers_and_names) {
    for (const std::uint16_t id : std::initializer_list<std::uint16_t>{0, 1, 2, 5, 22, 32, 38, 1024})
        EXPECT_EQ(find(methods(), id), nullptr) << id;
    EXPECT_EQ(find(methods(), "modp-1024"), nullptr);
    EXPECT_EQ(find(methods(), ""), nullptr);
    EXPECT_EQ(find(methods().first(2), std::uint16_t{16}), nullptr);
}

class EveryMethod : public testing::TestWithParam<Method> {
protected:
    const Method& row = GetParam();
};

TEST_P(EveryMethod, gives_both_sides_the_same_secret) {
    std::vector<std::string> seen;
    for (unsigned i = 0; i < 3; ++i) {
        const auto share = row.generate(row);
        ASSERT_TRUE(share);
        EXPECT_EQ(share->value.size(), row.initiator_size);
        const auto answered = row.answer(row, share->value);
        ASSERT_TRUE(answered);
        EXPECT_EQ(answered->value.size(), row.responder_size);
        EXPECT_EQ(answered->shared.size(), row.secret_size);
        const auto finished = row.finish(row, *share->secret, answered->value);
        ASSERT_TRUE(finished);
        EXPECT_EQ(hex_of(finished->octets()), hex_of(answered->shared.octets()));
        for (const Octets fresh : {Octets(share->value), Octets(answered->value), finished->octets()}) seen.push_back(hex_of(fresh));
    }
    std::ranges::sort(seen);
    EXPECT_TRUE(std::ranges::adjacent_find(seen) == seen.end()) << "a value came twice";
}

TEST_P(EveryMethod, gives_each_answer_another_secret) {
    const auto share = row.generate(row);
    ASSERT_TRUE(share);
    const auto one = row.answer(row, share->value), other = row.answer(row, share->value);
    ASSERT_TRUE(one && other);
    EXPECT_NE(one->value, other->value);
    EXPECT_FALSE(equal(one->shared.octets(), other->shared.octets()));
}

TEST_P(EveryMethod, refuses_values_of_another_size) {
    const auto share = row.generate(row);
    ASSERT_TRUE(share);
    auto answered = row.answer(row, share->value);
    ASSERT_TRUE(answered);
    const auto cut = [](Bytes value, std::size_t size) {
        value.resize(size);
        return value;
    };
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, row.initiator_size - 1UL, row.initiator_size + 1UL, std::size_t{65535}}) {
        const auto result = row.answer(row, cut(share->value, size));
        ASSERT_FALSE(result) << size;
        EXPECT_EQ(result.error(), Fault::bad_value);
    }
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, row.responder_size - 1UL, row.responder_size + 1UL, std::size_t{65535}}) {
        const auto result = row.finish(row, *share->secret, cut(answered->value, size));
        ASSERT_FALSE(result) << size;
        EXPECT_EQ(result.error(), Fault::bad_value);
    }
    // And the private value is still good.
    EXPECT_TRUE(row.finish(row, *share->secret, answered->value));
}

TEST_P(EveryMethod, does_not_use_a_private_value_of_somebody_else) {
    class Foreign final : public Private {};
    Foreign foreign;
    const auto share = row.generate(row);
    ASSERT_TRUE(share);
    const auto answered = row.answer(row, share->value);
    ASSERT_TRUE(answered);
    const auto finished = row.finish(row, foreign, answered->value);
    ASSERT_FALSE(finished);
    EXPECT_EQ(finished.error(), Fault::failed);
}

TEST_P(EveryMethod, runs_on_several_threads) {
    std::array<bool, 4> good{};
    std::vector<std::jthread> threads;
    for (bool& mine : good)
        threads.emplace_back([this, &mine] {
            const auto share = row.generate(row);
            const auto answered = share ? row.answer(row, share->value) : std::unexpected(share.error());
            if (!answered) return;
            const auto finished = row.finish(row, *share->secret, answered->value);
            mine = finished && equal(finished->octets(), answered->shared.octets());
        });
    threads.clear();
    for (const bool mine : good) EXPECT_TRUE(mine);
}

INSTANTIATE_TEST_SUITE_P(Kex, EveryMethod, testing::ValuesIn(methods().begin(), methods().end()),
                         [](const testing::TestParamInfo<Method>& param) {
                             std::string name(param.param.name);
                             std::ranges::replace(name, '-', '_');
                             return name;
                         });

// MODP

struct FreeNumber {
    void operator()(BIGNUM* number) const { BN_free(number); }
};
using Number = std::unique_ptr<BIGNUM, FreeNumber>;

Bytes padded(const BIGNUM* number, std::size_t size) {
    Bytes octets(size);
    EXPECT_EQ(BN_bn2binpad(number, octets.data(), static_cast<int>(size)), static_cast<int>(size));
    return octets;
}

/// p + distance, as long as a value.
Bytes near_prime(std::size_t size, int distance) {
    const Number p(size == 256   ? BN_get_rfc3526_prime_2048(nullptr)
                   : size == 384 ? BN_get_rfc3526_prime_3072(nullptr)
                                 : BN_get_rfc3526_prime_4096(nullptr));
    const auto by = static_cast<BN_ULONG>(std::abs(distance));
    EXPECT_EQ(distance < 0 ? BN_sub_word(p.get(), by) : BN_add_word(p.get(), by), 1);
    return padded(p.get(), size);
}

TEST(Modp, refuses_0_1_and_the_prime_and_its_neighbours) {
    for (const std::string_view name : {"modp-2048", "modp-3072", "modp-4096"}) {
        const Method& row = method(name);
        const auto value = [&](int distance) { return near_prime(row.initiator_size, distance); };
        Bytes small(row.initiator_size);
        EXPECT_EQ(fault_of(row, small), Fault::bad_value) << name;
        small.back() = 1;
        EXPECT_EQ(fault_of(row, small), Fault::bad_value) << name;
        EXPECT_EQ(fault_of(row, value(-1)), Fault::bad_value) << name;
        EXPECT_EQ(fault_of(row, value(0)), Fault::bad_value) << name;
        EXPECT_EQ(fault_of(row, value(1)), Fault::bad_value) << name;
        EXPECT_EQ(fault_of(row, Bytes(row.initiator_size, 0xff)), Fault::bad_value) << name;
        small.back() = 2;
        EXPECT_TRUE(row.answer(row, small)) << name;
        EXPECT_TRUE(row.answer(row, value(-2))) << name;
    }
}

/// 4 to the power of 2^255 + 0x13a begins with a zero octet in this group.
TEST(Modp, keeps_the_zeros_at_the_front_of_a_secret) {
    const Method& row = method("modp-2048");
    const Number p(BN_get_rfc3526_prime_2048(nullptr)), x(BN_new()), four(BN_new()), expected(BN_new());
    ASSERT_TRUE(BN_set_bit(x.get(), 255) == 1 && BN_add_word(x.get(), 0x13a) == 1 && BN_set_word(four.get(), 4) == 1);
    BN_CTX* context = BN_CTX_new();
    ASSERT_EQ(BN_mod_exp(expected.get(), four.get(), x.get(), p.get(), context), 1);
    BN_CTX_free(context);
    Bytes native(32);
    ASSERT_EQ(BN_bn2nativepad(x.get(), native.data(), 32), 32);
    const OSSL_PARAM parameters[] = {read_only(OSSL_PKEY_PARAM_GROUP_NAME, "modp_2048"),
                                     OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native.data(), native.size()),
                                     OSSL_PARAM_construct_end()};
    KeyPair own(import_key("DH", EVP_PKEY_KEYPAIR, parameters));
    ASSERT_NE(own.get(), nullptr);
    Bytes value(row.responder_size);
    value.back() = 4;
    const auto shared = row.finish(row, own, value);
    ASSERT_TRUE(shared);
    EXPECT_EQ(shared->octets()[0], 0);
    EXPECT_EQ(hex_of(shared->octets()), hex_of(padded(expected.get(), row.secret_size)));
}

// ECP

struct EcpVector {
    std::string_view name, group, i, gi, r, gr, gir;
};

// RFC 5903 8.1 to 8.3
constexpr EcpVector ecp_vectors[] = {
    {"ecp-256", "P-256", "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
     "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180"
     "5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
     "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
     "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
     "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
     "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"},
    {"ecp-384", "P-384", "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194",
     "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee95f41aa"
     "9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c",
     "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc",
     "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0774a3571"
     "dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c",
     "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746"},
    {"ecp-521", "P-521",
     "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d4a52",
     "0015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbee1e3bf42e00b8e380aeae57c2d107564941885942af5a7f4601723c4195d176ced3e"
     "017cae20b6641d2eeb695786d8c946146239d099e18e1d5a514c739d7cb4a10ad8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582",
     "0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757a3bdbf2a3163e4c2f869cca7458aa4a4effc311f5cb151685eb9",
     "00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352f6be64a6c2912d4ef2d0433ced2b6171640012d9460f"
     "015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a",
     "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2bee417996d19f3dde"
     "a"},
};

/// A key pair of given numbers; the peer's point of a vector is checked by the other side of it.
Key ecp_key(const EcpVector& vector, std::string_view number, std::string_view point) {
    const Bytes encoded = octets_of("04" + std::string(point));
    Bytes native = octets_of(number);
    std::ranges::reverse(native); // as BIGNUMs lie in parameters
    if constexpr (std::endian::native == std::endian::big) std::ranges::reverse(native);
    const std::string group(vector.group);
    const OSSL_PARAM parameters[] = {read_only(OSSL_PKEY_PARAM_GROUP_NAME, group.c_str()), read_only(OSSL_PKEY_PARAM_PUB_KEY, encoded),
                                     OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native.data(), native.size()),
                                     OSSL_PARAM_construct_end()};
    return import_key("EC", EVP_PKEY_KEYPAIR, parameters);
}

TEST(Ecp, gives_the_secrets_of_rfc_5903) {
    for (const EcpVector& vector : ecp_vectors) {
        SCOPED_TRACE(vector.name);
        const Method& row = method(vector.name);
        KeyPair initiator(ecp_key(vector, vector.i, vector.gi)), responder(ecp_key(vector, vector.r, vector.gr));
        const auto one = row.finish(row, initiator, octets_of(vector.gr));
        const auto other = row.finish(row, responder, octets_of(vector.gi));
        ASSERT_TRUE(one && other);
        EXPECT_EQ(hex_of(one->octets()), vector.gir);
        EXPECT_EQ(hex_of(other->octets()), vector.gir);
    }
}

TEST(Ecp, refuses_what_is_no_point_of_the_curve) {
    for (const EcpVector& vector : ecp_vectors) {
        SCOPED_TRACE(vector.name);
        const Method& row = method(vector.name);
        const Bytes good = octets_of(vector.gi);
        EXPECT_TRUE(row.answer(row, good));
        for (const std::size_t place : {good.size() / 2 - 1, good.size() - 1}) {
            Bytes wrong = good;
            wrong[place] ^= 1;
            EXPECT_EQ(fault_of(row, wrong), Fault::bad_value) << place;
        }
        Bytes swapped(good.begin() + static_cast<std::ptrdiff_t>(good.size() / 2), good.end());
        swapped.insert(swapped.end(), good.begin(), good.begin() + static_cast<std::ptrdiff_t>(good.size() / 2));
        EXPECT_EQ(fault_of(row, swapped), Fault::bad_value);
        EXPECT_EQ(fault_of(row, Bytes(good.size())), Fault::bad_value);
        EXPECT_EQ(fault_of(row, Bytes(good.size(), 0xff)), Fault::bad_value);
    }
}

/// x = 5 is on P-256; p + 5 says the same point with a coordinate that is too large.
TEST(Ecp, refuses_a_coordinate_that_is_not_below_the_prime) {
    const Method& row = method("ecp-256");
    const std::string y = "459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc";
    const std::string x(63, '0'), prime = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
    const std::string prime_and_5 = "ffffffff00000001000000000000000000000001000000000000000000000004";
    EXPECT_TRUE(row.answer(row, octets_of(x + "5" + y)));
    EXPECT_EQ(fault_of(row, octets_of(prime_and_5 + y)), Fault::bad_value);
    EXPECT_EQ(fault_of(row, octets_of(prime + y)), Fault::bad_value);
}

TEST(Ecp, keeps_the_zeros_at_the_front_of_a_secret) {
    const Method& row = method("ecp-256");
    const auto share = row.generate(row);
    ASSERT_TRUE(share);
    // One in 256 begins with zeros; that none of 8000 does is less likely than 1 : 10^13.
    for (unsigned i = 0; i < 8000; ++i) {
        const auto answered = row.answer(row, share->value);
        ASSERT_TRUE(answered);
        ASSERT_EQ(answered->shared.size(), 32U);
        if (answered->shared.octets()[0] != 0) continue;
        const auto finished = row.finish(row, *share->secret, answered->value);
        ASSERT_TRUE(finished);
        EXPECT_EQ(hex_of(finished->octets()), hex_of(answered->shared.octets()));
        return;
    }
    FAIL() << "no secret begins with a zero";
}

// X25519

Key x25519_key(std::string_view hex) {
    const Bytes octets = octets_of(hex);
    return Key(EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, octets.data(), octets.size()));
}

void check_x25519(std::string_view a, std::string_view ga, std::string_view b, std::string_view gb, std::string_view shared) {
    const Method& row = method("x25519");
    KeyPair one(x25519_key(a)), other(x25519_key(b));
    EXPECT_EQ(hex_of(public_value(one.get(), 32)), ga);
    EXPECT_EQ(hex_of(public_value(other.get(), 32)), gb);
    const auto first = row.finish(row, one, octets_of(gb)), second = row.finish(row, other, octets_of(ga));
    ASSERT_TRUE(first && second);
    EXPECT_EQ(hex_of(first->octets()), shared);
    EXPECT_EQ(hex_of(second->octets()), shared);
}

TEST(X25519, gives_the_secret_of_rfc_7748) {
    check_x25519("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
                 "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
                 "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
                 "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
                 "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

/// That of ike/crypto/keys_test.cpp.
TEST(X25519, gives_the_secret_of_the_handshake) {
    std::string a, b;
    for (unsigned i = 0; i < 32; ++i) {
        a += "a0";
        b += "b0";
    }
    check_x25519(a, "f0b4fd8be480349293ab61f0505ebb5bafccdf8a4127de221e6ef3db20e03d29", b,
                 "80e1a53d3eee82b62b3048578cf38c980ddd1131243a1047fe48482942d6b648",
                 "9bdde39c59e1f898e5ab7edd3c3b82c94fe3b9a636c8fdd02e62add9c0e2267f");
}

TEST(X25519, refuses_points_of_low_order) {
    for (const std::string_view hex : {"0000000000000000000000000000000000000000000000000000000000000000",
                                       "0100000000000000000000000000000000000000000000000000000000000000",
                                       "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                                       "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                                       "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                       "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                       "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
        EXPECT_EQ(fault_of(method("x25519"), octets_of(hex)), Fault::bad_value) << hex;
        Bytes masked = octets_of(hex);
        masked.back() |= 0x80; // which is not looked at
        EXPECT_EQ(fault_of(method("x25519"), masked), Fault::bad_value) << hex;
    }
}

/// RFC 8031 3.2: p + 3 is taken for 3, whether its first bit is set or not.
TEST(X25519, takes_values_that_are_not_reduced) {
    const Method& row = method("x25519");
    const auto share = row.generate(row);
    ASSERT_TRUE(share);
    Bytes small(32), large(32, 0xff);
    small[0] = 3;
    large[0] = 0xf0;
    large[31] = 0x7f;
    const auto expected = row.finish(row, *share->secret, small);
    ASSERT_TRUE(expected);
    for (const std::uint8_t top : {std::uint8_t{0x7f}, std::uint8_t{0xff}}) {
        large[31] = top;
        const auto found = row.finish(row, *share->secret, large);
        ASSERT_TRUE(found);
        EXPECT_EQ(hex_of(found->octets()), hex_of(expected->octets()));
    }
}

// ML-KEM

constexpr std::string_view ml_kems[] = {"ml-kem-512", "ml-kem-768", "ml-kem-1024"};

/// Coefficients of 12 bits, of which 3329 and more are none (FIPS 203 7.2).
TEST(MlKem, refuses_a_key_with_a_coefficient_that_is_not_below_the_modulus) {
    for (const std::string_view name : ml_kems) {
        const Method& row = method(name);
        const auto share = row.generate(row);
        ASSERT_TRUE(share);
        const std::size_t last = row.initiator_size - 32 - 3; // the seed stands behind the coefficients
        for (const std::size_t place : {std::size_t{0}, last}) {
            Bytes wrong = share->value;
            std::fill_n(wrong.begin() + static_cast<std::ptrdiff_t>(place), 3, std::uint8_t{0xff});
            const auto answered = row.answer(row, wrong);
            ASSERT_FALSE(answered) << name;
            EXPECT_EQ(answered.error(), Fault::bad_value);
        }
        const auto exactly = [&](std::uint16_t coefficient) {
            Bytes value = share->value;
            value[0] = static_cast<std::uint8_t>(coefficient);
            value[1] = static_cast<std::uint8_t>((value[1] & 0xf0U) | coefficient >> 8U);
            return row.answer(row, value).has_value();
        };
        EXPECT_TRUE(exactly(3328)) << name;
        EXPECT_FALSE(exactly(3329)) << name;
    }
}

TEST(MlKem, gives_another_secret_for_another_ciphertext) {
    for (const std::string_view name : ml_kems) {
        const Method& row = method(name);
        const auto share = row.generate(row);
        ASSERT_TRUE(share);
        const auto answered = row.answer(row, share->value);
        ASSERT_TRUE(answered);
        for (const std::size_t place : {std::size_t{0}, answered->value.size() / 2, answered->value.size() - 1}) {
            Bytes wrong = answered->value;
            wrong[place] ^= 1;
            const auto finished = row.finish(row, *share->secret, wrong);
            ASSERT_TRUE(finished) << name;
            EXPECT_EQ(finished->size(), 32U);
            EXPECT_FALSE(equal(finished->octets(), answered->shared.octets())) << name;
        }
    }
}

} // namespace
} // namespace sallyport::ike::kex
