// SPDX-License-Identifier: Apache-2.0
// Bits and numbers of the formats of RFC 7296 3 that reading and writing share, and nobody else needs.
#pragma once

#include <cstdint>

namespace sallyport::ike::format {

// RFC 7296 3.1. V, of a sender that could speak a later version, and the reserved bits are ignored.
inline constexpr std::uint8_t flag_initiator = 0x08, flag_response = 0x20;
inline constexpr std::uint8_t critical_bit = 0x80;               // RFC 7296 3.2
inline constexpr std::uint8_t more_proposals = 2;                // Last Substruc where another one follows, 0 in the last (RFC 7296 3.3.1)
inline constexpr std::uint8_t more_transforms = 3;               // likewise (RFC 7296 3.3.2)
inline constexpr std::uint16_t attribute_of_two_octets = 0x8000; // AF: type and value, no length (RFC 7296 3.3.5)
inline constexpr std::uint8_t ipv4_addr_range = 7, ipv6_addr_range = 8; // TS types (RFC 7296 3.13.1)

// Octets before what is of any length.
inline constexpr unsigned proposal_size = 8, transform_size = 8, attribute_size = 4, selector_size = 8;

} // namespace sallyport::ike::format
