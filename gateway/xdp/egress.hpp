// SPDX-License-Identifier: Apache-2.0
// The lock of a black port on the way out: the tc program of bpf/egress.bpf.c, which drops what the machine itself would send in clear
// although it is protected. A filter of the clsact qdisc, it stays when the process dies, and only its counters need a pin:
// DIRECTORY/INTERFACE/egress_counters.
#pragma once

#include "gateway/sa/desired.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/xdp/device.hpp"
#include "gateway/xdp/maps.hpp"
#include "gateway/xdp/verdict.hpp"

#include <string>

namespace sallyport::xdp {

inline constexpr const char* egress_pin = "egress_counters";

class Egress {
public:
    Egress() = default; // no lock: a port that is not black
    /// Puts the lock on the device, before all other filters; one that was left there is replaced at one moment. `folder`: where the pin
    /// goes, there already. The VLANs of the port must be in `maps`.
    [[nodiscard]] static Result<Egress> close(const std::string& folder, const PortSpec& port, const Device& device,
                                              const SharedMaps& maps);
    /// Takes the lock off again; nothing happens where there is none, or no such device.
    [[nodiscard]] static Result<void> open(const std::string& interface);

    /// Is it still there? Somebody may have taken the qdisc away.
    [[nodiscard]] bool stands() const;
    /// Puts it there again.
    [[nodiscard]] Result<void> close_again();
    /// All zero without a lock.
    [[nodiscard]] EgressCounters counters() const;

private:
    std::string interface_;
    std::uint32_t ifindex_ = 0;
    std::uint32_t program_id_ = 0;
    Descriptor program_;
    Descriptor counters_;
};

} // namespace sallyport::xdp
