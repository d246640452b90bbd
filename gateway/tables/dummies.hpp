// SPDX-License-Identifier: Apache-2.0
// Which outbound SAs send dummy packets (RFC 4303 2.6), and how often.
#pragma once

#include "gateway/transform/transform.hpp"

#include <cstdint>
#include <vector>

namespace sallyport::tables {

struct Dummy {
    const transform::OutboundSa* sa = nullptr;
    std::uint32_t per_second = 0; // at least 1
};

/// Published as a whole; each worker picks those whose owner it is.
struct Dummies {
    std::vector<Dummy> list;
};

} // namespace sallyport::tables
