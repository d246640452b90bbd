// SPDX-License-Identifier: Apache-2.0
// The published vectors (tests/vectors) against both engines.
#include "gateway/crypto/crypto.hpp"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <sstream>
#include <vector>

namespace sallyport::crypto {
namespace {

using Octets = std::vector<std::uint8_t>;
using Line = std::vector<std::string>;

Octets octets_of(const std::string& hex) {
    Octets octets;
    for (std::size_t i = 0; hex != "-" && i + 1 < hex.size(); i += 2)
        octets.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    return octets;
}

std::vector<Line> lines_of(const std::string& name) {
    std::ifstream file(SALLYPORT_SOURCE_DIR "/tests/vectors/" + name);
    std::vector<Line> lines;
    for (std::string text; std::getline(file, text);) {
        if (text.empty() || text.front() == '#') continue;
        std::istringstream words(text);
        lines.emplace_back();
        for (std::string word; words >> word;) lines.back().push_back(word);
    }
    return lines;
}

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

/// A key context that wipes itself.
class Key {
public:
    Key(const Suite& suite, Direction direction, const Octets& material)
        : suite_(suite), memory_(static_cast<std::uint8_t*>(std::aligned_alloc(key_alignment, suite.key_size))) {
        good_ = suite.expand(direction, material, memory_.get());
        EXPECT_TRUE(good_);
    }
    ~Key() {
        if (good_) suite_.wipe(memory_.get());
    }
    Key(const Key&) = delete;
    Key& operator=(const Key&) = delete;
    const void* get() const { return memory_.get(); }

private:
    const Suite& suite_;
    std::unique_ptr<std::uint8_t, Free> memory_;
    bool good_ = false;
};

Octets joined(std::initializer_list<Octets> parts) {
    Octets whole;
    for (const Octets& part : parts) whole.insert(whole.end(), part.begin(), part.end());
    return whole;
}

class Vectors : public testing::TestWithParam<Engine> {
protected:
    void SetUp() override {
        if (!available(GetParam())) GTEST_SKIP() << describe(GetParam());
    }
};

struct AeadVector {
    Octets key, nonce, aad, plain, cipher, tag;
};

Packet aead_packet(const Key& key, const AeadVector& vector, Octets& text, Octets& icv) {
    Packet packet{};
    packet.key = key.get();
    packet.text = text.data();
    packet.length = static_cast<std::uint32_t>(text.size());
    packet.icv = icv.data();
    packet.aad = vector.aad.data();
    packet.aad_length = static_cast<std::uint16_t>(vector.aad.size());
    std::memcpy(packet.nonce.data(), vector.nonce.data(), vector.nonce.size());
    return packet;
}

void check_aead(const Suite& calls, const AeadVector& vector, bool valid) {
    const Octets material = joined({vector.key, Octets(vector.nonce.size() - 8)}); // with a salt
    const Key seal_key(calls, Direction::outbound, material);
    const Key open_key(calls, Direction::inbound, material);
    if (valid) {
        Octets text = vector.plain;
        Octets icv(vector.tag.size());
        Packet packet = aead_packet(seal_key, vector, text, icv);
        calls.seal(&packet, 1);
        EXPECT_EQ(text, vector.cipher);
        EXPECT_EQ(icv, vector.tag);
    }
    Octets text = vector.cipher;
    Octets icv = vector.tag;
    Packet packet = aead_packet(open_key, vector, text, icv);
    calls.open(&packet, 1);
    EXPECT_EQ(packet.good, valid);
    EXPECT_EQ(text, valid ? vector.plain : Octets(text.size()));
}

/// Of three that differ by the length of the AES key.
Algorithm by_key(Algorithm first, std::size_t key) { return static_cast<Algorithm>(static_cast<std::size_t>(first) + (key - 16) / 8); }

void check_aead_file(Engine engine, const std::string& name, std::size_t at_least, Algorithm first) {
    const auto lines = lines_of(name);
    EXPECT_GE(lines.size(), at_least);
    for (const Line& line : lines) {
        SCOPED_TRACE(name + " " + line.at(0));
        const AeadVector vector{octets_of(line.at(1)), octets_of(line.at(2)), octets_of(line.at(3)),
                                octets_of(line.at(4)), octets_of(line.at(5)), octets_of(line.at(6))};
        const Algorithm algorithm = first == Algorithm::chacha20_poly1305 ? first : by_key(first, vector.key.size());
        check_aead(suite(engine, algorithm), vector, line.at(7) == "valid");
    }
}

TEST_P(Vectors, AesGcmOfNist) { check_aead_file(GetParam(), "nist_aes_gcm.txt", 900, Algorithm::aes_128_gcm_16); }
TEST_P(Vectors, AesGcmOfWycheproof) { check_aead_file(GetParam(), "wycheproof_aes_gcm.txt", 190, Algorithm::aes_128_gcm_16); }
TEST_P(Vectors, AesCcmOfNist) { check_aead_file(GetParam(), "nist_aes_ccm.txt", 30, Algorithm::aes_128_ccm_16); }
TEST_P(Vectors, AesCcmOfWycheproof) { check_aead_file(GetParam(), "wycheproof_aes_ccm.txt", 6, Algorithm::aes_128_ccm_16); }
TEST_P(Vectors, ChaCha20Poly1305OfWycheproof) {
    check_aead_file(GetParam(), "wycheproof_chacha20_poly1305.txt", 310, Algorithm::chacha20_poly1305);
}
TEST_P(Vectors, ChaCha20Poly1305OfTheRfcs) { check_aead_file(GetParam(), "rfc_chacha20_poly1305.txt", 2, Algorithm::chacha20_poly1305); }

/// The message becomes the AAD of a packet, its IV and its text, which lie together.
TEST_P(Vectors, AesGmacOfWycheproof) {
    const auto lines = lines_of("wycheproof_aes_gmac.txt");
    EXPECT_GE(lines.size(), 100U);
    for (const Line& line : lines) {
        SCOPED_TRACE(line.at(0));
        const Octets key_octets = octets_of(line.at(1)), nonce = octets_of(line.at(2));
        Octets message = octets_of(line.at(3)), icv = octets_of(line.at(4));
        const std::size_t aad = (message.size() - 8) / 2;
        const Suite& calls = suite(GetParam(), by_key(Algorithm::null_aes_128_gmac, key_octets.size()));
        const Key key(calls, Direction::inbound, joined({key_octets, Octets(4)}));
        Packet packet{};
        packet.key = key.get();
        packet.aad = message.data();
        packet.aad_length = static_cast<std::uint16_t>(aad);
        packet.text = message.data() + aad + 8;
        packet.length = static_cast<std::uint32_t>(message.size() - aad - 8);
        packet.icv = icv.data();
        std::memcpy(packet.nonce.data(), nonce.data(), packet.nonce.size());
        calls.open(&packet, 1);
        EXPECT_EQ(packet.good, line.at(5) == "valid");
    }
}

constexpr unsigned cbc_icv = 16; // octets, of those that hash with SHA-256

/// IV, text, ICV as in a frame.
Packet cbc_packet(const Key& key, Octets& frame, std::size_t aad) {
    Packet packet{};
    packet.key = key.get();
    packet.aad = frame.data() + 16 - std::min<std::size_t>(aad, 16);
    packet.aad_length = static_cast<std::uint16_t>(aad);
    packet.text = frame.data() + 16;
    packet.length = static_cast<std::uint32_t>(frame.size() - 16 - cbc_icv);
    packet.icv = packet.text + packet.length;
    return packet;
}

void check_cbc_file(Engine engine, const std::string& name, std::size_t at_least) {
    const auto lines = lines_of(name);
    EXPECT_GE(lines.size(), at_least);
    for (const Line& line : lines) {
        SCOPED_TRACE(name + " " + line.at(0));
        const Octets cipher_key = octets_of(line.at(1)), iv = octets_of(line.at(2)), plain = octets_of(line.at(3)),
                     cipher = octets_of(line.at(4));
        const Suite& calls = suite(engine, by_key(Algorithm::aes_128_cbc_hmac_sha2_256_128, cipher_key.size()));
        const Octets material = joined({cipher_key, Octets(32, 0x5c)});
        const Key seal_key(calls, Direction::outbound, material);
        const Key open_key(calls, Direction::inbound, material);
        Octets frame = joined({iv, plain, Octets(cbc_icv)});
        Packet packet = cbc_packet(seal_key, frame, 16);
        calls.seal(&packet, 1);
        EXPECT_EQ(Octets(packet.text, packet.text + packet.length), cipher);
        packet.key = open_key.get();
        calls.open(&packet, 1);
        EXPECT_TRUE(packet.good);
        EXPECT_EQ(Octets(packet.text, packet.text + packet.length), plain);
    }
}

TEST_P(Vectors, AesCbcOfNist) { check_cbc_file(GetParam(), "nist_aes_cbc.txt", 100); }
TEST_P(Vectors, AesCbcOfWycheproof) { check_cbc_file(GetParam(), "wycheproof_aes_cbc.txt", 70); }
TEST_P(Vectors, AesCbcOfRfc3602) { check_cbc_file(GetParam(), "rfc_aes_cbc.txt", 8); }

/// The message becomes AAD and text of a packet to be opened.
void check_mac_file(Engine engine, const std::string& name, std::size_t at_least, Algorithm algorithm) {
    const Suite& calls = suite(engine, algorithm);
    const auto lines = lines_of(name);
    EXPECT_GE(lines.size(), at_least);
    for (const Line& line : lines) {
        SCOPED_TRACE(name + " " + line.at(0));
        const Octets message = octets_of(line.at(2));
        const Key key(calls, Direction::inbound, octets_of(line.at(1)));
        Octets frame = joined({message, octets_of(line.at(3))});
        Packet packet{};
        packet.key = key.get();
        packet.aad = frame.data();
        packet.aad_length = static_cast<std::uint16_t>(message.size() / 3);
        packet.text = frame.data() + packet.aad_length;
        packet.length = static_cast<std::uint32_t>(message.size() - packet.aad_length);
        packet.icv = packet.text + packet.length;
        calls.open(&packet, 1);
        EXPECT_EQ(packet.good, line.at(4) == "valid");
    }
}

TEST_P(Vectors, HmacSha256OfWycheproof) { check_mac_file(GetParam(), "wycheproof_hmac_sha256.txt", 40, Algorithm::null_hmac_sha2_256_128); }
TEST_P(Vectors, HmacSha384OfWycheproof) { check_mac_file(GetParam(), "wycheproof_hmac_sha384.txt", 40, Algorithm::null_hmac_sha2_384_192); }
TEST_P(Vectors, HmacSha512OfWycheproof) { check_mac_file(GetParam(), "wycheproof_hmac_sha512.txt", 40, Algorithm::null_hmac_sha2_512_256); }
TEST_P(Vectors, CmacOfRfc4494) { check_mac_file(GetParam(), "rfc_aes_cmac.txt", 3, Algorithm::null_aes_cmac_96); }

TEST_P(Vectors, HmacSha256OfRfc4868) { check_mac_file(GetParam(), "rfc_hmac_sha256.txt", 3, Algorithm::null_hmac_sha2_256_128); }

INSTANTIATE_TEST_SUITE_P(Crypto, Vectors, testing::ValuesIn(engines), [](const testing::TestParamInfo<Engine>& param) {
    return param.param == Engine::openssl ? "openssl" : "ipsec_mb";
});

} // namespace
} // namespace sallyport::crypto
