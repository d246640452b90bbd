// SPDX-License-Identifier: Apache-2.0
// Messages in fragments (RFC 7383): each a protected message of its own, put together again by its plain text.
#pragma once

#include "ike/engine/counters.hpp"
#include "ike/engine/sa.hpp"

#include <expected>

namespace sallyport::ike {

inline constexpr std::size_t most_fragments = 128;                        // a message
inline constexpr std::size_t longest_fragmented = 65'536;                 // octets of its plain text
inline constexpr std::size_t longest_fragmented_unauthenticated = 49'152; // before IKE_AUTH is done
inline constexpr std::size_t fragment_header_size = 4;                    // octets behind the generic header: number, total

/// One fragment as it came, its header read.
struct Fragment {
    std::uint32_t message_id = 0;
    unsigned number = 0, total = 0; // from 1
    PayloadType inner = PayloadType::none;
    std::uint8_t flags = 0; // of the generic header
};

/// Before it is opened: can it be one of this message? The reason, if not.
[[nodiscard]] std::expected<void, Ignored> judge(const Fragments& fragments, const Fragment& fragment);
/// What was opened is kept. True: now all are there.
[[nodiscard]] std::expected<bool, Ignored> keep(Fragments& fragments, const Fragment& fragment, Octets plain, std::size_t longest);
/// All plain text in order; the fragments are forgotten.
[[nodiscard]] std::vector<std::uint8_t> join(Fragments& fragments);

} // namespace sallyport::ike
