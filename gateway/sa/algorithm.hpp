// SPDX-License-Identifier: Apache-2.0
// The algorithms of ESP and AH that the gateway knows: their names, IANA numbers and sizes. One row each; transforms and ciphers register
// by it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sallyport {

enum class Algorithm : std::uint8_t {
    aes_128_gcm_16,
    aes_192_gcm_16,
    aes_256_gcm_16,
    chacha20_poly1305,
    aes_128_cbc_hmac_sha2_256_128,
    aes_192_cbc_hmac_sha2_256_128,
    aes_256_cbc_hmac_sha2_256_128,
    aes_128_cbc_hmac_sha2_384_192,
    aes_192_cbc_hmac_sha2_384_192,
    aes_256_cbc_hmac_sha2_384_192,
    aes_128_cbc_hmac_sha2_512_256,
    aes_192_cbc_hmac_sha2_512_256,
    aes_256_cbc_hmac_sha2_512_256,
    aes_128_ccm_16,
    aes_192_ccm_16,
    aes_256_ccm_16,
    aes_128_ccm_8,
    aes_192_ccm_8,
    aes_256_ccm_8,
    null_aes_128_gmac,
    null_aes_192_gmac,
    null_aes_256_gmac,
    null_hmac_sha2_256_128,
    null_hmac_sha2_384_192,
    null_hmac_sha2_512_256,
    aes_128_gcm_16_iiv,
    aes_192_gcm_16_iiv,
    aes_256_gcm_16_iiv,
    aes_128_ccm_8_iiv,
    aes_192_ccm_8_iiv,
    aes_256_ccm_8_iiv,
    chacha20_poly1305_iiv,
    null_aes_cmac_96,
};

enum class Cipher : std::uint8_t { null, aes_cbc, aes_gcm, aes_ccm, chacha20_poly1305 };

/// How an algorithm protects a packet, which decides the packet's layout.
enum class Construction : std::uint8_t {
    aead,             // combined mode (RFC 4106, RFC 4309, RFC 7634); with ESN the high half lies in the AAD
    gmac,             // RFC 4543: as aead, but the text is authenticated only, and the IV with it
    encrypt_then_mac, // a cipher with a random IV, then a MAC (RFC 4303 3.3.2.1); with ESN the high half is hashed behind all
    mac,              // the same with the cipher NULL (RFC 2410): no IV
};

/// Sizes in octets. Key material of an SA is: cipher key, then salt, then integrity key (RFC 7296 2.17, RFC 4106 8.1, RFC 4309 7.1,
/// RFC 7634 2).
struct AlgorithmInfo {
    Algorithm algorithm;
    std::string_view name;       // as in the configuration, in `sallyport sa` and in the benchmarks
    std::uint16_t encryption_id; // IANA IKEv2 transform type 1
    std::uint16_t integrity_id;  // IANA IKEv2 transform type 3, 0: none (combined mode)
    Cipher cipher;
    std::uint8_t key;
    std::uint8_t salt;
    std::uint8_t integrity_key;
    std::uint8_t iv; // explicit, in every packet; 0 with a combined mode: it is the sequence number (RFC 8750)
    std::uint8_t icv;
    std::uint8_t block; // padding makes the plain text a multiple of this, at least 4 (RFC 4303 2.4)
    Construction construction;
    [[nodiscard]] constexpr unsigned material() const { return unsigned{key} + salt + integrity_key; }
    /// What AH takes too (RFC 4302 3.2).
    [[nodiscard]] constexpr bool integrity_only() const { return construction == Construction::mac || construction == Construction::gmac; }
    /// One packet's nonce must never be another's: manual keys only with unsafe-manual-aead (RFC 8221 3).
    [[nodiscard]] constexpr bool unique_nonce() const { return construction == Construction::aead || construction == Construction::gmac; }
};

inline constexpr std::array algorithms{
    AlgorithmInfo{Algorithm::aes_128_gcm_16, "aes-128-gcm", 20, 0, Cipher::aes_gcm, 16, 4, 0, 8, 16, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_192_gcm_16, "aes-192-gcm", 20, 0, Cipher::aes_gcm, 24, 4, 0, 8, 16, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_256_gcm_16, "aes-256-gcm", 20, 0, Cipher::aes_gcm, 32, 4, 0, 8, 16, 4, Construction::aead},
    AlgorithmInfo{Algorithm::chacha20_poly1305, "chacha20-poly1305", 28, 0, Cipher::chacha20_poly1305, 32, 4, 0, 8, 16, 4,
                  Construction::aead},
    AlgorithmInfo{Algorithm::aes_128_cbc_hmac_sha2_256_128, "aes-128-cbc-hmac-sha2-256", 12, 12, Cipher::aes_cbc, 16, 0, 32, 16, 16, 16,
                  Construction::encrypt_then_mac},
    AlgorithmInfo{Algorithm::aes_192_cbc_hmac_sha2_256_128, "aes-192-cbc-hmac-sha2-256", 12, 12, Cipher::aes_cbc, 24, 0, 32, 16, 16, 16,
                  Construction::encrypt_then_mac},
    AlgorithmInfo{Algorithm::aes_256_cbc_hmac_sha2_256_128, "aes-256-cbc-hmac-sha2-256", 12, 12, Cipher::aes_cbc, 32, 0, 32, 16, 16, 16,
                  Construction::encrypt_then_mac},
    AlgorithmInfo{Algorithm::aes_128_cbc_hmac_sha2_384_192, "aes-128-cbc-hmac-sha2-384", 12, 13, Cipher::aes_cbc, 16, 0, 48, 16, 24, 16,
                  Construction::encrypt_then_mac},
    AlgorithmInfo{Algorithm::aes_192_cbc_hmac_sha2_384_192, "aes-192-cbc-hmac-sha2-384", 12, 13, Cipher::aes_cbc, 24, 0, 48, 16, 24, 16,
                  Construction::encrypt_then_mac},
    AlgorithmInfo{Algorithm::aes_256_cbc_hmac_sha2_384_192, "aes-256-cbc-hmac-sha2-384", 12, 13, Cipher::aes_cbc, 32, 0, 48, 16, 24, 16,
                  Construction::encrypt_then_mac},
    AlgorithmInfo{Algorithm::aes_128_cbc_hmac_sha2_512_256, "aes-128-cbc-hmac-sha2-512", 12, 14, Cipher::aes_cbc, 16, 0, 64, 16, 32, 16,
                  Construction::encrypt_then_mac},
    AlgorithmInfo{Algorithm::aes_192_cbc_hmac_sha2_512_256, "aes-192-cbc-hmac-sha2-512", 12, 14, Cipher::aes_cbc, 24, 0, 64, 16, 32, 16,
                  Construction::encrypt_then_mac},
    AlgorithmInfo{Algorithm::aes_256_cbc_hmac_sha2_512_256, "aes-256-cbc-hmac-sha2-512", 12, 14, Cipher::aes_cbc, 32, 0, 64, 16, 32, 16,
                  Construction::encrypt_then_mac},
    AlgorithmInfo{Algorithm::aes_128_ccm_16, "aes-128-ccm", 16, 0, Cipher::aes_ccm, 16, 3, 0, 8, 16, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_192_ccm_16, "aes-192-ccm", 16, 0, Cipher::aes_ccm, 24, 3, 0, 8, 16, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_256_ccm_16, "aes-256-ccm", 16, 0, Cipher::aes_ccm, 32, 3, 0, 8, 16, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_128_ccm_8, "aes-128-ccm-8", 14, 0, Cipher::aes_ccm, 16, 3, 0, 8, 8, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_192_ccm_8, "aes-192-ccm-8", 14, 0, Cipher::aes_ccm, 24, 3, 0, 8, 8, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_256_ccm_8, "aes-256-ccm-8", 14, 0, Cipher::aes_ccm, 32, 3, 0, 8, 8, 4, Construction::aead},
    AlgorithmInfo{Algorithm::null_aes_128_gmac, "null-aes-128-gmac", 21, 0, Cipher::aes_gcm, 16, 4, 0, 8, 16, 4, Construction::gmac},
    AlgorithmInfo{Algorithm::null_aes_192_gmac, "null-aes-192-gmac", 21, 0, Cipher::aes_gcm, 24, 4, 0, 8, 16, 4, Construction::gmac},
    AlgorithmInfo{Algorithm::null_aes_256_gmac, "null-aes-256-gmac", 21, 0, Cipher::aes_gcm, 32, 4, 0, 8, 16, 4, Construction::gmac},
    AlgorithmInfo{Algorithm::null_hmac_sha2_256_128, "null-hmac-sha2-256", 11, 12, Cipher::null, 0, 0, 32, 0, 16, 4, Construction::mac},
    AlgorithmInfo{Algorithm::null_hmac_sha2_384_192, "null-hmac-sha2-384", 11, 13, Cipher::null, 0, 0, 48, 0, 24, 4, Construction::mac},
    AlgorithmInfo{Algorithm::null_hmac_sha2_512_256, "null-hmac-sha2-512", 11, 14, Cipher::null, 0, 0, 64, 0, 32, 4, Construction::mac},
    AlgorithmInfo{Algorithm::aes_128_gcm_16_iiv, "aes-128-gcm-iiv", 30, 0, Cipher::aes_gcm, 16, 4, 0, 0, 16, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_192_gcm_16_iiv, "aes-192-gcm-iiv", 30, 0, Cipher::aes_gcm, 24, 4, 0, 0, 16, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_256_gcm_16_iiv, "aes-256-gcm-iiv", 30, 0, Cipher::aes_gcm, 32, 4, 0, 0, 16, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_128_ccm_8_iiv, "aes-128-ccm-8-iiv", 29, 0, Cipher::aes_ccm, 16, 3, 0, 0, 8, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_192_ccm_8_iiv, "aes-192-ccm-8-iiv", 29, 0, Cipher::aes_ccm, 24, 3, 0, 0, 8, 4, Construction::aead},
    AlgorithmInfo{Algorithm::aes_256_ccm_8_iiv, "aes-256-ccm-8-iiv", 29, 0, Cipher::aes_ccm, 32, 3, 0, 0, 8, 4, Construction::aead},
    AlgorithmInfo{Algorithm::chacha20_poly1305_iiv, "chacha20-poly1305-iiv", 31, 0, Cipher::chacha20_poly1305, 32, 4, 0, 0, 16, 4,
                  Construction::aead},
    AlgorithmInfo{Algorithm::null_aes_cmac_96, "null-aes-cmac", 11, 8, Cipher::null, 0, 0, 16, 0, 12, 4, Construction::mac},
};
inline constexpr unsigned maximum_key_material = 96; // octets, of the table above
inline constexpr unsigned largest_icv = 32;          // likewise

[[nodiscard]] constexpr const AlgorithmInfo& info(Algorithm algorithm) { return algorithms[static_cast<std::size_t>(algorithm)]; }

/// The first of those that make nonces for the same cipher: what one of them has used up under a key is used up for all of them.
[[nodiscard]] constexpr const AlgorithmInfo& first_of_nonces(Algorithm algorithm) {
    const AlgorithmInfo& own = info(algorithm);
    for (const AlgorithmInfo& row : algorithms)
        if (own.unique_nonce() && row.unique_nonce() && row.cipher == own.cipher && row.key == own.key) return row;
    return own;
}

[[nodiscard]] constexpr std::optional<Algorithm> parse_algorithm(std::string_view name) {
    for (const AlgorithmInfo& row : algorithms)
        if (row.name == name) return row.algorithm;
    return std::nullopt;
}

} // namespace sallyport
