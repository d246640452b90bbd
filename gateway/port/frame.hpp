// SPDX-License-Identifier: Apache-2.0
// A frame on its way: where it lies in the packet memory, and what the stages found out about it. One cache line; it is moved, never copied
// twice.
#pragma once

#include "gateway/sa/drop_reason.hpp"

#include <cstddef>
#include <cstdint>

namespace sallyport {

namespace transform {
struct OutboundSa;
struct InboundSa;
} // namespace transform

inline constexpr unsigned chunk_size = 4096; // octets of a UMEM chunk
inline constexpr unsigned frame_headroom =
    256;                                   // received frames begin at least here (XDP_PACKET_HEADROOM), and frames of our own making too
inline constexpr unsigned head_room = 128; // at least so many octets are free before the frame whenever a stage gets it
inline constexpr unsigned tail_room = 64;  // and behind it
inline constexpr unsigned largest_frame = chunk_size - frame_headroom - 2 * tail_room; // octets of a frame with its Ethernet header

/// What the exception stage is asked to do with a frame that leaves the straight way.
enum class Errand : std::uint8_t {
    none,
    neighbour,        // find the link-layer address of its next hop; the flow hash is in `spi`
    own_vlan,         // for the gateway itself on a VLAN that has no interface of the kernel: the whole frame as it came
    icmp_received,    // an ICMP message from the black side to one of our addresses: does it tell of a path MTU?
    icmp_error,       // tell its source why it was dropped: `reason`, with too_big the octets that would fit in `spi`
    reassemble_outer, // put a packet to the gateway itself together
    inner_fragment,   // let it follow its first fragment; the way that it is on is in `sequence`, with way_opened the flow hash in `spi`
    to_kernel,        // it came out of a tunnel and is for the gateway itself: its kernel takes it
    cut,              // into pieces of at most `sequence` octets, as IP headers count; the flow hash in `spi` where it leaves
    reassemble_inner, // put together what an SA seals only whole
    ike,              // an IKE message to the gateway: sallyport-ike takes it
};
inline constexpr std::size_t errand_count = 11;

/// Frame::sequence with Errand::inner_fragment.
inline constexpr std::uint64_t way_red = 0, way_black = 1; // clear: it is looked up again
inline constexpr std::uint64_t way_opened = 2;             // plus the number of the SA that it came out of

/// Offsets count octets from the begin of the chunk, so that they stay true when the frame grows at either end.
struct Frame {
    std::uint8_t* chunk = nullptr; // first octet of the chunk; the frame owns it until it is transmitted or given back
    union {
        const transform::OutboundSa* outbound = nullptr; // set by look-up on the red side
        const transform::InboundSa* inbound;             // set by look-up on the black side
    };
    std::uint64_t sequence = 0; // inbound: the whole 64-bit number; outbound: the number given
    std::uint64_t arrival = 0;  // TSC of the batch that brought it
    std::uint32_t index = 0;    // number of the chunk
    std::uint32_t spi = 0;
    std::uint16_t begin = 0;              // first octet of the frame (Ethernet header)
    std::uint16_t end = 0;                // one behind its last octet
    std::uint16_t network = 0;            // outermost IP header
    std::uint16_t transport = 0;          // what follows the IP header and its extension headers
    std::uint16_t vpn = 0;                // black: outer VPN until opened, then the red VPN; red: red VPN until sealed, then the outer VPN
    std::uint16_t vlan = 0;               // VLAN id it came with or leaves with, 0: none
    std::uint8_t port = 0;                // where it came in, then where it goes out: index into the worker's ports
    std::uint8_t family = 0;              // 4 or 6, of the header at `network`
    std::uint8_t protocol = 0;            // upper-layer protocol at `transport`
    std::uint8_t traffic_class = 0;       // TOS or Traffic Class octet of the outer header; kept until after open (RFC 6040)
    std::uint8_t hop_limit = 0;           // of the outer header
    DropReason reason = DropReason::none; // anything else: the frame is dropped, counted, and its chunk given back at the end of the stage
    std::uint8_t worker = 0;              // who received it (hand-over)
    std::uint16_t flags = 0;              // FrameFlag
    Errand errand = Errand::none;         // for the exception stage

    [[nodiscard]] std::uint8_t* at(unsigned offset) const { return chunk + offset; }
    [[nodiscard]] std::uint8_t* data() const { return chunk + begin; }
    [[nodiscard]] unsigned length() const { return static_cast<unsigned>(end - begin); }
    [[nodiscard]] unsigned network_length() const { return static_cast<unsigned>(end - network); } // from the IP header on
};
static_assert(sizeof(Frame) == 64);

enum FrameFlag : std::uint16_t {
    frame_ours = 1,       // made by the gateway itself (dummies, ICMP errors): its hop limit is not counted down
    frame_waited = 2,     // has waited for a neighbour once
    frame_fragment = 4,   // any fragment, first or later
    frame_ports = 8,      // ports at `transport` are known
    frame_to_red = 16,    // leaves by a red port of its VPN (opened, or bypassed inwards); else by a black port
    frame_bypassed = 32,  // neither sealed nor opened: a policy says bypass
    frame_unclear = 64,   // more VLAN tags than the one in `vlan`
    frame_from_red = 128, // looked up again as from the red side of `vpn`, whatever its port: made or mended by the exception stage
    frame_raw = 256,      // a whole frame with its Ethernet header, to be sent out of `port` as it is
    frame_secret = 4096,  // with frame_from_red: holds what came out of a tunnel, so it leaves sealed or not at all
    frame_gathered = 512, // a fragment whose first fragment is known: protocol is the packet's, and a copy of its ports lies at `transport`
    frame_cut = 1024,     // sealed whole though too large for its way: to be cut now
    frame_onward = 2048,  // on its way out, the flow hash in `spi`: it comes back from the exception stage to be routed
    frame_in_udp = 16384, // ESP at `transport`, behind a UDP header
    frame_type = 8192,    // type and code of ICMP, or the type of a Mobility Header, at `transport` are known
};

} // namespace sallyport
