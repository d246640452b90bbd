// SPDX-License-Identifier: Apache-2.0
// From what is wanted to the rules of the guard (gateway/guard/rules.hpp).
#pragma once

#include "gateway/guard/rules.hpp"
#include "gateway/route/kernel.hpp"
#include "gateway/sa/desired.hpp"

#include <cstdint>
#include <map>

namespace sallyport::control {

/// Before the gateway has ever run on this boot.
[[nodiscard]] guard::Wall wall_of_boot(const Desired& desired);

/// While the gateway's own locks stand. `links`: the kernel's interfaces, of which the VLAN devices on ports count too.
[[nodiscard]] guard::Wall standing_wall(const Desired& desired, const std::map<std::uint32_t, route::KernelLink>& links);

/// For the guard unit: raises the wall of boot from a configuration, or the blind one where there is none that can be read.
[[nodiscard]] Result<void> raise_wall_of_boot(const Desired* desired);

} // namespace sallyport::control
