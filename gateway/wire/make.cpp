// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/make.hpp"

#include "gateway/wire/checksum.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/udp.hpp"

#include <algorithm>
#include <cstring>

namespace sallyport::wire {

namespace {

constexpr std::array<std::uint8_t, 6> somebody{2, 0, 0, 0, 0, 0}; // a source MAC that is nobody's (locally administered)

void put_transport(std::uint8_t* to, unsigned length, const Flow& flow, const PacketShape& shape) {
    if (has_ports(flow.protocol) && length >= 4) {
        store16(to + source_port_offset, flow.source_port);
        store16(to + destination_port_offset, flow.destination_port);
    }
    if (flow.protocol == protocol_udp || flow.protocol == protocol_udp_lite) store16(to + udp_length, static_cast<std::uint16_t>(length));
    if (flow.protocol == protocol_tcp) {
        to[12] = 5 << 4; // words of the header (RFC 9293 3.1)
        to[13] = 0x10;   // ACK
    }
    if (flow.protocol == protocol_icmp || flow.protocol == protocol_icmpv6) {
        to[0] = shape.icmp_type;
        to[1] = shape.icmp_code;
    }
}

} // namespace

std::vector<std::uint8_t> make_packet(const Flow& flow, const PacketShape& shape) {
    const bool ipv4 = flow.source.family == Family::ipv4;
    const unsigned header = ipv4 ? ipv4_size : ipv6_size;
    const unsigned length = std::max<unsigned>(header + minimum_transport(flow.protocol), shape.length);
    std::vector<std::uint8_t> packet(length);
    std::uint8_t* ip = packet.data();
    if (ipv4) {
        ip[0] = 0x45;
        store16(ip + ipv4_total_length, static_cast<std::uint16_t>(length));
        store16(ip + ipv4_fragment, shape.dont_fragment ? ipv4_dont_fragment : std::uint16_t{0});
        ip[ipv4_ttl] = shape.hop_limit;
        ip[ipv4_protocol] = flow.protocol;
        std::memcpy(ip + ipv4_source, flow.source.octets.data(), 4);
        std::memcpy(ip + ipv4_destination, flow.destination.octets.data(), 4);
        write_ipv4_checksum(ip, ipv4_size);
    } else {
        ip[0] = 0x60;
        store16(ip + ipv6_payload_length, static_cast<std::uint16_t>(length - ipv6_size));
        ip[ipv6_next_header] = flow.protocol;
        ip[ipv6_hop_limit] = shape.hop_limit;
        std::memcpy(ip + ipv6_source, flow.source.octets.data(), 16);
        std::memcpy(ip + ipv6_destination, flow.destination.octets.data(), 16);
    }
    if (length > header) put_transport(ip + header, length - header, flow, shape);
    return packet;
}

std::vector<std::uint8_t> make_frame(std::span<const std::uint8_t> packet, const std::array<std::uint8_t, 6>& destination,
                                     std::uint16_t vlan) {
    const unsigned header = ethernet_header_size(vlan);
    std::vector<std::uint8_t> frame(header + packet.size());
    const bool ipv6 = !packet.empty() && packet[0] >> 4 == 6;
    (void)write_ethernet(frame.data() + header, destination, somebody, vlan, ipv6 ? ethertype_ipv6 : ethertype_ipv4);
    std::ranges::copy(packet, frame.begin() + header);
    return frame;
}

bool is_packet(std::span<const std::uint8_t> octets) {
    if (octets.size() >= ipv4_size && octets[0] >> 4 == 4)
        return (octets[0] & 15U) >= 5 && load16(octets.data() + ipv4_total_length) == octets.size();
    if (octets.size() >= ipv6_size && octets[0] >> 4 == 6)
        return load16(octets.data() + ipv6_payload_length) + std::size_t{ipv6_size} == octets.size();
    return false;
}

} // namespace sallyport::wire
