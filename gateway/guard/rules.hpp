// SPDX-License-Identifier: Apache-2.0
// The rules of the guard: what the kernel itself must neither forward, nor send, nor take in clear, whatever else of ours stands. They know
// interfaces by name, so a port that appears late or is made anew meets them at once.
//
// Two walls. At boot, before the gateway has ever run: no forwarding by the ports, none from and to the networks that policies protect,
// nothing of the machine itself to or from the remote ones of them, by whatever interface, and no ICMP errors by the ports, which would
// quote what came in by another one. While the gateway's own locks stand: no
// forwarding by the ports, and nothing of the machine itself to protected networks by a black port.
#pragma once

#include "gateway/sa/address.hpp"
#include "gateway/sa/error.hpp"

#include <string>
#include <vector>

namespace sallyport::guard {

inline constexpr const char* table = "sallyport_guard"; // of the family inet

/// A network to which the machine itself must not send in clear, or one inside such that is exempt; the longest prefix counts.
struct Destination {
    Prefix prefix;
    bool exempt = false;
};

/// What the machine itself must not send by an interface.
struct Way {
    std::string interface; // empty: by any
    std::vector<Destination> destinations;
};

struct Wall {
    std::vector<std::string> ports;   // no forwarding from or to these, nor VLAN devices named after them ("PORT.*")
    std::vector<std::string> tunnels; // TUN devices: what passes there does not go in clear
    std::vector<Prefix> networks;     // no forwarding from or to these
    std::vector<Prefix> sources;      // nothing comes from these for the machine itself
    std::vector<Way> ways;
};

/// Puts the table there, or in the place of the one that is there, in one transaction. A name of an interface that the language of nft
/// cannot say makes the wall higher: nothing is forwarded at all.
[[nodiscard]] std::string raise(const Wall& wall);

/// The wall of one who does not know what the ports are: nothing is forwarded.
[[nodiscard]] std::string raise_blindly();

/// Takes the table away, if there is one.
[[nodiscard]] std::string lower();

} // namespace sallyport::guard
