// SPDX-License-Identifier: Apache-2.0
// An IKE message on its way between the gateway, which has the wire, and sallyport-ike, which has no network: one record of a SEQPACKET
// socket. A header of fixed size, then the message from its IKE header on, without the marker of port 4500 (RFC 7296 2.23).
//
// Integers are in host order, addresses in network order; octets without a meaning are zero. Whoever changes the header raises `layout`.
#pragma once

#include "gateway/sa/address.hpp"
#include "gateway/sa/sa.hpp"

#include <array>
#include <cstdint>
#include <expected>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace sallyport::ike_datagram {

inline constexpr std::uint32_t layout = 1;
inline constexpr std::size_t least_message = 28;    // octets of an IKE header (RFC 7296 3.1)
inline constexpr std::size_t most_message = 65'507; // that a UDP datagram can hold
inline constexpr std::uint16_t no_port = 0xffff;    // of RecordHeader::port: it has not come in by one

enum class Transport : std::uint8_t {
    udp = 1,
    tcp = 2, // RFC 9329, by RecordHeader::connection; nobody sends it today
};

struct RecordHeader {
    std::uint32_t layout;
    std::uint8_t transport;
    std::uint8_t ecn;    // of the IP header it came with, 0 to 3; to be sent: 0
    std::uint8_t family; // 4 or 6
    std::uint8_t zero;
    std::uint16_t vpn;  // outer
    std::uint16_t port; // of the gateway, by its number
    std::uint16_t local_port, remote_port;
    std::uint32_t connection; // of TCP, else 0
    std::uint32_t more_zero;
    std::array<std::uint8_t, 16> local, remote; // an IPv4 address lies in the first four
    std::uint64_t received;                     // ns of CLOCK_BOOTTIME; to be sent: 0
};
static_assert(sizeof(RecordHeader) == 64 && std::has_unique_object_representations_v<RecordHeader>);

/// What a record says. `message` lies in the record.
struct Datagram {
    Address local, remote; // of one family
    std::uint16_t local_port = 0, remote_port = 0;
    VpnNumber vpn = wan_vpn;
    std::uint16_t port = no_port;
    std::uint8_t ecn = 0;
    std::uint64_t received = 0;
    std::span<const std::uint8_t> message;
};

/// Takes any octets. Error: what is wrong, a clause.
[[nodiscard]] std::expected<Datagram, std::string_view> parse(std::span<const std::uint8_t> record);
/// The header that goes before datagram.message.
[[nodiscard]] RecordHeader header_of(const Datagram& datagram);
/// The whole record.
[[nodiscard]] std::vector<std::uint8_t> record_of(const Datagram& datagram);

} // namespace sallyport::ike_datagram
