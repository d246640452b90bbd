// SPDX-License-Identifier: Apache-2.0
// HMAC by EVP_MAC. Looking the algorithm up costs about as much as an HMAC, so it is done once, and every thread keeps a context for each
// function. Such a context keeps the last key until the next one comes or the thread ends: the key itself in the arena, what SHA-2 made of
// it on the ordinary heap. Overwriting it would cost half an HMAC each time, for keys that live as long as their IKE SA anyway.
#include "ike/crypto/prf.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

namespace sallyport::ike {
namespace {

constexpr std::size_t most_blocks = 255; // RFC 7296 2.13: the counter is one octet

struct Free {
    void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MAC_CTX, Free>;

constexpr std::size_t index_of(Prf prf) { return static_cast<std::size_t>(prf) - static_cast<std::size_t>(Prf::hmac_sha2_256); }

Context new_context(Prf prf) {
    static EVP_MAC* const hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr); // until the process ends
    constexpr std::array digests{"SHA2-256", "SHA2-384", "SHA2-512"};
    if (hmac == nullptr) return nullptr;
    Context context(EVP_MAC_CTX_new(hmac));
    // The parameter is read only, but its constructor takes no pointer to const.
    char digest[sizeof "SHA2-256"];
    std::memcpy(digest, digests[index_of(prf)], sizeof digest);
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    if (context == nullptr || EVP_MAC_CTX_set_params(context.get(), parameters) != 1) return nullptr;
    return context;
}

/// Of the calling thread; null: the library failed.
EVP_MAC_CTX* context_of(Prf prf) {
    thread_local std::array<Context, prfs.size()> contexts;
    Context& context = contexts[index_of(prf)];
    if (context == nullptr) context = new_context(prf);
    return context.get();
}

/// A null pointer would mean the key of the last time, also when its length is 0.
bool begin(EVP_MAC_CTX* context, Octets key) {
    static constexpr std::uint8_t none = 0;
    return EVP_MAC_init(context, key.empty() ? &none : key.data(), key.size(), nullptr) == 1;
}

bool begin_again(EVP_MAC_CTX* context) { return EVP_MAC_init(context, nullptr, 0, nullptr) == 1; }

bool take(EVP_MAC_CTX* context, Octets octets) { return octets.empty() || EVP_MAC_update(context, octets.data(), octets.size()) == 1; }

bool take(EVP_MAC_CTX* context, Parts parts) {
    return std::ranges::all_of(parts, [&](Octets part) { return take(context, part); });
}

bool finish(EVP_MAC_CTX* context, std::span<std::uint8_t> to) {
    std::size_t size = 0;
    return EVP_MAC_final(context, to.data(), &size, to.size()) == 1;
}

/// The last block of prf+, of which only some octets are wanted.
bool finish_cut(EVP_MAC_CTX* context, std::size_t size, std::span<std::uint8_t> to) {
    std::array<std::uint8_t, largest_prf> whole;
    const bool good = finish(context, std::span(whole).first(size));
    if (good) std::memcpy(to.data(), whole.data(), to.size());
    OPENSSL_cleanse(whole.data(), whole.size());
    return good;
}

} // namespace

bool compute(Prf prf, Octets key, Parts data, std::span<std::uint8_t> to) {
    const std::size_t size = size_of(prf);
    EVP_MAC_CTX* context = context_of(prf);
    return context != nullptr && to.size() >= size && begin(context, key) && take(context, data) && finish(context, to.first(size));
}

Secret compute(Prf prf, Octets key, Parts data) {
    Secret result(size_of(prf));
    if (result.empty() || !compute(prf, key, data, result.writable())) return {};
    return result;
}

bool expand(Prf prf, Octets key, Parts seed, std::span<std::uint8_t> to) {
    const std::size_t size = size_of(prf);
    EVP_MAC_CTX* context = context_of(prf);
    if (context == nullptr || to.size() > most_blocks * size) return false;
    Octets before; // T(n-1)
    std::uint8_t number = 0;
    for (std::size_t at = 0; at < to.size(); at += size) {
        const std::span<std::uint8_t> block = to.subspan(at, std::min(size, to.size() - at));
        ++number;
        const bool begun = number == 1 ? begin(context, key) : begin_again(context);
        if (!begun || !take(context, before) || !take(context, seed) || !take(context, Octets(&number, 1))) return false;
        if (!(block.size() == size ? finish(context, block) : finish_cut(context, size, block))) return false;
        before = block;
    }
    return true;
}

Secret expand(Prf prf, Octets key, Parts seed, std::size_t size) {
    Secret result(size);
    if (result.empty() || !expand(prf, key, seed, result.writable())) return {};
    return result;
}

} // namespace sallyport::ike
