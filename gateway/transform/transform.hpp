// SPDX-License-Identifier: Apache-2.0
// How a packet is sealed and opened: what a transform registers, and the hot part of an SA that it works on.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/sequence/space.hpp"

#include <array>
#include <cstdint>
#include <span>

namespace sallyport::transform {

/// Counted by the owner alone, read by anyone (atomic_ref, relaxed).
struct SaCounters {
    std::uint64_t packets = 0, octets = 0; // octets of inner packets
    std::uint64_t errors = 0;              // frames of this SA that were dropped after look-up
};

/// What sealing needs, precomputed when the SA is installed. Two cache lines.
struct alignas(64) OutboundSa {
    sequence::Space space;
    SaCounters* counters = nullptr;
    std::array<std::uint8_t, 44> outer{};   // ready-made outer IP header, then ESP's SPI at outer_length
    std::uint8_t outer_length = 0;          // 20 or 40: of the IP header
    std::uint8_t transform = 0;             // row of the registry
    std::uint8_t worker = 0;                // owner
    std::uint8_t rules = 0;                 // DscpRule, DfRule: see gateway/mode/tunnel.hpp
    std::uint32_t salt = 0;                 // as it lies in memory (network order)
    std::uint16_t outer_vpn = 0;
    std::uint16_t mtu = 0;                  // octets of the largest outer packet, 0: of the route
    std::uint32_t number = 0;               // of the SA in the store, for events and display
};
static_assert(sizeof(OutboundSa) == 128);

/// What opening needs. Selectors beyond the first lie in the cold part.
struct alignas(64) InboundSa {
    sequence::Space space;
    SaCounters* counters = nullptr;
    const Selector* selectors = nullptr;    // at least one
    std::uint16_t selector_count = 0;
    std::uint16_t outer_vpn = 0;
    std::uint16_t red_vpn = 0;
    std::uint8_t transform = 0;
    std::uint8_t worker = 0;
    std::uint32_t salt = 0;
    std::uint32_t spi = 0;
    std::uint32_t number = 0;
    Family outer_family = Family::ipv4;
    std::array<std::uint8_t, 16> outer_remote{}; // compared with the packet's source
    std::array<std::uint8_t, 16> outer_local{};  // and with its destination
};
static_assert(sizeof(InboundSa) == 128);

/// One row of the registry: one algorithm of ESP with one engine of cryptography. All frames of a call have SAs of this row.
/// A frame that fails gets its `reason`; the others end as whole IP packets: sealed from `network` (outer header) to `end`, opened with
/// `network` at the inner IP header and family set. Neither touches the Ethernet header: it is put on by routing.
struct Transform {
    void (*seal)(std::span<Frame* const> frames); // up to 64; numbers are taken here, in the order of the frames of each SA
    void (*open)(std::span<Frame* const> frames); // up to 64; numbers are checked before and entered after the ICV
    std::uint8_t overhead_fixed;   // octets at most added to the inner packet besides outer IP header and padding
    std::uint8_t block;            // padding to this
};

/// The row for an algorithm with the engine chosen at start; its index is OutboundSa::transform.
[[nodiscard]] std::uint8_t row_of(Algorithm algorithm);
[[nodiscard]] const Transform& transform(std::uint8_t row);

} // namespace sallyport::transform
