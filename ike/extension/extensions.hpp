// SPDX-License-Identifier: Apache-2.0
// Every extension of this program, in the order in which they take part.
#pragma once

#include "ike/engine/exchange.hpp"

#include <array>

namespace sallyport::ike::extension {

extern const Extension nat_detection;
extern const Extension fragmentation;
extern const Extension childless;
extern const Extension intermediate;
extern const Extension additional_key_exchange;

inline constexpr std::array<const Extension*, 5> extensions{&nat_detection, &fragmentation, &childless, &intermediate,
                                                            &additional_key_exchange};

} // namespace sallyport::ike::extension
