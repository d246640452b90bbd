// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace sallyport::ike {

using Time = std::uint64_t; // milliseconds of CLOCK_BOOTTIME, given to the engine from outside

} // namespace sallyport::ike
