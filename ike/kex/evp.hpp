// SPDX-License-Identifier: Apache-2.0
// What the families share of OpenSSL's EVP.
#pragma once

#include "ike/kex/method.hpp"

#include <memory>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <utility>

namespace sallyport::ike::kex {

struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;

struct FreeKeyContext {
    void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, FreeKeyContext>;

/// The Private of every method here. OpenSSL wipes the numbers when the key goes.
class KeyPair final : public Private {
public:
    explicit KeyPair(Key key) : key_(std::move(key)) {}
    [[nodiscard]] EVP_PKEY* get() const { return key_.get(); }

private:
    Key key_;
};

/// A type of key ("EC"), and its group ("P-256") where it has one.
struct Kind {
    const char* type = nullptr;
    const char* group = nullptr;
};

/// A parameter that the library only reads, though it takes no pointer to const.
[[nodiscard]] OSSL_PARAM read_only(const char* name, const char* text);
[[nodiscard]] OSSL_PARAM read_only(const char* name, Octets octets);

/// A fresh key pair. Null: the library failed.
[[nodiscard]] Key generate_key(const Method& method, const Kind& kind);
/// A key of `parameters` (selection: EVP_PKEY_PUBLIC_KEY, EVP_PKEY_KEYPAIR). Null also where they are no such key.
[[nodiscard]] Key import_key(const char* type, int selection, const OSSL_PARAM* parameters);
/// As its type encodes it: with EC 04, x, y; with DH as long as the modulus. Empty: it is not `size` octets long.
[[nodiscard]] std::vector<std::uint8_t> public_value(const EVP_PKEY* key, std::size_t size);
/// Null: `secret` is not a KeyPair.
[[nodiscard]] EVP_PKEY* key_of(const Private& secret);

/// A Diffie-Hellman of any kind.
struct DiffieHellman {
    Kind kind;
    std::uint8_t omitted = 0;        // octets at the front of OpenSSL's encoding that KE leaves out
    bool padded = false;             // OpenSSL has to be told to keep leading zeros of the shared secret
    Fault no_secret = Fault::failed; // what it means that there is no shared secret
    /// Judges the peer's value, whose size is right.
    std::expected<Key, Fault> (*read)(const Kind& kind, Octets value) = nullptr;
};

std::expected<Share, Fault> generate(const DiffieHellman& family, const Method& method);
std::expected<Answer, Fault> answer(const DiffieHellman& family, const Method& method, Octets value);
std::expected<Secret, Fault> finish(const DiffieHellman& family, const Method& method, const Private& secret, Octets value);

} // namespace sallyport::ike::kex
