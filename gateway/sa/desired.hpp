// SPDX-License-Identifier: Apache-2.0
// What the operator wants of the gateway, as plain validated values: the configuration makes it, gateway/control brings it about.
#pragma once

#include "gateway/sa/sa.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sallyport {

enum class Role : std::uint8_t { black = 0, red = 1 }; // numbers as in bpf/shared.h; border follows

struct VpnSpec {
    std::string name; // "wan" is always there, number 0, table 254 unless said otherwise
    VpnNumber number = wan_vpn;
    std::uint32_t table = 254; // routing table of the kernel
};

struct VlanSpec {
    std::uint16_t id = 0; // 1 to 4094, 0: frames without a tag
    VpnNumber vpn = wan_vpn;
    std::vector<InterfaceAddress> addresses{}; // ours on a VLAN that has no interface of the kernel: the gateway answers for them itself
    bool operator==(const VlanSpec&) const = default;
};

struct PortSpec {
    std::string interface; // name of the network device
    Role role = Role::black;
    std::vector<VlanSpec> vlans;   // never empty; one row with id 0 for an untagged port. Black: outer VPN, red: red VPN
    std::vector<Address> listen;   // black: local addresses that take IKE and ESP; empty: all of the port
    bool tags_beside_frame = true; // read VLAN tags that the driver keeps beside the frame
};

struct IkeLimits {                                 // token buckets of the BPF program
    std::vector<Address> peers;                    // configured peers, each with a bucket of its own
    std::uint32_t peer_rate = 20, peer_burst = 40; // frames a second, frames
    std::uint32_t prefix_rate = 50, prefix_burst = 100;
    std::uint32_t machine_rate = 5000, machine_burst = 10000;
};

struct Settings {
    std::vector<unsigned> cores;                        // one worker each; empty: one worker a queue, spread over the allowed cores
    unsigned queues = 0;                                // queues a port that are used, 0: as many as the device has
    bool spin = false;                                  // never sleep in poll()
    std::uint32_t frames = 16384;                       // chunks of packet memory
    std::string run_directory = "/run/sallyport";       // bpf/ and the control socket below it
    std::string state_directory = "/var/lib/sallyport"; // durable marks
    std::uint32_t icmp_error_rate = 100;                // ICMP errors a second that each red VPN gets, 0: none
    bool icmp_prohibited = false;                       // about packets that the policy discards too (RFC 4301 5.1.1)
};

struct Desired {
    Settings settings;
    std::vector<VpnSpec> vpns;
    std::vector<PortSpec> ports;
    std::vector<SaSpec> sas;
    std::vector<PolicySpec> policies;
    IkeLimits ike;
    std::string source; // the file, for messages
};

} // namespace sallyport
