// SPDX-License-Identifier: Apache-2.0
// The ECP groups of RFC 5903: KE has x and y, the shared secret is x alone (section 7), each as long as the prime.
#include "ike/kex/evp.hpp"

#include <algorithm>
#include <array>
#include <openssl/core_names.h>

namespace sallyport::ike::kex {
namespace {

constexpr std::uint8_t uncompressed = 4;          // of a point (SEC 1 2.3.3)
constexpr std::size_t largest_point = 1 + 2 * 66; // octets, of P-521

/// The import refuses coordinates that are not below p and points off the curve (RFC 6989 2.3). The groups' cofactor is 1: every point on
/// the curve is in the group.
std::expected<Key, Fault> read(const Kind& kind, Octets value) {
    std::array<std::uint8_t, largest_point> point;
    if (value.size() >= point.size()) return std::unexpected(Fault::bad_value);
    point[0] = uncompressed;
    std::ranges::copy(value, point.begin() + 1);
    const OSSL_PARAM parameters[] = {read_only(OSSL_PKEY_PARAM_GROUP_NAME, kind.group),
                                     read_only(OSSL_PKEY_PARAM_PUB_KEY, Octets(point).first(1 + value.size())), OSSL_PARAM_construct_end()};
    Key key = import_key(kind.type, EVP_PKEY_PUBLIC_KEY, parameters);
    if (key == nullptr) return std::unexpected(Fault::bad_value);
    return key;
}

constexpr DiffieHellman p_256{{"EC", "P-256"}, 1, false, Fault::failed, read};
constexpr DiffieHellman p_384{{"EC", "P-384"}, 1, false, Fault::failed, read};
constexpr DiffieHellman p_521{{"EC", "P-521"}, 1, false, Fault::failed, read};

constexpr const DiffieHellman& family_of(const Method& method) { return method.id == 19 ? p_256 : method.id == 20 ? p_384 : p_521; }

} // namespace

std::expected<Share, Fault> ecp_generate(const Method& method) { return generate(family_of(method), method); }

std::expected<Answer, Fault> ecp_answer(const Method& method, Octets value) { return answer(family_of(method), method, value); }

std::expected<Secret, Fault> ecp_finish(const Method& method, Private& secret, Octets value) {
    return finish(family_of(method), method, secret, value);
}

} // namespace sallyport::ike::kex
