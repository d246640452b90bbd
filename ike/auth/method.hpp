// SPDX-License-Identifier: Apache-2.0
// How a side proves who it is (RFC 7296 2.15): one row a method.
#pragma once

#include "ike/engine/engine.hpp"

#include <array>
#include <expected>
#include <span>
#include <string>
#include <vector>

namespace sallyport::ike::auth {

/// What one side's AUTH is made over.
struct Covered {
    Prf prf;
    Octets real_message; // of the side that is authenticated
    Octets nonce;        // of the other side
    Octets sk_p;         // of the side that is authenticated
    Octets id_body;      // likewise
    Octets intauth;      // IntAuth_i | IntAuth_r | message id, or empty (RFC 9242 3.3.2)
};

struct Method {
    AuthMethod number;
    std::string_view name;
    /// Can this connection prove itself so, or take such a proof?
    bool (*usable)(const Connection&);
    /// AUTH's data. An error is a sentence for the operator.
    Task<std::expected<std::vector<std::uint8_t>, std::string>> (*prove)(Context, const Connection&, Covered);
    Task<std::expected<void, std::string>> (*examine)(Context, const Connection&, Covered, Octets data);
};

bool psk_usable(const Connection& connection);
Task<std::expected<std::vector<std::uint8_t>, std::string>> psk_prove(Context context, const Connection& connection, Covered covered);
Task<std::expected<void, std::string>> psk_examine(Context context, const Connection& connection, Covered covered, Octets data);

inline constexpr std::array methods{
    Method{AuthMethod::shared_key_mic, "psk", psk_usable, psk_prove, psk_examine},
};

/// Null: not known.
[[nodiscard]] constexpr const Method* find(AuthMethod number) {
    for (const Method& row : methods)
        if (row.number == number) return &row;
    return nullptr;
}
/// How this connection proves itself; null: it cannot.
[[nodiscard]] inline const Method* method_of(const Connection& connection) {
    for (const Method& row : methods)
        if (row.usable(connection)) return &row;
    return nullptr;
}

} // namespace sallyport::ike::auth
