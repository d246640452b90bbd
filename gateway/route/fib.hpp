// SPDX-License-Identifier: Apache-2.0
// Where a packet goes next: an immutable copy of the kernel's routes and neighbours, as the workers read it.
#pragma once

#include "gateway/sa/address.hpp"
#include "gateway/sa/drop_reason.hpp"
#include "gateway/sa/sa.hpp"

#include <array>
#include <cstdint>

namespace sallyport::route {

using Mac = std::array<std::uint8_t, 6>;

struct NextHop {
    DropReason reason = DropReason::no_route; // none: send. neighbour_unresolved: the frame goes to the exception stage. Else drop
    std::uint8_t port = 0;                    // index of the port in Desired::ports
    std::uint16_t vlan = 0;                   // tag to put on, 0: none
    std::uint16_t mtu = 0;                    // octets of an IP packet on this way
    Mac destination{};                        // of the neighbour
    Mac source{};                             // of our interface
    std::uint32_t neighbour = 0;              // number of the neighbour in this Fib, stable while the Fib lives; for resolving
};

} // namespace sallyport::route
