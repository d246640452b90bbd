// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/cutter.hpp"

#include "gateway/exception/inner_fragments.hpp"
#include "gateway/wire/ethernet.hpp"
#include "gateway/wire/fragment.hpp"
#include "gateway/wire/ip.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace sallyport::exception {

namespace {

constexpr unsigned most_pieces = 64;

/// Octets of payload in each fragment but the last, where headers take `header` of the `largest` octets; 0: too little room.
unsigned payload_of_each(std::uint64_t largest, unsigned header, unsigned payload) {
    if (largest < header + 8) return 0;
    const auto each = static_cast<unsigned>(std::min<std::uint64_t>(largest - header, payload)) & ~7U;
    return each != 0 && (payload + each - 1) / each <= most_pieces ? each : 0;
}

/// A later fragment of `packet` in a chunk of its own, everything behind its header of `header` octets copied.
bool make_piece(const Frame& packet, const std::uint8_t* payload, unsigned octets, unsigned header, Frame& piece, Exits& exits) {
    Frame fresh;
    if (!exits.make(fresh)) return false;
    piece = packet;
    piece.chunk = fresh.chunk;
    piece.index = fresh.index;
    piece.flags &= static_cast<std::uint16_t>(~frame_cut);
    piece.begin = frame_headroom;
    piece.network = frame_headroom + wire::ethernet_size;
    piece.transport = static_cast<std::uint16_t>(piece.network + header);
    piece.end = static_cast<std::uint16_t>(piece.transport + octets);
    std::memcpy(piece.at(piece.transport), payload, octets);
    return true;
}

void no_chunk(const Frame& packet, const std::vector<Frame>& pieces, Exits& exits) {
    for (const Frame& piece : pieces) exits.used_up(piece);
    exits.drop(packet, DropReason::no_chunk);
}

void give(const Frame& first, const std::vector<Frame>& pieces, Exits& exits) {
    exits.again(first);
    for (const Frame& piece : pieces) exits.again(piece);
}

} // namespace

void Cutter::take(const Frame& frame, std::uint64_t /*now*/, Exits& exits) {
    if ((frame.flags & (frame_onward | frame_from_red)) == 0) return exits.drop(frame, DropReason::too_big);
    if (frame.network_length() <= frame.sequence) return exits.again(frame);
    frame.family == 4 ? cut_ipv4(frame, exits) : cut_ipv6(frame, exits);
}

void Cutter::cut_ipv4(const Frame& packet, Exits& exits) {
    std::uint8_t* header = packet.at(packet.network);
    const unsigned size = (header[0] & 0xfU) * 4U;
    const unsigned payload = packet.network_length() - size;
    const unsigned each = payload_of_each(packet.sequence, size, payload);
    if (each == 0) return exits.drop(packet, DropReason::too_big);
    const std::uint16_t place = wire::load16(header + wire::ipv4_fragment);
    const unsigned offset = (place & wire::ipv4_offset_mask) * 8U;
    const bool more = (place & wire::ipv4_more_fragments) != 0;
    const bool ours = (packet.flags & frame_cut) != 0 && header[wire::ipv4_protocol] != wire::protocol_ah; // whose ICV covers it
    const std::uint16_t identification = ours ? static_cast<std::uint16_t>(identification_++)
                                              : wire::load16(header + wire::ipv4_identification);
    const bool known = (packet.flags & frame_fragment) == 0;
    const Shown shown = shown_of(packet);

    std::array<std::uint8_t, wire::most_ipv4_header> later{};
    const unsigned later_size = wire::later_ipv4_header(header, later.data());
    std::vector<Frame> pieces;
    for (unsigned at = each; at < payload; at += each) {
        const unsigned octets = std::min(each, payload - at);
        Frame piece;
        if (!make_piece(packet, header + size + at, octets, later_size, piece, exits)) return no_chunk(packet, pieces, exits);
        std::memcpy(piece.at(piece.network), later.data(), later_size);
        wire::finish_ipv4_fragment(piece.at(piece.network), later_size, octets, offset + at, more || at + octets < payload, identification);
        if (known) lend(shown, piece);
        pieces.push_back(piece);
    }
    Frame first = packet;
    first.flags &= static_cast<std::uint16_t>(~frame_cut);
    first.end = static_cast<std::uint16_t>(packet.network + size + each);
    wire::finish_ipv4_fragment(header, size, each, offset, true, identification);
    if (known) first.flags |= frame_gathered;
    give(first, pieces, exits);
}

void Cutter::cut_ipv6(const Frame& packet, Exits& exits) {
    const unsigned size = wire::ipv6_size + wire::ipv6_fragment_size;
    std::uint8_t* header = packet.at(packet.network);
    const unsigned payload = packet.network_length() - wire::ipv6_size;
    const unsigned each = payload_of_each(packet.sequence, size, payload);
    const std::uint8_t next_header = header[wire::ipv6_next_header];
    // Only its source cuts (RFC 8200 4.5), and extension headers of the inner packet before ESP, which would have to be told apart, are
    // rare.
    if (each == 0 || (packet.flags & frame_cut) == 0 || wire::is_extension(next_header)) return exits.drop(packet, DropReason::too_big);
    const std::uint32_t identification = identification_++;
    std::vector<Frame> pieces;
    for (unsigned at = each; at < payload; at += each) {
        const unsigned octets = std::min(each, payload - at);
        Frame piece;
        if (!make_piece(packet, header + wire::ipv6_size + at, octets, size, piece, exits)) return no_chunk(packet, pieces, exits);
        std::memcpy(piece.at(piece.network), header, wire::ipv6_size);
        wire::finish_ipv6_fragment(piece.at(piece.network), next_header, octets, at, at + octets < payload, identification);
        pieces.push_back(piece);
    }
    Frame first = packet;
    first.flags &= static_cast<std::uint16_t>(~frame_cut);
    first.network = static_cast<std::uint16_t>(first.network - wire::ipv6_fragment_size);
    first.end = static_cast<std::uint16_t>(first.network + size + each);
    std::memmove(first.at(first.network), header, wire::ipv6_size);
    wire::finish_ipv6_fragment(first.at(first.network), next_header, each, 0, true, identification);
    give(first, pieces, exits);
}

} // namespace sallyport::exception
