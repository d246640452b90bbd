// SPDX-License-Identifier: Apache-2.0
// sallyport-gateway --guard: closes the machine at boot, before its network comes up and before the gateway runs.
#pragma once

#include "mgmt/daemon/daemon.hpp"

namespace sallyport::daemon {

/// Raises the guard's rules from the configuration with which the gateway would start (generations.hpp). None at all: nothing is locked, and
/// the journal says so. None that can be read: nothing is forwarded by any interface. The end of the process.
[[nodiscard]] ExitStatus raise_guard(const Arguments& arguments);

} // namespace sallyport::daemon
