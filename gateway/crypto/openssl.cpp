// SPDX-License-Identifier: Apache-2.0
// The engine that works everywhere: OpenSSL's EVP with a context kept for each key, so that a packet costs setting the IV only.
#include "gateway/crypto/engines.hpp"

#include <new>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <utility>

namespace sallyport::crypto::openssl {
namespace {

constexpr unsigned cbc_iv = 16, gmac_iv = 8, ccm_nonce = 11; // octets

struct alignas(key_alignment) Key {
    EVP_CIPHER_CTX* cipher = nullptr; // none with Cipher::null
    EVP_MAC_CTX* mac = nullptr;       // only with HMAC and CMAC
};
static_assert(sizeof(Key) == key_alignment);

const Key& key_of(const Packet& packet) { return *static_cast<const Key*>(packet.key); }

void wipe(void* memory) {
    Key& key = *static_cast<Key*>(memory);
    EVP_CIPHER_CTX_free(key.cipher); // clears the schedule
    EVP_MAC_CTX_free(key.mac);
    OPENSSL_cleanse(memory, sizeof(Key));
}

constexpr const char* cipher_name(const AlgorithmInfo& row) {
    const auto sized = [&](const char* of_16, const char* of_24, const char* of_32) {
        return row.key == 16 ? of_16 : row.key == 24 ? of_24 : of_32;
    };
    switch (row.cipher) {
    case Cipher::aes_cbc: return sized("AES-128-CBC", "AES-192-CBC", "AES-256-CBC");
    case Cipher::aes_gcm: return sized("AES-128-GCM", "AES-192-GCM", "AES-256-GCM");
    case Cipher::aes_ccm: return sized("AES-128-CCM", "AES-192-CCM", "AES-256-CCM");
    case Cipher::chacha20_poly1305: return "ChaCha20-Poly1305";
    case Cipher::null: break;
    }
    return nullptr;
}

EVP_CIPHER_CTX* new_cipher(const AlgorithmInfo& row, Direction direction, const std::uint8_t* octets) {
    EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, cipher_name(row), nullptr);
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    const int encrypt = direction == Direction::outbound ? 1 : 0;
    bool good = cipher != nullptr && context != nullptr && EVP_CipherInit_ex2(context, cipher, nullptr, nullptr, encrypt, nullptr) == 1;
    if (good && row.cipher == Cipher::aes_ccm) // both sizes come before the key
        good = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, ccm_nonce, nullptr) == 1 &&
               EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, row.icv, nullptr) == 1;
    good = good && EVP_CipherInit_ex2(context, nullptr, octets, nullptr, encrypt, nullptr) == 1 &&
           EVP_CIPHER_CTX_set_padding(context, row.construction == Construction::encrypt_then_mac ? 0 : 1) == 1;
    EVP_CIPHER_free(cipher); // the context holds a reference of its own
    if (good) return context;
    EVP_CIPHER_CTX_free(context);
    return nullptr;
}

EVP_MAC_CTX* new_mac(const AlgorithmInfo& row, const std::uint8_t* octets) {
    constexpr unsigned cmac_id = 8;
    const bool cmac = row.integrity_id == cmac_id;
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, cmac ? "CMAC" : "HMAC", nullptr);
    EVP_MAC_CTX* context = mac != nullptr ? EVP_MAC_CTX_new(mac) : nullptr;
    EVP_MAC_free(mac);
    char sha_256[] = "SHA2-256", sha_384[] = "SHA2-384", sha_512[] = "SHA2-512", aes[] = "AES-128-CBC";
    char* const under = cmac ? aes : row.integrity_id == 12 ? sha_256 : row.integrity_id == 13 ? sha_384 : sha_512;
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(cmac ? OSSL_MAC_PARAM_CIPHER : OSSL_MAC_PARAM_DIGEST, under, 0),
                                     OSSL_PARAM_construct_end()};
    if (context != nullptr && EVP_MAC_init(context, octets, row.integrity_key, parameters) == 1) return context;
    EVP_MAC_CTX_free(context);
    return nullptr;
}

template <Algorithm algorithm>
bool expand(Direction direction, std::span<const std::uint8_t> material, void* memory) {
    constexpr const AlgorithmInfo& row = info(algorithm);
    constexpr bool ciphered = row.cipher != Cipher::null, hashed = row.integrity_key != 0;
    if (material.size() != row.material()) return false;
    Key& key = *new (memory) Key;
    if constexpr (ciphered) key.cipher = new_cipher(row, direction, material.data());
    if constexpr (hashed) key.mac = new_mac(row, material.data() + row.key + row.salt);
    if ((key.cipher != nullptr) == ciphered && (key.mac != nullptr) == hashed) return true;
    wipe(memory);
    return false;
}

/// The length of one packet fits an int many times over.
int signed_length(std::uint32_t length) { return static_cast<int>(length); }

/// Takes octets that are authenticated only.
bool associate(EVP_CIPHER_CTX* context, const std::uint8_t* octets, unsigned count) {
    int written = 0;
    return EVP_CipherUpdate(context, nullptr, &written, octets, signed_length(count)) == 1;
}

/// CCM wants to know how long the text is before the AAD comes.
template <Algorithm algorithm>
bool begin(EVP_CIPHER_CTX* context, const Packet& packet) {
    int written = 0;
    if constexpr (info(algorithm).cipher == Cipher::aes_ccm)
        if (EVP_CipherUpdate(context, nullptr, &written, nullptr, signed_length(packet.length)) != 1) return false;
    return associate(context, packet.aad, packet.aad_length);
}

/// The text; with GMAC it is authenticated only, with the IV before it. The last call of CCM says whether the ICV fits.
template <Algorithm algorithm>
bool go_through(EVP_CIPHER_CTX* context, const Packet& packet) {
    int written = 0;
    std::uint8_t none[16];
    if constexpr (info(algorithm).construction == Construction::gmac)
        return associate(context, packet.text - gmac_iv, packet.length + gmac_iv) && EVP_CipherFinal_ex(context, none, &written) == 1;
    if (EVP_CipherUpdate(context, packet.text, &written, packet.text, signed_length(packet.length)) != 1) return false;
    return info(algorithm).cipher == Cipher::aes_ccm || EVP_CipherFinal_ex(context, packet.text + packet.length, &written) == 1;
}

template <Algorithm algorithm>
void seal_aead(Packet* packets, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        EVP_CIPHER_CTX* context = key_of(packet).cipher;
        packet.good = EVP_EncryptInit_ex2(context, nullptr, nullptr, packet.nonce.data(), nullptr) == 1 &&
                      begin<algorithm>(context, packet) && go_through<algorithm>(context, packet) &&
                      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, info(algorithm).icv, packet.icv) == 1;
    }
}

template <Algorithm algorithm>
void open_aead(Packet* packets, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        EVP_CIPHER_CTX* context = key_of(packet).cipher;
        // The library compares the ICV in constant time (CRYPTO_memcmp).
        packet.good = EVP_DecryptInit_ex2(context, nullptr, nullptr, packet.nonce.data(), nullptr) == 1 &&
                      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, info(algorithm).icv, packet.icv) == 1 &&
                      begin<algorithm>(context, packet) && go_through<algorithm>(context, packet);
        if (!packet.good) OPENSSL_cleanse(packet.text, packet.length);
    }
}

/// HMAC or CMAC over AAD, text and tail, cut to `octets` (RFC 4868 2.3, RFC 4494 2).
template <unsigned octets>
bool mac_of(const Packet& packet, std::uint8_t* icv) {
    EVP_MAC_CTX* context = key_of(packet).mac;
    std::uint8_t whole[EVP_MAX_MD_SIZE];
    std::size_t size = 0;
    if (EVP_MAC_init(context, nullptr, 0, nullptr) != 1 || EVP_MAC_update(context, packet.aad, packet.aad_length + packet.length) != 1 ||
        EVP_MAC_update(context, packet.extra.data(), packet.tail_length) != 1 || EVP_MAC_final(context, whole, &size, sizeof whole) != 1)
        return false;
    __builtin_memcpy(icv, whole, octets);
    return true;
}

template <Algorithm algorithm>
bool go_through_cbc(const Packet& packet) {
    if constexpr (info(algorithm).cipher == Cipher::null) return true;
    EVP_CIPHER_CTX* context = key_of(packet).cipher;
    int written = 0;
    return EVP_CipherInit_ex2(context, nullptr, nullptr, packet.text - cbc_iv, -1, nullptr) == 1 &&
           EVP_CipherUpdate(context, packet.text, &written, packet.text, signed_length(packet.length)) == 1;
}

template <Algorithm algorithm>
void seal_mac(Packet* packets, unsigned count) {
    for (unsigned i = 0; i < count; ++i)
        packets[i].good = go_through_cbc<algorithm>(packets[i]) && mac_of<info(algorithm).icv>(packets[i], packets[i].icv);
}

template <Algorithm algorithm>
void open_mac(Packet* packets, unsigned count) {
    constexpr unsigned octets = info(algorithm).icv;
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        std::uint8_t expected[octets];
        packet.good = mac_of<octets>(packet, expected) && equal_icv<octets>(expected, packet.icv) && go_through_cbc<algorithm>(packet);
        if (!packet.good) OPENSSL_cleanse(packet.text, packet.length);
    }
}

template <Algorithm algorithm>
constexpr Suite make_suite() {
    if constexpr (info(algorithm).unique_nonce())
        return {expand<algorithm>, wipe, seal_aead<algorithm>, open_aead<algorithm>, sizeof(Key)};
    else
        return {expand<algorithm>, wipe, seal_mac<algorithm>, open_mac<algorithm>, sizeof(Key)};
}

constexpr std::array suites = []<std::size_t... i>(std::index_sequence<i...>) {
    return std::array{make_suite<static_cast<Algorithm>(i)>()...};
}(std::make_index_sequence<algorithms.size()>{});

} // namespace

bool available() { return true; }

std::string describe() { return std::string("OpenSSL ") + OpenSSL_version(OPENSSL_VERSION_STRING); }

const Suite& suite(Algorithm algorithm) { return suites[static_cast<std::size_t>(algorithm)]; }

} // namespace sallyport::crypto::openssl
