// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/sa.hpp"

#include <cstring>

namespace sallyport {

KeyMaterial::~KeyMaterial() { explicit_bzero(octets.data(), octets.size()); }

} // namespace sallyport
