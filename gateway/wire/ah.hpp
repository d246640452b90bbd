// SPDX-License-Identifier: Apache-2.0
// AH (RFC 4302 2): next header 1 | payload length 1 | reserved 2 | SPI 4 | sequence number 4 | ICV, with GMAC behind an IV (RFC 4543 4).
#pragma once

#include <cstdint>

namespace sallyport::wire {

inline constexpr unsigned ah_size = 12; // before the ICV
inline constexpr unsigned ah_next_header = 0;
inline constexpr unsigned ah_payload_length = 1; // of the whole, in words of four octets, less two
inline constexpr unsigned ah_spi = 4;
inline constexpr unsigned ah_sequence = 8; // low half

/// Octets of an AH with `icv` octets behind its fixed part: IPv6 wants a multiple of 8, filled up as little as may be (RFC 4302 3.3.3.2.1).
[[nodiscard]] constexpr unsigned ah_length(std::uint8_t family, unsigned icv) {
    const unsigned unit = family == 4 ? 4 : 8;
    return (ah_size + icv + unit - 1) / unit * unit;
}

inline constexpr unsigned most_before_ah = 256; // octets of an IP header and its extension headers

/// Zeroes in a whole IP header with its options or extension headers, `length` octets up to the AH, what may change on the way (RFC 4302
/// 3.3.3.1, appendix A). False: it cannot be told what to zero: a malformed option, a source route or routing header (RFC 8754 7.5 leaves
/// it open), a fragment header, or too long; then it is unchanged or half done.
[[nodiscard]] bool mute(std::uint8_t* header, unsigned length, std::uint8_t family);

} // namespace sallyport::wire
