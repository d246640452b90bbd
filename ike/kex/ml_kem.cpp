// SPDX-License-Identifier: Apache-2.0
// ML-KEM (FIPS 203): KEi has the encapsulation key, KEr the ciphertext, raw.
#include "ike/kex/evp.hpp"

namespace sallyport::ike::kex {
namespace {

constexpr Kind kind_of(const Method& method) { return {method.id == 35 ? "ML-KEM-512" : method.id == 36 ? "ML-KEM-768" : "ML-KEM-1024"}; }

} // namespace

std::expected<Share, Fault> ml_kem_generate(const Method& method) {
    Key own = generate_key(method, kind_of(method));
    if (own == nullptr) return std::unexpected(Fault::failed);
    std::vector<std::uint8_t> value = public_value(own.get(), method.initiator_size);
    if (value.empty()) return std::unexpected(Fault::failed);
    return Share{std::make_unique<KeyPair>(std::move(own)), std::move(value)};
}

std::expected<Answer, Fault> ml_kem_answer(const Method& method, Octets value) {
    if (value.size() != method.initiator_size) return std::unexpected(Fault::bad_value);
    // The import makes the modulus check of FIPS 203 7.2.
    const Key peer(EVP_PKEY_new_raw_public_key_ex(nullptr, kind_of(method).type, nullptr, value.data(), value.size()));
    if (peer == nullptr) return std::unexpected(Fault::bad_value);
    const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, peer.get(), nullptr));
    Answer made{std::vector<std::uint8_t>(method.responder_size), Secret(method.secret_size)};
    std::size_t wrapped = method.responder_size, secret = method.secret_size;
    if (context == nullptr || made.shared.empty() || EVP_PKEY_encapsulate_init(context.get(), nullptr) != 1 ||
        EVP_PKEY_encapsulate(context.get(), made.value.data(), &wrapped, made.shared.data(), &secret) != 1)
        return std::unexpected(Fault::failed);
    if (wrapped != method.responder_size || secret != method.secret_size) return std::unexpected(Fault::failed);
    return made;
}

/// A ciphertext that is not what was sent gives another secret, not a fault (FIPS 203 6.3): the next message does not verify.
std::expected<Secret, Fault> ml_kem_finish(const Method& method, Private& secret, Octets value) {
    EVP_PKEY* own = key_of(secret);
    if (own == nullptr) return std::unexpected(Fault::failed);
    if (value.size() != method.responder_size) return std::unexpected(Fault::bad_value);
    const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr));
    Secret shared(method.secret_size);
    std::size_t written = method.secret_size;
    if (context == nullptr || shared.empty() || EVP_PKEY_decapsulate_init(context.get(), nullptr) != 1 ||
        EVP_PKEY_decapsulate(context.get(), shared.data(), &written, value.data(), value.size()) != 1 || written != method.secret_size)
        return std::unexpected(Fault::failed);
    return shared;
}

} // namespace sallyport::ike::kex
