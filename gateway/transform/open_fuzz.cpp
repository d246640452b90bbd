// SPDX-License-Identifier: Apache-2.0
// Opening of hostile packets with ESP or AH. Octet 0: row of the registry; octet 1: ESN, raw or sealed, inner and outer family, options
// before the header of IPsec, outer ECN; then what lies behind the outer IP header as it came from the wire, or what the harness seals
// properly with the SA's key, so that only what is inside is wrong: for ESP a plain text, for AH its Next Header and what comes behind it.
#include "gateway/transform/testing.hpp"
#include "gateway/wire/ah.hpp"
#include "gateway/wire/parse.hpp"

#include <cstdio>

namespace {

using namespace sallyport;
using transform::testing::OwnedFrame;
using transform::testing::Pair;
using Octets = std::vector<std::uint8_t>;

constexpr std::uint64_t highest = 0x5'0000'0008ULL;

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

/// What an opened frame promises to the stages behind.
void check_opened(const OwnedFrame& owned, unsigned end) {
    const Frame& frame = owned.frame;
    require(frame.network >= head_room && frame.end <= end, "the inner packet lies outside of what was opened");
    require(frame.family == 4 || frame.family == 6, "no family");
    const std::uint8_t* header = frame.at(frame.network);
    require(header[0] >> 4 == frame.family, "the version is not the family");
    const unsigned length = frame.network_length();
    require(length >= (frame.family == 4 ? wire::ipv4_size : wire::ipv6_size), "shorter than its header");
    require(length == (frame.family == 4 ? wire::load16(header + wire::ipv4_total_length)
                                         : wire::ipv6_size + wire::load16(header + wire::ipv6_payload_length)),
            "not cut to its own length");
}

/// The outer packet around what came.
Octets outer_packet(const SaSpec& spec, bool options, const Octets& content) {
    const std::uint8_t protocol = spec.protocol == SaProtocol::ah ? wire::protocol_ah : wire::protocol_esp;
    const bool ipv4 = spec.outer_local.family == Family::ipv4;
    Octets packet(ipv4 ? wire::ipv4_size : wire::ipv6_size, 0);
    const Octets before = ipv4 ? Octets{148, 4, 0, 0, 1, 1, 1, 1} : Octets{protocol, 0, 1, 4, 0, 0, 0, 0}; // Router Alert and NOPs; PadN
    if (options) packet.insert(packet.end(), before.begin(), before.end());
    const auto size = static_cast<unsigned>(packet.size());
    packet.insert(packet.end(), content.begin(), content.end());
    std::uint8_t* header = packet.data();
    if (ipv4) {
        header[0] = static_cast<std::uint8_t>(0x40 | size / 4);
        wire::store16(header + wire::ipv4_total_length, static_cast<std::uint16_t>(packet.size()));
        header[wire::ipv4_ttl] = 64;
        header[wire::ipv4_protocol] = protocol;
        std::copy_n(spec.outer_remote.octets.begin(), 4, header + wire::ipv4_source);
        std::copy_n(spec.outer_local.octets.begin(), 4, header + wire::ipv4_destination);
        wire::write_ipv4_checksum(header, size);
        return packet;
    }
    header[0] = 0x60;
    wire::store16(header + wire::ipv6_payload_length, static_cast<std::uint16_t>(packet.size() - wire::ipv6_size));
    header[wire::ipv6_next_header] = options ? wire::protocol_hop_by_hop : protocol;
    header[wire::ipv6_hop_limit] = 64;
    std::ranges::copy(spec.outer_remote.octets, header + wire::ipv6_source);
    std::ranges::copy(spec.outer_local.octets, header + wire::ipv6_destination);
    return packet;
}

/// An AH as it stands before its ICV, and what comes behind it.
Octets with_ah(const SaSpec& spec, std::uint8_t family, const Octets& given, std::uint64_t number) {
    const AlgorithmInfo& algorithm = info(spec.algorithm);
    Octets content(wire::ah_length(family, algorithm.iv + algorithm.icv), 0);
    content[wire::ah_next_header] = given.empty() ? std::uint8_t{0} : given.front();
    content[wire::ah_payload_length] = static_cast<std::uint8_t>(content.size() / 4 - 2);
    wire::store32(content.data() + wire::ah_spi, spec.spi);
    wire::store32(content.data() + wire::ah_sequence, static_cast<std::uint32_t>(number));
    if (!given.empty()) content.insert(content.end(), given.begin() + 1, given.end());
    return content;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2 || size > 1600) return 0;
    const auto row = static_cast<std::uint8_t>(data[0] % transform::row_count);
    SaSpec spec = transform::testing::spec_of_row(row, (data[1] & 16) != 0, (data[1] & 8) != 0);
    spec.sequence = (data[1] & 2) != 0 ? SequenceKind::extended_64 : SequenceKind::short_32;
    const bool ah = spec.protocol == SaProtocol::ah;
    const bool sealed = (data[1] & 4) != 0;
    const std::uint64_t top = spec.sequence == SequenceKind::extended_64 ? highest : highest & 0xffffffffU;
    Pair pair(spec, transform::engine_of(row), top, top);

    Octets content(data + 2, data + size);
    if (sealed && ah) {
        content = with_ah(spec, spec.outer_local.family == Family::ipv4 ? 4 : 6, content, top + 1);
    } else if (sealed) {
        const unsigned block = info(spec.algorithm).block;
        while (content.size() < block || content.size() % block != 0) content.insert(content.begin(), std::uint8_t{0});
        content = pair.seal_raw(content, top + 1);
    }
    Octets packet = outer_packet(spec, (data[1] & 32) != 0, content);
    if (sealed && ah) require(pair.authenticate(packet, static_cast<unsigned>(packet.size() - content.size()), top + 1), "no ICV");
    OwnedFrame owned;
    owned.put_packet(packet, packet[0] >> 4);
    wire::parse_opened(owned.frame);
    if (owned.frame.reason != DropReason::none) return 0; // it never comes so far
    owned.frame.traffic_class = data[1] >> 6;
    const unsigned end = owned.frame.end;
    const DropReason reason = pair.open(owned);
    require(reason == owned.frame.reason, "another reason");
    if (sealed)
        require(reason != DropReason::bad_icv && reason != DropReason::malformed_esp && reason != DropReason::malformed_ah,
                "a properly sealed packet was not authentic");
    else
        require(reason != DropReason::dummy && reason != DropReason::bad_padding, "a forged packet was taken as authentic");
    if (reason == DropReason::none) check_opened(owned, end);
    require(pair.opened.packets == (reason == DropReason::none ? 1U : 0U), "the packet was not counted");
    for (unsigned i = ah ? 4 : 0; i < tail_room; ++i) require(owned.frame.chunk[end + i] == 0xee, "written behind the frame");
    return 0;
}
