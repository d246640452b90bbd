// SPDX-License-Identifier: Apache-2.0
#include "ike/secret/secret.hpp"

#include <openssl/crypto.h>

#include <cstring>

namespace sallyport::ike {
namespace {

constexpr std::size_t smallest = 32; // octets that one secret takes at least

}

bool lock_arena(std::size_t octets) {
    return CRYPTO_secure_malloc_init(octets, smallest) == 1; // 2: it is there, but could not be locked
}

std::size_t arena_used() { return CRYPTO_secure_malloc_initialized() != 0 ? CRYPTO_secure_used() : 0; }

Secret::Secret(std::size_t size) : data_(size == 0 ? nullptr : static_cast<std::uint8_t*>(OPENSSL_secure_zalloc(size))) {
    size_ = data_ != nullptr ? size : 0;
}

Secret::Secret(Octets octets) : Secret(octets.size()) {
    if (size_ != 0) std::memcpy(data_, octets.data(), size_);
}

Secret& Secret::operator=(Secret&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

Secret::~Secret() { OPENSSL_secure_clear_free(data_, size_); }

bool equal(Octets one, Octets other) { return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0; }

} // namespace sallyport::ike
