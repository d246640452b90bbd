// SPDX-License-Identifier: Apache-2.0
// ESP (RFC 4303 2): SPI 4 | sequence number 4 | IV | payload, padding, pad length 1, next header 1 | ICV.
#pragma once

#include <cstdint>

namespace sallyport::wire {

inline constexpr unsigned esp_size = 8;              // SPI and sequence number
inline constexpr unsigned esp_sequence = 4;          // offset of the sequence number's low half
inline constexpr unsigned esp_trailer_size = 2;      // pad length and next header
inline constexpr std::uint32_t first_free_spi = 256; // 0 is never valid, 1 to 255 are reserved by IANA (RFC 4303 2.1)

} // namespace sallyport::wire
