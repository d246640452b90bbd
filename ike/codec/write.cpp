// SPDX-License-Identifier: Apache-2.0
#include "ike/codec/format.hpp"
#include "ike/codec/message.hpp"

namespace sallyport::ike {

namespace {

template <class Enum>
std::uint8_t octet(Enum value) {
    return static_cast<std::uint8_t>(value);
}

std::uint8_t low8(std::size_t value) { return static_cast<std::uint8_t>(value); }
std::uint16_t low16(std::size_t value) { return static_cast<std::uint16_t>(value); }

std::size_t size_of(const Transform& transform) {
    return format::transform_size + (transform.key_length != 0 ? format::attribute_size : 0U);
}

std::size_t size_of(const Proposal& proposal) {
    std::size_t size = format::proposal_size + proposal.spi_size;
    for (const Transform& transform : proposal.transforms) size += size_of(transform);
    return size;
}

} // namespace

void store(const Header& header, std::uint8_t* to) {
    wire::store64(to, header.spi_i);
    wire::store64(to + 8, header.spi_r);
    to[16] = octet(header.first);
    to[17] = header.version;
    to[18] = octet(header.exchange);
    to[19] = static_cast<std::uint8_t>((header.initiator ? format::flag_initiator : 0U) | (header.response ? format::flag_response : 0U));
    wire::store32(to + 20, header.message_id);
    wire::store32(to + 24, header.length);
}

void Writer::begin(PayloadType type, bool critical) {
    if (octets_.empty())
        first_ = type;
    else
        octets_[last_] = octet(type);
    last_ = octets_.size();
    put8(0); // Next Payload, until there is one
    put8(critical ? format::critical_bit : std::uint8_t{0});
    put16(0); // the length, until end()
}

void Writer::end() { wire::store16(&octets_[last_ + 2], low16(octets_.size() - last_)); }

void Writer::put16(std::uint16_t value) {
    put8(static_cast<std::uint8_t>(value >> 8U));
    put8(static_cast<std::uint8_t>(value));
}

void Writer::put32(std::uint32_t value) {
    put16(static_cast<std::uint16_t>(value >> 16U));
    put16(static_cast<std::uint16_t>(value));
}

void Writer::put(const Transform& transform, bool more) {
    put8(more ? format::more_transforms : std::uint8_t{0});
    put8(0);
    put16(low16(size_of(transform)));
    put8(octet(transform.type));
    put8(0);
    put16(transform.id);
    if (transform.key_length == 0) return;
    put16(format::attribute_of_two_octets | attribute_key_length);
    put16(transform.key_length);
}

void Writer::put(const Proposal& proposal, bool more) {
    put8(more ? format::more_proposals : std::uint8_t{0});
    put8(0);
    put16(low16(size_of(proposal)));
    put8(proposal.number);
    put8(octet(proposal.protocol));
    put8(proposal.spi_size);
    put8(low8(proposal.transforms.size()));
    put(proposal.spi_octets());
    for (const Transform& transform : proposal.transforms) put(transform, &transform != &proposal.transforms.back());
}

void Writer::sa(std::span<const Proposal> proposals) {
    begin(PayloadType::security_association);
    for (const Proposal& proposal : proposals) put(proposal, &proposal != &proposals.back());
    end();
}

void Writer::ke(std::uint16_t method, Octets data) {
    begin(PayloadType::key_exchange);
    put16(method);
    put16(0);
    put(data);
    end();
}

void Writer::nonce(Octets data) { raw(PayloadType::nonce, data); }

void Writer::id(PayloadType type, IdType id, Octets data) {
    begin(type);
    put32(std::uint32_t{octet(id)} << 24U);
    put(data);
    end();
}

void Writer::certificate(CertificateEncoding encoding, Octets data) {
    begin(PayloadType::certificate);
    put8(octet(encoding));
    put(data);
    end();
}

void Writer::certificate_request(CertificateEncoding encoding, Octets data) {
    begin(PayloadType::certificate_request);
    put8(octet(encoding));
    put(data);
    end();
}

void Writer::auth(AuthMethod method, Octets data) {
    begin(PayloadType::authentication);
    put32(std::uint32_t{octet(method)} << 24U);
    put(data);
    end();
}

void Writer::notify(NotifyType type, Octets data, ProtocolId protocol, Octets spi) {
    begin(PayloadType::notify);
    put8(octet(protocol));
    put8(low8(spi.size()));
    put16(static_cast<std::uint16_t>(type));
    put(spi);
    put(data);
    end();
}

void Writer::erase(ProtocolId protocol, std::uint8_t spi_size, Octets spis) {
    begin(PayloadType::delete_payload);
    put8(octet(protocol));
    put8(spi_size);
    put16(low16(spi_size == 0 ? 0 : spis.size() / spi_size));
    put(spis);
    end();
}

void Writer::vendor_id(Octets data) { raw(PayloadType::vendor_id, data); }

void Writer::ts(PayloadType type, std::span<const TrafficSelector> selectors) {
    begin(type);
    put32(static_cast<std::uint32_t>(selectors.size()) << 24U);
    for (const TrafficSelector& selector : selectors) {
        const Address &from = selector.addresses.first, &to = selector.addresses.last;
        put8(from.family == Family::ipv4 ? format::ipv4_addr_range : format::ipv6_addr_range);
        put8(selector.protocol);
        put16(low16(format::selector_size + 2U * from.size()));
        put16(selector.ports.first);
        put16(selector.ports.last);
        put(Octets(from.octets).first(from.size()));
        put(Octets(to.octets).first(from.size()));
    }
    end();
}

void Writer::raw(PayloadType type, Octets body, bool critical) {
    begin(type, critical);
    put(body);
    end();
}

void Writer::append(const Writer& other) {
    if (other.empty()) return;
    if (empty())
        first_ = other.first_;
    else
        octets_[last_] = octet(other.first_);
    last_ = octets_.size() + other.last_;
    put(other.octets());
}

std::vector<std::uint8_t> assemble(Header header, const Writer& payloads) {
    std::vector<std::uint8_t> message(header_size);
    message.insert(message.end(), payloads.octets().begin(), payloads.octets().end());
    header.first = payloads.first();
    header.length = static_cast<std::uint32_t>(message.size());
    store(header, message.data());
    return message;
}

} // namespace sallyport::ike
