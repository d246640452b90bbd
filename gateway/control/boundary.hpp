// SPDX-License-Identifier: Apache-2.0
// From what is wanted, and what the kernel has, to what the maps of the BPF programs must hold.
#pragma once

#include "gateway/exception/icmp_errors.hpp"
#include "gateway/route/picture.hpp"
#include "gateway/sa/desired.hpp"
#include "gateway/xdp/maps.hpp"

#include <set>
#include <utility>
#include <vector>

namespace sallyport::control {

/// The gateway's own addresses as each port sees them. `interfaces`: kernel's number of each port's device, in the order of the ports. An
/// address counts on all ports of its VPN, that of an interface which is no port in `wan`; ESP and IKE are taken at those of a black port
/// itself, or at those that it listens to. One that the gateway has in several VPNs is for the gateway itself on red ports of `wan` alone.
[[nodiscard]] std::vector<xdp::LocalAddress> local_addresses(const std::vector<PortSpec>& ports,
                                                             const std::vector<std::uint32_t>& interfaces,
                                                             const std::vector<route::LocalAddress>& addresses);

/// The gateway's own addresses on red ports: what it speaks from when it tells a red host of an error.
[[nodiscard]] exception::RedAddresses red_addresses(const std::vector<route::LocalAddress>& addresses);

/// Networks whose packets must not come in clear from the black side (RFC 4301 5.2): the remote ones of protect entries, in the outer VPN
/// of their SA. A bypass entry exempts its remote networks where no protect entry of its VPN stands before it and no other VPN has them
/// protected. A whole address family (prefix length 0) is left out: the map knows sources only, and a tunnel for everything would cut the
/// gateway itself off from the black side. RFC 4301 asks this check for packets between `remote` and `local`, and transit is refused on
/// black ports anyway.
[[nodiscard]] std::vector<xdp::ProtectedSource> protected_sources(const Desired& desired);

struct BypassPrefixes {
    std::vector<xdp::VpnPrefix> sources, destinations;
};

/// What of clear transit from the black side is worth asking the policy about.
[[nodiscard]] BypassPrefixes bypass_prefixes(const Desired& desired);

struct EgressPrefixes {
    std::vector<xdp::ProtectedSource> destinations;
    std::vector<xdp::VpnPrefix> sources;
};

/// What the machine itself must not send in clear by a black port, never less: to the remote networks of protect entries, whatever the
/// source, in the outer VPN of their SA; and where an entry protects what goes to a whole address family, from its local networks (but a
/// whole family of those too would cut the machine itself off from the black side). A bypass entry exempts its remote networks only where
/// every packet there is one that it lets through: no protect entry before it, and those behind it of its VPN and of no more local
/// addresses.
[[nodiscard]] EgressPrefixes egress_prefixes(const Desired& desired);

[[nodiscard]] std::vector<xdp::IkePeer> ike_peers(const Desired& desired);
/// Those of the local addresses at which IPsec is taken: from them, in their outer VPN, IKE messages may leave.
[[nodiscard]] std::set<std::pair<VpnNumber, Address>> ike_sources(const std::vector<xdp::LocalAddress>& addresses);

/// What the maps hold for one set of policies. Of the SAs only name and outer VPN count.
struct Boundary {
    std::vector<xdp::ProtectedSource> sources;
    BypassPrefixes bypass;
    EgressPrefixes egress;
    std::vector<xdp::IkePeer> peers;
};

[[nodiscard]] Boundary boundary_of(const Desired& desired);
/// While one follows the other: the sources that either protects, the bypasses of both, the peers of the next.
[[nodiscard]] Boundary both(const Boundary& now, const Boundary& next);

} // namespace sallyport::control
