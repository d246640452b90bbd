// SPDX-License-Identifier: Apache-2.0
// Names of the BPF programs in the kernel. They are for processes with CAP_SYS_ADMIN only, so whoever is started with more rights than it
// keeps learns them before it gives those up.
#pragma once

#include <cstdint>
#include <string>

namespace sallyport::xdp {

/// Learns the names of all XDP programs that are loaded now; without CAP_SYS_ADMIN it learns none.
void learn_program_names();

/// The name as the kernel says it now, or as it was learned; empty: unknown.
[[nodiscard]] std::string program_name(std::uint32_t id);

} // namespace sallyport::xdp
