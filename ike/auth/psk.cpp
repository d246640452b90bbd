// SPDX-License-Identifier: Apache-2.0
// Shared Key Message Integrity Code (RFC 7296 2.15).
#include "ike/auth/method.hpp"

namespace sallyport::ike::auth {
namespace {

Secret auth_of(Octets key, const Covered& covered) {
    return psk_auth(covered.prf, key, covered.real_message, covered.nonce, covered.sk_p, covered.id_body, covered.intauth);
}

} // namespace

bool psk_usable(const Connection& connection) { return !connection.psk.empty(); }

// Quick enough to be done in place.
Task<std::expected<std::vector<std::uint8_t>, std::string>> psk_prove(Context, const Connection& connection, Covered covered) {
    const Secret value = auth_of(connection.psk.octets(), covered);
    if (value.empty()) co_return std::unexpected(std::string("AUTH could not be computed: no memory for secrets"));
    co_return std::vector<std::uint8_t>(value.octets().begin(), value.octets().end());
}

Task<std::expected<void, std::string>> psk_examine(Context, const Connection& connection, Covered covered, Octets data) {
    const Secret value = auth_of(connection.psk.octets(), covered);
    if (value.empty()) co_return std::unexpected(std::string("AUTH could not be computed: no memory for secrets"));
    if (!equal(value.octets(), data)) co_return std::unexpected(std::string("the peer does not have the same pre-shared key"));
    co_return std::expected<void, std::string>{};
}

} // namespace sallyport::ike::auth
