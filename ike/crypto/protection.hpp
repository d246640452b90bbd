// SPDX-License-Identifier: Apache-2.0
// How the messages of an IKE SA are encrypted and authenticated: SK of RFC 7296 3.14, with combined ciphers as RFC 5282 says. Octets in and
// out; where they stand in a message is ike/engine's matter.
#pragma once

#include "ike/secret/secret.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sallyport::ike {

/// By transform ids: types 1 and 3.
struct EncryptionInfo {
    std::string_view name; // as in the configuration: "aes-256-gcm"
    std::uint16_t id;
    std::uint16_t key_length;               // bits, as the attribute; 0: the attribute must not be there
    std::uint8_t key, salt, iv, block, icv; // octets; icv 0: it needs an integrity algorithm
    std::string_view cipher;                // OpenSSL's name
    [[nodiscard]] constexpr bool aead() const { return icv != 0; }
};
inline constexpr std::array encryptions{
    EncryptionInfo{"aes-256-gcm", 20, 256, 32, 4, 8, 1, 16, "AES-256-GCM"},
    EncryptionInfo{"aes-128-gcm", 20, 128, 16, 4, 8, 1, 16, "AES-128-GCM"},
    EncryptionInfo{"aes-192-gcm", 20, 192, 24, 4, 8, 1, 16, "AES-192-GCM"},
    EncryptionInfo{"chacha20-poly1305", 28, 0, 32, 4, 8, 1, 16, "ChaCha20-Poly1305"},
    EncryptionInfo{"aes-256-cbc", 12, 256, 32, 0, 16, 16, 0, "AES-256-CBC"},
    EncryptionInfo{"aes-128-cbc", 12, 128, 16, 0, 16, 16, 0, "AES-128-CBC"},
    EncryptionInfo{"aes-192-cbc", 12, 192, 24, 0, 16, 16, 0, "AES-192-CBC"},
};

struct IntegrityInfo {
    std::string_view name; // "hmac-sha2-256"
    std::uint16_t id;
    std::uint8_t key, icv; // octets
    std::string_view digest;
};
inline constexpr std::array integrities{
    IntegrityInfo{"hmac-sha2-256", 12, 32, 16, "SHA256"},
    IntegrityInfo{"hmac-sha2-384", 13, 48, 24, "SHA384"},
    IntegrityInfo{"hmac-sha2-512", 14, 64, 32, "SHA512"},
};

/// Null: not known.
[[nodiscard]] const EncryptionInfo* find_encryption(std::uint16_t id, std::uint16_t key_length);
[[nodiscard]] const IntegrityInfo* find_integrity(std::uint16_t id);

/// The chosen pair.
struct Protection {
    const EncryptionInfo* encryption = nullptr;
    const IntegrityInfo* integrity = nullptr; // null with a combined cipher
    [[nodiscard]] std::size_t encryption_key() const { return std::size_t{encryption->key} + encryption->salt; }
    [[nodiscard]] std::size_t integrity_key() const { return integrity != nullptr ? integrity->key : 0; }
    [[nodiscard]] std::size_t icv() const { return integrity == nullptr || encryption->aead() ? encryption->icv : integrity->icv; }
    /// Octets of the plain text with padding and Pad Length, as it is encrypted.
    [[nodiscard]] std::size_t padded(std::size_t plain) const {
        const std::size_t block = encryption->block;
        return (plain + 1 + block - 1) / block * block;
    }
    /// Octets of an SK payload's body around so much plain text.
    [[nodiscard]] std::size_t sealed(std::size_t plain) const { return encryption->iv + padded(plain) + icv(); }
    /// The most plain text whose body has at most so many octets; 0 too where none fits.
    [[nodiscard]] std::size_t fits(std::size_t body) const;
};

/// SK_e (with its salt) and SK_a of one direction.
struct DirectionKeys {
    Octets encryption, integrity;
};

/// Fills the body of an SK payload, IV | encrypted text | ICV, of protection.sealed(plain.size()) octets at the end of `message`, whose
/// octets before it, the IKE header first, stand already as they are sent. A combined cipher takes `counter` as its IV: never the same
/// number twice under a key; a block cipher draws one at random. False: the library failed.
[[nodiscard]] bool seal(const Protection& protection, const DirectionKeys& keys, std::uint64_t counter, Octets plain,
                        std::span<std::uint8_t> message);

/// Verifies, then decrypts in place; the body of SK begins at `body` and ends with the message. Gives where the plain text lies. Nothing:
/// the ICV is wrong, or the length or the padding (RFC 7296 3.14) cannot be; then the body is worth nothing any more.
[[nodiscard]] std::optional<Octets> open(const Protection& protection, const DirectionKeys& keys, std::span<std::uint8_t> message,
                                         std::size_t body);

} // namespace sallyport::ike
