// SPDX-License-Identifier: Apache-2.0
#include "gateway/courier/packet.hpp"

#include "gateway/wire/checksum.hpp"
#include "gateway/wire/udp.hpp"

#include <algorithm>
#include <cstring>

namespace sallyport::courier {
namespace {

constexpr unsigned marker_size = 4; // octets
constexpr std::uint8_t hop_limit = 64;
constexpr std::uint8_t flag_initiator = 0x08; // RFC 7296 3.1, octet 19

struct Offsets {
    unsigned header, source, destination, size; // octets; size: of an address
};
constexpr Offsets of_ipv4{wire::ipv4_size, wire::ipv4_source, wire::ipv4_destination, 4};
constexpr Offsets of_ipv6{wire::ipv6_size, wire::ipv6_source, wire::ipv6_destination, 16};

unsigned marker_of(std::uint16_t port) { return port == wire::port_ike ? 0 : marker_size; }

Address address_at(const std::uint8_t* octets, std::uint8_t family) {
    Address address;
    address.family = family == 4 ? Family::ipv4 : Family::ipv6;
    std::memcpy(address.octets.data(), octets, address.size());
    return address;
}

/// The sum over addresses, length, protocol and datagram; the checksum field is zero (RFC 768, RFC 8200 8.1).
std::uint16_t checksum_of(const std::uint8_t* header, const Offsets& offsets, const std::uint8_t* udp, unsigned length) {
    std::uint64_t sum = static_cast<std::uint16_t>(~wire::checksum_raw(header + offsets.source, 2 * offsets.size));
    sum += static_cast<std::uint16_t>(~wire::checksum_raw(udp, length));
    sum += wire::swapped(static_cast<std::uint16_t>(length)) + std::uint64_t{wire::swapped(std::uint16_t{wire::protocol_udp})};
    const auto checksum = static_cast<std::uint16_t>(~wire::fold(sum));
    return checksum != 0 ? checksum : std::uint16_t{0xffff};
}

void write_ipv4(std::uint8_t* header, unsigned total) {
    std::memset(header, 0, wire::ipv4_size);
    header[0] = 0x45;
    wire::store16(header + wire::ipv4_total_length, static_cast<std::uint16_t>(total));
    header[wire::ipv4_ttl] = hop_limit;
    header[wire::ipv4_protocol] = wire::protocol_udp;
}

void write_ipv6(std::uint8_t* header, unsigned total) {
    std::memset(header, 0, wire::ipv6_size);
    header[0] = 0x60;
    wire::store16(header + wire::ipv6_payload_length, static_cast<std::uint16_t>(total - wire::ipv6_size));
    header[wire::ipv6_next_header] = wire::protocol_udp;
    header[wire::ipv6_hop_limit] = hop_limit;
}

/// Packets of one peer go one way (RFC 6438's wish too).
std::uint32_t flow_hash(const ike_datagram::Datagram& datagram) {
    std::uint64_t sum = datagram.remote_port;
    for (const Address* address : {&datagram.local, &datagram.remote})
        for (unsigned i = 0; i < 16; i += 8) sum = (sum + wire::load_raw<std::uint64_t>(address->octets.data() + i)) * 0x9e3779b97f4a7c15U;
    return static_cast<std::uint32_t>(sum >> 32);
}

} // namespace

std::optional<ike_datagram::Datagram> read_packet(const Frame& frame) {
    const Offsets& offsets = frame.family == 4 ? of_ipv4 : of_ipv6;
    const std::uint8_t* header = frame.at(frame.network);
    const std::uint8_t* udp = frame.at(frame.transport);
    const unsigned there = static_cast<unsigned>(frame.end - frame.transport);
    if (there < wire::udp_size) return std::nullopt;
    const unsigned length = wire::load16(udp + wire::udp_length);
    const std::uint16_t local_port = wire::load16(udp + wire::destination_port_offset);
    const unsigned before = wire::udp_size + marker_of(local_port);
    if (length > there || length < before + ike_datagram::least_message) return std::nullopt;
    return ike_datagram::Datagram{.local = address_at(header + offsets.destination, frame.family),
                                  .remote = address_at(header + offsets.source, frame.family),
                                  .local_port = local_port,
                                  .remote_port = wire::load16(udp + wire::source_port_offset),
                                  .vpn = frame.vpn,
                                  .port = frame.port,
                                  .ecn = static_cast<std::uint8_t>(frame.traffic_class & 3U),
                                  .message = {udp + before, length - before}};
}

std::size_t room_for_message(Family family) {
    return chunk_size - frame_headroom - tail_room - wire::udp_size - marker_size -
           (family == Family::ipv4 ? wire::ipv4_size : wire::ipv6_size);
}

void write_packet(Frame& frame, const ike_datagram::Datagram& datagram) {
    const bool ipv4 = datagram.local.family == Family::ipv4;
    const Offsets& offsets = ipv4 ? of_ipv4 : of_ipv6;
    const unsigned marker = marker_of(datagram.local_port);
    const auto length = static_cast<unsigned>(wire::udp_size + marker + datagram.message.size());
    std::uint8_t* header = frame.at(frame_headroom);
    std::uint8_t* udp = header + offsets.header;
    ipv4 ? write_ipv4(header, offsets.header + length) : write_ipv6(header, offsets.header + length);
    std::memcpy(header + offsets.source, datagram.local.octets.data(), offsets.size);
    std::memcpy(header + offsets.destination, datagram.remote.octets.data(), offsets.size);
    if (ipv4) wire::write_ipv4_checksum(header, wire::ipv4_size);
    wire::store16(udp + wire::source_port_offset, datagram.local_port);
    wire::store16(udp + wire::destination_port_offset, datagram.remote_port);
    wire::store16(udp + wire::udp_length, static_cast<std::uint16_t>(length));
    wire::store16(udp + wire::udp_checksum, 0);
    std::memset(udp + wire::udp_size, 0, marker);
    std::memcpy(udp + wire::udp_size + marker, datagram.message.data(), datagram.message.size());
    wire::store_raw(udp + wire::udp_checksum, checksum_of(header, offsets, udp, length));

    frame.begin = frame.network = frame_headroom;
    frame.transport = static_cast<std::uint16_t>(frame_headroom + offsets.header);
    frame.end = static_cast<std::uint16_t>(frame.transport + length);
    frame.family = ipv4 ? 4 : 6;
    frame.protocol = wire::protocol_udp;
    frame.vpn = datagram.vpn;
    frame.spi = flow_hash(datagram);
    frame.flags = frame_ours | frame_onward;
}

std::uint64_t own_spi(std::span<const std::uint8_t> message) {
    // The I flag says that the sender began the IKE SA: then ours is the responder's.
    return wire::load64(message.data() + ((message[19] & flag_initiator) != 0 ? 8 : 0));
}

} // namespace sallyport::courier
