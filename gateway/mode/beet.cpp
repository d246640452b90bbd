// SPDX-License-Identifier: Apache-2.0
#include "gateway/mode/beet.hpp"

#include <optional>

namespace sallyport::mode {
namespace {

/// What the outer header lends to the inner one.
struct Hint {
    std::uint8_t traffic_class, hop_limit;
    std::uint16_t identification = 0, fragment = wire::ipv4_dont_fragment; // IPv6 outside: nothing can be cut that has no identification
    std::uint32_t flow_label = 0;
};

Hint hint_of(const Frame& frame) {
    const std::uint8_t* outer = frame.at(frame.network);
    if (frame.family == 6)
        return {.traffic_class = static_cast<std::uint8_t>(wire::load16(outer) >> 4),
                .hop_limit = outer[wire::ipv6_hop_limit],
                .flow_label = wire::load32(outer) & 0xfffffU};
    return {.traffic_class = outer[wire::ipv4_tos],
            .hop_limit = outer[wire::ipv4_ttl],
            .identification = wire::load16(outer + wire::ipv4_identification),
            .fragment = static_cast<std::uint16_t>(wire::load16(outer + wire::ipv4_fragment) & wire::ipv4_dont_fragment)};
}

struct Options {
    unsigned begin = 0, size = 0; // octets
    std::uint8_t next_header = 0;
};

std::optional<Options> options_of(const Frame& frame, unsigned begin, unsigned end, std::uint8_t next_header) {
    if (next_header != protocol_beet) return Options{begin, 0, next_header};
    if (end - begin < 8) return std::nullopt;
    const std::uint8_t* pseudo = frame.at(begin);
    const unsigned padding = pseudo[2];
    if (padding != 0 && padding != 4) return std::nullopt;
    const unsigned size = pseudo[1] * 8U + 4 - padding;
    if (size > most_ipv4_options || beet_pseudo_size + padding + size > end - begin) return std::nullopt;
    return Options{begin + beet_pseudo_size + padding, size, pseudo[0]};
}

} // namespace

bool give_header(Frame& frame, unsigned begin, unsigned end, std::uint8_t next_header, const Address& source, const Address& destination) {
    const Hint hint = hint_of(frame);
    const bool ipv4 = source.family == Family::ipv4;
    if (!ipv4 && next_header == protocol_beet) return false;
    const auto options = options_of(frame, begin, end, next_header);
    if (!options) return false;
    const unsigned size = ipv4 ? wire::ipv4_size : wire::ipv6_size;
    frame.family = ipv4 ? 4 : 6;
    frame.network = static_cast<std::uint16_t>(options->begin - size);
    frame.end = static_cast<std::uint16_t>(end);
    std::uint8_t* header = frame.at(frame.network);
    std::memset(header, 0, size);
    if (ipv4) {
        header[0] = static_cast<std::uint8_t>(0x40U | (size + options->size) / 4);
        header[wire::ipv4_tos] = hint.traffic_class;
        wire::store16(header + wire::ipv4_total_length, static_cast<std::uint16_t>(frame.network_length()));
        wire::store16(header + wire::ipv4_identification, hint.identification);
        wire::store16(header + wire::ipv4_fragment, hint.fragment);
        header[wire::ipv4_ttl] = hint.hop_limit;
        header[wire::ipv4_protocol] = options->next_header;
        std::memcpy(header + wire::ipv4_source, source.octets.data(), 4);
        std::memcpy(header + wire::ipv4_destination, destination.octets.data(), 4);
        wire::write_ipv4_checksum(header, size + options->size);
        return true;
    }
    wire::store32(header, 0x6000'0000U | std::uint32_t{hint.traffic_class} << 20 | hint.flow_label);
    wire::store16(header + wire::ipv6_payload_length, static_cast<std::uint16_t>(frame.network_length() - size));
    header[wire::ipv6_next_header] = options->next_header;
    header[wire::ipv6_hop_limit] = hint.hop_limit;
    std::ranges::copy(source.octets, header + wire::ipv6_source);
    std::ranges::copy(destination.octets, header + wire::ipv6_destination);
    return true;
}

} // namespace sallyport::mode
