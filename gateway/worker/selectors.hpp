// SPDX-License-Identifier: Apache-2.0
// Does an opened packet belong to its SA (RFC 4301 5.2 step 4)? The same as matches() of gateway/sa, on the octets of the frame.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/selector.hpp"
#include "gateway/transform/transform.hpp"

#include <cstdint>
#include <span>

namespace sallyport::worker {

/// none, selector_mismatch, or fragment_inner: a fragment whose selector names what a fragment does not show. The frame has been parsed.
[[nodiscard]] DropReason check_selectors(std::span<const Selector> selectors, const Frame& frame);

} // namespace sallyport::worker
