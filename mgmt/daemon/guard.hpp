// SPDX-License-Identifier: Apache-2.0
// sallyport-gateway --guard: closes the machine at boot, before its network comes up and before the gateway runs.
#pragma once

#include "mgmt/daemon/daemon.hpp"

#include <string>

namespace sallyport::daemon {

/// Raises the guard's rules from the last good configuration: the one that the gateway committed last, else the file. None at all: nothing
/// is locked, and the journal says so. Only damaged ones: nothing is forwarded by any interface. The end of the process.
[[nodiscard]] ExitStatus raise_guard(const std::string& configuration);

} // namespace sallyport::daemon
