// SPDX-License-Identifier: Apache-2.0
// The file of durable marks: up to which number each manual SA may have been used, whatever happens to the machine.
//
//     sallyport-marks 1
//     state running                          or clean: the marks are exact, the gateway was stopped in order
//     units 00112233445566778899aabbccddeeff the memory of counters that went with it
//     outbound 65536 <64 hexadecimal digits> <name of the SA>
//     inbound 4096 <64 hexadecimal digits> <name of the SA>
//     sha256 <64 hexadecimal digits>         of all lines before it
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/sa/sa.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::state {

/// Says which key it is without giving the key away.
using Fingerprint = std::array<std::uint8_t, 32>;

/// HMAC-SHA-256 under the key material of what must not start again from 0 with it. Outbound with an AEAD that is the key itself: whatever
/// the SPI, a nonce must not repeat. Else the SPI counts too: it is authenticated, so another SPI is another series of numbers.
[[nodiscard]] Fingerprint fingerprint_of(const SaSpec& sa);

/// Tells one memory of counters from all others (gateway/state/units.hpp).
using Instance = std::array<std::uint8_t, 16>;

struct MarkRecord {
    Direction direction = Direction::outbound;
    std::uint64_t mark = 0; // no number above it was given (outbound) or accepted (inbound)
    Fingerprint key{};
    std::string name; // of the SA when the record was made; 1 to 255 octets without control characters
};

struct MarksFile {
    bool clean = false;
    Instance units{};
    std::vector<MarkRecord> records; // no two with one key and direction
};

/// Lower-case hexadecimal digits, as in the last line of the files of the state directory.
[[nodiscard]] std::string sha256(std::string_view text);

[[nodiscard]] std::string format_marks(const MarksFile& marks);
/// Takes what format_marks() makes and nothing else: any other octet is an error, its place the line.
[[nodiscard]] Result<MarksFile> parse_marks(std::string_view text);

} // namespace sallyport::state
