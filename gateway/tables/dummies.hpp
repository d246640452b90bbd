// SPDX-License-Identifier: Apache-2.0
// Which outbound SAs send dummy packets (RFC 4303 2.6), and how often.
#pragma once

#include "gateway/mode/dummies.hpp"

#include <vector>

namespace sallyport::tables {

/// Published as a whole; each worker picks those whose owner it is.
struct Dummies {
    std::vector<mode::DummyRate> list;
};

} // namespace sallyport::tables
