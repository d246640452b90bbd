// SPDX-License-Identifier: Apache-2.0
// NAT keepalives (RFC 3948 2.3, 4): where nothing has gone to a peer for so long that a NAT on the way may forget it, a datagram of one
// octet goes. One for all SAs between two addresses and ports.
#pragma once

#include "gateway/mode/mode.hpp"
#include "gateway/mode/tunnel.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace sallyport::mode {

/// Between which ends it must not stay silent.
struct Silence {
    const transform::OutboundSa* sa = nullptr; // one of those that send there; its worker is who sends the keepalives
    Outer outer;                               // its ready-made headers
    VpnNumber outer_vpn = wan_vpn;
    std::vector<const std::uint64_t*> sent; // packets that each SA has sent there, read with atomic_ref
    std::uint64_t seconds = 0;              // at least 1
};

class Keepalives {
public:
    /// From now on these, and no others. Those that were there before go on where they are.
    void plan(std::vector<Silence> silences, std::uint64_t now);

    /// When tick() has something to look at; Mode::never: no such time.
    [[nodiscard]] std::uint64_t next() const { return next_; }
    /// next() is over. `batch` is empty; out, whole outer packets to be routed, not sealed. They stay good until the next call.
    void tick(std::uint64_t now, Batch& batch, Chunks& chunks);

private:
    struct Watched {
        Silence silence;
        std::uint64_t sent; // when it was looked last
        std::uint64_t due;
    };
    std::vector<Watched> watched_;
    std::uint64_t next_ = Mode::never;
    std::array<Frame, batch_size> made_;
};

} // namespace sallyport::mode
