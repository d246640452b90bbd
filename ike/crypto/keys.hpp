// SPDX-License-Identifier: Apache-2.0
// The keys of an IKE SA and of its children (RFC 7296 2.14, 2.17, 2.18; RFC 9370 2.2), and what AUTH is made over (2.15; RFC 9242 3.3).
#pragma once

#include "ike/crypto/prf.hpp"
#include "ike/crypto/protection.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace sallyport::ike {

/// SK_d, SK_ai, SK_ar, SK_ei, SK_er, SK_pi, SK_pr in one secret, in this order (RFC 7296 2.14). Empty parts where a combined cipher has
/// none.
class SkKeys {
public:
    SkKeys() = default;
    /// prf+(SKEYSEED, Ni | Nr | SPIi | SPIr), cut. The SPIs are those of the IKE SA that gets the keys. empty() where it failed.
    SkKeys(Prf prf, const Protection& protection, Octets skeyseed, Octets ni, Octets nr, std::uint64_t spi_i, std::uint64_t spi_r);

    [[nodiscard]] bool empty() const { return all_.empty(); }
    [[nodiscard]] Octets d() const { return all_.part(0, d_); }
    [[nodiscard]] DirectionKeys initiator() const { return {all_.part(e(0), e_), all_.part(a(0), a_)}; }
    [[nodiscard]] DirectionKeys responder() const { return {all_.part(e(1), e_), all_.part(a(1), a_)}; }
    // Empty once they are forgotten.
    [[nodiscard]] Octets pi() const { return all_.part(p(0), p_); }
    [[nodiscard]] Octets pr() const { return all_.part(p(1), p_); }
    /// All of it as it lies, for the state record and for tests.
    [[nodiscard]] Octets octets() const { return all_.octets(); }
    /// Takes SK_pi and SK_pr away, which nobody needs after IKE_AUTH. False: the arena is full, nothing has changed.
    [[nodiscard]] bool forget_p();

private:
    [[nodiscard]] std::size_t a(unsigned which) const { return d_ + which * a_; }
    [[nodiscard]] std::size_t e(unsigned which) const { return d_ + 2 * a_ + which * e_; }
    [[nodiscard]] std::size_t p(unsigned which) const { return d_ + 2 * a_ + 2 * e_ + which * p_; }
    Secret all_;
    std::size_t d_ = 0, a_ = 0, e_ = 0, p_ = 0; // octets of SK_d, SK_a, SK_e and, until they are forgotten, SK_p
};

/// SKEYSEED = prf(Ni | Nr, g^ir) (RFC 7296 2.14). Empty: the library failed, or a secret that goes in is empty; so everywhere below.
[[nodiscard]] Secret skeyseed_first(Prf prf, Octets ni, Octets nr, Octets shared);
/// SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr) (RFC 9370 2.2.2).
[[nodiscard]] Secret skeyseed_next(Prf prf, Octets sk_d, Octets shared, Octets ni, Octets nr);
/// The key exchange of CREATE_CHILD_SA and those that followed it, in their order: SK(0) | Ni | Nr | SK(1) | ... (RFC 9370 2.2.4).
[[nodiscard]] Secret skeyseed_rekey(Prf old_prf, Octets old_sk_d, std::span<const Secret> shared, Octets ni, Octets nr);
/// KEYMAT of a child (RFC 7296 2.17, RFC 9370 2.2.4): prf+(SK_d, [SK(0) |] Ni | Nr [| SK(1) ...]); `shared` may be empty.
[[nodiscard]] Secret keymat(Prf prf, Octets sk_d, std::span<const Secret> shared, Octets ni, Octets nr, std::size_t size);

/// What one message adds to IntAuth (RFC 9242 3.3.2): prf(SK_p, before | A | P), `before` empty the first time.
/// `a`: header, clear payloads and generic header of SK with the adjusted lengths.
[[nodiscard]] std::vector<std::uint8_t> intauth(Prf prf, Octets sk_p, Octets before, Octets a, Octets p);

/// prf(prf(secret, "Key Pad for IKEv2"), RealMessage | Nonce | prf(SK_p, RestOfID) | IntAuth), of this or that side (RFC 7296 2.15).
/// `real_message`: of the one who is authenticated; `nonce`: of the other one.
[[nodiscard]] Secret psk_auth(Prf prf, Octets shared_key, Octets real_message, Octets nonce, Octets sk_p, Octets id_body,
                              Octets all_intauth);
/// The octets a signature covers.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> signed_octets(Prf prf, Octets real_message, Octets nonce, Octets sk_p,
                                                                     Octets id_body, Octets all_intauth);

} // namespace sallyport::ike
