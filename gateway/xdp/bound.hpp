// SPDX-License-Identifier: Apache-2.0
// The second entry point of the port's program (bpf/beside.h): bound to its device, it reads VLAN tags that the driver keeps beside the
// frame. For the sources of this folder only.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/xdp/device.hpp"

#include <cstddef>
#include <string>

struct port_bpf;

namespace sallyport::xdp {

/// Why this device's tags cannot be read by a program bound to it; empty: they can. Changes nothing.
[[nodiscard]] std::string why_not_bound(const Device& device);

/// Loads the second entry instead of the first, its maps lent already. Gives the octets by which the kernel made the program shorter. Fails
/// where it made it longer; the caller destroys the skeleton then, at once.
[[nodiscard]] Result<std::size_t> load_bound(port_bpf& skeleton, const Device& device);

} // namespace sallyport::xdp
