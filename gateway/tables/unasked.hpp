// SPDX-License-Identifier: Apache-2.0
// What outbound SAs send without being asked to, and how often: dummy packets (RFC 4303 2.6) and NAT keepalives (RFC 3948 4).
#pragma once

#include "gateway/mode/dummies.hpp"
#include "gateway/mode/keepalives.hpp"

#include <vector>

namespace sallyport::tables {

/// Published as a whole; each worker picks those whose owner it is.
struct Unasked {
    std::vector<mode::DummyRate> dummies;
    std::vector<mode::Silence> keepalives;
};

} // namespace sallyport::tables
