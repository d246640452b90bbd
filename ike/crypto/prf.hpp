// SPDX-License-Identifier: Apache-2.0
// Pseudorandom functions of IKEv2 (RFC 7296 2.13, RFC 4868), by OpenSSL.
#pragma once

#include "ike/secret/secret.hpp"

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace sallyport::ike {

/// By their transform ids (type 2).
enum class Prf : std::uint16_t { hmac_sha2_256 = 5, hmac_sha2_384 = 6, hmac_sha2_512 = 7 };

struct PrfInfo {
    Prf prf;
    std::string_view name; // as in the configuration: "prf-hmac-sha2-256"
    std::uint8_t size;     // octets of what it gives, and of the keys that are made for it
};
inline constexpr std::array prfs{
    PrfInfo{Prf::hmac_sha2_256, "prf-hmac-sha2-256", 32},
    PrfInfo{Prf::hmac_sha2_384, "prf-hmac-sha2-384", 48},
    PrfInfo{Prf::hmac_sha2_512, "prf-hmac-sha2-512", 64},
};
inline constexpr std::size_t largest_prf = 64; // octets

[[nodiscard]] constexpr const PrfInfo* find_prf(std::uint16_t id) { // null: not known
    for (const PrfInfo& row : prfs)
        if (static_cast<std::uint16_t>(row.prf) == id) return &row;
    return nullptr;
}
[[nodiscard]] constexpr std::size_t size_of(Prf prf) { return find_prf(static_cast<std::uint16_t>(prf))->size; }

/// Octets of a whole that lie in several places, in their order.
using Parts = std::initializer_list<Octets>;

/// prf(key, data) into size_of(prf) octets. False: the library failed, and nothing is to be trusted.
[[nodiscard]] bool compute(Prf prf, Octets key, Parts data, std::span<std::uint8_t> to);
/// The same as a secret; empty where it failed.
[[nodiscard]] Secret compute(Prf prf, Octets key, Parts data);
/// prf+(key, seed), filled into all of `to`. False: likewise, or more than 255 blocks (RFC 7296 2.13).
[[nodiscard]] bool expand(Prf prf, Octets key, Parts seed, std::span<std::uint8_t> to);
[[nodiscard]] Secret expand(Prf prf, Octets key, Parts seed, std::size_t size);

} // namespace sallyport::ike
