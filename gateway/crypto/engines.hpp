// SPDX-License-Identifier: Apache-2.0
// What the two engines give to crypto.cpp.
#pragma once

#include "gateway/crypto/crypto.hpp"

namespace sallyport::crypto {

namespace openssl {
[[nodiscard]] bool available();
[[nodiscard]] std::string describe();
[[nodiscard]] const Suite& suite(Algorithm algorithm);
} // namespace openssl

namespace ipsec_mb { // never available in a build without the library
[[nodiscard]] bool available();
[[nodiscard]] std::string describe();
[[nodiscard]] const Suite& suite(Algorithm algorithm);
} // namespace ipsec_mb

} // namespace sallyport::crypto
