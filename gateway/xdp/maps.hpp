// SPDX-License-Identifier: Apache-2.0
// The maps that all ports of a gateway share, pinned so that they outlive the process: what control writes and the programs read. While no
// process lives they stay as they are, so an address that the kernel gets meanwhile is not ours: closed.
#pragma once

#include "bpf/shared.h"
#include "gateway/sa/address.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/state/descriptor.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

struct egress_bpf;
struct port_bpf;

namespace sallyport::xdp {

/// An address of the gateway as one port sees it.
struct LocalAddress {
    std::uint32_t ifindex = 0; // of the port
    VpnNumber vpn = wan_vpn;   // in which the address counts there
    Address address;
    bool ipsec = false; // ESP, AH and IKE to it are ours; else only: for the gateway itself (and broadcast addresses of its networks)
};

struct ProtectedSource {
    VpnNumber vpn = wan_vpn; // the outer one
    Prefix prefix;
    bool exempt = false; // inside a protected network, and not protected: the longest prefix counts
};

struct VpnPrefix {
    VpnNumber vpn = wan_vpn;
    Prefix prefix;
};

struct IkePeer {
    VpnNumber vpn = wan_vpn;
    Address address;
};

/// VLAN of a port and the VPN it belongs to.
struct PortVlan {
    std::uint32_t ifindex = 0;
    std::uint16_t id = 0;
    VpnNumber vpn = wan_vpn;
    bool own = false; // the kernel has no interface for it: what is for the gateway itself comes to the socket too
};

/// Each set_ call makes the map hold exactly what is given: first what is new is added, then the rest removed, so that no moment lacks what
/// both have. Threads: one at a time.
class SharedMaps {
public:
    /// Opens the maps pinned in `directory` (a folder of a bpffs, made if missing), or makes and pins them. Pinned maps of another layout
    /// are thrown away.
    [[nodiscard]] static Result<SharedMaps> open(const std::string& directory);

    [[nodiscard]] Result<void> set_local_addresses(const std::vector<LocalAddress>& addresses);
    [[nodiscard]] Result<void> set_protected_sources(const std::vector<ProtectedSource>& sources);
    /// Clear transit from the black side goes to the policy if its source lies in one list and its destination in the other.
    [[nodiscard]] Result<void> set_bypass(const std::vector<VpnPrefix>& sources, const std::vector<VpnPrefix>& destinations);
    /// A peer that stays keeps its bucket.
    /// Where the machine itself must not send in clear: by destination (or exempt from it), and by source to what is not exempt.
    [[nodiscard]] Result<void> set_egress(const std::vector<ProtectedSource>& destinations, const std::vector<VpnPrefix>& sources);
    [[nodiscard]] Result<void> set_ike_peers(const std::vector<IkePeer>& peers);
    [[nodiscard]] Result<void> set_vlans(const std::vector<PortVlan>& vlans);

    /// Makes the maps of a skeleton that is not loaded yet be these; `buckets` false: without those of the limits of IKE messages, so that
    /// what it does takes nothing from them (but from those of configured peers).
    [[nodiscard]] Result<void> lend(port_bpf& skeleton, bool buckets = true) const;
    [[nodiscard]] Result<void> lend(egress_bpf& skeleton) const;

    /// The ring buffer of struct sp_audit, for Audits::open().
    [[nodiscard]] int audit_ring() const { return maps_[audits].get(); }

    /// The maps were there already, made by this layout: what is pinned for single ports can be taken over too.
    [[nodiscard]] bool taken_over() const { return taken_over_; }

private:
    enum Name : std::uint8_t {
        local_addresses,
        vlans,
        protected_sources,
        bypass_sources,
        bypass_destinations,
        ike_peers,
        ike_requests,
        ike_others,
        ike_machine,
        audits,
        egress_destinations,
        egress_sources,
        map_count,
    };
    template <class Key, class Value>
    Result<void> replace(Name map, const std::vector<std::pair<Key, Value>>& entries, std::uint64_t flags = 0);
    Result<void> take_layout(const std::string& directory);
    std::array<Descriptor, map_count> maps_;
    bool taken_over_ = false;
    // What a map holds, once it was written whole: from then on only differences are written. Nobody else writes them.
    std::array<std::optional<std::unordered_map<std::string, std::string>>, map_count> written_;
};

} // namespace sallyport::xdp
