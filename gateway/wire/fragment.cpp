// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/fragment.hpp"

#include "gateway/wire/checksum.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/parse.hpp"

#include <cstring>

namespace sallyport::wire {

namespace {

constexpr unsigned fragment_place = 2; // in an IPv6 fragment header
constexpr unsigned fragment_identification = 4;

/// Where the octet lies that says "fragment header" (RFC 8200 4): in the IPv6 header or the extension header before it.
std::uint8_t* before_fragment_header(std::uint8_t* header, unsigned fragment_at) {
    std::uint8_t* says = header + ipv6_next_header;
    for (unsigned at = ipv6_size; at < fragment_at;) {
        says = header + at;
        at += extension_size(protocol_hop_by_hop, says); // all that may come before it have their length in the same place
    }
    return says;
}

void make_whole_ipv6(Frame& frame) {
    const unsigned fragment_at = frame.transport - ipv6_fragment_size - frame.network;
    std::uint8_t* header = frame.at(frame.network);
    *before_fragment_header(header, fragment_at) = header[fragment_at];
    store16(header + ipv6_payload_length, static_cast<std::uint16_t>(frame.network_length() - ipv6_size - ipv6_fragment_size));
    std::memmove(frame.data() + ipv6_fragment_size, frame.data(), fragment_at + (frame.network - frame.begin));
    frame.begin += ipv6_fragment_size;
    frame.network += ipv6_fragment_size;
}

} // namespace

Fragment fragment_of(const Frame& frame) {
    const std::uint8_t* header = frame.at(frame.network);
    Fragment result;
    result.length = static_cast<unsigned>(frame.end - frame.transport);
    if (frame.family == 4) {
        const std::uint16_t place = load16(header + ipv4_fragment);
        result.offset = (place & ipv4_offset_mask) * 8U;
        result.more = (place & ipv4_more_fragments) != 0;
        result.identification = load16(header + ipv4_identification);
        return result;
    }
    const std::uint8_t* fragment = frame.at(frame.transport - ipv6_fragment_size);
    const std::uint16_t place = load16(fragment + fragment_place);
    result.offset = place & 0xfff8U;
    result.more = (place & 1U) != 0;
    result.identification = load32(fragment + fragment_identification);
    return result;
}

DropReason find_first_transport(Frame& frame) {
    if (frame.family == 6) {
        frame.protocol = *frame.at(frame.transport - ipv6_fragment_size);
        for (unsigned headers = 0; is_extension(frame.protocol); ++headers) {
            if (headers == maximum_extension_headers || frame.protocol == protocol_hop_by_hop || frame.protocol == protocol_fragment)
                return DropReason::malformed_extension;
            if (frame.transport + 8 > frame.end) return DropReason::fragment_tiny;
            const std::uint8_t* header = frame.at(frame.transport);
            const unsigned size = extension_size(frame.protocol, header);
            if (frame.transport + size > frame.end) return DropReason::fragment_tiny;
            frame.protocol = header[0];
            frame.transport = static_cast<std::uint16_t>(frame.transport + size);
        }
    }
    if (frame.transport + minimum_transport(frame.protocol) > frame.end) return DropReason::fragment_tiny;
    frame.flags |= shown_by(frame.protocol);
    return DropReason::none;
}

void make_whole(Frame& frame) {
    if (frame.family == 6) return make_whole_ipv6(frame);
    std::uint8_t* header = frame.at(frame.network);
    store16(header + ipv4_total_length, static_cast<std::uint16_t>(frame.network_length()));
    store16(header + ipv4_fragment, load16(header + ipv4_fragment) & ipv4_dont_fragment);
    write_ipv4_checksum(header, (header[0] & 0xfU) * 4U);
}

void set_ecn(std::uint8_t* header, std::uint8_t family, std::uint8_t ecn) {
    const std::uint16_t before = load16(header); // IPv4: version, IHL, TOS. IPv6: version, Traffic Class, 4 bits of the flow label
    const unsigned shift = family == 4 ? 0 : 4;
    const auto after = static_cast<std::uint16_t>((before & ~(3U << shift)) | std::uint32_t{ecn} << shift);
    store16(header, after);
    if (family == 4) store16(header + ipv4_checksum, update_checksum(load16(header + ipv4_checksum), before, after));
}

unsigned later_ipv4_header(const std::uint8_t* header, std::uint8_t* to) {
    constexpr std::uint8_t end_of_options = 0, no_operation = 1, copied = 0x80;
    const unsigned size = (header[0] & 0xfU) * 4U;
    unsigned out = ipv4_size;
    std::memcpy(to, header, ipv4_size);
    for (unsigned at = ipv4_size; at < size && header[at] != end_of_options;) {
        if (header[at] == no_operation) {
            ++at;
            continue;
        }
        const unsigned length = at + 1 < size ? header[at + 1] : 0;
        if (length < 2 || at + length > size) break; // malformed: what is left of it means nothing
        if ((header[at] & copied) != 0) {
            std::memcpy(to + out, header + at, length);
            out += length;
        }
        at += length;
    }
    while (out % 4 != 0) to[out++] = end_of_options;
    to[0] = static_cast<std::uint8_t>(0x40U | out / 4);
    return out;
}

void finish_ipv4_fragment(std::uint8_t* header, unsigned size, unsigned payload, unsigned offset, bool more, std::uint16_t identification) {
    store16(header + ipv4_total_length, static_cast<std::uint16_t>(size + payload));
    store16(header + ipv4_identification, identification);
    store16(header + ipv4_fragment, static_cast<std::uint16_t>(offset / 8 | (more ? ipv4_more_fragments : 0U)));
    write_ipv4_checksum(header, size);
}

void finish_ipv6_fragment(std::uint8_t* header, std::uint8_t next_header, unsigned payload, unsigned offset, bool more,
                          std::uint32_t identification) {
    store16(header + ipv6_payload_length, static_cast<std::uint16_t>(ipv6_fragment_size + payload));
    header[ipv6_next_header] = protocol_fragment;
    std::uint8_t* fragment = header + ipv6_size;
    fragment[0] = next_header;
    fragment[1] = 0;
    store16(fragment + fragment_place, static_cast<std::uint16_t>(offset | (more ? 1U : 0U)));
    store32(fragment + fragment_identification, identification);
}

} // namespace sallyport::wire
