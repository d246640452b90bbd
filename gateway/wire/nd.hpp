// SPDX-License-Identifier: Apache-2.0
// Neighbour solicitation and advertisement (RFC 4861 4.3, 4.4) in their IPv6 packets:
//     type 1 | code 1 = 0 | checksum 2 | flags R S O 3 bits, reserved 29 bits | target 16 | options [ type 1 | length 1 in units of 8 | ...
//     ]*
#pragma once

#include "gateway/sa/address.hpp"

#include <array>
#include <cstdint>
#include <optional>

namespace sallyport::wire {

inline constexpr std::uint8_t nd_solicitation = 135, nd_advertisement = 136;
inline constexpr std::uint8_t nd_router = 0x80, nd_solicited = 0x40, nd_override = 0x20;

struct NeighbourMessage {
    std::uint8_t type = nd_solicitation;
    std::uint8_t flags = 0; // of an advertisement
    Address source, destination;
    Address target;
    std::optional<std::array<std::uint8_t, 6>>
        mac; // source link-layer option of a solicitation, target link-layer option of an advertisement
};

/// Of an IPv6 packet of `size` octets without extension headers; nothing: it is another, or breaks a rule of RFC 4861 7.1.1 or 7.1.2 (hop
/// limit 255, checksum, code 0, lengths, target no multicast, what goes with an unspecified source).
[[nodiscard]] std::optional<NeighbourMessage> read_neighbour_message(const std::uint8_t* packet, unsigned size);

inline constexpr unsigned neighbour_message_size = 40 + 24 + 8; // with the link-layer option

/// The whole IPv6 packet, neighbour_message_size octets; `mac` must be there.
void write_neighbour_message(std::uint8_t* to, const NeighbourMessage& message);

/// Checksum of an ICMPv6 message of `size` octets behind its IPv6 header, as it lies in memory; 0: the one in it is right (RFC 4443 2.3).
[[nodiscard]] std::uint16_t icmpv6_checksum(const std::uint8_t* header, const std::uint8_t* message, unsigned size);

/// ff02::1:ffXX:XXXX (RFC 4291 2.7.1).
[[nodiscard]] Address solicited_node(const Address& address);
/// 33:33 and the last four octets (RFC 2464 7).
[[nodiscard]] std::array<std::uint8_t, 6> multicast_mac(const Address& group);

} // namespace sallyport::wire
