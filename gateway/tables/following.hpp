// SPDX-License-Identifier: Apache-2.0
// Inbound SAs that are taken from other outer sources than their peer's address too (RFC 7296 2.23). Workers ask for them only where a
// source is another one, and of one packet of a batch that came in UDP.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace sallyport::tables {

/// Published as a whole.
struct Following {
    struct Sa {
        std::uint32_t number = 0; // InboundSa::number
        std::uint16_t port = 0;   // the peer's UDP port as it is installed
    };
    std::vector<Sa> sas; // by number

    /// Null: it does not follow.
    [[nodiscard]] const Sa* find(std::uint32_t number) const {
        const auto at = std::ranges::lower_bound(sas, number, {}, &Sa::number);
        return at != sas.end() && at->number == number ? &*at : nullptr;
    }
};

} // namespace sallyport::tables
