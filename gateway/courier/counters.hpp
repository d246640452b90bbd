// SPDX-License-Identifier: Apache-2.0
// What the courier counts, besides the frames that it drops with a reason.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sallyport::courier {

enum class Line : std::uint8_t {
    known, // messages with an SPI that sallyport-ike has told
    first, // all others
};
inline constexpr std::size_t line_count = 2;

/// Why a record of sallyport-ike did not go out.
enum class Refused : std::uint8_t { malformed, source, rate, no_chunk, full };
struct RefusedInfo {
    Refused why;
    std::string_view name, meaning;
};
inline constexpr std::array refused_reasons{
    RefusedInfo{Refused::malformed, "ike_refused_malformed", "messages of sallyport-ike that cannot be read, or are longer than a packet"},
    RefusedInfo{Refused::source, "ike_refused_source", "messages of sallyport-ike from an address or port that is not ours"},
    RefusedInfo{Refused::rate, "ike_refused_rate", "messages of sallyport-ike that were too many in a second"},
    RefusedInfo{Refused::no_chunk, "ike_refused_no_chunk", "messages of sallyport-ike for which there was no packet memory"},
    RefusedInfo{Refused::full, "ike_refused_full", "messages of sallyport-ike that a worker had no room for"},
};

struct CourierCounters {
    std::array<std::uint64_t, line_count> brought{}; // messages to sallyport-ike, by Line
    std::uint64_t sent = 0;                          // messages from it
    std::array<std::uint64_t, refused_reasons.size()> refused{};
    std::uint64_t turned_away = 0; // processes that are not sallyport-ike's user
};

} // namespace sallyport::courier
