// SPDX-License-Identifier: Apache-2.0
// A key exchange method (transform types 4 and 6 to 12): generate() here, answer() there, finish() here. A Diffie-Hellman of any kind and a
// KEM have the same shape. One file a family, one row a method.
#pragma once

#include "ike/secret/secret.hpp"

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace sallyport::ike::kex {

/// A private value between generate() and finish(); used once. What it holds is the method's; wiped with it.
class Private {
public:
    virtual ~Private() = default;
};

struct Share {
    std::unique_ptr<Private> secret;
    std::vector<std::uint8_t> value; // of KEi, initiator_size octets
};
struct Answer {
    std::vector<std::uint8_t> value; // of KEr, responder_size octets
    Secret shared;                   // secret_size octets
};

enum class Fault : std::uint8_t {
    bad_value, // the peer's value fails the method's tests (RFC 6989 2, FIPS 203 7.2, 7.3)
    failed,    // the library, or no memory
};

/// How much the responder has to do, for who is let in before authentication.
enum class Cost : std::uint8_t { low, high };

struct Method {
    std::uint16_t id;                                          // IANA's
    std::string_view name;                                     // as in the configuration: "x25519", "ml-kem-768"
    std::uint32_t initiator_size, responder_size, secret_size; // octets
    bool post_quantum;
    Cost cost;
    // All of them may run on any thread, of one exchange one after the other. A value whose size is wrong is a bad_value.
    std::expected<Share, Fault> (*generate)(const Method&);
    std::expected<Answer, Fault> (*answer)(const Method&, Octets value);                  // of KEi
    std::expected<Secret, Fault> (*finish)(const Method&, Private& secret, Octets value); // of KEr
};

using Methods = std::span<const Method>;

/// Every method of this program, a row each.
[[nodiscard]] Methods methods();
[[nodiscard]] const Method* find(Methods methods, std::uint16_t id); // null: not there
[[nodiscard]] const Method* find(Methods methods, std::string_view name);

// The families, for the rows: modp (RFC 3526), ecp (RFC 5903), x25519 (RFC 8031), ml_kem (draft-ietf-ipsecme-ikev2-mlkem).
std::expected<Share, Fault> modp_generate(const Method&);
std::expected<Answer, Fault> modp_answer(const Method&, Octets value);
std::expected<Secret, Fault> modp_finish(const Method&, Private& secret, Octets value);
std::expected<Share, Fault> ecp_generate(const Method&);
std::expected<Answer, Fault> ecp_answer(const Method&, Octets value);
std::expected<Secret, Fault> ecp_finish(const Method&, Private& secret, Octets value);
std::expected<Share, Fault> x25519_generate(const Method&);
std::expected<Answer, Fault> x25519_answer(const Method&, Octets value);
std::expected<Secret, Fault> x25519_finish(const Method&, Private& secret, Octets value);
std::expected<Share, Fault> ml_kem_generate(const Method&);
std::expected<Answer, Fault> ml_kem_answer(const Method&, Octets value);
std::expected<Secret, Fault> ml_kem_finish(const Method&, Private& secret, Octets value);

} // namespace sallyport::ike::kex
