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
    std::memcpy(packet.nonce.data(), vector.nonce.data(), packet.nonce.size());
    return packet;
}

void check_aead(const Suite& calls, const AeadVector& vector, bool valid) {
    const Octets material = joined({vector.key, Octets(4)});
    const Key seal_key(calls, Direction::outbound, material);
    const Key open_key(calls, Direction::inbound, material);
    if (valid) {
        Octets text = vector.plain;
        Octets icv(icv_size);
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

Algorithm gcm_of(std::size_t key) {
    return key == 16 ? Algorithm::aes_128_gcm_16 : key == 24 ? Algorithm::aes_192_gcm_16 : Algorithm::aes_256_gcm_16;
}

void check_aead_file(Engine engine, const std::string& name, std::size_t at_least, bool gcm) {
    const auto lines = lines_of(name);
    EXPECT_GE(lines.size(), at_least);
    for (const Line& line : lines) {
        SCOPED_TRACE(name + " " + line.at(0));
        const AeadVector vector{octets_of(line.at(1)), octets_of(line.at(2)), octets_of(line.at(3)),
                                octets_of(line.at(4)), octets_of(line.at(5)), octets_of(line.at(6))};
        const Algorithm algorithm = gcm ? gcm_of(vector.key.size()) : Algorithm::chacha20_poly1305;
        check_aead(suite(engine, algorithm), vector, line.at(7) == "valid");
    }
}

TEST_P(Vectors, AesGcmOfNist) { check_aead_file(GetParam(), "nist_aes_gcm.txt", 900, true); }
TEST_P(Vectors, AesGcmOfWycheproof) { check_aead_file(GetParam(), "wycheproof_aes_gcm.txt", 190, true); }
TEST_P(Vectors, ChaCha20Poly1305OfWycheproof) { check_aead_file(GetParam(), "wycheproof_chacha20_poly1305.txt", 310, false); }
TEST_P(Vectors, ChaCha20Poly1305OfTheRfcs) { check_aead_file(GetParam(), "rfc_chacha20_poly1305.txt", 2, false); }

Algorithm cbc_of(std::size_t key) {
    return key == 16   ? Algorithm::aes_128_cbc_hmac_sha2_256_128
           : key == 24 ? Algorithm::aes_192_cbc_hmac_sha2_256_128
                       : Algorithm::aes_256_cbc_hmac_sha2_256_128;
}

/// IV, text, ICV as in a frame.
Packet cbc_packet(const Key& key, Octets& frame, std::size_t aad) {
    Packet packet{};
    packet.key = key.get();
    packet.aad = frame.data() + 16 - std::min<std::size_t>(aad, 16);
    packet.aad_length = static_cast<std::uint16_t>(aad);
    packet.text = frame.data() + 16;
    packet.length = static_cast<std::uint32_t>(frame.size() - 16 - icv_size);
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
        const Suite& calls = suite(engine, cbc_of(cipher_key.size()));
        const Octets material = joined({cipher_key, Octets(32, 0x5c)});
        const Key seal_key(calls, Direction::outbound, material);
        const Key open_key(calls, Direction::inbound, material);
        Octets frame = joined({iv, plain, Octets(icv_size)});
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

/// The message becomes AAD and text of a packet to be opened: its ICV is the HMAC of both, whatever the cipher makes of the text.
void check_hmac_file(Engine engine, const std::string& name, std::size_t at_least) {
    const Suite& calls = suite(engine, Algorithm::aes_128_cbc_hmac_sha2_256_128);
    const auto lines = lines_of(name);
    EXPECT_GE(lines.size(), at_least);
    for (const Line& line : lines) {
        SCOPED_TRACE(name + " " + line.at(0));
        const Octets message = octets_of(line.at(2));
        const std::size_t aad = message.size() % 16;
        const Key key(calls, Direction::inbound, joined({Octets(16), octets_of(line.at(1))}));
        Octets frame = joined({Octets(16 - aad), message, octets_of(line.at(3))});
        Packet packet = cbc_packet(key, frame, aad);
        calls.open(&packet, 1);
        EXPECT_EQ(packet.good, line.at(4) == "valid");
    }
}

TEST_P(Vectors, HmacSha256OfWycheproof) { check_hmac_file(GetParam(), "wycheproof_hmac_sha256.txt", 40); }
TEST_P(Vectors, HmacSha256OfRfc4868) { check_hmac_file(GetParam(), "rfc_hmac_sha256.txt", 3); }

INSTANTIATE_TEST_SUITE_P(Crypto, Vectors, testing::ValuesIn(engines), [](const testing::TestParamInfo<Engine>& param) {
    return param.param == Engine::openssl ? "openssl" : "ipsec_mb";
});

} // namespace
} // namespace sallyport::crypto
