// SPDX-License-Identifier: Apache-2.0
#include "ike/kex/evp.hpp"

#include <cstring>
#include <openssl/core_names.h>

namespace sallyport::ike::kex {
namespace {

KeyContext new_generator(const Kind& kind) {
    KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, kind.type, nullptr));
    if (context == nullptr || EVP_PKEY_keygen_init(context.get()) != 1) return nullptr;
    if (kind.group != nullptr && EVP_PKEY_CTX_set_group_name(context.get(), kind.group) != 1) return nullptr;
    return context;
}

struct Generator {
    std::uint16_t method;
    KeyContext context;
};

/// Of the calling thread, kept: looking the algorithm and its group up takes a good part of the time of a fast method. It holds no key.
EVP_PKEY_CTX* generator_of(const Method& method, const Kind& kind) {
    thread_local std::vector<Generator> generators;
    for (const Generator& generator : generators)
        if (generator.method == method.id) return generator.context.get();
    KeyContext fresh = new_generator(kind);
    if (fresh == nullptr) return nullptr;
    return generators.emplace_back(method.id, std::move(fresh)).context.get();
}

/// What KE has of the public value. Empty: the library failed.
std::vector<std::uint8_t> value_of(const DiffieHellman& family, const EVP_PKEY* key, std::size_t size) {
    std::vector<std::uint8_t> value = public_value(key, size + family.omitted);
    if (!value.empty()) value.erase(value.begin(), value.begin() + family.omitted);
    return value;
}

/// read() has judged the peer's key; the library's own check would cost as much as the exchange (MODP, ECP).
std::expected<Secret, Fault> derive(const DiffieHellman& family, EVP_PKEY* own, EVP_PKEY* peer, std::size_t size) {
    unsigned pad = 1;
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_uint(OSSL_EXCHANGE_PARAM_PAD, &pad), OSSL_PARAM_construct_end()};
    const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr));
    Secret shared(size);
    std::size_t written = size;
    if (context == nullptr || shared.empty() || EVP_PKEY_derive_init_ex(context.get(), family.padded ? parameters : nullptr) != 1 ||
        EVP_PKEY_derive_set_peer_ex(context.get(), peer, 0) != 1)
        return std::unexpected(Fault::failed);
    if (EVP_PKEY_derive(context.get(), shared.data(), &written) != 1) return std::unexpected(family.no_secret);
    if (written != size) return std::unexpected(Fault::failed);
    return shared;
}

} // namespace

OSSL_PARAM read_only(const char* name, const char* text) { return OSSL_PARAM_construct_utf8_string(name, const_cast<char*>(text), 0); }

OSSL_PARAM read_only(const char* name, Octets octets) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(octets.data()), octets.size());
}

Key generate_key(const Method& method, const Kind& kind) {
    EVP_PKEY_CTX* context = generator_of(method, kind);
    EVP_PKEY* key = nullptr;
    if (context == nullptr || EVP_PKEY_generate(context, &key) != 1) return nullptr;
    return Key(key);
}

Key import_key(const char* type, int selection, const OSSL_PARAM* parameters) {
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY* key = nullptr;
    if (context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1) return nullptr;
    if (EVP_PKEY_fromdata(context.get(), &key, selection, const_cast<OSSL_PARAM*>(parameters)) != 1) return nullptr;
    return Key(key);
}

std::vector<std::uint8_t> public_value(const EVP_PKEY* key, std::size_t size) {
    std::vector<std::uint8_t> value(size);
    std::size_t written = 0;
    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, value.data(), size, &written) != 1 || written != size)
        return {};
    return value;
}

EVP_PKEY* key_of(const Private& secret) {
    const auto* pair = dynamic_cast<const KeyPair*>(&secret);
    return pair != nullptr ? pair->get() : nullptr;
}

std::expected<Share, Fault> generate(const DiffieHellman& family, const Method& method) {
    Key own = generate_key(method, family.kind);
    if (own == nullptr) return std::unexpected(Fault::failed);
    std::vector<std::uint8_t> value = value_of(family, own.get(), method.initiator_size);
    if (value.empty()) return std::unexpected(Fault::failed);
    return Share{std::make_unique<KeyPair>(std::move(own)), std::move(value)};
}

std::expected<Answer, Fault> answer(const DiffieHellman& family, const Method& method, Octets value) {
    if (value.size() != method.initiator_size) return std::unexpected(Fault::bad_value);
    const auto peer = family.read(family.kind, value);
    if (!peer) return std::unexpected(peer.error());
    const Key own = generate_key(method, family.kind);
    if (own == nullptr) return std::unexpected(Fault::failed);
    auto shared = derive(family, own.get(), peer->get(), method.secret_size);
    if (!shared) return std::unexpected(shared.error());
    Answer made{value_of(family, own.get(), method.responder_size), std::move(*shared)};
    if (made.value.empty()) return std::unexpected(Fault::failed);
    return made;
}

std::expected<Secret, Fault> finish(const DiffieHellman& family, const Method& method, const Private& secret, Octets value) {
    EVP_PKEY* own = key_of(secret);
    if (own == nullptr) return std::unexpected(Fault::failed);
    if (value.size() != method.responder_size) return std::unexpected(Fault::bad_value);
    const auto peer = family.read(family.kind, value);
    if (!peer) return std::unexpected(peer.error());
    return derive(family, own, peer->get(), method.secret_size);
}

} // namespace sallyport::ike::kex
