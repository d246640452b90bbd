// SPDX-License-Identifier: Apache-2.0
// The process keeps the four capabilities that it needs and can never get another.
#pragma once

#include "gateway/sa/error.hpp"

#include <string>
#include <vector>

namespace sallyport::daemon {

/// CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK that the process lacks, by name.
[[nodiscard]] std::vector<std::string> missing_capabilities();

/// Keeps those four that it has and gives up all others, also for whatever it might execute. Before the first thread is made.
[[nodiscard]] Result<void> drop_capabilities();

} // namespace sallyport::daemon
