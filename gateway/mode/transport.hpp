// SPDX-License-Identifier: Apache-2.0
// Transport mode (RFC 4303 3.1.1, RFC 4302 3.1.1): the header of IPsec goes behind the packet's own IP header, which stays. Behind a NAT
// the checksums of what was opened are brought in line with the addresses that it now has (RFC 3948 3.1.2, RFC 7296 2.23.1).
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/ip.hpp"

#include <cstdint>
#include <cstring>

namespace sallyport::mode {

/// Where a header of IPsec goes, or lies; offsets into the chunk.
struct Seam {
    unsigned at = 0;          // one behind the part of the IP header that stays in front
    unsigned next_header = 0; // the octet that says what comes at `at`
};

/// In a parsed packet that is no fragment: behind the extension headers that are read on the way, before those for its destination.
[[nodiscard]] inline Seam seam_of(const Frame& frame) {
    if (frame.family == 4) return {frame.network + (frame.at(frame.network)[0] & 0xfU) * 4U, frame.network + wire::ipv4_protocol};
    Seam seam{frame.network + wire::ipv6_size, frame.network + wire::ipv6_next_header};
    std::uint8_t protocol = *frame.at(seam.next_header);
    while (wire::is_extension(protocol) && seam.at < frame.transport) {
        const std::uint8_t* header = frame.at(seam.at);
        if (protocol == wire::protocol_destination_options && header[0] != wire::protocol_routing) break;
        seam.next_header = seam.at;
        seam.at += wire::extension_size(protocol, header);
        protocol = header[0];
    }
    return seam;
}

/// The same where the header of IPsec is there already, at `at`.
[[nodiscard]] inline Seam seam_before(const Frame& frame, unsigned at) {
    if (frame.family == 4) return {at, frame.network + wire::ipv4_protocol};
    Seam seam{frame.network + wire::ipv6_size, frame.network + wire::ipv6_next_header};
    std::uint8_t protocol = *frame.at(seam.next_header);
    while (seam.at < at) {
        seam.next_header = seam.at;
        const unsigned size = wire::extension_size(protocol, frame.at(seam.at));
        if (size == 0) break;
        protocol = *frame.at(seam.at);
        seam.at += size;
    }
    return seam;
}

/// An IP header that has moved says how long its packet is now, `length` octets, and what follows it (`next_header`: offset from it).
inline void mend_header(std::uint8_t* header, std::uint8_t family, unsigned size, unsigned next_header, std::uint8_t protocol,
                        unsigned length) {
    header[next_header] = protocol;
    if (family == 4) {
        wire::store16(header + wire::ipv4_total_length, static_cast<std::uint16_t>(length));
        wire::write_ipv4_checksum(header, size);
    } else {
        wire::store16(header + wire::ipv6_payload_length, static_cast<std::uint16_t>(length - wire::ipv6_size));
    }
}

/// What a checksum that was made over `from` lacks over `to`, as it lies in memory: ones' complement sum of to - from (RFC 1624).
[[nodiscard]] std::uint16_t checksum_shift(const Address& from_local, const Address& from_remote, const Address& to_local,
                                           const Address& to_remote);

/// Brings the checksum of the upper-layer header at `at` (`octets` are there) in line with other addresses. A UDP checksum that is not
/// there stays so; SCTP and ICMP of IPv4 do not look at addresses.
void shift_checksum(std::uint8_t* at, unsigned octets, std::uint8_t protocol, std::uint16_t shift);

/// What lies opened and authentic from `begin` to `end`, offsets, becomes the payload of the IP header before the header of IPsec, which
/// begins at `seam.at`. Sets frame.network and frame.end.
inline void close_seam(Frame& frame, const Seam& seam, unsigned begin, unsigned end, std::uint8_t next_header) {
    const unsigned size = seam.at - frame.network;
    const unsigned place = seam.next_header - frame.network;
    std::memmove(frame.at(begin - size), frame.at(frame.network), size);
    frame.network = static_cast<std::uint16_t>(begin - size);
    frame.end = static_cast<std::uint16_t>(end);
    mend_header(frame.at(frame.network), frame.family, size, place, next_header, frame.network_length());
}

} // namespace sallyport::mode
