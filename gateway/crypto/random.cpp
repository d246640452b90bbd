// SPDX-License-Identifier: Apache-2.0
#include "gateway/crypto/crypto.hpp"

#include <cstring>
#include <openssl/crypto.h>
#include <openssl/rand.h>

namespace sallyport::crypto {
namespace {

constexpr unsigned iv_size = 16;

/// Octets of the generator, drawn for many packets at once: one call of it costs about as much as the pool.
struct Pool {
    std::array<std::uint8_t, 16384> octets;
    std::size_t used = sizeof octets;

    ~Pool() { OPENSSL_cleanse(octets.data(), octets.size()); }
};

} // namespace

bool random_ivs(std::uint8_t* const* places, unsigned count) {
    thread_local Pool pool;
    for (unsigned i = 0; i < count; ++i) {
        if (pool.used == pool.octets.size()) {
            if (RAND_bytes(pool.octets.data(), static_cast<int>(pool.octets.size())) != 1) return false;
            pool.used = 0;
        }
        std::memcpy(places[i], pool.octets.data() + pool.used, iv_size);
        pool.used += iv_size;
    }
    return true;
}

} // namespace sallyport::crypto
