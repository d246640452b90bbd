// SPDX-License-Identifier: Apache-2.0
#include "ike/proposal/proposal.hpp"

#include <algorithm>

namespace sallyport::ike {
namespace {

// AUTH_AES_*_GMAC of transform type 3 (RFC 4543 5), which AH has where ESP has them as ciphers.
struct GmacRow {
    std::uint16_t integrity_id;
    Algorithm algorithm;
};
constexpr std::array gmacs{GmacRow{9, Algorithm::null_aes_128_gmac}, GmacRow{10, Algorithm::null_aes_192_gmac},
                           GmacRow{11, Algorithm::null_aes_256_gmac}};

const Transform* find(const Proposal& proposal, TransformType type) {
    const auto found = std::ranges::find(proposal.transforms, type, &Transform::type);
    return found != proposal.transforms.end() ? &*found : nullptr;
}

std::uint16_t id_of(const Proposal& proposal, TransformType type) {
    const Transform* transform = find(proposal, type);
    return transform != nullptr ? transform->id : transform_none;
}

KeyExchanges exchanges_of(const Proposal& proposal) {
    KeyExchanges exchanges{.first = id_of(proposal, TransformType::key_exchange)};
    for (unsigned number = 6; number <= 12; ++number)
        if (const std::uint16_t id = id_of(proposal, static_cast<TransformType>(number)); id != transform_none)
            exchanges.additional[exchanges.count++] = id;
    return exchanges;
}

/// Bits, as the attribute says them; 0: the cipher has one size only.
std::uint16_t key_length(const AlgorithmInfo& row) {
    const bool fixed = row.construction == Construction::mac || row.cipher == Cipher::chacha20_poly1305;
    return fixed ? std::uint16_t{0} : static_cast<std::uint16_t>(row.key * 8U);
}

std::optional<Algorithm> esp_algorithm(const Proposal& chosen) {
    const Transform* cipher = find(chosen, TransformType::encryption);
    if (cipher == nullptr) return std::nullopt;
    const std::uint16_t integrity = id_of(chosen, TransformType::integrity);
    for (const AlgorithmInfo& row : algorithms)
        if (row.encryption_id == cipher->id && row.integrity_id == integrity && key_length(row) == cipher->key_length) return row.algorithm;
    return std::nullopt;
}

std::optional<Algorithm> ah_algorithm(std::uint16_t integrity) {
    for (const GmacRow& row : gmacs)
        if (row.integrity_id == integrity) return row.algorithm;
    for (const AlgorithmInfo& row : algorithms)
        if (row.construction == Construction::mac && row.integrity_id == integrity) return row.algorithm;
    return std::nullopt;
}

std::string text_of(const Transform& transform) {
    const std::string number = std::to_string(static_cast<unsigned>(transform.id));
    switch (transform.type) {
    case TransformType::encryption:
        if (const EncryptionInfo* row = find_encryption(transform.id, transform.key_length)) return std::string(row->name);
        for (const AlgorithmInfo& row : algorithms)
            if (row.encryption_id == transform.id && key_length(row) == transform.key_length) return std::string(row.name);
        return "cipher " + number;
    case TransformType::prf:
        if (const PrfInfo* row = find_prf(transform.id)) return std::string(row->name);
        return "PRF " + number;
    case TransformType::integrity:
        if (const IntegrityInfo* row = find_integrity(transform.id)) return std::string(row->name);
        return transform.id == transform_none ? "no integrity algorithm" : "integrity algorithm " + number;
    case TransformType::sequence_numbers:
        return transform.id == sequence_extended ? "esn" : transform.id == sequence_32_bits ? "no-esn" : "sequence numbers " + number;
    default:
        if (const kex::Method* row = kex::find(kex::methods(), transform.id)) return std::string(row->name);
        return transform.id == transform_none ? "none" : "key exchange " + number;
    }
}

} // namespace

std::optional<IkeSuite> ike_suite(const Proposal& chosen) {
    const Transform* cipher = find(chosen, TransformType::encryption);
    const PrfInfo* prf = find_prf(id_of(chosen, TransformType::prf));
    if (cipher == nullptr || prf == nullptr) return std::nullopt;
    IkeSuite suite{
        .protection = {find_encryption(cipher->id, cipher->key_length), nullptr}, .prf = prf->prf, .exchanges = exchanges_of(chosen)};
    if (suite.protection.encryption == nullptr || suite.exchanges.first == transform_none) return std::nullopt;
    const std::uint16_t integrity = id_of(chosen, TransformType::integrity);
    if (suite.protection.encryption->aead()) return integrity == transform_none ? std::optional(suite) : std::nullopt;
    suite.protection.integrity = find_integrity(integrity);
    return suite.protection.integrity != nullptr ? std::optional(suite) : std::nullopt;
}

std::optional<ChildSuite> child_suite(const Proposal& chosen) {
    const bool ah = chosen.protocol == ProtocolId::ah;
    const std::optional<Algorithm> algorithm = ah ? ah_algorithm(id_of(chosen, TransformType::integrity)) : esp_algorithm(chosen);
    const Transform* numbers = find(chosen, TransformType::sequence_numbers);
    if (!algorithm || numbers == nullptr || numbers->id > sequence_extended) return std::nullopt;
    return ChildSuite{ah ? SaProtocol::ah : SaProtocol::esp, *algorithm,
                      numbers->id == sequence_extended ? SequenceKind::extended_64 : SequenceKind::short_32, exchanges_of(chosen)};
}

std::vector<Transform> transforms_of(Algorithm algorithm, SaProtocol protocol) {
    const AlgorithmInfo& row = info(algorithm);
    if (protocol == SaProtocol::ah) {
        for (const GmacRow& gmac : gmacs)
            if (gmac.algorithm == algorithm) return {{TransformType::integrity, gmac.integrity_id}};
        if (row.construction != Construction::mac) return {};
        return {{TransformType::integrity, row.integrity_id}};
    }
    std::vector<Transform> transforms{{TransformType::encryption, row.encryption_id, key_length(row)}};
    if (row.integrity_id != 0) transforms.push_back({TransformType::integrity, row.integrity_id});
    return transforms;
}

bool post_quantum(const Proposal& proposal, kex::Methods methods) {
    // Of one type at least every value must be such a method: then whichever is chosen there is one.
    for (unsigned number = 4; number <= 12; ++number) {
        const auto type = static_cast<TransformType>(number);
        bool any = false, all = true;
        for (const Transform& transform : proposal.transforms) {
            if (transform.type != type) continue;
            const kex::Method* method = kex::find(methods, transform.id);
            any = true;
            all = all && method != nullptr && method->post_quantum;
        }
        if (any && all) return true;
    }
    return false;
}

std::string to_string(const Proposal& proposal) {
    std::string text;
    TransformType last{};
    for (const Transform& transform : proposal.transforms) {
        if (!text.empty()) text += transform.type == last ? " or " : is_additional(transform.type) ? "+" : ", ";
        text += text_of(transform);
        last = transform.type;
    }
    return text;
}

} // namespace sallyport::ike
