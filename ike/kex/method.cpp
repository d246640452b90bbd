// SPDX-License-Identifier: Apache-2.0
#include "ike/kex/method.hpp"

#include <algorithm>
#include <array>

namespace sallyport::ike::kex {
namespace {

constexpr Method modp(std::uint16_t id, std::string_view name, std::uint32_t octets) {
    return {id, name, octets, octets, octets, false, Cost::high, modp_generate, modp_answer, modp_finish};
}

/// octets: of a coordinate.
constexpr Method ecp(std::uint16_t id, std::string_view name, std::uint32_t octets, Cost cost) {
    return {id, name, 2 * octets, 2 * octets, octets, false, cost, ecp_generate, ecp_answer, ecp_finish};
}

constexpr Method ml_kem(std::uint16_t id, std::string_view name, std::uint32_t key, std::uint32_t ciphertext) {
    return {id, name, key, ciphertext, 32, true, Cost::low, ml_kem_generate, ml_kem_answer, ml_kem_finish};
}

constexpr std::array rows{
    modp(14, "modp-2048", 256),
    modp(15, "modp-3072", 384),
    modp(16, "modp-4096", 512),
    ecp(19, "ecp-256", 32, Cost::low),
    ecp(20, "ecp-384", 48, Cost::high),
    ecp(21, "ecp-521", 66, Cost::high),
    Method{31, "x25519", 32, 32, 32, false, Cost::low, x25519_generate, x25519_answer, x25519_finish},
    ml_kem(35, "ml-kem-512", 800, 768),
    ml_kem(36, "ml-kem-768", 1184, 1088),
    ml_kem(37, "ml-kem-1024", 1568, 1568),
};

const Method* first(Methods methods, auto is_it) {
    const auto found = std::ranges::find_if(methods, is_it);
    return found != methods.end() ? &*found : nullptr;
}

} // namespace

Methods methods() { return rows; }

const Method* find(Methods methods, std::uint16_t id) {
    return first(methods, [=](const Method& method) { return method.id == id; });
}

const Method* find(Methods methods, std::string_view name) {
    return first(methods, [=](const Method& method) { return method.name == name; });
}

} // namespace sallyport::ike::kex
