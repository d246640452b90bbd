// SPDX-License-Identifier: Apache-2.0
// A network device before and while it is a port: what it is, and which of its offloads would break frames.
#pragma once

#include "gateway/sa/error.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace sallyport::xdp {

struct Device {
    std::string name;
    std::uint32_t ifindex = 0;
    std::uint32_t mtu = 0;
    std::array<std::uint8_t, 6> mac{};
    std::string driver;          // as ethtool says; empty: the driver does not say
    unsigned receive_queues = 1; // as configured now
};

/// Largest MTU of a port: one frame with two VLAN tags fits into one buffer with the room that the stages need around it.
[[nodiscard]] std::uint32_t largest_mtu();

/// Looks at the device of this name in our network namespace. Refused: no Ethernet, an MTU over largest_mtu().
[[nodiscard]] Result<Device> find_device(const std::string& name);

/// What prepare_device() found and did.
struct Preparation {
    bool tags_beside = false;       // a VLAN tag may lie beside the frame, where neither the program nor we see it
    std::vector<std::string> notes; // for the journal: what was switched off, what can come in
};

/// Switches off the offloads that hide or merge what the wire carried: VLAN tags taken out of the frame, receive merging by the hardware,
/// and in generic mode that of the kernel. Touches nothing that is off already, and nothing else. `vlans`: the port has VLANs; then it is
/// refused where tags may lie beside the frame, otherwise a note says what can come in.
[[nodiscard]] Result<Preparation> prepare_device(const Device& device, bool generic, bool vlans);

/// Makes the device have exactly so many receive queues: frames of a queue without a worker would be lost. Nothing happens if it has.
[[nodiscard]] Result<void> set_receive_queues(const Device& device, unsigned queues);

} // namespace sallyport::xdp
