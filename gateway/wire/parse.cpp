// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/parse.hpp"

#include "gateway/wire/ah.hpp"
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/esp.hpp"
#include "gateway/wire/udp.hpp"

namespace sallyport::wire {

namespace {

/// 0/8, 127/8, 224/4 and 240/4 are no source of a packet that is forwarded (RFC 1812 5.3.7).
bool martian_ipv4(std::uint32_t source) {
    const std::uint32_t net = source >> 24;
    return net == 0 || net == 127 || net >= 224;
}

/// ff00::/8, :: and ::1 (RFC 4291 2.7, 2.5.2, 2.5.3).
bool martian_ipv6(const std::uint8_t* source) {
    return source[0] == 0xff || (load_raw<std::uint64_t>(source) == 0 && load64(source + 8) <= 1);
}

/// Ports, the SPI of ESP or AH, the least length of what follows the IP header. `rest` octets are there from `transport` on.
DropReason parse_transport(Frame& frame, unsigned rest) {
    const std::uint8_t* at = frame.at(frame.transport);
    if (frame.protocol == protocol_esp) {
        if (rest < esp_size) return DropReason::malformed_esp;
        frame.spi = load32(at);
        return DropReason::none;
    }
    if (frame.protocol == protocol_ah) [[unlikely]] {
        if (rest < ah_size) return DropReason::malformed_ah;
        frame.spi = load32(at + ah_spi);
        return DropReason::none;
    }
    if (rest < minimum_transport(frame.protocol)) return DropReason::malformed_transport;
    if (frame.protocol == protocol_udp) {
        const unsigned length = load16(at + udp_length);
        // 0 is a jumbogram's (RFC 2675 4), which no frame of ours holds.
        if (length < udp_size || length > rest) return DropReason::malformed_transport;
    }
    frame.flags |= shown_by(frame.protocol);
    return DropReason::none;
}

DropReason parse_ipv4(Frame& frame) {
    const std::uint8_t* header = frame.at(frame.network);
    const unsigned there = frame.network_length();
    if (there < ipv4_size || header[0] >> 4 != 4) return DropReason::malformed_ip;
    const unsigned header_size = (header[0] & 0x0fU) * 4;
    const unsigned total = load16(header + ipv4_total_length);
    if (header_size < ipv4_size || total < header_size || total > there) return DropReason::malformed_ip;
    if (checksum_raw(header, header_size) != 0) return DropReason::bad_header_checksum;
    if (martian_ipv4(load32(header + ipv4_source))) return DropReason::martian_source;
    frame.end = static_cast<std::uint16_t>(frame.network + total);
    frame.transport = static_cast<std::uint16_t>(frame.network + header_size);
    frame.protocol = header[ipv4_protocol];
    frame.traffic_class = header[ipv4_tos];
    frame.hop_limit = header[ipv4_ttl];
    const std::uint16_t fragment = load16(header + ipv4_fragment);
    if ((fragment & (ipv4_more_fragments | ipv4_offset_mask)) != 0) [[unlikely]] {
        // What a first fragment shows of its ports is not used: all fragments of a packet meet the policy alike.
        frame.flags |= frame_fragment;
        const unsigned offset = (fragment & ipv4_offset_mask) * 8U;
        return offset + (total - header_size) > 65535U - header_size ? DropReason::malformed_ip : DropReason::none;
    }
    return parse_transport(frame, total - header_size);
}

/// Walks the extension headers of frame.protocol on from frame.transport to `end`.
DropReason parse_extensions(Frame& frame, unsigned end) {
    unsigned at = frame.transport;
    for (unsigned headers = 0; is_extension(frame.protocol); ++headers) {
        if (headers == maximum_extension_headers || at + 8 > end) return DropReason::malformed_extension;
        if (frame.protocol == protocol_hop_by_hop && headers != 0) // only right behind the IPv6 header (RFC 8200 4.1)
            return DropReason::malformed_extension;
        const std::uint8_t* header = frame.at(at);
        const unsigned size = extension_size(frame.protocol, header);
        if (at + size > end) return DropReason::malformed_extension;
        const bool fragment = frame.protocol == protocol_fragment;
        frame.protocol = header[0];
        at += size;
        const std::uint16_t place = fragment ? load16(header + 2) : std::uint16_t{0};
        if (fragment && (place & 0xfff9U) != 0) { // offset or M; an atomic fragment is a whole packet (RFC 6946)
            frame.flags |= frame_fragment;
            frame.transport = static_cast<std::uint16_t>(at);
            // A later fragment does not show what follows further extension headers: no policy that names a protocol can be asked.
            if (is_extension(frame.protocol)) frame.protocol = protocol_fragment;
            return (place & 0xfff8U) + (end - at) > 65535U ? DropReason::malformed_ip : DropReason::none;
        }
    }
    frame.transport = static_cast<std::uint16_t>(at);
    return DropReason::none;
}

DropReason parse_ipv6(Frame& frame) {
    const std::uint8_t* header = frame.at(frame.network);
    const unsigned there = frame.network_length();
    if (there < ipv6_size || header[0] >> 4 != 6) return DropReason::malformed_ip;
    const unsigned total = ipv6_size + load16(header + ipv6_payload_length);
    if (total > there) return DropReason::malformed_ip;
    if (martian_ipv6(header + ipv6_source)) return DropReason::martian_source;
    frame.end = static_cast<std::uint16_t>(frame.network + total);
    frame.transport = static_cast<std::uint16_t>(frame.network + ipv6_size);
    frame.protocol = header[ipv6_next_header];
    frame.traffic_class = static_cast<std::uint8_t>(load16(header) >> 4);
    frame.hop_limit = header[ipv6_hop_limit];
    if (is_extension(frame.protocol)) [[unlikely]] {
        const DropReason reason = parse_extensions(frame, frame.end);
        if (reason != DropReason::none || (frame.flags & frame_fragment) != 0) return reason;
    }
    return parse_transport(frame, static_cast<unsigned>(frame.end - frame.transport));
}

/// The EtherType behind at most one tag; sets vlan, network and flags.
DropReason parse_tags(Frame& frame, std::uint16_t& ethertype) {
    unsigned at = frame.begin + ethernet_size;
    for (unsigned tags = 0; ethertype == ethertype_c_tag || ethertype == ethertype_s_tag; ++tags) {
        if (at + tag_size > frame.end || tags == 2) return DropReason::malformed_ethernet;
        if (tags == 0)
            frame.vlan = load16(frame.at(at)) & vlan_id_mask; // 0: a priority tag, not a VLAN (802.1Q 9.6)
        else
            frame.flags |= frame_unclear;
        ethertype = load16(frame.at(at + 2));
        at += tag_size;
    }
    frame.network = static_cast<std::uint16_t>(at);
    return DropReason::none;
}

DropReason parse_frame(Frame& frame) {
    if (frame.length() < ethernet_size) return DropReason::malformed_ethernet;
    std::uint16_t ethertype = load16(frame.data() + ethernet_type_offset);
    frame.network = static_cast<std::uint16_t>(frame.begin + ethernet_size);
    if (ethertype == ethertype_c_tag || ethertype == ethertype_s_tag) [[unlikely]]
        if (const DropReason reason = parse_tags(frame, ethertype); reason != DropReason::none) return reason;
    if (ethertype == ethertype_ipv4) {
        frame.family = 4;
        return parse_ipv4(frame);
    }
    if (ethertype == ethertype_ipv6) {
        frame.family = 6;
        return parse_ipv6(frame);
    }
    return DropReason::not_ip;
}

} // namespace

void parse(Frame& frame) { frame.reason = parse_frame(frame); }

void parse_opened(Frame& frame) {
    frame.flags &= static_cast<std::uint16_t>(~(frame_fragment | frame_ports | frame_type | frame_in_udp));
    const DropReason reason = frame.family == 6 ? parse_ipv6(frame) : parse_ipv4(frame);
    frame.reason = reason == DropReason::none || reason == DropReason::martian_source ? reason : DropReason::malformed_inner;
}

Flow flow_of(const Frame& frame) {
    const std::uint8_t* header = frame.at(frame.network);
    Flow flow;
    flow.source = source_of(header, frame.family);
    flow.destination = destination_of(header, frame.family);
    flow.protocol = frame.protocol;
    flow.ports_known = (frame.flags & (frame_ports | frame_type)) != 0;
    if ((frame.flags & frame_ports) != 0) {
        flow.source_port = load16(frame.at(frame.transport + source_port_offset));
        flow.destination_port = load16(frame.at(frame.transport + destination_port_offset));
    } else if (flow.ports_known) {
        flow.source_port = type_of(frame);
    }
    return flow;
}

} // namespace sallyport::wire
