// SPDX-License-Identifier: Apache-2.0
// EVP with a context that each thread keeps for each cipher: a message costs the key schedule and the text. A kept context holds the
// schedule of the last key, on the ordinary heap, until the next key comes or the thread ends; clearing it would cost a schedule more.
#include "ike/crypto/protection.hpp"

#include "gateway/wire/octets.hpp"
#include "ike/crypto/prf.hpp"

#include <cstring>
#include <limits>
#include <memory>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

namespace sallyport::ike {
namespace {

constexpr std::size_t nonce_size = 12;                                   // octets (RFC 5282 4, RFC 7634 2)
constexpr std::size_t longest_message = std::numeric_limits<int>::max(); // EVP counts octets so

struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, Free>;

using Ciphers = std::array<EVP_CIPHER*, encryptions.size()>;

/// As in `encryptions`, until the process ends.
const Ciphers& fetched() {
    static const Ciphers ciphers = [] {
        Ciphers found{};
        for (std::size_t i = 0; i < found.size(); ++i) found[i] = EVP_CIPHER_fetch(nullptr, encryptions[i].cipher.data(), nullptr);
        return found;
    }();
    return ciphers;
}

Context new_context(std::size_t row) {
    Context context(EVP_CIPHER_CTX_new());
    EVP_CIPHER* cipher = fetched()[row];
    if (context == nullptr || cipher == nullptr || EVP_EncryptInit_ex2(context.get(), cipher, nullptr, nullptr, nullptr) != 1)
        return nullptr;
    // Padding is IKE's own matter (RFC 7296 3.14).
    if (!encryptions[row].aead() && EVP_CIPHER_CTX_set_padding(context.get(), 0) != 1) return nullptr;
    return context;
}

/// Of the calling thread; null: the library failed.
EVP_CIPHER_CTX* context_of(const EncryptionInfo& encryption) {
    thread_local std::array<Context, encryptions.size()> contexts;
    for (std::size_t row = 0; row < encryptions.size(); ++row) {
        if (encryptions[row].id != encryption.id || encryptions[row].key_length != encryption.key_length) continue;
        if (contexts[row] == nullptr) contexts[row] = new_context(row);
        return contexts[row].get();
    }
    return nullptr;
}

/// RFC 4868 has the same HMACs as the PRFs, cut.
constexpr Prf prf_of(const IntegrityInfo& integrity) {
    switch (integrity.icv) {
    case 16: return Prf::hmac_sha2_256;
    case 24: return Prf::hmac_sha2_384;
    default: return Prf::hmac_sha2_512;
    }
}
static_assert([] {
    for (const IntegrityInfo& row : integrities)
        if (size_of(prf_of(row)) != row.key || row.icv * 2 != row.key) return false;
    return true;
}());

bool go_together(const Protection& protection, const DirectionKeys& keys) {
    if (protection.encryption == nullptr || keys.encryption.size() != protection.encryption_key()) return false;
    if (protection.encryption->aead()) return true;
    return protection.integrity != nullptr && keys.integrity.size() == protection.integrity_key();
}

/// One message and where the parts of its SK body lie. Everything before the body is only authenticated.
struct Layout {
    std::span<std::uint8_t> iv, text, icv; // text: with padding and Pad Length
    std::span<std::uint8_t> before_body, before_icv;

    Layout(const Protection& protection, std::span<std::uint8_t> message, std::size_t body) {
        const std::size_t end = message.size() - protection.icv(), begin = body + protection.encryption->iv;
        iv = message.subspan(body, protection.encryption->iv);
        text = message.subspan(begin, end - begin);
        icv = message.subspan(end);
        before_body = message.first(body);
        before_icv = message.first(end);
    }
};

enum class Way : std::uint8_t { decrypt, encrypt };

/// In place. A combined cipher authenticates `aad` too.
bool go_through(EVP_CIPHER_CTX* context, Octets aad, std::span<std::uint8_t> text) {
    int written = 0;
    return (aad.empty() || EVP_CipherUpdate(context, nullptr, &written, aad.data(), static_cast<int>(aad.size())) == 1) &&
           EVP_CipherUpdate(context, text.data(), &written, text.data(), static_cast<int>(text.size())) == 1;
}

bool finish(EVP_CIPHER_CTX* context) {
    std::uint8_t none[EVP_MAX_BLOCK_LENGTH];
    int written = 0;
    return EVP_CipherFinal_ex(context, none, &written) == 1;
}

bool tag(EVP_CIPHER_CTX* context, int what, std::span<std::uint8_t> icv) {
    return EVP_CIPHER_CTX_ctrl(context, what, static_cast<int>(icv.size()), icv.data()) == 1;
}

/// Nonce: salt, which stands behind the key, then IV.
bool through_aead(const EncryptionInfo& encryption, Way way, Octets key, const Layout& parts) {
    EVP_CIPHER_CTX* context = context_of(encryption);
    std::array<std::uint8_t, nonce_size> nonce;
    if (context == nullptr || encryption.salt + std::size_t{encryption.iv} != nonce.size()) return false;
    std::memcpy(nonce.data(), key.data() + encryption.key, encryption.salt);
    std::memcpy(nonce.data() + encryption.salt, parts.iv.data(), encryption.iv);
    const bool sealing = way == Way::encrypt;
    return EVP_CipherInit_ex2(context, nullptr, key.data(), nonce.data(), sealing ? 1 : 0, nullptr) == 1 &&
           (sealing || tag(context, EVP_CTRL_AEAD_SET_TAG, parts.icv)) && go_through(context, parts.before_body, parts.text) &&
           finish(context) && // opening: compares the ICV, in constant time
           (!sealing || tag(context, EVP_CTRL_AEAD_GET_TAG, parts.icv));
}

bool through_cbc(const EncryptionInfo& encryption, Way way, Octets key, const Layout& parts) {
    EVP_CIPHER_CTX* context = context_of(encryption);
    return context != nullptr &&
           EVP_CipherInit_ex2(context, nullptr, key.data(), parts.iv.data(), way == Way::encrypt ? 1 : 0, nullptr) == 1 &&
           go_through(context, {}, parts.text);
}

bool icv_of(const IntegrityInfo& integrity, Octets key, Octets covered, std::span<std::uint8_t, largest_prf> to) {
    return compute(prf_of(integrity), key, {covered}, to);
}

bool seal_cbc(const Protection& protection, const DirectionKeys& keys, const Layout& parts) {
    std::array<std::uint8_t, largest_prf> icv;
    if (RAND_bytes(parts.iv.data(), static_cast<int>(parts.iv.size())) != 1) return false;
    if (!through_cbc(*protection.encryption, Way::encrypt, keys.encryption, parts)) return false;
    if (!icv_of(*protection.integrity, keys.integrity, parts.before_icv, icv)) return false;
    std::memcpy(parts.icv.data(), icv.data(), parts.icv.size());
    return true;
}

bool open_cbc(const Protection& protection, const DirectionKeys& keys, const Layout& parts) {
    std::array<std::uint8_t, largest_prf> icv;
    return parts.text.size() % protection.encryption->block == 0 && icv_of(*protection.integrity, keys.integrity, parts.before_icv, icv) &&
           equal(Octets(icv).first(parts.icv.size()), parts.icv) &&
           through_cbc(*protection.encryption, Way::decrypt, keys.encryption, parts);
}

} // namespace

const EncryptionInfo* find_encryption(std::uint16_t id, std::uint16_t key_length) {
    for (const EncryptionInfo& row : encryptions)
        if (row.id == id && row.key_length == key_length) return &row;
    return nullptr;
}

const IntegrityInfo* find_integrity(std::uint16_t id) {
    for (const IntegrityInfo& row : integrities)
        if (row.id == id) return &row;
    return nullptr;
}

std::size_t Protection::fits(std::size_t body) const {
    const std::size_t around = encryption->iv + icv();
    if (body < around) return 0;
    const std::size_t whole = (body - around) / encryption->block * encryption->block;
    return whole == 0 ? 0 : whole - 1; // the Pad Length
}

bool seal(const Protection& protection, const DirectionKeys& keys, std::uint64_t counter, Octets plain, std::span<std::uint8_t> message) {
    if (!go_together(protection, keys) || message.size() > longest_message || plain.size() > message.size()) return false;
    const std::size_t size = protection.sealed(plain.size());
    if (size > message.size()) return false;
    const Layout parts(protection, message, message.size() - size);
    const std::size_t padding = parts.text.size() - plain.size() - 1;
    if (!plain.empty()) std::memmove(parts.text.data(), plain.data(), plain.size());
    std::memset(parts.text.data() + plain.size(), 0, padding);
    parts.text.back() = static_cast<std::uint8_t>(padding);
    if (!protection.encryption->aead()) return seal_cbc(protection, keys, parts);
    wire::store64(parts.iv.data(), counter);
    return through_aead(*protection.encryption, Way::encrypt, keys.encryption, parts);
}

std::optional<Octets> open(const Protection& protection, const DirectionKeys& keys, std::span<std::uint8_t> message, std::size_t body) {
    if (!go_together(protection, keys) || message.size() > longest_message || body > message.size()) return std::nullopt;
    if (message.size() - body < protection.sealed(0)) return std::nullopt;
    const Layout parts(protection, message, body);
    if (protection.encryption->aead()) {
        if (!through_aead(*protection.encryption, Way::decrypt, keys.encryption, parts)) {
            OPENSSL_cleanse(parts.text.data(), parts.text.size()); // it was decrypted before the ICV was known to be wrong
            return std::nullopt;
        }
    } else if (!open_cbc(protection, keys, parts)) {
        return std::nullopt;
    }
    const std::size_t padding = parts.text.back();
    if (padding >= parts.text.size()) return std::nullopt;
    return Octets(parts.text).first(parts.text.size() - 1 - padding);
}

} // namespace sallyport::ike
