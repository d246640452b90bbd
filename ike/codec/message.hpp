// SPDX-License-Identifier: Apache-2.0
// An IKE message (RFC 7296 3) as typed values. Parsing takes any octets, reads none beyond them, and does nothing else: what is read points
// into the octets, which the caller keeps.
#pragma once

#include "gateway/sa/selector.hpp"
#include "ike/codec/numbers.hpp"
#include "ike/codec/octets.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace sallyport::ike {

using Spi = std::uint64_t; // of an IKE SA, as a number in network order of its octets; 0: none yet

// Limits. More of it is malformed.
inline constexpr std::size_t most_payloads = 128;                      // a message, inside and outside SK each
inline constexpr std::size_t most_proposals = 64;                      // a payload
inline constexpr std::size_t most_transforms = 64;                     // a proposal
inline constexpr std::size_t most_transforms_all = 255;                // a payload
inline constexpr std::size_t shortest_nonce = 16, longest_nonce = 256; // octets (RFC 7296 3.9)
inline constexpr std::size_t longest_cookie = 64;                      // octets (RFC 7296 2.6)

inline constexpr std::size_t header_size = 28, payload_header_size = 4; // octets
inline constexpr std::uint8_t version_2 = 0x20;

/// RFC 7296 3.1.
struct Header {
    Spi spi_i = 0, spi_r = 0;
    PayloadType first = PayloadType::none;
    std::uint8_t version = version_2;
    ExchangeType exchange = ExchangeType::ike_sa_init;
    bool initiator = false; // I: from who began the IKE SA
    bool response = false;  // R
    std::uint32_t message_id = 0;
    std::uint32_t length = 0; // octets of the whole message
    [[nodiscard]] unsigned major() const { return version >> 4U; }
};

/// Nothing: less than header_size. Judges nothing else.
[[nodiscard]] std::optional<Header> parse_header(Octets message);
void store(const Header& header, std::uint8_t* to); // header_size octets

/// Why octets are not what they should be: for the journal and the counters.
struct Malformed {
    PayloadType payload = PayloadType::none; // in which it was seen
    std::string_view what;                   // "a length beyond the end"
};
template <class T>
using Parsed = std::expected<T, Malformed>;

struct Payload {
    PayloadType type = PayloadType::none;
    bool critical = false;
    Octets body; // behind the generic header
};

/// The payloads of one message, or of what was in its SK, in their order. SK and SKF end the chain.
struct Chain {
    std::vector<Payload> payloads;
    PayloadType inner = PayloadType::none; // of SK or SKF: the first type inside
};
/// RFC 7296 3.2. `first`: Next Payload of whatever stands before.
[[nodiscard]] Parsed<Chain> parse_chain(PayloadType first, Octets octets);

struct Transform {
    TransformType type = TransformType::encryption;
    std::uint16_t id = 0;
    std::uint16_t key_length = 0; // bits; 0: none given
    bool usable = true;           // false: it has an attribute that is not known (RFC 7296 3.3.6)
    bool operator==(const Transform&) const = default;
};

struct Proposal {
    std::uint8_t number = 1;
    ProtocolId protocol = ProtocolId::ike;
    std::array<std::uint8_t, 8> spi{};
    std::uint8_t spi_size = 0; // 0, 4 or 8
    std::vector<Transform> transforms;
    [[nodiscard]] Octets spi_octets() const { return Octets(spi).first(spi_size); }
    bool operator==(const Proposal&) const = default;
};

struct KeyExchange {
    std::uint16_t method = 0;
    Octets data;
};

struct Identification {
    IdType type = IdType::fqdn;
    Octets data;
    Octets body; // type, reserved and data as they came: what AUTH covers (RFC 7296 2.15)
};

struct Authentication {
    AuthMethod method = AuthMethod::shared_key_mic;
    Octets data;
};

/// Also a certificate request.
struct Certificate {
    CertificateEncoding encoding = CertificateEncoding::x509_signature;
    Octets data;
};

struct Notify {
    ProtocolId protocol = ProtocolId::none;
    NotifyType type = NotifyType::invalid_syntax;
    Octets spi;
    Octets data;
};

struct Delete {
    ProtocolId protocol = ProtocolId::ike;
    std::uint8_t spi_size = 0;
    Octets spis; // of spi_size octets each
};

/// RFC 7296 3.13.1; of an address range. Others are counted, not kept.
struct TrafficSelector {
    std::uint8_t protocol = 0; // 0: any
    PortRange ports;
    AddressRange addresses;
    bool operator==(const TrafficSelector&) const = default;
};

struct TrafficSelectors {
    std::vector<TrafficSelector> known;
    unsigned unknown = 0; // of types that this cannot read
};

/// What a message says.
struct Contents {
    std::vector<Proposal> sa; // empty: no SA payload
    std::optional<KeyExchange> ke;
    Octets nonce; // empty: none
    std::optional<Identification> idi, idr;
    std::vector<Certificate> certificates, certificate_requests;
    std::optional<Authentication> auth;
    std::vector<Notify> notifies;
    std::vector<Delete> deletes;
    std::vector<Octets> vendor_ids;
    std::optional<TrafficSelectors> tsi, tsr;
    std::vector<Payload> others;             // CP, EAP and what this does not know
    std::optional<std::uint8_t> unsupported; // type of the first unknown payload with its critical bit set

    [[nodiscard]] const Notify* find(NotifyType type) const; // null: none
    [[nodiscard]] const Notify* first_error() const;         // likewise
    [[nodiscard]] const Payload* find_other(PayloadType type) const;
};

/// How often a message may have a payload. What stands in no row is ignored.
struct PayloadRule {
    PayloadType type = PayloadType::none;
    std::uint8_t least = 0, most = 1;
};

/// Reads every payload of a chain but SK and SKF. Malformed: one of them is, or there are two of a kind of which there may be one.
[[nodiscard]] Parsed<Contents> parse_contents(const Chain& chain);
/// Malformed: a payload is missing or there are too many of it.
[[nodiscard]] Parsed<void> check(const Chain& chain, std::span<const PayloadRule> rules);
/// Likewise; but a response that carries an error notify needs none of the others.
[[nodiscard]] Parsed<void> check_response(const Chain& chain, std::span<const PayloadRule> rules);

/// Each payload alone, from its body. What is wrong with an ID or a TS does not say in which of the two kinds it was seen:
/// PayloadType::none.
[[nodiscard]] Parsed<std::vector<Proposal>> parse_sa(Octets body);
[[nodiscard]] Parsed<KeyExchange> parse_ke(Octets body);
[[nodiscard]] Parsed<Identification> parse_id(Octets body);
[[nodiscard]] Parsed<Notify> parse_notify(Octets body);
[[nodiscard]] Parsed<Delete> parse_delete(Octets body);
[[nodiscard]] Parsed<TrafficSelectors> parse_ts(Octets body);

/// The payloads of one message, in the order in which they are added. Reserved octets are zero, no critical bit is set but by raw().
/// A payload holds 65531 octets, its proposals, transforms and selectors are 255 each at most: more than any caller has.
class Writer {
public:
    void sa(std::span<const Proposal> proposals);
    void ke(std::uint16_t method, Octets data);
    void nonce(Octets data);
    void id(PayloadType type, IdType id, Octets data);
    void certificate(CertificateEncoding encoding, Octets data);
    void certificate_request(CertificateEncoding encoding, Octets data);
    void auth(AuthMethod method, Octets data);
    void notify(NotifyType type, Octets data = {}, ProtocolId protocol = ProtocolId::none, Octets spi = {});
    void erase(ProtocolId protocol, std::uint8_t spi_size, Octets spis); // D
    void vendor_id(Octets data);
    void ts(PayloadType type, std::span<const TrafficSelector> selectors);
    void raw(PayloadType type, Octets body, bool critical = false);
    void append(const Writer& other);                // its payloads behind these

    [[nodiscard]] PayloadType first() const { return first_; }
    [[nodiscard]] Octets octets() const { return octets_; }
    [[nodiscard]] bool empty() const { return octets_.empty(); }

private:
    void begin(PayloadType type, bool critical = false);
    void end();
    void put8(std::uint8_t value) { octets_.push_back(value); }
    void put16(std::uint16_t value);
    void put32(std::uint32_t value);
    void put(Octets octets) { octets_.insert(octets_.end(), octets.begin(), octets.end()); }
    void put(const Transform& transform, bool more);
    void put(const Proposal& proposal, bool more);

    std::vector<std::uint8_t> octets_;
    PayloadType first_ = PayloadType::none;
    std::size_t last_ = 0; // where the last payload begins
};

/// A message without SK: header and payloads, its length filled in.
[[nodiscard]] std::vector<std::uint8_t> assemble(Header header, const Writer& payloads);

} // namespace sallyport::ike
