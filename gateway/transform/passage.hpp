// SPDX-License-Identifier: Apache-2.0
// What happens to a packet of any transform around its cryptography: sizes, lifetimes, numbers and counters.
#pragma once

#include "gateway/mode/tunnel.hpp"
#include "gateway/transform/transform.hpp"
#include "gateway/transform/way.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>

namespace sallyport::transform {

inline void add(std::uint64_t& counter, std::uint64_t amount) {
    const std::atomic_ref live(counter);
    live.store(live.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

[[nodiscard]] inline std::uint64_t load(std::uint64_t& word) { return std::atomic_ref(word).load(std::memory_order_relaxed); }

/// No further packet passes, however small.
inline void end_life(SaCounters& counters) {
    for (std::uint64_t* limit : {&counters.packet_limit, &counters.octet_limit})
        std::atomic_ref(*limit).store(0, std::memory_order_relaxed);
}

inline void fail(Frame& frame, SaCounters& counters, DropReason reason) {
    frame.reason = reason;
    // What is too big may yet be cut, fragments be put together.
    const bool error = reason != DropReason::dummy && reason != DropReason::too_big && reason != DropReason::fragment_transport;
    add(counters.errors, error ? 1 : 0);
}

/// A packet larger than what fits. none: it is sealed whole all the same, to be cut after that.
[[nodiscard]] inline DropReason judge_large(Frame& frame, const OutboundSa& sa, const Fit& fit) {
    if (frame.end <= chunk_size - tail_room && mode::is_cut_after(frame, sa.rules)) {
        frame.flags |= frame_cut;
        return DropReason::none;
    }
    frame.spi = std::min<std::uint32_t>(fit.inner, chunk_size - tail_room - frame.network);
    return DropReason::too_big;
}

/// Sealed packets that must be cut go no further as they are.
inline void hold_large(std::span<Frame* const> frames) {
    for (Frame* frame : frames) {
        if ((frame->flags & frame_cut) == 0 || frame->reason != DropReason::none) continue;
        frame->spi = fit_of(*frame->outbound).outer;
        frame->reason = DropReason::too_big;
    }
}

/// What may stop a packet before it gets a number, as its mode has it. `large` is set where it is to be cut after sealing.
template <SaMode mode>
[[nodiscard, gnu::always_inline]] inline DropReason judge_outbound(Frame& frame, const Fit& fit, bool& large) {
    const OutboundSa& sa = *frame.outbound;
    const unsigned inner = frame.network_length();
    const bool ours = (frame.flags & frame_ours) != 0;
    if (!ours && inner < (frame.family == 4 ? wire::ipv4_size : wire::ipv6_size)) [[unlikely]]
        return DropReason::malformed_ip;
    if (const DropReason reason = Way<mode>::judge(frame); reason != DropReason::none) [[unlikely]]
        return reason;
    if (inner + Way<mode>::excess(frame) > fit.inner || frame.end > chunk_size - tail_room) [[unlikely]] {
        if (const DropReason reason = judge_large(frame, sa, fit); reason != DropReason::none) return reason;
        large = true;
    }
    if (ours) return DropReason::none;
    if (const DropReason reason = mode::count_hop(frame); reason != DropReason::none) [[unlikely]]
        return reason;
    mode::clamp_segment(frame, fit.segment_ipv4, fit.segment_ipv6);
    return DropReason::none;
}

/// How many of a run of frames of one SA, from the first on, its hard lifetime lets through.
[[nodiscard, gnu::always_inline]] inline unsigned within_lifetime(SaCounters& counters, std::span<Frame* const> run) {
    const std::uint64_t packet_limit = load(counters.packet_limit), octet_limit = load(counters.octet_limit);
    const auto wanted = static_cast<unsigned>(run.size());
    // The longest frames that there can be: only near the end each is looked at.
    if (counters.packets + wanted <= packet_limit && counters.octets + std::uint64_t{wanted} * chunk_size <= octet_limit) [[likely]]
        return wanted;
    std::uint64_t octets = counters.octets;
    for (unsigned i = 0; i < wanted; ++i) {
        octets += run[i]->network_length();
        if (counters.packets + i < packet_limit && octets <= octet_limit) continue;
        end_life(counters);
        return i;
    }
    return wanted;
}

/// Gives numbers to runs of frames of one SA; `dress(frame, number, place)` makes the packet of each that has one, `place` counting from 0.
/// Returns how many; `frames` holds these, in order.
template <class Dress>
unsigned number(Frame** frames, unsigned count, Dress dress) {
    unsigned dressed = 0;
    for (unsigned begin = 0; begin < count;) {
        const OutboundSa& sa = *frames[begin]->outbound;
        unsigned end = begin + 1;
        while (end < count && frames[end]->outbound == &sa) ++end;
        const unsigned alive = within_lifetime(*sa.counters, {frames + begin, end - begin});
        for (unsigned i = begin + alive; i < end; ++i) fail(*frames[i], *sa.counters, DropReason::lifetime_over);
        const sequence::Numbers numbers = sequence::take(sa.space, alive);
        for (unsigned i = 0; i < numbers.count; ++i) {
            frames[dressed] = frames[begin + i];
            dress(*frames[dressed], numbers.first + i, dressed);
            ++dressed;
        }
        for (unsigned i = begin + numbers.count; i < begin + alive; ++i) fail(*frames[i], *sa.counters, numbers.reason);
        begin = end;
    }
    return dressed;
}

/// What a sealed packet is to the stages that follow. `ipsec`: the header of IPsec; `outer`: the IP header; `octets`: of the inner packet.
[[gnu::always_inline]] inline void leave_sealed(Frame& frame, const std::uint8_t* outer, unsigned whole, const std::uint8_t* ipsec,
                                                std::uint8_t protocol, std::uint64_t number, unsigned octets) {
    const OutboundSa& sa = *frame.outbound;
    add(sa.counters->packets, 1);
    add(sa.counters->octets, octets);
    frame.sequence = number;
    frame.transport = static_cast<std::uint16_t>(ipsec - frame.chunk);
    frame.network = static_cast<std::uint16_t>(outer - frame.chunk);
    frame.end = static_cast<std::uint16_t>(frame.network + whole);
    frame.family = sa.outer_length == wire::ipv4_size ? 4 : 6;
    frame.protocol = protocol;
    frame.vpn = sa.outer_vpn;
}

/// Before the ICV: is the SA still alive, and may the number be new?
[[nodiscard, gnu::always_inline]] inline DropReason judge_inbound(Frame& frame, const std::uint8_t* sequence_number) {
    const InboundSa& sa = *frame.inbound;
    if (load(sa.counters->packet_limit) == 0) [[unlikely]]
        return DropReason::lifetime_over;
    return sequence::check(sa.space, wire::load32(sequence_number), frame.sequence);
}

/// An inner packet that has come out counts, if its SA's lifetime still lets it through.
[[nodiscard, gnu::always_inline]] inline DropReason enter_opened(Frame& frame) {
    const InboundSa& sa = *frame.inbound;
    SaCounters& counters = *sa.counters;
    if (counters.packets >= load(counters.packet_limit) || counters.octets + frame.network_length() > load(counters.octet_limit))
        [[unlikely]] {
        end_life(counters);
        return DropReason::lifetime_over;
    }
    frame.vpn = sa.red_vpn;
    add(counters.packets, 1);
    add(counters.octets, frame.network_length());
    return DropReason::none;
}

} // namespace sallyport::transform
