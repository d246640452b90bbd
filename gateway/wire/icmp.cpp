// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/icmp.hpp"

#include "gateway/wire/ah.hpp"
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/esp.hpp"
#include "gateway/wire/octets.hpp"
#include "gateway/wire/udp.hpp"

#include <algorithm>

namespace sallyport::wire {

namespace {

constexpr unsigned largest_ipv4_error = 576, largest_ipv6_error = ipv6_least_mtu; // octets of the whole packet
constexpr std::uint8_t error_hop_limit = 64;
constexpr std::uint8_t internetwork_control = 0xc0; // precedence 6 (RFC 1812 4.3.2.5)

std::uint16_t checksum_of(const Frame& frame) {
    const auto size = static_cast<unsigned>(frame.end - frame.transport);
    const std::uint8_t* message = frame.at(frame.transport);
    return frame.family == 4 ? checksum_raw(message, size)
                             : ipv6_upper_checksum_raw(frame.at(frame.network), protocol_icmpv6, message, size);
}

/// Errors of ICMPv4: unreachable, source quench, redirect, time exceeded, parameter problem (RFC 1122 3.2.2). Of ICMPv6: types below 128
/// (RFC 4443 2.1).
constexpr bool is_error_type(std::uint8_t family, std::uint8_t type) {
    return family == 4 ? type == 3 || type == 4 || type == 5 || type == 11 || type == 12 : type < 128;
}

/// SPI and number of AH or ESP at `at`, of which `there` octets are there; of ESP in UDP too, if it came from our port and the quote shows
/// so much.
void read_ipsec(IcmpError& error, const std::uint8_t* at, unsigned there) {
    const bool ah = error.protocol == protocol_ah;
    const bool in_udp = error.protocol == protocol_udp && there >= udp_size + esp_size && load16(at + source_port_offset) == port_ike_nat &&
                        load32(at + udp_size) != 0;
    if (in_udp) {
        at += udp_size;
        there -= udp_size;
    }
    error.ipsec = (ah && there >= ah_size) || ((error.protocol == protocol_esp || in_udp) && there >= esp_size);
    if (!error.ipsec) return;
    error.spi = load32(at + (ah ? ah_spi : 0));
    error.sequence = load32(at + (ah ? ah_sequence : esp_sequence));
}

bool read_quote4(IcmpError& error, const std::uint8_t* quote, unsigned there) {
    if (there < ipv4_size || quote[0] >> 4 != 4) return false;
    const unsigned header = (quote[0] & 0xfU) * 4U;
    if (header < ipv4_size || header > there) return false;
    error.source = source_of(quote, 4);
    error.destination = destination_of(quote, 4);
    error.protocol = quote[ipv4_protocol];
    if ((load16(quote + ipv4_fragment) & ipv4_offset_mask) == 0) read_ipsec(error, quote + header, there - header);
    return true;
}

bool read_quote6(IcmpError& error, const std::uint8_t* quote, unsigned there) {
    if (there < ipv6_size || quote[0] >> 4 != 6) return false;
    error.source = source_of(quote, 6);
    error.destination = destination_of(quote, 6);
    error.protocol = quote[ipv6_next_header];
    unsigned at = ipv6_size;
    if (error.protocol == protocol_fragment) { // the only extension header that we send
        if (there < ipv6_size + ipv6_fragment_size) return true;
        error.protocol = quote[ipv6_size];
        at += ipv6_fragment_size;
        if ((load16(quote + ipv6_size + 2) & 0xfff8U) != 0) return true; // a later fragment
    }
    read_ipsec(error, quote + at, there - at);
    return true;
}

bool is_group_or_broadcast(const Frame& packet) {
    const std::uint8_t* header = packet.at(packet.network);
    if (packet.family == 6) return header[ipv6_destination] == 0xff;
    return header[ipv4_destination] >= 224; // 224/4, 240/4 and the limited broadcast
}

} // namespace

bool is_icmp_error(const Frame& packet) {
    const bool icmp = packet.protocol == (packet.family == 4 ? protocol_icmp : protocol_icmpv6);
    return icmp && packet.end > packet.transport && is_error_type(packet.family, *packet.at(packet.transport));
}

std::optional<IcmpError> parse_icmp_error(const Frame& frame) {
    const auto size = static_cast<unsigned>(frame.end - frame.transport);
    const std::uint8_t* message = frame.at(frame.transport);
    if (size < icmp_size || !is_error_type(frame.family, message[0]) || checksum_of(frame) != 0) return std::nullopt;
    IcmpError error{.type = message[0], .code = message[1]};
    if (frame.family == 4) {
        error.too_big = error.type == 3 && error.code == 4;
        if (error.too_big) error.mtu = load16(message + icmp_rest + 2);
        if (!read_quote4(error, message + icmp_size, size - icmp_size)) return std::nullopt;
    } else {
        error.too_big = error.type == 2;
        if (error.too_big) error.mtu = load32(message + icmp_rest);
        if (!read_quote6(error, message + icmp_size, size - icmp_size)) return std::nullopt;
    }
    return error;
}

bool may_be_told(const Frame& packet) {
    if (is_group_or_broadcast(packet)) return false;
    const bool fragment = (packet.flags & frame_fragment) != 0;
    if (packet.family == 4) {
        if ((load16(packet.at(packet.network) + ipv4_fragment) & ipv4_offset_mask) != 0) return false;
        if (packet.protocol != protocol_icmp) return true;
        return packet.end > packet.transport && !is_error_type(4, *packet.at(packet.transport));
    }
    if (packet.protocol != protocol_icmpv6) return packet.protocol != protocol_fragment;
    constexpr std::uint8_t redirect = 137; // RFC 4443 2.4 e.2
    if (fragment || packet.end == packet.transport) return false;
    return !is_error_type(6, *packet.at(packet.transport)) && *packet.at(packet.transport) != redirect;
}

void write_icmp_error(Frame& error, const Frame& about, const Address& source, IcmpCause cause, std::uint32_t rest,
                      std::uint16_t identification) {
    const bool ipv4 = about.family == 4;
    const unsigned headers = (ipv4 ? ipv4_size : ipv6_size) + icmp_size;
    const unsigned quoted = std::min(about.network_length(), (ipv4 ? largest_ipv4_error : largest_ipv6_error) - headers);
    const IcmpKind kind = icmp_kind(ipv4 ? Family::ipv4 : Family::ipv6, cause);
    const Address destination = source_of(about.at(about.network), about.family);
    std::uint8_t* header = error.at(error.network);
    std::uint8_t* message = header + headers - icmp_size;
    error.family = about.family;
    error.end = static_cast<std::uint16_t>(error.network + headers + quoted);
    std::fill_n(header, headers, std::uint8_t{0});
    message[0] = kind.type;
    message[1] = kind.code;
    store32(message + icmp_rest, rest);
    std::copy_n(about.at(about.network), quoted, message + icmp_size);
    if (ipv4) {
        header[0] = 0x45;
        header[ipv4_tos] = internetwork_control;
        store16(header + ipv4_total_length, static_cast<std::uint16_t>(headers + quoted));
        store16(header + ipv4_identification, identification);
        header[ipv4_ttl] = error_hop_limit;
        header[ipv4_protocol] = protocol_icmp;
        std::copy_n(source.octets.begin(), 4, header + ipv4_source);
        std::copy_n(destination.octets.begin(), 4, header + ipv4_destination);
        write_ipv4_checksum(header, ipv4_size);
        store_raw(message + icmp_checksum, checksum_raw(message, icmp_size + quoted));
    } else {
        header[0] = 0x60;
        store16(header + ipv6_payload_length, static_cast<std::uint16_t>(icmp_size + quoted));
        header[ipv6_next_header] = protocol_icmpv6;
        header[ipv6_hop_limit] = error_hop_limit;
        std::ranges::copy(source.octets, header + ipv6_source);
        std::ranges::copy(destination.octets, header + ipv6_destination);
        store_raw(message + icmp_checksum, ipv6_upper_checksum_raw(header, protocol_icmpv6, message, icmp_size + quoted));
    }
}

} // namespace sallyport::wire
