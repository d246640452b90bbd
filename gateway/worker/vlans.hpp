// SPDX-License-Identifier: Apache-2.0
// From the VLAN of a port to a VPN.
#pragma once

#include "gateway/sa/desired.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace sallyport::worker {

/// Without tagged VLANs it is one comparison.
class VlanMap {
public:
    static constexpr std::uint32_t none = 0x10000; // no VPN: no VpnNumber has this value
    static constexpr std::uint32_t own = 0x20000;  // added where the VLAN has no interface of the kernel

    VlanMap() = default;
    explicit VlanMap(std::span<const VlanSpec> vlans);

    /// VPN of a VLAN id (0: frames without a tag), perhaps with `own`, or `none`.
    [[nodiscard]] std::uint32_t vpn_of(std::uint16_t vlan) const {
        if (vlan == 0) return untagged_;
        return vlan < tagged_.size() ? tagged_[vlan] : none;
    }

private:
    std::uint32_t untagged_ = none;
    std::vector<std::uint32_t> tagged_; // by VLAN id; empty without tagged VLANs
};

} // namespace sallyport::worker
