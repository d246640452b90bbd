// SPDX-License-Identifier: Apache-2.0
// Proposals of the SA payload (RFC 7296 2.7, 3.3; RFC 9370 2.2.1): what is offered, what is chosen, and what the chosen one means.
#pragma once

#include "gateway/sa/sa.hpp"
#include "ike/codec/message.hpp"
#include "ike/crypto/prf.hpp"
#include "ike/crypto/protection.hpp"
#include "ike/kex/method.hpp"

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::ike {

enum class Need : std::uint8_t { must, may, never };

/// Which transform types a protocol's proposal has (RFC 7296 3.3.3). INTEG is a matter of the cipher besides.
struct ProtocolRule {
    ProtocolId protocol;
    std::uint8_t spi_size;      // octets; of IKE 0 in IKE_SA_INIT
    std::array<Need, 13> types; // by transform type
    [[nodiscard]] constexpr Need need(TransformType type) const {
        const auto number = static_cast<std::size_t>(type);
        return number < types.size() ? types[number] : Need::never;
    }
};
inline constexpr std::array protocol_rules{
    ProtocolRule{ProtocolId::ike,
                 8,
                 {Need::never, Need::must, Need::must, Need::may, Need::must, Need::never, Need::may, Need::may, Need::may, Need::may,
                  Need::may, Need::may, Need::may}},
    ProtocolRule{ProtocolId::esp,
                 4,
                 {Need::never, Need::must, Need::never, Need::may, Need::may, Need::must, Need::may, Need::may, Need::may, Need::may,
                  Need::may, Need::may, Need::may}},
    ProtocolRule{ProtocolId::ah,
                 4,
                 {Need::never, Need::never, Need::never, Need::must, Need::may, Need::must, Need::may, Need::may, Need::may, Need::may,
                  Need::may, Need::may, Need::may}},
};
[[nodiscard]] constexpr const ProtocolRule* find_rule(ProtocolId protocol) { // null: not known
    for (const ProtocolRule& row : protocol_rules)
        if (row.protocol == protocol) return &row;
    return nullptr;
}

[[nodiscard]] constexpr bool is_additional(TransformType type) {
    return type >= TransformType::additional_key_exchange_1 && type <= TransformType::additional_key_exchange_7;
}

/// Where two sides have nothing in common.
struct NoChoice {
    TransformType type = TransformType::encryption; // the first type of which no value is common, in the pair that came furthest
    bool protocol = false;                          // not even the protocol is
};

/// The proposal to answer with: the number and the SPI are the offered one's, and one transform of every type it has. Goes through `policy`
/// in its order first: what the operator wrote decides. `additional`: whether both sides take more than one key exchange; without it a
/// proposal with them has an unknown type (RFC 9370 2.2.1). No two ADDKE get the same method.
[[nodiscard]] std::expected<Proposal, NoChoice> choose(std::span<const Proposal> policy, std::span<const Proposal> offered,
                                                       bool additional);

/// Is `answer` something that a proposal of ours allows (RFC 7296 2.7, 3.3.6)? Else what is wrong with it, a clause.
[[nodiscard]] std::expected<void, std::string_view> verify(std::span<const Proposal> offered, std::span<const Proposal> answer);

/// Key exchanges of a proposal: of type 4, then of 6 to 12 in this order; NONE is left out.
struct KeyExchanges {
    std::uint16_t first = 0; // 0: none
    std::array<std::uint16_t, 7> additional{};
    std::uint8_t count = 0; // of `additional`
    bool operator==(const KeyExchanges&) const = default;
};

/// What an IKE SA's proposal with one transform of each type means.
struct IkeSuite {
    Protection protection;
    Prf prf = Prf::hmac_sha2_256;
    KeyExchanges exchanges;
};
/// Nothing: something in it is not known here.
[[nodiscard]] std::optional<IkeSuite> ike_suite(const Proposal& chosen);

struct ChildSuite {
    SaProtocol protocol = SaProtocol::esp;
    Algorithm algorithm = Algorithm::aes_256_gcm_16;
    SequenceKind sequence = SequenceKind::extended_64;
    KeyExchanges exchanges;
};
[[nodiscard]] std::optional<ChildSuite> child_suite(const Proposal& chosen);

/// Transforms that stand for an algorithm of the data plane, of ESP or AH; empty: AH cannot have it.
[[nodiscard]] std::vector<Transform> transforms_of(Algorithm algorithm, SaProtocol protocol);

/// Is every way to choose from it safe from a quantum computer that comes later: each key exchange it allows has one such method at least?
[[nodiscard]] bool post_quantum(const Proposal& proposal, kex::Methods methods);

/// "aes-256-gcm, prf-hmac-sha2-384, x25519+ml-kem-768": for the journal.
[[nodiscard]] std::string to_string(const Proposal& proposal);

} // namespace sallyport::ike
