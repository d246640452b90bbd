// SPDX-License-Identifier: Apache-2.0
// The kernel's packet filter, in the language of nft(8). Needs CAP_NET_ADMIN and nothing else.
#pragma once

#include "gateway/sa/error.hpp"

#include <string>

namespace sallyport::guard {

/// Carries out all commands as one transaction, or none. Blocks for as long as the kernel needs: milliseconds, a tenth of a second with
/// ten thousand networks.
[[nodiscard]] Result<void> carry_out(const std::string& commands);

/// Is there such a table of the family inet? False also where nobody can tell.
[[nodiscard]] bool table_exists(const std::string& name);

} // namespace sallyport::guard
