// SPDX-License-Identifier: Apache-2.0
// The values that are not NIST's come from a second implementation of the formulas. With those of `Handshake` Wireshark decrypts the
// messages of protection_test.cpp.
#include "ike/crypto/keys.hpp"

#include "ike/crypto/octets_of.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace sallyport::ike {
namespace {

constexpr Prf sha_256 = Prf::hmac_sha2_256;
const Protection gcm_256{find_encryption(20, 256), nullptr};

std::string hex(const Secret& secret) { return hex_of(secret.octets()); }

std::vector<Secret> secrets(std::initializer_list<Octets> all) {
    std::vector<Secret> made;
    for (const Octets one : all) made.emplace_back(one);
    return made;
}

std::uint64_t spi_of(std::string_view hex) { return std::stoull(std::string(hex), nullptr, 16); }

// NIST's cases

using Line = std::vector<std::string>;

std::vector<Line> nist_lines() {
    std::ifstream file(SALLYPORT_SOURCE_DIR "/tests/vectors/nist_ikev2.txt");
    std::vector<Line> lines;
    for (std::string text; std::getline(file, text);) {
        if (text.starts_with('#')) continue;
        std::istringstream words(text);
        lines.emplace_back();
        for (std::string word; words >> word;) lines.back().push_back(word);
    }
    return lines;
}

void check_nist(const Line& line) {
    const Prf prf = line.at(0).starts_with("sha256")   ? Prf::hmac_sha2_256
                    : line.at(0).starts_with("sha384") ? Prf::hmac_sha2_384
                                                       : Prf::hmac_sha2_512;
    const Bytes ni = octets_of(line.at(1)), nr = octets_of(line.at(2)), spis = octets_of(line.at(5) + line.at(6));
    const auto once = secrets({octets_of(line.at(4))});
    const Secret seed = skeyseed_first(prf, ni, nr, octets_of(line.at(3)));
    EXPECT_EQ(hex(seed), line.at(7));
    const Secret dkm = expand(prf, seed.octets(), {ni, nr, spis}, line.at(8).size() / 2);
    EXPECT_EQ(hex(dkm), line.at(8));

    // As much of SK_* as NIST gives, in its order.
    const SkKeys keys(prf, {find_encryption(12, 128), find_integrity(12)}, seed.octets(), ni, nr, spi_of(line.at(5)), spi_of(line.at(6)));
    const std::size_t both = std::min(keys.octets().size(), dkm.size());
    EXPECT_EQ(hex_of(keys.octets().first(both)), hex_of(dkm.part(0, both)));

    EXPECT_EQ(hex(keymat(prf, keys.d(), {}, ni, nr, line.at(9).size() / 2)), line.at(9));
    EXPECT_EQ(hex(keymat(prf, keys.d(), once, ni, nr, line.at(10).size() / 2)), line.at(10));
    EXPECT_EQ(hex(skeyseed_rekey(prf, keys.d(), once, ni, nr)), line.at(11));
    EXPECT_EQ(hex(skeyseed_next(prf, keys.d(), once[0].octets(), ni, nr)), line.at(11)); // the same with one key exchange
}

TEST(Nist, gives_keys_of_ike_sas_and_children) {
    const auto lines = nist_lines();
    EXPECT_EQ(lines.size(), 18U);
    for (const Line& line : lines) {
        SCOPED_TRACE(line.at(0));
        check_nist(line);
    }
}

// X25519, HMAC-SHA-256 and AES-GCM-256 from IKE_SA_INIT to IKE_AUTH

class Handshake : public testing::Test {
protected:
    const Bytes ni = counting(0x10, 32), nr = counting(0x50, 32);
    const Bytes shared = octets_of("9bdde39c59e1f898e5ab7edd3c3b82c94fe3b9a636c8fdd02e62add9c0e2267f");
    const Bytes request = octets_of(
        "a1a2a3a4a5a6a7a800000000000000002120220800000000000000982200002800000024010100030300000c01000014800e0100"
        "0300000802000005000000080400001f28000028001f0000f0b4fd8be480349293ab61f0505ebb5bafccdf8a4127de221e6ef3db"
        "20e03d2929000024101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f000000080000402e");
    const Bytes response = octets_of(
        "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b82120222000000000000000982200002800000024010100030300000c01000014800e0100"
        "0300000802000005000000080400001f28000028001f000080e1a53d3eee82b62b3048578cf38c980ddd1131243a1047fe484829"
        "42d6b64829000024505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f000000080000402e");
    const Bytes idi = joined({octets_of("02000000"), text("a.example.net")});
    const Bytes idr = joined({octets_of("02000000"), text("b.example.net")});
    const Bytes psk = text("sallyport test psk");
    const Secret seed = skeyseed_first(sha_256, ni, nr, shared);
    SkKeys keys{sha_256, gcm_256, seed.octets(), ni, nr, 0xa1a2a3a4a5a6a7a8, 0xb1b2b3b4b5b6b7b8};
};

TEST_F(Handshake, has_these_keys) {
    EXPECT_EQ(hex(seed), "d4a954686adafe4321bc2e8c22d2fb9098678189ac75a99b115522cbceb4468f");
    EXPECT_EQ(hex_of(keys.d()), "5ce79b2c75e7d136ba5214c738e45d9df2e8d663be65c64cb7f400d1840596c4");
    EXPECT_EQ(hex_of(keys.initiator().encryption), "70e732a6c56917e366f61cce022b09af750f1d01f6b16ac35f156b4d778eb86bd6c0be8f");
    EXPECT_EQ(hex_of(keys.responder().encryption), "6e4ca75d894966a2473748a92bfa9095c012c1a05dea7f8f29965eee26ed68415f208af3");
    EXPECT_TRUE(keys.initiator().integrity.empty());
    EXPECT_TRUE(keys.responder().integrity.empty());
    EXPECT_EQ(hex_of(keys.pi()), "ad3c351e9a0f1ee15d670d8764dae4db61bced52d2ea0da8682c6555a4ecda73");
    EXPECT_EQ(hex_of(keys.pr()), "88b1141c26dae6ee4daed58ae132fa93be585498aad5db645775efc3d0f2a006");
    EXPECT_EQ(keys.octets().size(), 3 * 32U + 2 * 36U);
}

TEST_F(Handshake, is_authenticated_by_a_shared_key) {
    ASSERT_EQ(request.size(), 152U);
    ASSERT_EQ(response.size(), 152U);
    EXPECT_EQ(hex(compute(sha_256, psk, {text("Key Pad for IKEv2")})), "4378c56cdb9b41ab94178164c99ac41736d33a4cb5c9e3a7923e543c8c9bc589");
    EXPECT_EQ(hex(compute(sha_256, keys.pi(), {idi})), "c50f5a1c4eb0061dec2b18d73cf71304702260861555ac3ed39399df936ffdd9");
    EXPECT_EQ(hex(psk_auth(sha_256, psk, request, nr, keys.pi(), idi, {})),
              "e1de59da358d01acb4f6a31c567b53d6561ec130f314da21d7165e24c980c59e");
    EXPECT_EQ(hex(psk_auth(sha_256, psk, response, ni, keys.pr(), idr, {})),
              "e4aad24ddecd206412eb06fbeb26d01b7e781588aef17cde616682853a03cc12");
}

TEST_F(Handshake, has_octets_for_a_signature) {
    const Bytes id = octets_of("c50f5a1c4eb0061dec2b18d73cf71304702260861555ac3ed39399df936ffdd9");
    EXPECT_EQ(signed_octets(sha_256, request, nr, keys.pi(), idi, counting(1, 68)), joined({request, nr, id, counting(1, 68)}));
    EXPECT_EQ(signed_octets(sha_256, request, nr, keys.pi(), idi, {}), joined({request, nr, id}));
}

TEST_F(Handshake, has_keys_for_its_child) {
    EXPECT_EQ(hex(keymat(sha_256, keys.d(), {}, ni, nr, 40)),
              "6bf77ec1a80833059cd61598dc24f464ce99c504780c5c4c95e54b7fb5a18a2d5ff44f0aed826d5d");
}

TEST_F(Handshake, forgets_the_keys_of_its_authentication) {
    const std::string d = hex_of(keys.d()), er = hex_of(keys.responder().encryption);
    for (unsigned i = 0; i < 2; ++i) {
        EXPECT_TRUE(keys.forget_p());
        EXPECT_TRUE(keys.pi().empty());
        EXPECT_TRUE(keys.pr().empty());
        EXPECT_EQ(hex_of(keys.d()), d);
        EXPECT_EQ(hex_of(keys.responder().encryption), er);
        EXPECT_EQ(keys.octets().size(), 32U + 2 * 36U);
    }
    EXPECT_TRUE(psk_auth(sha_256, psk, request, nr, keys.pi(), idi, {}).empty());
    EXPECT_FALSE(signed_octets(sha_256, request, nr, keys.pi(), idi, {}));
}

TEST(Keys, lie_in_the_order_of_rfc_7296) {
    const Protection cbc{find_encryption(12, 256), find_integrity(14)};
    const SkKeys keys(Prf::hmac_sha2_384, cbc, counting(1, 48), counting(2, 32), counting(3, 32), 4, 5);
    EXPECT_EQ(keys.octets().size(), 3 * 48U + 2 * 64U + 2 * 32U);
    EXPECT_EQ(hex_of(joined({keys.d(), keys.initiator().integrity, keys.responder().integrity, keys.initiator().encryption,
                             keys.responder().encryption, keys.pi(), keys.pr()})),
              hex_of(keys.octets()));
}

TEST(Keys, are_not_made_of_secrets_that_are_not_there) {
    const Bytes nonce = counting(1, 32), d = counting(2, 32);
    std::vector<Secret> one = secrets({counting(3, 32), {}});
    const std::vector<Secret> nine = secrets({d, d, d, d, d, d, d, d, d});
    EXPECT_TRUE(SkKeys().empty());
    EXPECT_TRUE(SkKeys().d().empty());
    EXPECT_TRUE(SkKeys(sha_256, gcm_256, {}, nonce, nonce, 1, 2).empty());
    EXPECT_TRUE(SkKeys(sha_256, gcm_256, {}, nonce, nonce, 1, 2).initiator().encryption.empty());
    EXPECT_TRUE(skeyseed_first(sha_256, nonce, nonce, {}).empty());
    EXPECT_TRUE(skeyseed_next(sha_256, {}, d, nonce, nonce).empty());
    EXPECT_TRUE(skeyseed_next(sha_256, d, {}, nonce, nonce).empty());
    EXPECT_TRUE(skeyseed_rekey(sha_256, d, {}, nonce, nonce).empty());
    EXPECT_TRUE(skeyseed_rekey(sha_256, d, one, nonce, nonce).empty());
    EXPECT_TRUE(skeyseed_rekey(sha_256, d, nine, nonce, nonce).empty());
    EXPECT_FALSE(skeyseed_rekey(sha_256, d, std::span(nine).first(8), nonce, nonce).empty());
    EXPECT_TRUE(keymat(sha_256, {}, {}, nonce, nonce, 40).empty());
    EXPECT_TRUE(keymat(sha_256, d, one, nonce, nonce, 40).empty());
    EXPECT_TRUE(intauth(sha_256, {}, {}, nonce, nonce).empty());
    EXPECT_TRUE(psk_auth(sha_256, {}, nonce, nonce, d, nonce, {}).empty());
}

// Two additional key exchanges in IKE_INTERMEDIATE (RFC 9242, RFC 9370)

class Intermediate : public testing::Test {
protected:
    static constexpr std::uint64_t spi_i = 0x1122334455667788, spi_r = 0x99aabbccddeeff00;
    static constexpr std::uint8_t request = 0x08, response = 0x20;
    const Bytes ni = counting(0x10, 32), nr = counting(0x50, 32);
    const Secret seed_0 = skeyseed_first(sha_256, ni, nr, counting(0xa0, 32));
    const SkKeys keys_0 = keys_of(seed_0);
    const Secret seed_1 = skeyseed_next(sha_256, keys_0.d(), counting(0xc0, 32), ni, nr);
    const SkKeys keys_1 = keys_of(seed_1);
    const Secret seed_2 = skeyseed_next(sha_256, keys_1.d(), counting(1, 24), ni, nr);
    const SkKeys keys_2 = keys_of(seed_2);

    SkKeys keys_of(const Secret& seed) const { return {sha_256, gcm_256, seed.octets(), ni, nr, spi_i, spi_r}; }

    /// A of a message whose SK is its first payload, and has so many octets inside.
    static Bytes a_of(std::uint8_t flags, std::uint8_t id, std::uint8_t inner, std::size_t size) {
        const auto octet = [](std::size_t value) { return static_cast<std::uint8_t>(value); };
        return joined(
            {octets_of("112233445566778899aabbccddeeff002e202b"), Bytes{flags, 0, 0, 0, id, 0, 0, octet((32 + size) >> 8), octet(32 + size),
                                                                        inner, 0, octet((4 + size) >> 8), octet(4 + size)}});
    }

    /// One KE payload, the last.
    static Bytes ke(std::uint16_t method, const Bytes& data) {
        const std::size_t size = 8 + data.size();
        const auto octet = [](std::size_t value) { return static_cast<std::uint8_t>(value); };
        return joined({Bytes{0, 0, octet(size >> 8), octet(size), octet(method >> 8), octet(method), 0, 0}, data});
    }

    static std::string step(Octets sk_p, const std::string& before, std::uint8_t flags, std::uint8_t id, const Bytes& p) {
        return hex_of(intauth(sha_256, sk_p, octets_of(before), a_of(flags, id, 34, p.size()), p));
    }
};

TEST_F(Intermediate, makes_new_keys_after_each_exchange) {
    EXPECT_EQ(hex(seed_0), "3402203cec36b6b7d764de73a96af8bb5003d8dba80e90ec474f92b604ceb16a");
    EXPECT_EQ(hex_of(keys_0.d()), "0671a64bdca7c567084bc1df189f245a0f292d3c6477ed712e6d52b690371906");
    EXPECT_EQ(hex_of(keys_0.pi()), "a9bbc7598dc7259e8c4943a7e0ec1f0c3ef5943f6dacd0daa833f18e226d16ae");
    EXPECT_EQ(hex_of(keys_0.pr()), "53a7b610632565fd92019f49ce6b10d7f7249cdf02f6ffa5196ec5a5fcc43e44");
    EXPECT_EQ(hex(seed_1), "b617ad3253bb824e8ada9a1b8511b021c45aedfdcecfef856c30b3088dfa7374");
    EXPECT_EQ(hex_of(keys_1.d()), "84b8483cfd08032cc9808e42bc959a88b635b1f389af830d210416be07ddbbb6");
    EXPECT_EQ(hex_of(keys_1.initiator().encryption), "7b604a82a66662af7a7da44875f88753d577914d9bc1a73d792b7dd6629b221aeb656d9d");
    EXPECT_EQ(hex_of(keys_1.pi()), "9dbb74bfe00d7372e8f289f80e4721b4cc229c3c3f9bb9558346025b2286477e");
    EXPECT_EQ(hex_of(keys_1.pr()), "8400ffbb23ffbdd2f5c8e6d053a0f8d149c681984f5e654f20fd7b43e5c1046b");
    EXPECT_EQ(hex(seed_2), "30b98aa208875a3c44985c75cba87ca14edff4c573e85cc71b38e56843a3def7");
    EXPECT_EQ(hex_of(keys_2.d()), "79ab1fc5b30e46b2b89102ce58d00492c1c494494ebdfa9a3ebcdf3dec164982");
    EXPECT_EQ(hex_of(keys_2.pi()), "27070839eb04222057b7c9b2c0a74f164ef807c2703e05ed15e3a3214a010cbb");
    EXPECT_EQ(hex_of(keys_2.pr()), "74b12d3469061656f882b67ee21fe42af1a576e7a7da45e8d96b7481c4268fbd");
}

TEST_F(Intermediate, is_authenticated_step_by_step) {
    EXPECT_EQ(hex_of(a_of(request, 1, 34, 1192)), "112233445566778899aabbccddeeff002e202b0800000001000004c8220004ac");
    const std::string i1 = step(keys_0.pi(), "", request, 1, ke(36, counting(3, 1184, 7)));
    const std::string r1 = step(keys_0.pr(), "", response, 1, ke(36, counting(1, 1088, 5)));
    EXPECT_EQ(i1, "d37f9881af9ac154c86b0acaed5371ddc4e1c99c615131f38577345ba71ad2eb");
    EXPECT_EQ(r1, "4f43e4c8b7c9ec577a5d4273b9cdf19e192f4cadfa29d132b1c62b118ddce056");
    EXPECT_EQ(step(keys_1.pi(), i1, request, 2, ke(1087, counting(0, 15632, 11))),
              "1f202ea2f8e5ee6635c805a7cdd77fbffafb24c2071b4d19455fef8fe42c2250");
    EXPECT_EQ(step(keys_1.pr(), r1, response, 2, ke(1087, counting(0, 15792, 13))),
              "5671083f397502bca12331b768cc86f63b721e86e564bc9a6bb761a2fd33a768");
}

TEST_F(Intermediate, may_have_nothing_in_its_sk) {
    const Bytes a = a_of(request, 1, 0, 0);
    EXPECT_EQ(hex_of(a), "112233445566778899aabbccddeeff002e202b08000000010000002000000004");
    EXPECT_EQ(hex_of(intauth(sha_256, keys_0.pi(), {}, a, {})), "7361b2c0cfafffa3dd1ceea31a1b2664d2ffab9ee857d249ed927a575cbc899a");
}

TEST_F(Intermediate, is_followed_by_rekeys_with_three_secrets) {
    const auto shared = secrets({counting(0xd0, 32), counting(0xe0, 32), counting(0xf0, 24)});
    const Bytes new_ni = counting(0x30, 32), new_nr = counting(0x70, 32);
    EXPECT_EQ(hex(skeyseed_rekey(sha_256, keys_2.d(), shared, new_ni, new_nr)),
              "ea75e43185f37caab5367dc1a96895d7d334305191f5056d06b86a0372f752eb");
    EXPECT_EQ(
        hex(keymat(sha_256, keys_2.d(), shared, new_ni, new_nr, 72)),
        "0fd76eed1c3050d024538d3a26f94a7a3d4fdc27999068e879b5d6850fd8cda66878af79ac674cba4c24fc52e0012910950e857e5cac68c1fccff6ca025837c1"
        "fb1a3f36817278a7");
}

/// RFC 9867 2.2 and RFC 8784 3 are prf and prf+ and nothing else.
TEST_F(Intermediate, may_be_followed_by_a_preshared_key_against_quantum_computers) {
    const Bytes ppk = text("Sallyport test PPK, 32 octets ok");
    const Secret seed = expand(sha_256, ppk, {keys_2.d()}, 32);
    EXPECT_EQ(hex(seed), "e8f2e73d0a8d4c2bdb9150f6ae7ce5bebced66aad25c738b7c11228c4f343b94");
    const SkKeys keys = keys_of(seed);
    EXPECT_EQ(hex_of(keys.d()), "9eda1b0ea71e36cd664316e9560fd016f6df90684a38c4cfa4cb42b2c2a6175c");
    EXPECT_EQ(hex_of(keys.pi()), "6414f2d3d105483f562ebbea679301ef24f5cbcae43f935f411d5890d6d5061f");
    EXPECT_EQ(hex_of(keys.pr()), "0de97f1f0ead580480640774897f60a3ff0d29922ff0721058aec74e50754615");
    EXPECT_EQ(hex(expand(sha_256, ppk, {keys_2.pi()}, 32)), "52bd2320a364cf4d65f0d69cbcaf62442aa2355fd752a55f8ff68cee2626b2c2");
    const Secret confirmation = compute(sha_256, ppk, {ni, nr, octets_of("112233445566778899aabbccddeeff00")});
    EXPECT_EQ(hex_of(confirmation.part(0, 8)), "5e04e511b10a34c0");
}

} // namespace
} // namespace sallyport::ike
