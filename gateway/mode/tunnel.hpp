// SPDX-License-Identifier: Apache-2.0
// Tunnel mode (RFC 4301 5.1.2, RFC 6040): the outer header is ready-made when the SA is installed and completed for each packet; what was
// opened is judged and cut to the inner packet.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/esp.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/tcp.hpp"
#include "gateway/wire/udp.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace sallyport::mode {

// --- sealing ---

inline constexpr unsigned largest_outer = wire::ipv6_size + wire::udp_size;

/// What the ready-made header leaves to each packet; lies in OutboundSa::rules.
enum TunnelRule : std::uint8_t {
    tunnel_copy_dscp = 1, // else the ready-made header has it
    tunnel_copy_df = 2,   // else the ready-made header has it set or clear
    tunnel_cut_after = 4, // FragmentRule::after
    beet_inner_ipv6 = 8,  // of the two inner addresses
};

struct Outer {
    std::array<std::uint8_t, largest_outer + 4> octets{}; // IP header, with RFC 3948 a UDP header, then the SPI of ESP
    std::uint8_t length = 0;                              // of the IP header
    std::uint8_t udp = 0;                                 // of the UDP header, 0 or 8
    std::uint8_t rules = 0;                               // TunnelRule

    /// Addresses and ports, as they lie.
    [[nodiscard]] std::span<const std::uint8_t> ends() const {
        const unsigned first = length == wire::ipv4_size ? wire::ipv4_source : wire::ipv6_source;
        return std::span(octets).subspan(first, length - first + (udp != 0 ? 4U : 0U));
    }
};

/// The ready-made outer header of an outbound SA. IPv4: total length and identification are 0, and the checksum field holds the sum of the
/// other words, folded but not complemented. IPv6: payload length is 0; UDP: length and checksum are 0; the flow label is a hash of SPI and
/// addresses: constant for the SA, so that it tells nothing about inner flows, and never 0 (RFC 6437 3, RFC 4301 5.1.2.2 note 8).
[[nodiscard]] Outer make_outer(const SaSpec& spec);

/// What of the inner header goes outwards.
struct Inner {
    std::uint8_t traffic_class = 0;
    std::uint8_t next_header = wire::protocol_no_next_header; // for ESP's trailer
    bool dont_fragment = false;
};

/// Reads a parsed packet, or a dummy (family 0). An IPv6 packet may not be fragmented, so its IPv4 tunnel says so too.
[[nodiscard, gnu::always_inline]] inline Inner inner_of(const Frame& frame) {
    const std::uint8_t* header = frame.at(frame.network);
    if (frame.family == 4) return {header[wire::ipv4_tos], wire::protocol_ipv4, (header[wire::ipv4_fragment] & 0x40) != 0};
    if (frame.family == 6) return {static_cast<std::uint8_t>(wire::load16(header) >> 4), wire::protocol_ipv6, true};
    return {};
}

/// The inner hop limit goes down by one where we forward (RFC 4301 5.1.2.1 note 2). ttl_expired: it would be 0.
[[nodiscard, gnu::always_inline]] inline DropReason count_hop(const Frame& frame) {
    std::uint8_t* header = frame.at(frame.network);
    if (header[frame.family == 4 ? wire::ipv4_ttl : wire::ipv6_hop_limit] <= 1) return DropReason::ttl_expired;
    wire::decrement_hop_limit(header, frame.family);
    return DropReason::none;
}

/// The MSS that a TCP SYN offers goes down to what the tunnel carries. Everything else passes by.
inline void clamp_segment(const Frame& frame, std::uint16_t largest_ipv4, std::uint16_t largest_ipv6) {
    if (frame.protocol != wire::protocol_tcp || (frame.flags & (frame_ports | frame_fragment | frame_gathered)) != frame_ports) return;
    std::uint8_t* tcp = frame.at(frame.transport);
    if ((tcp[wire::tcp_flags] & wire::tcp_syn) != 0) [[unlikely]]
        wire::clamp_mss(tcp, static_cast<unsigned>(frame.end - frame.transport), frame.family == 4 ? largest_ipv4 : largest_ipv6);
}

inline constexpr std::uint8_t ecn_mask = 3;

/// Is a packet that is too large for its tunnel sealed whole, and the outer packet cut? The connection may say so for IPv4 that may be cut
/// at all, and for IPv6 of our own, which its source may cut; an IPv6 packet that every link must carry has no other way (RFC 8200 5, RFC
/// 2473 7.1).
[[nodiscard]] inline bool is_cut_after(const Frame& frame, std::uint8_t rules) {
    const bool wanted = (rules & tunnel_cut_after) != 0;
    if (frame.family == 6) return (wanted && (frame.flags & frame_ours) != 0) || frame.network_length() <= wire::ipv6_least_mtu;
    return frame.family == 4 && wanted && !inner_of(frame).dont_fragment;
}

/// DSCP and ECN that this packet adds to the ready-made header: ECN is always copied (RFC 6040 4.1, normal mode).
[[nodiscard]] inline std::uint8_t added_class(Inner inner, std::uint8_t rules) {
    return inner.traffic_class & ((rules & tunnel_copy_dscp) != 0 ? 0xffU : ecn_mask);
}

/// Writes the IPv4 header of a packet of `length` octets to `to`, from the ready-made one.
[[gnu::always_inline]] inline void put_outer_ipv4(std::uint8_t* to, const std::uint8_t* ready, unsigned length,
                                                  std::uint16_t identification, Inner inner, std::uint8_t rules) {
    std::memcpy(to, ready, wire::ipv4_size);
    const std::uint8_t added = added_class(inner, rules);
    const std::uint16_t fragment = (rules & tunnel_copy_df) != 0 && inner.dont_fragment ? wire::ipv4_dont_fragment : std::uint16_t{0};
    to[wire::ipv4_tos] = to[wire::ipv4_tos] | added;
    wire::store16(to + wire::ipv4_total_length, static_cast<std::uint16_t>(length));
    wire::store16(to + wire::ipv4_identification, identification);
    to[wire::ipv4_fragment] = static_cast<std::uint8_t>(to[wire::ipv4_fragment] | fragment >> 8);
    std::uint32_t sum = std::uint32_t{wire::load16(ready + wire::ipv4_checksum)} + added + length + identification + fragment;
    sum = (sum & 0xffffU) + (sum >> 16);
    sum = (sum & 0xffffU) + (sum >> 16);
    wire::store16(to + wire::ipv4_checksum, static_cast<std::uint16_t>(~sum));
}

/// Writes the IPv6 header of a packet of `length` octets, this header included.
inline void put_outer_ipv6(std::uint8_t* to, const std::uint8_t* ready, unsigned length, Inner inner, std::uint8_t rules) {
    std::memcpy(to, ready, wire::ipv6_size);
    wire::store16(to, static_cast<std::uint16_t>(wire::load16(to) | added_class(inner, rules) << 4));
    wire::store16(to + wire::ipv6_payload_length, static_cast<std::uint16_t>(length - wire::ipv6_size));
}

/// Writes the UDP header of a datagram of `length` octets from the ready-made one. Its checksum is 0, as it stays with IPv4 (RFC 3948 2.1).
inline void put_udp(std::uint8_t* to, const std::uint8_t* ready, unsigned length) {
    std::memcpy(to, ready, wire::udp_size);
    wire::store16(to + wire::udp_length, static_cast<std::uint16_t>(length));
}

/// The checksum of what is sealed in UDP over IPv6, which has to have one (RFC 8200 8.1). The frame is a whole outer packet.
inline void sum_udp(const Frame& frame) {
    std::uint8_t* udp = frame.at(frame.transport) - wire::udp_size;
    const auto length = static_cast<unsigned>(frame.at(frame.end) - udp);
    wire::store_raw(udp + wire::udp_checksum, wire::udp_checksum_ipv6_raw(frame.at(frame.network), udp, length));
}

/// TFC padding (RFC 4303 2.7): zeros behind the inner packet, never what the chunk held before, up to a multiple of `step` octets, but at
/// most to `most` (and as far as the chunk goes). Gives how much there is now from frame.network on.
inline unsigned fill_up(Frame& frame, unsigned step, unsigned most) {
    const unsigned length = frame.network_length();
    const unsigned room = std::min(most, chunk_size - tail_room - frame.network);
    const unsigned full = std::min((length + step - 1) / step * step, room);
    if (full <= length) return length;
    std::memset(frame.at(frame.end), 0, full - length);
    frame.end = static_cast<std::uint16_t>(frame.network + full);
    return full;
}

/// Makes of a chunk (frame.chunk, frame.index are set) the payload of a dummy packet, `octets` zeros (RFC 4303 2.6); seal it like any
/// other. At least 1 octet: Linux refuses an empty payload. At most 2,048.
void make_dummy(Frame& frame, unsigned octets);

// --- opening ---

/// Outcome by inner ECN << 2 | outer ECN: the inner packet's new ECN, or ecn_drop (RFC 6040 4.2, figure 4).
inline constexpr std::uint8_t ecn_drop = 0x80;
inline constexpr std::array<std::uint8_t, 16> ecn_merged{
    // outer: Not-ECT, ECT(1), ECT(0), CE
    0, 0, 0, ecn_drop, // inner Not-ECT
    1, 1, 1, 3,        // inner ECT(1)
    2, 1, 2, 3,        // inner ECT(0)
    3, 3, 3, 3,        // inner CE
};

/// Enters the outer header's ECN into the inner header, with IPv4's checksum. ecn_illegal: the packet must be dropped.
[[nodiscard, gnu::always_inline]] inline DropReason merge_ecn(std::uint8_t* header, std::uint8_t family, std::uint8_t outer_class) {
    const std::uint16_t before = wire::load16(header); // IPv4: version, IHL, TOS. IPv6: version, Traffic Class, 4 bits of the flow label
    const unsigned shift = family == 4 ? 0 : 4;
    const unsigned inner = before >> shift & ecn_mask;
    const std::uint8_t merged = ecn_merged[inner << 2 | (outer_class & ecn_mask)];
    if (merged == inner) [[likely]]
        return DropReason::none;
    if (merged == ecn_drop) return DropReason::ecn_illegal;
    const auto after = static_cast<std::uint16_t>((before & ~(ecn_mask << shift)) | merged << shift);
    wire::store16(header, after);
    if (family == 4)
        wire::store16(header + wire::ipv4_checksum, wire::update_checksum(wire::load16(header + wire::ipv4_checksum), before, after));
    return DropReason::none;
}

/// Octets of the inner packet by its own header, 0: malformed or longer than the `most` octets that are there.
[[nodiscard, gnu::always_inline]] inline unsigned inner_length(const std::uint8_t* header, std::uint8_t family, unsigned most) {
    if (most < wire::ipv4_size || header[0] >> 4 != family) return 0;
    if (family == 4) {
        const unsigned own = (header[0] & 0xfU) * 4U;
        const unsigned total = wire::load16(header + wire::ipv4_total_length);
        return own >= wire::ipv4_size && total >= own && total <= most ? total : 0;
    }
    if (most < wire::ipv6_size) return 0;
    const unsigned total = wire::ipv6_size + wire::load16(header + wire::ipv6_payload_length);
    return total <= most ? total : 0;
}

/// Padding of up to 16 octets as it ends, and which octets count: from an offset of its length on.
struct PaddingEnd {
    std::array<std::uint8_t, 32> octets{}, counting{};
};
inline constexpr PaddingEnd padding_end = [] {
    PaddingEnd end;
    for (std::uint8_t i = 0; i < 16; ++i) {
        end.octets[16U + i] = static_cast<std::uint8_t>(i + 1);
        end.counting[16U + i] = 0xff;
    }
    return end;
}();

/// For more octets than a stream cipher's padding has.
[[nodiscard]] inline bool long_padding_is_right(const std::uint8_t* end, unsigned length) {
    if (length > 16) {
        unsigned wrong = 0;
        for (unsigned i = 0; i < length; ++i) wrong |= end[-static_cast<int>(i) - 1] ^ (length - i);
        return wrong == 0;
    }
    std::uint64_t different = 0;
    for (unsigned half = 0; half < 16; half += 8)
        different |= (wire::load_raw<std::uint64_t>(end - 16 + half) ^ wire::load_raw<std::uint64_t>(&padding_end.octets[length + half])) &
                     wire::load_raw<std::uint64_t>(&padding_end.counting[length + half]);
    return different == 0;
}

/// Whether the `length` octets before `end` are 1, 2, 3, ... (RFC 4303 2.4). At least 16 octets before `end` may be read.
[[nodiscard, gnu::always_inline]] inline bool padding_is_right(const std::uint8_t* end, unsigned length) {
    if (length > 3) return long_padding_is_right(end, length);
    unsigned wrong = 0;
    for (unsigned i = 0; i < length; ++i) wrong |= end[-static_cast<int>(i) - 1] ^ (length - i);
    return wrong == 0;
}

/// Reads ESP's trailer behind what lies opened and authentic from `begin` to `end` in the frame's chunk (offsets; at least 2 octets). none:
/// `end` is where the payload and its TFC padding end, and `next_header` is set.
[[nodiscard, gnu::always_inline]] inline DropReason take_trailer(const Frame& frame, unsigned begin, unsigned& end,
                                                                 std::uint8_t& next_header) {
    const std::uint8_t* trailer = frame.at(end - wire::esp_trailer_size);
    const unsigned padding = trailer[0];
    next_header = trailer[1];
    if (next_header == wire::protocol_no_next_header) return DropReason::dummy; // before the padding: dropped either way (RFC 4303 2.6)
    if (padding + wire::esp_trailer_size > end - begin || !padding_is_right(trailer, padding)) return DropReason::bad_padding;
    end -= padding + wire::esp_trailer_size;
    return DropReason::none;
}

/// Judges the payload from `begin` to `end` (offsets): next header, inner header, ECN by frame.traffic_class. none: frame.network, end and
/// family are those of the inner packet, TFC padding is cut off.
[[nodiscard, gnu::always_inline]] inline DropReason take_inner(Frame& frame, unsigned begin, unsigned end, std::uint8_t next_header) {
    if (next_header != wire::protocol_ipv4 && next_header != wire::protocol_ipv6) return DropReason::bad_next_header;
    const std::uint8_t family = next_header == wire::protocol_ipv4 ? 4 : 6;
    const unsigned length = inner_length(frame.at(begin), family, end - begin);
    if (length == 0) return DropReason::malformed_inner;
    frame.network = static_cast<std::uint16_t>(begin);
    frame.end = static_cast<std::uint16_t>(begin + length);
    frame.family = family;
    return merge_ecn(frame.at(begin), family, frame.traffic_class);
}

} // namespace sallyport::mode
