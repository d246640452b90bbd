// SPDX-License-Identifier: Apache-2.0
// From sections to what the gateway shall do: names resolved, rules across keys and sections checked.
#pragma once

#include "mgmt/config/config.hpp"
#include "mgmt/config/item.hpp"

namespace sallyport::config {

/// Which packets a connection or policy speaks of, as lists; the selectors are their product by family.
struct Traffic {
    const Item* item = nullptr;
    VpnNumber vpn = wan_vpn;
    std::uint32_t priority = 0;
    PolicyAction action = PolicyAction::discard;
    std::string sa; // with protect
    std::vector<AddressRange> local, remote;
    std::uint8_t protocol = 0;
    PortRange local_ports, remote_ports; // or types, both the same
    PolicyReach reach = PolicyReach::both;
};

/// Where two of one VPN and priority overlap and do different things, the file does not say what happens.
void check_overlaps(const std::vector<Traffic>& traffic, Problems& problems);

/// Warns of entries that never match, since one entry before them matches the same, and of bypass entries of two VPNs that let in the same
/// clear packets from the black side. Of very many entries only the first pairs are compared.
void check_hidden(const std::vector<Traffic>& traffic, Problems& problems);

/// One direction of a connection with where its SPI and key stand.
struct PlacedSa {
    const Item* item = nullptr;
    const SaSpec* sa = nullptr;
};

/// SPIs and keys that stand at two connections.
void check_unique(const std::vector<PlacedSa>& sas, Problems& problems);

/// Everything of the sections; incomplete where problems were added.
[[nodiscard]] Desired build(const std::vector<Item>& items, const std::vector<std::string>& files, const KeyFiles& key_files,
                            Problems& problems);

} // namespace sallyport::config
