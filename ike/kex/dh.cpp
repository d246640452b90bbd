// SPDX-License-Identifier: Apache-2.0
// The MODP groups of RFC 3526. Private exponents are as long as OpenSSL makes them for a group: twice its strength (NIST SP 800-56A).
#include "ike/kex/evp.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>

namespace sallyport::ike::kex {
namespace {

struct FreeNumber {
    void operator()(BIGNUM* number) const { BN_free(number); }
};
using Number = std::unique_ptr<BIGNUM, FreeNumber>;

/// By its length, which is the value's.
Number prime_of(std::size_t octets) {
    switch (octets) {
    case 256: return Number(BN_get_rfc3526_prime_2048(nullptr));
    case 384: return Number(BN_get_rfc3526_prime_3072(nullptr));
    case 512: return Number(BN_get_rfc3526_prime_4096(nullptr));
    default: return nullptr;
    }
}

std::expected<Key, Fault> read(const Kind& kind, Octets value) {
    const auto size = static_cast<int>(value.size());
    const Number r(BN_bin2bn(value.data(), size, nullptr));
    const Number below = prime_of(value.size()); // p - 1
    std::vector<std::uint8_t> native(value.size());
    if (r == nullptr || below == nullptr || BN_sub_word(below.get(), 1) != 1 || BN_bn2nativepad(r.get(), native.data(), size) != size)
        return std::unexpected(Fault::failed);
    // RFC 6989 2.1. The primes are safe ones: there is no other small subgroup.
    if (BN_cmp(r.get(), BN_value_one()) <= 0 || BN_cmp(r.get(), below.get()) >= 0) return std::unexpected(Fault::bad_value);
    const OSSL_PARAM parameters[] = {read_only(OSSL_PKEY_PARAM_GROUP_NAME, kind.group),
                                     OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PUB_KEY, native.data(), native.size()),
                                     OSSL_PARAM_construct_end()};
    Key key = import_key(kind.type, EVP_PKEY_PUBLIC_KEY, parameters);
    if (key == nullptr) return std::unexpected(Fault::failed);
    return key;
}

constexpr DiffieHellman modp_2048{{"DH", "modp_2048"}, 0, true, Fault::failed, read};
constexpr DiffieHellman modp_3072{{"DH", "modp_3072"}, 0, true, Fault::failed, read};
constexpr DiffieHellman modp_4096{{"DH", "modp_4096"}, 0, true, Fault::failed, read};

constexpr const DiffieHellman& family_of(const Method& method) {
    return method.id == 14 ? modp_2048 : method.id == 15 ? modp_3072 : modp_4096;
}

} // namespace

std::expected<Share, Fault> modp_generate(const Method& method) { return generate(family_of(method), method); }

std::expected<Answer, Fault> modp_answer(const Method& method, Octets value) { return answer(family_of(method), method, value); }

std::expected<Secret, Fault> modp_finish(const Method& method, Private& secret, Octets value) {
    return finish(family_of(method), method, secret, value);
}

} // namespace sallyport::ike::kex
