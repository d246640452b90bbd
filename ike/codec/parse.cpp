// SPDX-License-Identifier: Apache-2.0
#include "ike/codec/format.hpp"
#include "ike/codec/message.hpp"

#include <algorithm>
#include <utility>

namespace sallyport::ike {

namespace {

std::unexpected<Malformed> malformed(PayloadType payload, std::string_view what) { return std::unexpected(Malformed{payload, what}); }

bool encrypted(PayloadType type) { return type == PayloadType::encrypted || type == PayloadType::encrypted_fragment; }

/// The type of payload has a name here: its critical bit says nothing (RFC 7296 2.5).
bool recognised(PayloadType type) { return type >= PayloadType::security_association && type <= PayloadType::puzzle_solution; }

/// No exchange has two of it (RFC 7296 1.2, 1.3).
bool single(PayloadType type) {
    switch (type) {
    case PayloadType::security_association:
    case PayloadType::key_exchange:
    case PayloadType::identification_initiator:
    case PayloadType::identification_responder:
    case PayloadType::authentication:
    case PayloadType::nonce:
    case PayloadType::traffic_selector_initiator:
    case PayloadType::traffic_selector_responder: return true;
    default: return encrypted(type);
    }
}

Parsed<Octets> parse_nonce(Octets body) {
    if (body.size() < shortest_nonce || body.size() > longest_nonce) return malformed(PayloadType::nonce, "a nonce too short or too long");
    return body;
}

Parsed<Authentication> parse_auth(Octets body) {
    Reader reader(body);
    const std::uint8_t method = reader.take8();
    reader.take(3); // reserved
    if (reader.short_of()) return malformed(PayloadType::authentication, "a body too short");
    return Authentication{static_cast<AuthMethod>(method), reader.rest()};
}

Parsed<Certificate> parse_certificate(Octets body) {
    if (body.empty()) return malformed(PayloadType::certificate, "a body too short");
    return Certificate{static_cast<CertificateEncoding>(body[0]), body.subspan(1)};
}

AddressRange read_range(Reader& reader, Family family) {
    AddressRange range;
    for (Address* address : {&range.first, &range.last}) {
        address->family = family;
        std::ranges::copy(reader.take(address->size()), address->octets.begin());
    }
    return range;
}

/// What is behind the length of a selector of a known type.
Parsed<TrafficSelector> read_selector(std::uint8_t protocol, Octets octets, Family family) {
    Reader reader(octets);
    TrafficSelector selector{.protocol = protocol};
    selector.ports.first = reader.take16();
    selector.ports.last = reader.take16();
    selector.addresses = read_range(reader, family);
    if (reader.short_of() || !reader.empty()) return malformed(PayloadType::none, "a traffic selector of a wrong length");
    // Only OPAQUE runs backwards (RFC 7296 3.13.1).
    if (selector.ports.first > selector.ports.last && !selector.ports.opaque())
        return malformed(PayloadType::none, "ports that end before they begin");
    if (selector.addresses.last < selector.addresses.first) return malformed(PayloadType::none, "addresses that end before they begin");
    return selector;
}

/// Takes one from the front. The text says what is wrong; empty: nothing.
std::string_view take_selector(Reader& reader, TrafficSelectors& to) {
    const std::uint8_t type = reader.take8(), protocol = reader.take8();
    const std::uint16_t length = reader.take16();
    if (reader.short_of()) return "a traffic selector cut off";
    if (length < 4) return "a traffic selector of a wrong length";
    const Octets octets = reader.take(length - 4U);
    if (reader.short_of()) return "a length beyond the end";
    if (type != format::ipv4_addr_range && type != format::ipv6_addr_range) {
        ++to.unknown;
        return {};
    }
    const Parsed<TrafficSelector> selector = read_selector(protocol, octets, type == format::ipv4_addr_range ? Family::ipv4 : Family::ipv6);
    if (!selector) return selector.error().what;
    to.known.push_back(*selector);
    return {};
}

/// RFC 7296 3.11: none for the IKE SA, which is that of the message; four octets for ESP and AH.
bool fits(ProtocolId protocol, std::uint8_t spi_size, std::uint16_t count) {
    if (protocol == ProtocolId::ike) return spi_size == 0 && count == 0;
    if (protocol == ProtocolId::ah || protocol == ProtocolId::esp) return spi_size == 4;
    return spi_size != 0 || count == 0;
}

/// What is wrong with what was read, which is put in its place otherwise.
template <class T, class Place>
std::string_view put(Parsed<T> parsed, Place& place) {
    if (!parsed) return parsed.error().what;
    place = *std::move(parsed);
    return {};
}

template <class T>
std::string_view add(Parsed<T> parsed, std::vector<T>& places) {
    if (!parsed) return parsed.error().what;
    places.push_back(*std::move(parsed));
    return {};
}

void keep(const Payload& payload, Contents& contents) {
    if (recognised(payload.type) || !payload.critical)
        contents.others.push_back(payload);
    else if (!contents.unsupported)
        contents.unsupported = static_cast<std::uint8_t>(payload.type);
}

std::string_view read(const Payload& payload, Contents& to) {
    switch (payload.type) {
    case PayloadType::security_association: return put(parse_sa(payload.body), to.sa);
    case PayloadType::key_exchange: return put(parse_ke(payload.body), to.ke);
    case PayloadType::identification_initiator: return put(parse_id(payload.body), to.idi);
    case PayloadType::identification_responder: return put(parse_id(payload.body), to.idr);
    case PayloadType::certificate: return add(parse_certificate(payload.body), to.certificates);
    case PayloadType::certificate_request: return add(parse_certificate(payload.body), to.certificate_requests);
    case PayloadType::authentication: return put(parse_auth(payload.body), to.auth);
    case PayloadType::nonce: return put(parse_nonce(payload.body), to.nonce);
    case PayloadType::notify: return add(parse_notify(payload.body), to.notifies);
    case PayloadType::delete_payload: return add(parse_delete(payload.body), to.deletes);
    case PayloadType::vendor_id: to.vendor_ids.push_back(payload.body); return {};
    case PayloadType::traffic_selector_initiator: return put(parse_ts(payload.body), to.tsi);
    case PayloadType::traffic_selector_responder: return put(parse_ts(payload.body), to.tsr);
    case PayloadType::encrypted:
    case PayloadType::encrypted_fragment: return {}; // there is nothing to see before it is opened
    default: keep(payload, to); return {};
    }
}

bool carries_error(const Chain& chain) {
    return std::ranges::any_of(chain.payloads, [](const Payload& payload) {
        if (payload.type != PayloadType::notify) return false;
        const Parsed<Notify> notify = parse_notify(payload.body);
        return notify && is_error(notify->type);
    });
}

Parsed<void> check(const Chain& chain, std::span<const PayloadRule> rules, bool failed) {
    for (const PayloadRule& rule : rules) {
        const auto count = std::ranges::count(chain.payloads, rule.type, &Payload::type);
        if (count > rule.most) return malformed(rule.type, "too many of it");
        if (count < rule.least && !failed) return malformed(rule.type, "none of it");
    }
    return {};
}

} // namespace

std::optional<Header> parse_header(Octets message) {
    if (message.size() < header_size) return std::nullopt;
    const std::uint8_t* at = message.data();
    const std::uint8_t flags = at[19];
    return Header{.spi_i = wire::load64(at),
                  .spi_r = wire::load64(at + 8),
                  .first = static_cast<PayloadType>(at[16]),
                  .version = at[17],
                  .exchange = static_cast<ExchangeType>(at[18]),
                  .initiator = (flags & format::flag_initiator) != 0,
                  .response = (flags & format::flag_response) != 0,
                  .message_id = wire::load32(at + 20),
                  .length = wire::load32(at + 24)};
}

Parsed<Chain> parse_chain(PayloadType first, Octets octets) {
    Chain chain;
    Reader reader(octets);
    for (PayloadType type = first; type != PayloadType::none;) {
        if (chain.payloads.size() == most_payloads) return malformed(type, "too many payloads");
        const auto next = static_cast<PayloadType>(reader.take8());
        const bool critical = (reader.take8() & format::critical_bit) != 0;
        const std::uint16_t length = reader.take16();
        if (reader.short_of()) return malformed(type, "a header cut off");
        if (length < payload_header_size) return malformed(type, "a length below the header's");
        const Octets body = reader.take(length - payload_header_size);
        if (reader.short_of()) return malformed(type, "a length beyond the end");
        chain.payloads.push_back({type, critical, body});
        if (encrypted(type)) { // it ends the chain, and its Next Payload is the first one inside (RFC 7296 3.14)
            chain.inner = next;
            break;
        }
        type = next;
    }
    if (!reader.empty())
        return malformed(chain.payloads.empty() ? PayloadType::none : chain.payloads.back().type, "octets behind the last payload");
    return chain;
}

Parsed<KeyExchange> parse_ke(Octets body) {
    Reader reader(body);
    const std::uint16_t method = reader.take16();
    reader.take(2); // reserved
    if (reader.short_of()) return malformed(PayloadType::key_exchange, "a body too short");
    return KeyExchange{method, reader.rest()};
}

Parsed<Identification> parse_id(Octets body) {
    Reader reader(body);
    const std::uint8_t type = reader.take8();
    reader.take(3); // reserved
    if (reader.short_of()) return malformed(PayloadType::none, "a body too short");
    return Identification{static_cast<IdType>(type), reader.rest(), body};
}

Parsed<Notify> parse_notify(Octets body) {
    Reader reader(body);
    Notify notify;
    notify.protocol = static_cast<ProtocolId>(reader.take8());
    const std::uint8_t spi_size = reader.take8();
    const std::uint16_t type = reader.take16();
    if (reader.short_of()) return malformed(PayloadType::notify, "a body too short");
    notify.type = static_cast<NotifyType>(type);
    notify.spi = reader.take(spi_size);
    if (reader.short_of()) return malformed(PayloadType::notify, "an SPI beyond the end");
    notify.data = reader.rest();
    if (notify.type == NotifyType::cookie && (notify.data.empty() || notify.data.size() > longest_cookie))
        return malformed(PayloadType::notify, "a cookie too short or too long");
    return notify;
}

Parsed<Delete> parse_delete(Octets body) {
    Reader reader(body);
    const auto protocol = static_cast<ProtocolId>(reader.take8());
    const std::uint8_t spi_size = reader.take8();
    const std::uint16_t count = reader.take16();
    if (reader.short_of()) return malformed(PayloadType::delete_payload, "a body too short");
    if (std::size_t{spi_size} * count != reader.rest().size()) return malformed(PayloadType::delete_payload, "a wrong number of SPIs");
    if (!fits(protocol, spi_size, count)) return malformed(PayloadType::delete_payload, "an SPI size that is not the protocol's");
    return Delete{protocol, spi_size, reader.rest()};
}

Parsed<TrafficSelectors> parse_ts(Octets body) {
    Reader reader(body);
    const unsigned count = reader.take8();
    reader.take(3); // reserved
    if (reader.short_of()) return malformed(PayloadType::none, "a body too short");
    if (count == 0) return malformed(PayloadType::none, "no traffic selector");
    TrafficSelectors selectors;
    for (unsigned i = 0; i < count; ++i)
        if (const std::string_view what = take_selector(reader, selectors); !what.empty()) return malformed(PayloadType::none, what);
    if (!reader.empty()) return malformed(PayloadType::none, "octets behind the last traffic selector");
    return selectors;
}

Parsed<Contents> parse_contents(const Chain& chain) {
    Contents contents;
    std::uint64_t seen = 0; // a bit for each type that there may be one of: all of them are below 64
    for (const Payload& payload : chain.payloads) {
        if (single(payload.type)) {
            const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(payload.type);
            if ((seen & bit) != 0) return malformed(payload.type, "two of it");
            seen |= bit;
        }
        if (const std::string_view what = read(payload, contents); !what.empty()) return malformed(payload.type, what);
    }
    return contents;
}

Parsed<void> check(const Chain& chain, std::span<const PayloadRule> rules) { return check(chain, rules, false); }

Parsed<void> check_response(const Chain& chain, std::span<const PayloadRule> rules) { return check(chain, rules, carries_error(chain)); }

const Notify* Contents::find(NotifyType type) const {
    const auto found = std::ranges::find(notifies, type, &Notify::type);
    return found == notifies.end() ? nullptr : &*found;
}

const Notify* Contents::first_error() const {
    const auto found = std::ranges::find_if(notifies, is_error, &Notify::type);
    return found == notifies.end() ? nullptr : &*found;
}

const Payload* Contents::find_other(PayloadType type) const {
    const auto found = std::ranges::find(others, type, &Payload::type);
    return found == others.end() ? nullptr : &*found;
}

} // namespace sallyport::ike
