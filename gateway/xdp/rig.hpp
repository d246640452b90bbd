// SPDX-License-Identifier: Apache-2.0
// What the tests of this folder stand on: a network and mount namespace of the test process's own, veth pairs, a bpffs, raw sockets.
#pragma once

#include "gateway/state/descriptor.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace sallyport::xdp::rig {

using Octets = std::vector<std::uint8_t>;

/// Enters fresh namespaces and mounts a bpffs at run_directory()/bpf. Once a process. False: not allowed (printed why).
bool enter();

/// Runs a shell command; false and a message if it fails.
bool shell(const std::string& command);

[[nodiscard]] const std::string& run_directory();

/// Becomes user 1000 with the daemon's four capabilities and no other, the run directory its own.
bool become_daemon();

/// A packet socket on a device: sends frames as they are, and receives what comes in.
class Wire {
public:
    explicit Wire(const std::string& device);
    bool send(const Octets& frame);
    /// The next frame that came in, within the time; empty: none. Frames that this machine's own stack makes count too.
    Octets receive(int milliseconds);

private:
    Descriptor socket_;
};

} // namespace sallyport::xdp::rig
