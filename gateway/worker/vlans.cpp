// SPDX-License-Identifier: Apache-2.0
#include "gateway/worker/vlans.hpp"

namespace sallyport::worker {

VlanMap::VlanMap(std::span<const VlanSpec> vlans) {
    for (const VlanSpec& vlan : vlans) {
        if (vlan.id == 0) {
            untagged_ = vlan.vpn;
            continue;
        }
        if (tagged_.empty()) tagged_.resize(4096, none);
        if (vlan.id < tagged_.size()) tagged_[vlan.id] = vlan.vpn | (vlan.addresses.empty() ? 0U : own);
    }
}

} // namespace sallyport::worker
