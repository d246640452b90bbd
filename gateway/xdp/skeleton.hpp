// SPDX-License-Identifier: Apache-2.0
// The generated skeleton of the port's program, for the sources of this folder only.
#pragma once

#include "bpf/shared.h" // first: the skeleton names its structures

#include "bpf/port.skel.h"

#include <memory>

namespace sallyport::xdp {

struct DestroySkeleton {
    void operator()(port_bpf* skeleton) const { port_bpf::destroy(skeleton); }
};

using Skeleton = std::unique_ptr<port_bpf, DestroySkeleton>;

} // namespace sallyport::xdp
