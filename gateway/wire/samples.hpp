// SPDX-License-Identifier: Apache-2.0
// Packets for tests, built octet by octet from the formats. Not linked into any program.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/ethernet.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/udp.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace sallyport::wire::samples {

using Octets = std::vector<std::uint8_t>;

inline void append(Octets& to, const Octets& more) { to.insert(to.end(), more.begin(), more.end()); }

inline Octets payload(std::size_t size) {
    Octets octets(size);
    for (std::size_t i = 0; i < size; ++i) octets[i] = static_cast<std::uint8_t>(i * 7 + 1);
    return octets;
}

inline Octets udp(std::uint16_t source, std::uint16_t destination, const Octets& data) {
    Octets octets(udp_size);
    store16(octets.data(), source);
    store16(octets.data() + 2, destination);
    store16(octets.data() + 4, static_cast<std::uint16_t>(udp_size + data.size()));
    append(octets, data);
    return octets;
}

/// `fragment`: flags and offset as on the wire.
inline Octets ipv4(std::string_view source, std::string_view destination, std::uint8_t protocol, const Octets& data, std::uint8_t ttl = 64,
                   std::uint16_t fragment = 0, const Octets& options = {}) {
    Octets octets(ipv4_size);
    append(octets, options);
    const unsigned header = static_cast<unsigned>(octets.size());
    octets[0] = static_cast<std::uint8_t>(0x40 | header / 4);
    store16(&octets[ipv4_total_length], static_cast<std::uint16_t>(header + data.size()));
    store16(&octets[ipv4_fragment], fragment);
    octets[ipv4_ttl] = ttl;
    octets[ipv4_protocol] = protocol;
    std::memcpy(&octets[ipv4_source], parse_address(source)->octets.data(), 4);
    std::memcpy(&octets[ipv4_destination], parse_address(destination)->octets.data(), 4);
    write_ipv4_checksum(octets.data(), header);
    append(octets, data);
    return octets;
}

inline Octets ipv6(std::string_view source, std::string_view destination, std::uint8_t next_header, const Octets& data,
                   std::uint8_t hop_limit = 64) {
    Octets octets(ipv6_size);
    octets[0] = 0x60;
    store16(&octets[ipv6_payload_length], static_cast<std::uint16_t>(data.size()));
    octets[ipv6_next_header] = next_header;
    octets[ipv6_hop_limit] = hop_limit;
    std::memcpy(&octets[ipv6_source], parse_address(source)->octets.data(), 16);
    std::memcpy(&octets[ipv6_destination], parse_address(destination)->octets.data(), 16);
    append(octets, data);
    return octets;
}

/// An IPv6 extension header of 8 * (1 + more) octets.
inline Octets extension(std::uint8_t next_header, std::uint8_t more = 0) {
    Octets octets(8 * (1 + std::size_t{more}));
    octets[0] = next_header;
    octets[1] = more;
    return octets;
}

/// `place`: offset and M as on the wire.
inline Octets fragment_header(std::uint8_t next_header, std::uint16_t place) {
    Octets octets(ipv6_fragment_size);
    octets[0] = next_header;
    store16(&octets[2], place);
    return octets;
}

inline Octets tagged(const Octets& packet, const std::vector<std::uint16_t>& tags) {
    Octets octets{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    for (const std::uint16_t tag : tags) append(octets, {0x81, 0, static_cast<std::uint8_t>(tag >> 8), static_cast<std::uint8_t>(tag)});
    const bool six = !packet.empty() && packet[0] >> 4 == 6;
    append(octets, six ? Octets{0x86, 0xdd} : Octets{8, 0});
    append(octets, packet);
    return octets;
}

inline Octets ethernet(const Octets& packet) { return tagged(packet, {}); }

inline Octets operator+(Octets left, const Octets& right) {
    append(left, right);
    return left;
}

} // namespace sallyport::wire::samples
