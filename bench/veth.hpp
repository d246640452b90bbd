// SPDX-License-Identifier: Apache-2.0
// Namespaces of the benchmark's own with two veth pairs, black0 - wan0 and red0 - lan0, and a generator of bursts.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/route/neighbours.hpp"

#include <span>
#include <string>
#include <sys/socket.h>
#include <sys/uio.h>
#include <vector>

namespace sallyport::bench::veth {

inline constexpr const char* run_directory = "/run/sallyport-bench";

/// Fresh network and mount namespaces, a bpffs below run_directory, the pairs; what comes to wan0 and lan0 is dropped by XDP. Once a
/// process. False: not allowed (printed why).
[[nodiscard]] bool enter();
/// For a gateway that follows the kernel's own tables: addresses of black0 (192.0.2.1) and red0 (10.0.0.1), and routes by wan0 (192.0.2.2,
/// which is known) to everything outside, as in the pairs of bench/world.hpp. False: not possible (printed why).
[[nodiscard]] bool address_ports();
/// Takes the ports' programs off and the pairs away.
void leave();
[[nodiscard]] std::uint32_t index_of(const char* device);
[[nodiscard]] route::Mac mac_of(const char* device);
/// Long enough for the kernel to have done all that it had to.
void rest();

/// Sends frames out of a device as they are, through a packet socket.
class Generator {
public:
    explicit Generator(const char* device);
    ~Generator();
    Generator(const Generator&) = delete;
    Generator& operator=(const Generator&) = delete;
    /// What finds no room is lost, as on a wire.
    void send(std::span<const Frame> frames);

private:
    int socket_;
    std::vector<iovec> parts_;
    std::vector<mmsghdr> messages_;
};

} // namespace sallyport::bench::veth
