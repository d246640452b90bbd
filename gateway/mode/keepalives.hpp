// SPDX-License-Identifier: Apache-2.0
// NAT keepalives (RFC 3948 2.3, 4): where nothing has gone to a peer for so long that a NAT on the way may forget it, a datagram of one
// octet goes. One for all SAs between two addresses and ports.
#pragma once

#include "gateway/mode/mode.hpp"
#include "gateway/mode/tunnel.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <vector>

namespace sallyport::mode {

/// Between which ends it must not stay silent.
struct Silence {
    const transform::OutboundSa* sa = nullptr; // one of those that send there; its worker is who sends the keepalives
    Outer outer;                               // its ready-made headers
    VpnNumber outer_vpn = wan_vpn;
    std::vector<const std::uint64_t*> sent; // packets that each SA has sent there, read atomically
    std::uint64_t seconds = 0;              // at least 1
};

/// One for all that have the same ends, as often as the most anxious wants it.
[[nodiscard]] std::vector<Silence> joined(std::vector<Silence> silences);

class Keepalives {
public:
    /// From now on these, each with ends of its own, and no others. Those that were there before go on where they are.
    void plan(std::vector<Silence> silences, std::uint64_t now);

    /// When tick() has something to look at; Mode::never: no such time.
    [[nodiscard]] std::uint64_t next() const { return watched_.empty() ? Mode::never : watched_.begin()->first; }
    /// next() is over. `batch` is empty; out, whole outer packets to be routed, not sealed. They stay good until the next call.
    void tick(std::uint64_t now, Batch& batch, Chunks& chunks);

private:
    struct Watched {
        Silence silence;
        std::uint64_t sent; // when it was looked last
    };
    std::multimap<std::uint64_t, Watched> watched_; // by when they are due
    std::array<Frame, batch_size> made_;
};

} // namespace sallyport::mode
