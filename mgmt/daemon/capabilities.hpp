// SPDX-License-Identifier: Apache-2.0
// The process keeps the four capabilities that it needs and can never get another, and its memory to itself.
#pragma once

#include "gateway/sa/error.hpp"

#include <string>
#include <vector>

namespace sallyport::daemon {

/// CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK that the process lacks, by name.
[[nodiscard]] std::vector<std::string> missing_capabilities();

/// Keeps those four that it has and gives up all others, also for whatever it might execute. Before the first thread is made.
[[nodiscard]] Result<void> drop_capabilities();

/// No memory of this process in a core file, nor for another process of our user. Before it holds keys.
void hide_memory();

/// What the process uses of memory is never swapped, from now on. With CAP_IPC_LOCK.
[[nodiscard]] Result<void> lock_memory();

} // namespace sallyport::daemon
