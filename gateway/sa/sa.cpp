// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/sa.hpp"

#include <cstring>

namespace sallyport {

KeyMaterial::~KeyMaterial() { explicit_bzero(octets.data(), octets.size()); }

[[gnu::noinline]] void wipe_stack() {
    std::uint8_t octets[std::size_t{256} << 10];
    explicit_bzero(octets, sizeof octets);
}

} // namespace sallyport
