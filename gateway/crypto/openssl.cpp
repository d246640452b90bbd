// SPDX-License-Identifier: Apache-2.0
// The engine that works everywhere: OpenSSL's EVP with a context kept for each key, so that a packet costs setting the IV only.
#include "gateway/crypto/engines.hpp"

#include <new>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

namespace sallyport::crypto::openssl {
namespace {

struct alignas(key_alignment) Key {
    EVP_CIPHER_CTX* cipher = nullptr;
    EVP_MAC_CTX* mac = nullptr; // only with HMAC
};
static_assert(sizeof(Key) == key_alignment);

const Key& key_of(const Packet& packet) { return *static_cast<const Key*>(packet.key); }

void wipe(void* memory) {
    Key& key = *static_cast<Key*>(memory);
    EVP_CIPHER_CTX_free(key.cipher); // clears the schedule
    EVP_MAC_CTX_free(key.mac);
    OPENSSL_cleanse(memory, sizeof(Key));
}

EVP_CIPHER_CTX* new_cipher(const char* name, Direction direction, const std::uint8_t* octets, bool padding) {
    EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, name, nullptr);
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    const int encrypt = direction == Direction::outbound ? 1 : 0;
    const bool good = cipher != nullptr && context != nullptr &&
                      EVP_CipherInit_ex2(context, cipher, octets, nullptr, encrypt, nullptr) == 1 &&
                      EVP_CIPHER_CTX_set_padding(context, padding ? 1 : 0) == 1;
    EVP_CIPHER_free(cipher); // the context holds a reference of its own
    if (good) return context;
    EVP_CIPHER_CTX_free(context);
    return nullptr;
}

EVP_MAC_CTX* new_hmac(const std::uint8_t* octets, std::size_t size) {
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    EVP_MAC_CTX* context = mac != nullptr ? EVP_MAC_CTX_new(mac) : nullptr;
    EVP_MAC_free(mac);
    char digest[] = "SHA2-256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    if (context != nullptr && EVP_MAC_init(context, octets, size, parameters) == 1) return context;
    EVP_MAC_CTX_free(context);
    return nullptr;
}

template <Algorithm algorithm>
constexpr const char* cipher_name() {
    switch (algorithm) {
    case Algorithm::aes_128_gcm_16: return "AES-128-GCM";
    case Algorithm::aes_192_gcm_16: return "AES-192-GCM";
    case Algorithm::aes_256_gcm_16: return "AES-256-GCM";
    case Algorithm::chacha20_poly1305: return "ChaCha20-Poly1305";
    case Algorithm::aes_128_cbc_hmac_sha2_256_128: return "AES-128-CBC";
    case Algorithm::aes_192_cbc_hmac_sha2_256_128: return "AES-192-CBC";
    case Algorithm::aes_256_cbc_hmac_sha2_256_128: return "AES-256-CBC";
    }
}

template <Algorithm algorithm>
bool expand(Direction direction, std::span<const std::uint8_t> material, void* memory) {
    constexpr const AlgorithmInfo& row = info(algorithm);
    if (material.size() != row.material()) return false;
    Key& key = *new (memory) Key;
    key.cipher = new_cipher(cipher_name<algorithm>(), direction, material.data(), row.aead);
    if (!row.aead) key.mac = new_hmac(material.data() + row.key + row.salt, row.integrity_key);
    if (key.cipher != nullptr && (row.aead || key.mac != nullptr)) return true;
    wipe(memory);
    return false;
}

/// The length of one packet fits an int many times over.
int signed_length(std::uint32_t length) { return static_cast<int>(length); }

void seal_aead(Packet* packets, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        EVP_CIPHER_CTX* context = key_of(packet).cipher;
        const int length = signed_length(packet.length);
        int written = 0;
        packet.good = EVP_EncryptInit_ex2(context, nullptr, nullptr, packet.nonce.data(), nullptr) == 1 &&
                      EVP_EncryptUpdate(context, nullptr, &written, packet.aad, packet.aad_length) == 1 &&
                      EVP_EncryptUpdate(context, packet.text, &written, packet.text, length) == 1 &&
                      EVP_EncryptFinal_ex(context, packet.text + length, &written) == 1 &&
                      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, icv_size, packet.icv) == 1;
    }
}

void open_aead(Packet* packets, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        EVP_CIPHER_CTX* context = key_of(packet).cipher;
        const int length = signed_length(packet.length);
        int written = 0;
        // Final compares the ICV in constant time (CRYPTO_memcmp).
        packet.good = EVP_DecryptInit_ex2(context, nullptr, nullptr, packet.nonce.data(), nullptr) == 1 &&
                      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, icv_size, packet.icv) == 1 &&
                      EVP_DecryptUpdate(context, nullptr, &written, packet.aad, packet.aad_length) == 1 &&
                      EVP_DecryptUpdate(context, packet.text, &written, packet.text, length) == 1 &&
                      EVP_DecryptFinal_ex(context, packet.text + length, &written) == 1;
        if (!packet.good) OPENSSL_cleanse(packet.text, packet.length);
    }
}

/// HMAC over AAD, text and tail, cut to 16 octets (RFC 4868 2.3).
bool hmac(const Packet& packet, std::uint8_t* icv) {
    EVP_MAC_CTX* context = key_of(packet).mac;
    std::uint8_t whole[EVP_MAX_MD_SIZE];
    std::size_t size = 0;
    if (EVP_MAC_init(context, nullptr, 0, nullptr) != 1 || EVP_MAC_update(context, packet.aad, packet.aad_length + packet.length) != 1 ||
        EVP_MAC_update(context, packet.extra.data(), packet.tail_length) != 1 || EVP_MAC_final(context, whole, &size, sizeof whole) != 1)
        return false;
    __builtin_memcpy(icv, whole, icv_size);
    return true;
}

bool cbc(const Packet& packet) {
    EVP_CIPHER_CTX* context = key_of(packet).cipher;
    int written = 0;
    return EVP_CipherInit_ex2(context, nullptr, nullptr, packet.text - 16, -1, nullptr) == 1 &&
           EVP_CipherUpdate(context, packet.text, &written, packet.text, signed_length(packet.length)) == 1;
}

void seal_cbc(Packet* packets, unsigned count) {
    for (unsigned i = 0; i < count; ++i) packets[i].good = cbc(packets[i]) && hmac(packets[i], packets[i].icv);
}

void open_cbc(Packet* packets, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        std::uint8_t expected[icv_size];
        packet.good = hmac(packet, expected) && equal_icv(expected, packet.icv) && cbc(packet);
        if (!packet.good) OPENSSL_cleanse(packet.text, packet.length);
    }
}

template <Algorithm algorithm>
constexpr Suite aead_suite{expand<algorithm>, wipe, seal_aead, open_aead, sizeof(Key)};
template <Algorithm algorithm>
constexpr Suite cbc_suite{expand<algorithm>, wipe, seal_cbc, open_cbc, sizeof(Key)};

constexpr std::array suites{
    aead_suite<Algorithm::aes_128_gcm_16>,
    aead_suite<Algorithm::aes_192_gcm_16>,
    aead_suite<Algorithm::aes_256_gcm_16>,
    aead_suite<Algorithm::chacha20_poly1305>,
    cbc_suite<Algorithm::aes_128_cbc_hmac_sha2_256_128>,
    cbc_suite<Algorithm::aes_192_cbc_hmac_sha2_256_128>,
    cbc_suite<Algorithm::aes_256_cbc_hmac_sha2_256_128>,
};
static_assert(suites.size() == algorithms.size());

} // namespace

bool available() { return true; }

std::string describe() { return std::string("OpenSSL ") + OpenSSL_version(OPENSSL_VERSION_STRING); }

const Suite& suite(Algorithm algorithm) { return suites[static_cast<std::size_t>(algorithm)]; }

} // namespace sallyport::crypto::openssl
