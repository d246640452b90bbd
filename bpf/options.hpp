// SPDX-License-Identifier: Apache-2.0
// libbpf's structures of options.
#pragma once

#include <cstring>

namespace sallyport {

/// None given yet. libbpf refuses one whose padding is not zero, which `{}` does not promise.
template <class Options>
void clear(Options& options) {
    std::memset(&options, 0, sizeof options);
    options.sz = sizeof options;
}

} // namespace sallyport
