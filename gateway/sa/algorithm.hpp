// SPDX-License-Identifier: Apache-2.0
// The algorithms of ESP that the gateway knows: their names, IANA numbers and sizes. One row each; transforms and ciphers register by it.
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
};

/// Sizes in octets. Key material of an SA is: cipher key, then salt, then integrity key (RFC 7296 2.17, RFC 4106 8.1, RFC 7634 2).
struct AlgorithmInfo {
    Algorithm algorithm;
    std::string_view name;       // as in the configuration, in `sallyport sa` and in the benchmarks
    std::uint16_t encryption_id; // IANA IKEv2 transform type 1
    std::uint16_t integrity_id;  // IANA IKEv2 transform type 3, 0: none (AEAD)
    std::uint8_t key;
    std::uint8_t salt;
    std::uint8_t integrity_key;
    std::uint8_t iv; // explicit, in every packet
    std::uint8_t icv;
    std::uint8_t block; // padding makes the plain text a multiple of this, at least 4 (RFC 4303 2.4)
    bool aead;          // its nonce must never repeat: manual keys only with unsafe-manual-aead (RFC 8221 4)
    [[nodiscard]] constexpr unsigned material() const { return unsigned{key} + salt + integrity_key; }
};

inline constexpr std::array algorithms{
    AlgorithmInfo{Algorithm::aes_128_gcm_16, "aes-128-gcm", 20, 0, 16, 4, 0, 8, 16, 4, true},
    AlgorithmInfo{Algorithm::aes_192_gcm_16, "aes-192-gcm", 20, 0, 24, 4, 0, 8, 16, 4, true},
    AlgorithmInfo{Algorithm::aes_256_gcm_16, "aes-256-gcm", 20, 0, 32, 4, 0, 8, 16, 4, true},
    AlgorithmInfo{Algorithm::chacha20_poly1305, "chacha20-poly1305", 28, 0, 32, 4, 0, 8, 16, 4, true},
    AlgorithmInfo{Algorithm::aes_128_cbc_hmac_sha2_256_128, "aes-128-cbc-hmac-sha2-256", 12, 12, 16, 0, 32, 16, 16, 16, false},
    AlgorithmInfo{Algorithm::aes_192_cbc_hmac_sha2_256_128, "aes-192-cbc-hmac-sha2-256", 12, 12, 24, 0, 32, 16, 16, 16, false},
    AlgorithmInfo{Algorithm::aes_256_cbc_hmac_sha2_256_128, "aes-256-cbc-hmac-sha2-256", 12, 12, 32, 0, 32, 16, 16, 16, false},
};
inline constexpr unsigned maximum_key_material = 64; // octets, of the table above

[[nodiscard]] constexpr const AlgorithmInfo& info(Algorithm algorithm) { return algorithms[static_cast<std::size_t>(algorithm)]; }

[[nodiscard]] constexpr std::optional<Algorithm> parse_algorithm(std::string_view name) {
    for (const AlgorithmInfo& row : algorithms)
        if (row.name == name) return row.algorithm;
    return std::nullopt;
}

} // namespace sallyport
