// SPDX-License-Identifier: Apache-2.0
#include "gateway/crypto/crypto.hpp"

#include "gateway/crypto/engines.hpp"

namespace sallyport::crypto {

bool available(Engine engine) { return engine == Engine::ipsec_mb ? ipsec_mb::available() : openssl::available(); }

Engine best_engine() { return available(Engine::ipsec_mb) ? Engine::ipsec_mb : Engine::openssl; }

std::string describe(Engine engine) { return engine == Engine::ipsec_mb ? ipsec_mb::describe() : openssl::describe(); }

const Suite& suite(Engine engine, Algorithm algorithm) {
    return engine == Engine::ipsec_mb ? ipsec_mb::suite(algorithm) : openssl::suite(algorithm);
}

} // namespace sallyport::crypto
