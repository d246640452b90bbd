// SPDX-License-Identifier: Apache-2.0
// The TUN device of a VPN: the door between the gateway's own kernel and its tunnels. What the machine itself sends to a protected network
// the kernel routes into it; what came out of a tunnel for the machine itself is written to it. It is persistent: while no gateway lives
// the kernel goes on routing there, into nothing.
//
// No offload is on: packets have whole checksums and are no larger than the device's MTU. No reverse path filter, no address, no link-local
// chatter of its own.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/desired.hpp"
#include "gateway/sa/error.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sallyport::own {

inline constexpr unsigned smallest_mtu = 1280; // octets: less and there is no IPv6 (RFC 8200 5)
inline constexpr unsigned largest_mtu = largest_frame - 14;

/// "sp-NAME", or "sp.NUMBER" where that would be longer than a device's name can be.
[[nodiscard]] std::string device_name(const VpnSpec& vpn);

/// Threads: one may read while another writes.
class Tun {
public:
    /// Makes the device, or takes up the one that is there, and brings it up. Error unsupported: this kernel has no TUN, or we may not.
    [[nodiscard]] static Result<std::shared_ptr<Tun>> open(const VpnSpec& vpn, unsigned mtu);
    ~Tun(); // the device stays
    Tun(const Tun&) = delete;
    Tun& operator=(const Tun&) = delete;

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] std::uint32_t interface() const { return interface_; } // kernel's number
    [[nodiscard]] int descriptor() const { return descriptor_; }         // readable when there is a packet
    [[nodiscard]] bool there() const;                                    // false: somebody has removed it
    [[nodiscard]] Result<void> set_mtu(unsigned mtu);

    /// The next packet that the machine sends; 0: there is none. As many octets as there is room for.
    [[nodiscard]] std::size_t read(std::span<std::uint8_t> packet);
    /// A packet to the machine; false: the kernel does not take it now.
    [[nodiscard]] bool write(std::span<const std::uint8_t> packet);

private:
    Tun(std::string name, int descriptor) : name_(std::move(name)), descriptor_(descriptor) {}
    std::string name_;
    int descriptor_;
    std::uint32_t interface_ = 0;
    unsigned mtu_ = 0;
};

/// Removes the devices that a gateway made, whoever holds them, but those named in `but`. Returns their names.
std::vector<std::string> remove_devices(const std::vector<std::string>& but);

} // namespace sallyport::own
