// SPDX-License-Identifier: Apache-2.0
// What the modes do around a transform, with the fields of the SA: on the way out the IP header is taken off or moved away, and put before
// what was made; on the way in it comes back.
#pragma once

#include "gateway/mode/beet.hpp"
#include "gateway/mode/transport.hpp"
#include "gateway/mode/tunnel.hpp"
#include "gateway/transform/transform.hpp"

namespace sallyport::transform {

// What a tunnel's packet goes through is put into the loop of its transform, whatever the compiler thinks of the size: a call, or a Wrapped
// that lies in memory, costs more than the work.

/// A packet whose IP header is out of the way.
struct Wrapped {
    unsigned begin = 0;           // offset of what is sealed
    unsigned header = 0;          // octets of the IP header that comes before it
    std::uint8_t next_header = 0; // of what is sealed
    mode::Inner inner;
    unsigned next_header_place = 0; // transport: in the header
    std::uint8_t hop_limit = 0;     // BEET, as the following
    std::uint16_t identification = 0;
    bool same_family = false;
};

template <SaMode mode>
struct Way;

template <>
struct Way<SaMode::tunnel> {
    static DropReason judge(const Frame&) { return DropReason::none; }
    /// Offset of what will be sealed.
    static unsigned begin(const Frame& frame) { return frame.network; }
    /// Octets by which an outer packet grows over Fit's reckoning.
    static unsigned excess(const Frame&) { return 0; }
    /// `ahead`: octets that come between the IP header and what is sealed.
    [[gnu::always_inline]] static Wrapped wrap(Frame& frame, const OutboundSa& sa, unsigned /*ahead*/) {
        const mode::Inner inner = mode::inner_of(frame);
        return {.begin = frame.network, .header = sa.outer_length, .next_header = inner.next_header, .inner = inner};
    }
    /// Writes the IP header of the outer packet of `whole` octets to `outer`.
    [[gnu::always_inline]] static void finish(std::uint8_t* outer, const OutboundSa& sa, const Wrapped& wrapped, unsigned whole,
                                              std::uint64_t number) {
        if (sa.outer_length == wire::ipv4_size)
            mode::put_outer_ipv4(outer, sa.outer.data(), whole, static_cast<std::uint16_t>(number), wrapped.inner, sa.rules);
        else
            mode::put_outer_ipv6(outer, sa.outer.data(), whole, wrapped.inner, sa.rules);
    }
    /// `at`: offset of the header of IPsec, or of the UDP header before it.
    [[gnu::always_inline]] static DropReason unwrap(Frame& frame, const InboundSa& /*sa*/, unsigned /*at*/, unsigned begin, unsigned end,
                                                    std::uint8_t next_header) {
        return mode::take_inner(frame, begin, end, next_header);
    }
};

/// What the modes without an inner header share. Dummy packets (family 0) have none of their own: they go as in a tunnel.
struct WithoutInner {
    using Tunnel = Way<SaMode::tunnel>;
    /// What a packet carries behind its extension headers.
    static std::uint8_t carried(const Frame& frame) {
        if (frame.family == 4) return *frame.at(frame.network + wire::ipv4_protocol);
        std::uint8_t next_header = *frame.at(frame.network + wire::ipv6_next_header);
        for (unsigned at = frame.network + wire::ipv6_size; wire::is_extension(next_header) && at + 8 <= frame.end;) {
            const std::uint8_t* header = frame.at(at);
            at += wire::extension_size(next_header, header);
            next_header = header[0];
        }
        return next_header;
    }
    /// IP in IP is one of the tunnels that nobody looks into: only where a selector names it. What has no next header is for nobody; ESP's
    /// dummy packets do not come so far, and AH has none.
    static DropReason judge_carried(const InboundSa& sa, const Frame& frame) {
        const std::uint8_t next_header = carried(frame);
        if (next_header == wire::protocol_no_next_header) return DropReason::bad_next_header;
        if (next_header != wire::protocol_ipv4 && next_header != wire::protocol_ipv6) return DropReason::none;
        const bool named = std::ranges::any_of(std::span(sa.selectors, sa.selector_count),
                                               [&](const Selector& one) { return one.protocol == next_header; });
        return named ? DropReason::none : DropReason::bad_next_header;
    }
};

template <>
struct Way<SaMode::transport> : WithoutInner {
    /// It carries whole packets (RFC 4301 7).
    static DropReason judge(const Frame& frame) {
        return (frame.flags & frame_fragment) != 0 ? DropReason::fragment_transport : DropReason::none;
    }
    static unsigned begin(const Frame& frame) { return frame.family == 0 ? frame.network : mode::seam_of(frame).at; }
    static unsigned excess(const Frame& frame) {
        return begin(frame) - frame.network - (frame.family == 4 ? wire::ipv4_size : frame.family == 6 ? wire::ipv6_size : 0U);
    }
    static Wrapped wrap(Frame& frame, const OutboundSa& sa, unsigned ahead) {
        if (frame.family == 0) return Tunnel::wrap(frame, sa, ahead);
        const mode::Seam seam = mode::seam_of(frame);
        const Wrapped wrapped{.begin = seam.at,
                              .header = seam.at - frame.network,
                              .next_header = *frame.at(seam.next_header),
                              .inner = {},
                              .next_header_place = seam.next_header - frame.network};
        std::memmove(frame.at(frame.network - ahead), frame.at(frame.network), wrapped.header);
        return wrapped;
    }
    static void finish(std::uint8_t* outer, const OutboundSa& sa, const Wrapped& wrapped, unsigned whole, std::uint64_t number) {
        if (wrapped.next_header_place == 0) return Tunnel::finish(outer, sa, wrapped, whole, number);
        const bool ipv4 = sa.outer_length == wire::ipv4_size;
        mode::mend_header(outer, ipv4 ? 4 : 6, wrapped.header, wrapped.next_header_place,
                          sa.outer[ipv4 ? wire::ipv4_protocol : wire::ipv6_next_header], whole);
    }
    static DropReason unwrap(Frame& frame, const InboundSa& sa, unsigned at, unsigned begin, unsigned end, std::uint8_t next_header) {
        mode::close_seam(frame, mode::seam_before(frame, at), begin, end, next_header);
        mode::shift_checksum(frame.at(begin), end - begin, next_header, sa.checksum_shift);
        return judge_carried(sa, frame);
    }
};

template <>
struct Way<SaMode::beet> : WithoutInner {
    /// A fragment of IPv4 would be one of the outer packet; that of IPv6 is in the payload.
    static DropReason judge(const Frame& frame) {
        return frame.family == 4 && (frame.flags & frame_fragment) != 0 ? DropReason::fragment_transport : DropReason::none;
    }
    static unsigned begin(const Frame& frame) {
        if (frame.family == 0) return frame.network;
        if (frame.family == 6) return frame.network + wire::ipv6_size;
        const unsigned options = (frame.at(frame.network)[0] & 0xfU) * 4U - wire::ipv4_size;
        return frame.network + wire::ipv4_size - (options == 0 ? 0 : mode::beet_pseudo_size + 4 - (options & 4U));
    }
    static unsigned excess(const Frame& frame) {
        return frame.family == 4 && (frame.at(frame.network)[0] & 0xfU) != 5 ? mode::most_beet_excess : 0;
    }
    static Wrapped wrap(Frame& frame, const OutboundSa& sa, unsigned ahead) {
        if (frame.family == 0) return Tunnel::wrap(frame, sa, ahead);
        const mode::BeetInner inner = mode::take_header(frame);
        return {.begin = inner.begin,
                .header = sa.outer_length,
                .next_header = inner.next_header,
                .inner = inner.inner,
                .hop_limit = inner.hop_limit,
                .identification = inner.identification,
                .same_family = frame.family == (sa.outer_length == wire::ipv4_size ? 4 : 6)};
    }
    static void finish(std::uint8_t* outer, const OutboundSa& sa, const Wrapped& wrapped, unsigned whole, std::uint64_t number) {
        const std::uint16_t identification = wrapped.same_family ? wrapped.identification : static_cast<std::uint16_t>(number);
        Tunnel::finish(outer, sa, wrapped, whole, identification);
        if (wrapped.hop_limit == 0) return; // a dummy packet
        if (sa.outer_length != wire::ipv4_size) {
            outer[wire::ipv6_hop_limit] = wrapped.hop_limit;
            return;
        }
        outer[wire::ipv4_ttl] = wrapped.hop_limit;
        wire::write_ipv4_checksum(outer, wire::ipv4_size);
    }
    static DropReason unwrap(Frame& frame, const InboundSa& sa, unsigned /*at*/, unsigned begin, unsigned end, std::uint8_t next_header) {
        const Selector& ends = sa.selectors[0];
        if (!mode::give_header(frame, begin, end, next_header, ends.remote.first, ends.local.first)) return DropReason::malformed_inner;
        return judge_carried(sa, frame);
    }
};

} // namespace sallyport::transform
