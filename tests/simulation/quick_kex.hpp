// SPDX-License-Identifier: Apache-2.0
// A stand-in for every key exchange method: the right sizes, no security, hardly any time. For tests alone.
#pragma once

#include "ike/engine/connection.hpp"
#include "ike/kex/method.hpp"

namespace sallyport::ike::simulation {

/// As kex::methods(), with the functions of the stand-in.
[[nodiscard]] kex::Methods quick_methods();
/// With them, and with fragments so small that ML-KEM-768 takes two.
[[nodiscard]] Settings quick_settings();

} // namespace sallyport::ike::simulation
