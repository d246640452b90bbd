// SPDX-License-Identifier: Apache-2.0
// Curve25519 (RFC 8031): every value of 32 octets is one (3.2), but those of low order give zeros, which OpenSSL refuses to hand out.
#include "ike/kex/evp.hpp"

namespace sallyport::ike::kex {
namespace {

std::expected<Key, Fault> read(const Kind& kind, Octets value) {
    Key key(EVP_PKEY_new_raw_public_key_ex(nullptr, kind.type, nullptr, value.data(), value.size()));
    if (key == nullptr) return std::unexpected(Fault::failed);
    return key;
}

constexpr DiffieHellman family{{"X25519"}, 0, false, Fault::bad_value, read};

} // namespace

std::expected<Share, Fault> x25519_generate(const Method& method) { return generate(family, method); }

std::expected<Answer, Fault> x25519_answer(const Method& method, Octets value) { return answer(family, method, value); }

std::expected<Secret, Fault> x25519_finish(const Method& method, Private& secret, Octets value) {
    return finish(family, method, secret, value);
}

} // namespace sallyport::ike::kex
