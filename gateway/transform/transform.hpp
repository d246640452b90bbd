// SPDX-License-Identifier: Apache-2.0
// How a packet is sealed and opened: what a transform registers, and the hot part of an SA that it works on.
#pragma once

#include "gateway/crypto/crypto.hpp"
#include "gateway/port/frame.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/sequence/space.hpp"
#include "gateway/wire/octets.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

namespace sallyport::transform {

inline constexpr unsigned batch_size = crypto::batch_size;

/// Counted by the owner alone, read by anyone (atomic_ref, relaxed); the limits are set by the control thread.
struct SaCounters {
    static constexpr std::uint64_t unlimited = ~std::uint64_t{0};

    std::uint64_t packets = 0, octets = 0; // octets of inner packets, sealing with their TFC padding
    std::uint64_t errors = 0;              // frames of this SA that were dropped by seal or open
    // The hard lifetime: neither counter goes beyond. Who refuses the first packet for it sets both to 0, for a smaller one would still
    // fit.
    std::uint64_t packet_limit = unlimited, octet_limit = unlimited;
};

/// How large a packet may be that goes through a tunnel now, octets. Changed as a whole, under the eyes of the workers, by who follows
/// routes and path MTUs (gateway/exception/path_mtus.hpp).
struct alignas(8) Fit {
    std::uint16_t outer = 65535;        // the outer packet
    std::uint16_t inner = 65535;        // the inner packet: what seals into an outer packet of that size
    std::uint16_t segment_ipv4 = 65535; // the MSS of TCP connections inside (RFC 9293 3.7.1); 65535: it is left alone
    std::uint16_t segment_ipv6 = 65535;
    bool operator==(const Fit&) const = default;
};

/// What sealing needs, precomputed when the SA is installed. Two cache lines.
struct alignas(64) OutboundSa {
    sequence::Space space;
    SaCounters* counters = nullptr;
    std::array<std::uint8_t, 52> outer{}; // ready-made outer IP header, UDP header if any, ESP's SPI (gateway/mode/tunnel.hpp)
    std::uint8_t outer_length = 0;        // 20 or 40: of the IP header
    std::uint8_t transform = 0;           // row of the registry
    std::uint8_t worker = 0;              // owner
    std::uint8_t rules = 0;               // TunnelRule: what is copied from the inner header
    std::uint32_t salt = 0;               // as it lies in memory (network order); with CCM its first three octets
    std::uint32_t number = 0;             // of the SA in the store, for events and display
    mutable Fit fit;                      // see fit_of()
    std::uint32_t iv_prefix = 0; // of an AEAD's IV, its first half: sender id in the leftmost 0 to 24 bits (RFC 6054), the others 0
    std::uint16_t outer_vpn = 0;
    std::uint8_t udp = 0; // 0 or 8: of the UDP header
    std::uint8_t tfc = 0; // SaSpec::tfc_padding in steps of tfc_step, 255: tfc_full

    /// Octets before the ESP header in an outer packet.
    [[nodiscard]] unsigned before_esp() const { return unsigned{outer_length} + udp; }
    [[nodiscard]] std::uint32_t spi() const { return wire::load32(outer.data() + before_esp()); }
};
static_assert(sizeof(OutboundSa) == 128);

/// What opening needs. Selectors beyond the first lie in the cold part.
struct alignas(64) InboundSa {
    sequence::Space space;
    SaCounters* counters = nullptr;
    const Selector* selectors = nullptr; // at least one
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
    mutable Fit fit;                             // of the way back: the segments that come out of this SA are answered there
    std::uint8_t udp = 0;                        // as OutboundSa::udp, of the way back; what comes may be in UDP or not (RFC 7296 2.23)
    std::uint16_t checksum_shift = 0;            // transport mode behind a NAT (gateway/mode/transport.hpp)
};
static_assert(sizeof(InboundSa) == 128);

template <class Sa>
[[nodiscard]] inline Fit fit_of(const Sa& sa) {
    return std::atomic_ref(sa.fit).load(std::memory_order_relaxed);
}

template <class Sa>
inline void set_fit(const Sa& sa, const Fit& fit) {
    std::atomic_ref(sa.fit).store(fit, std::memory_order_relaxed);
}

/// One row of the registry: ESP or AH in one mode with one algorithm by one engine of cryptography. All frames of a call have SAs of this
/// row.
/// A frame that fails gets its `reason`, with too_big the octets that would fit in `spi`, of the outer packet where it has been sealed all
/// the same (frame_cut); the others end as whole IP packets: sealed from `network` (outer header) to `end`, opened with `network` at the
/// inner IP header, family and the red VPN set. Neither touches the Ethernet header: it is put on by routing. Sealing wants `network`,
/// `end` (cut to the IP length) and `family` of the inner packet, or a dummy (mode::make_dummy); it takes one from the inner hop limit
/// unless the frame is our own. Opening wants `network` at the outer IP header, `transport` at that
/// of ESP or AH, `end` and the outer `traffic_class`.
struct Transform {
    void (*seal)(std::span<Frame* const> frames); // up to 64; numbers are taken here, in the order of the frames of each SA
    void (*open)(std::span<Frame* const> frames); // up to 64; numbers are checked before and entered after the ICV
    // Octets between the IP (or UDP) header and the end of an outer packet that are not payload, padding or trailer; payload and trailer
    // are padded to a multiple of `block`.
    std::uint8_t around_ipv4, around_ipv6, block, trailer;
};

/// Chooses the engine for SAs built from now on; without it the best one that this processor has. Only before workers run.
void use(crypto::Engine engine);
[[nodiscard]] crypto::Engine engine_in_use();

/// The row for an SA without fault() with the engine in use; it is OutboundSa::transform.
[[nodiscard]] std::uint8_t row_of(Algorithm algorithm, SaMode mode = SaMode::tunnel, SaProtocol protocol = SaProtocol::esp);
[[nodiscard]] const Transform& transform(std::uint8_t row);
[[nodiscard]] bool is_ah(const InboundSa& sa); // else ESP
[[nodiscard]] SaMode mode_of(std::uint8_t row);

/// Octets of the largest inner packet that this SA makes an outer packet of at most `outer_mtu` octets of, its own mtu aside: what lies
/// between ESP header and ICV is a multiple of the block, and the trailer's two octets are part of it. 0: not even an empty one fits.
[[nodiscard]] unsigned largest_inner(const OutboundSa& sa, unsigned outer_mtu);

/// What fits into outer packets of `outer_mtu` octets, and how `clamp` (SaSpec::clamp_mss) bounds the segments of TCP.
[[nodiscard]] Fit make_fit(const OutboundSa& sa, unsigned outer_mtu, std::uint16_t clamp);
/// The same for an inbound SA, whose packets are answered by an SA of the same kind.
[[nodiscard]] Fit make_fit(const InboundSa& sa, unsigned outer_mtu, std::uint16_t clamp);

/// Octets of a key context of this row, a multiple of 64.
[[nodiscard]] std::uint32_t key_size(std::uint8_t row);
/// The row, one for all modes and protocols, whose key contexts are of the same kind.
[[nodiscard]] std::uint8_t key_row(std::uint8_t row);

/// Where the parts of an SA lie that are not in it; all of it outlives the SA.
struct Place {
    std::uint8_t row = 0;            // row_of() what the specification says
    void* key = nullptr;             // key_size(row) octets, aligned to 64: the key context is made there
    sequence::Unit* units = nullptr; // units_of(direction, window), prepared
    std::uint64_t* mark = nullptr;   // see sequence::Space; null: without durable marks
    SaCounters* counters = nullptr;
    std::uint64_t floor = 0;  // inbound: numbers up to this are refused
    std::uint8_t worker = 0;  // owner
    std::uint32_t number = 0; // of the SA in the store
};

/// Makes the hot part and the key context of an SA. Error: the specification contradicts itself, or the library has no memory.
[[nodiscard]] Result<OutboundSa> build_outbound(const SaSpec& spec, const Place& place);
/// `selectors` outlive the SA.
[[nodiscard]] Result<InboundSa> build_inbound(const SaSpec& spec, const Place& place, std::span<const Selector> selectors);
/// Makes a key context for sealing in `key` (key_size(row) octets, aligned to 64) that nobody knows, of random octets; wipe_key() ends it.
/// False: there are no random octets, or the library has no memory.
[[nodiscard]] bool make_throwaway_key(std::uint8_t row, void* key);
/// Wipes the key context of a row and what hangs on it. No worker uses it any more.
void wipe_key(std::uint8_t row, void* key);

} // namespace sallyport::transform
