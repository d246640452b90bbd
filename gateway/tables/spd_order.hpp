// SPDX-License-Identifier: Apache-2.0
// Which connections' policies are overlapped by earlier ones that say something else. Private to tables.
#pragma once

#include "gateway/tables/spd.hpp"

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

namespace sallyport::tables {

struct OfConnection {
    VpnNumber vpn = wan_vpn;
    std::uint32_t connection = 0;
    auto operator<=>(const OfConnection&) const = default;
};

/// Sorted. Policies as for Spd::build(). Only the remote addresses are compared: one too many costs a search, and one too few is not among
/// the possible mistakes.
[[nodiscard]] std::vector<OfConnection> overlapped_connections(std::span<const Policy> policies);

} // namespace sallyport::tables
