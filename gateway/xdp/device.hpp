// SPDX-License-Identifier: Apache-2.0
// A network device before and while it is a port: what it is, and which of its offloads would break frames.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/state/descriptor.hpp"

#include <array>
#include <cstdint>
#include <span>
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
    bool tags_beside = false;    // the driver passes on VLAN tags beside the frame, where neither the program nor we see them
};

/// Largest MTU of a port: one frame with two VLAN tags fits into one buffer with the room that the stages need around it.
[[nodiscard]] std::uint32_t largest_mtu();

/// Looks at the device of this name in our network namespace. Refused: no Ethernet, an MTU over largest_mtu().
[[nodiscard]] Result<Device> find_device(const std::string& name);

/// Switches off the offloads that hide or merge what the wire carried: VLAN tags taken out of the frame, receive merging by the hardware,
/// and in generic mode that of the kernel. Touches nothing that is off already, and nothing else. Sets tags_beside where a tag may still
/// lie beside the frame. Gives sentences for the journal: what was switched off.
[[nodiscard]] Result<std::vector<std::string>> prepare_device(Device& device, bool generic);

/// Says that VLANs cannot be told apart on this device. `why`: why not even by a program bound to it; empty: nobody asked for one.
[[nodiscard]] Error tags_beside_error(const Device& device, const std::string& why);
/// For the journal, where the port has no VLANs: what can come in.
[[nodiscard]] std::string tags_beside_warning(const Device& device, const std::string& why);

/// Lets frames of every VLAN, and those sent to these multicast groups, through the filter of the device: for the groups as long as the
/// descriptor is open.
[[nodiscard]] Result<Descriptor> open_filter(const Device& device, std::span<const std::array<std::uint8_t, 6>> groups);

/// Makes the device have exactly so many receive queues: frames of a queue without a worker would be lost. Nothing happens if it has.
[[nodiscard]] Result<void> set_receive_queues(const Device& device, unsigned queues);

} // namespace sallyport::xdp
