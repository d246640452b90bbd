// SPDX-License-Identifier: Apache-2.0
// The SA payload: proposals of transforms of attributes (RFC 7296 3.3), each with a length of its own.
#include "ike/codec/format.hpp"
#include "ike/codec/message.hpp"

#include <algorithm>

namespace sallyport::ike {

namespace {

std::unexpected<Malformed> malformed(std::string_view what) { return std::unexpected(Malformed{PayloadType::security_association, what}); }

/// Takes a proposal or a transform from the front, which begin alike, and gives what is behind its length. `more`: its Last Substruc
/// where another one follows. The lengths are believed; a Last Substruc that says otherwise is not.
Parsed<Octets> take_substructure(Reader& reader, std::uint8_t more) {
    const std::uint8_t last = reader.take8();
    reader.take8(); // reserved
    const std::uint16_t length = reader.take16();
    if (reader.short_of()) return malformed("a substructure cut off");
    if (length < 4) return malformed("a substructure shorter than its header");
    const Octets body = reader.take(length - 4U);
    if (reader.short_of()) return malformed("a length beyond the end");
    if (last != (reader.empty() ? std::uint8_t{0} : more)) return malformed("a wrong Last Substruc");
    return body;
}

/// The text says what is wrong; empty: nothing. An attribute that nobody knows makes the transform useless, and so does a Key Length that
/// says nothing or is there twice.
std::string_view read_attributes(Octets octets, Transform& transform) {
    Reader reader(octets);
    while (!reader.empty()) {
        const std::uint16_t type = reader.take16();
        const std::uint16_t value = reader.take16(); // or the length of it
        if (reader.short_of()) return "an attribute cut off";
        const bool short_form = (type & format::attribute_of_two_octets) != 0;
        if (!short_form) reader.take(value);
        if (reader.short_of()) return "a length beyond the end";
        const bool key_length = (type & ~format::attribute_of_two_octets) == attribute_key_length;
        if (key_length && !short_form) return "a Key Length with a length"; // RFC 7296 3.3.5: never
        if (key_length && value != 0 && transform.key_length == 0)
            transform.key_length = value;
        else
            transform.usable = false;
    }
    return {};
}

Parsed<Transform> take_transform(Reader& reader) {
    const Parsed<Octets> body = take_substructure(reader, format::more_transforms);
    if (!body) return std::unexpected(body.error());
    Reader fields(*body);
    const std::uint8_t type = fields.take8();
    fields.take8(); // reserved
    const std::uint16_t id = fields.take16();
    if (fields.short_of()) return malformed("a substructure shorter than its header");
    Transform transform{.type = static_cast<TransformType>(type), .id = id};
    if (const std::string_view what = read_attributes(fields.rest(), transform); !what.empty()) return malformed(what);
    return transform;
}

/// The SPI of an IKE SA is not 0 (RFC 7296 3.1), and 0 to 255 are of no SA of ESP or AH (RFC 4303 2.1).
bool reserved_spi(const Proposal& proposal) {
    if (proposal.protocol == ProtocolId::ike && proposal.spi_size == 8) return wire::load64(proposal.spi.data()) == 0;
    const bool ipsec = proposal.protocol == ProtocolId::ah || proposal.protocol == ProtocolId::esp;
    return ipsec && proposal.spi_size == 4 && wire::load32(proposal.spi.data()) < 256;
}

/// Takes `count` transforms, which have to be all that there is.
std::string_view read_transforms(Octets octets, unsigned count, Proposal& proposal) {
    if (count > most_transforms) return "too many transforms";
    Reader reader(octets);
    while (!reader.empty()) {
        if (proposal.transforms.size() == count) return "a wrong number of transforms";
        const Parsed<Transform> transform = take_transform(reader);
        if (!transform) return transform.error().what;
        proposal.transforms.push_back(*transform);
    }
    return proposal.transforms.size() == count ? std::string_view() : "a wrong number of transforms";
}

Parsed<Proposal> take_proposal(Reader& reader) {
    const Parsed<Octets> body = take_substructure(reader, format::more_proposals);
    if (!body) return std::unexpected(body.error());
    Reader fields(*body);
    Proposal proposal;
    proposal.number = fields.take8();
    proposal.protocol = static_cast<ProtocolId>(fields.take8());
    proposal.spi_size = fields.take8();
    const unsigned count = fields.take8();
    if (fields.short_of()) return malformed("a substructure shorter than its header");
    if (proposal.spi_size != 0 && proposal.spi_size != 4 && proposal.spi_size != 8) return malformed("an SPI size other than 0, 4 and 8");
    std::ranges::copy(fields.take(proposal.spi_size), proposal.spi.begin());
    if (fields.short_of()) return malformed("an SPI beyond the end");
    if (reserved_spi(proposal)) return malformed("a reserved SPI");
    if (const std::string_view what = read_transforms(fields.rest(), count, proposal); !what.empty()) return malformed(what);
    return proposal;
}

/// 1, 2, 3 (RFC 7296 3.3.1); the one in an answer has the number that it had in the request.
bool numbered(std::span<const Proposal> proposals) {
    if (proposals.size() == 1) return proposals[0].number != 0;
    for (std::size_t i = 0; i < proposals.size(); ++i)
        if (proposals[i].number != i + 1) return false;
    return true;
}

} // namespace

Parsed<std::vector<Proposal>> parse_sa(Octets body) {
    if (body.empty()) return malformed("no proposal");
    std::vector<Proposal> proposals;
    std::size_t transforms = 0;
    Reader reader(body);
    while (!reader.empty()) {
        if (proposals.size() == most_proposals) return malformed("too many proposals");
        Parsed<Proposal> proposal = take_proposal(reader);
        if (!proposal) return std::unexpected(proposal.error());
        transforms += proposal->transforms.size();
        if (transforms > most_transforms_all) return malformed("too many transforms");
        proposals.push_back(*std::move(proposal));
    }
    if (!numbered(proposals)) return malformed("a wrong proposal number");
    return proposals;
}

} // namespace sallyport::ike
