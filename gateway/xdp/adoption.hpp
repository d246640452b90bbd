// SPDX-License-Identifier: Apache-2.0
// Packet memory and AF_XDP sockets outlive the process: a keeper holds their descriptors and an inventory of them. Names: xsk-memory,
// xsk-PORT-QUEUE by number, xsk-inventory; the inventory is kept last, so without it nothing counts.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/state/keeper.hpp"
#include "gateway/xdp/program.hpp"
#include "gateway/xdp/sockets.hpp"
#include "gateway/xdp/umem.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sallyport::xdp {

struct Taken {
    Umem umem;
    Sockets sockets;
    std::vector<std::string> notes; // for the journal: taken over, or why not
};

/// Takes over what the process before left, if it is of these ports (by name and by the kernel's number), queues and frames; else the
/// keeper forgets it, and memory and sockets are made anew and left with the keeper. Zero-copy sockets are never left: which chunks the
/// device holds is not to be seen on their rings.
[[nodiscard]] Result<Taken> adopt_or_open(state::Keeper& keeper, std::span<PortProgram> ports, unsigned queues, std::uint32_t frames);

/// The keeper closes what it has of sockets and packet memory.
void forget_sockets(state::Keeper& keeper);

} // namespace sallyport::xdp
