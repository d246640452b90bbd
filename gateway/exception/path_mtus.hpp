// SPDX-License-Identifier: Apache-2.0
// The path MTU of each tunnel (RFC 4301 8.2): it belongs to the pair of outer addresses, not to an SA, so that a rekeyed SA inherits it.
// Here it meets the MTU of the route and that of the configuration, and what comes of the three is written into the SAs for the workers.
#pragma once

#include "gateway/index/few.hpp"
#include "gateway/index/index.hpp"
#include "gateway/index/slab.hpp"
#include "gateway/route/fib.hpp"
#include "gateway/sa/address.hpp"
#include "gateway/sa/drop_reason.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/transform/transform.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace sallyport::exception {

struct TunnelEnds {
    VpnNumber outer_vpn = wan_vpn;
    Address local, remote;
    auto operator<=>(const TunnelEnds&) const = default;
};

/// What an ICMP error quotes of a packet of ours, and the MTU that it tells of.
struct MtuReport {
    TunnelEnds ends;
    std::uint32_t spi = 0;
    std::uint32_t sequence = 0; // low half
    std::uint32_t mtu = 0;      // octets of the outer packet
};

/// What fits through an outbound SA has changed.
struct MtuChange {
    std::uint32_t sa = 0; // OutboundSa::number
    transform::Fit before, now;
};

/// The one place that decides what becomes of the value in an ICMP error that has been proven: the path MTU from now on. Nothing: it
/// changes nothing. Taken is what lies below the present one and not below the floor, 576 octets for IPv4 and 1280 for IPv6.
[[nodiscard]] std::optional<std::uint16_t> believed(Family outer, std::uint16_t present, std::uint32_t reported);

/// Threads: any but the workers. Times are nanoseconds of the monotonic clock.
class PathMtus {
public:
    static constexpr std::uint64_t lifetime = 600'000'000'000; // ns that a learned value holds (RFC 1191 6.3, RFC 8201 4)
    static constexpr std::uint32_t memory = 1U << 20;          // a quoted number is at most so many behind the last one given

    /// An SA comes into use: from now on what fits through it follows its tunnel. `mtu` and `clamp` as in SaSpec. It stays until remove().
    void add(const transform::OutboundSa& sa, std::uint16_t mtu, std::uint16_t clamp, const route::Fib& fib);
    void add(const transform::InboundSa& sa, std::uint16_t mtu, std::uint16_t clamp, const route::Fib& fib);
    void remove(const transform::OutboundSa& sa);
    void remove(const transform::InboundSa& sa);
    /// Routes or links have changed.
    void follow(const route::Fib& fib);

    /// icmp_mtu_taken, icmp_mtu_known or icmp_mtu_unproven.
    [[nodiscard]] DropReason learn(const MtuReport& report, std::uint64_t now);
    /// Forgets what is older than its lifetime.
    void age(std::uint64_t now);
    /// When age() has something to do next; ~0: never.
    [[nodiscard]] std::uint64_t next() const;
    /// What has changed since the last call, of SAs that were in use before: at most `most_changes`, and how many more there were. One that
    /// comes into use, or moves to another tunnel, finds what is there and is no change.
    struct Changes {
        std::vector<MtuChange> each;
        std::size_t more = 0;
    };
    static constexpr std::size_t most_changes = 64;
    [[nodiscard]] Changes take_changes();
    /// The value learned for a tunnel, 0: none.
    [[nodiscard]] std::uint16_t learned(const TunnelEnds& ends) const;

private:
    template <class Sa>
    struct Member {
        const Sa* sa;
        std::uint32_t spi;
        std::uint16_t mtu, clamp;
    };
    template <class Sa>
    using Members = index::Few<Member<Sa>, 1>;
    /// One that has SAs; these say which it is.
    struct Tunnel {
        Members<transform::OutboundSa> outbound;
        Members<transform::InboundSa> inbound;
        std::uint16_t way = 0;     // MTU of the route, 0: not known
        std::uint16_t learned = 0; // 0: nothing

        [[nodiscard]] TunnelEnds ends() const;
        [[nodiscard]] std::uint16_t present() const;
    };
    /// Kept for the SAs that come, while there are none.
    struct Learned {
        std::uint16_t mtu = 0;
        std::uint64_t until = 0; // when it is forgotten
    };
    [[nodiscard]] std::optional<std::uint32_t> place_of(const TunnelEnds& ends) const;
    Tunnel& tunnel_of(const TunnelEnds& ends, const route::Fib& fib);
    template <class Sa>
    void add_to(Members<Sa> Tunnel::* members, const Sa& sa, std::uint16_t mtu, std::uint16_t clamp, const route::Fib& fib);
    template <class Sa>
    void remove_from(Members<Sa> Tunnel::* members, const Sa& sa);
    void fit(const Tunnel& tunnel);

    mutable std::mutex mutex_;
    index::Slab<Tunnel> tunnels_;
    index::Index by_ends_;
    std::map<TunnelEnds, Learned> learned_;
    Changes changes_;
    std::uint64_t next_ = ~std::uint64_t{0}; // the first time at which something is forgotten
};

} // namespace sallyport::exception
