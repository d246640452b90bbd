// SPDX-License-Identifier: Apache-2.0
// What happens between receiving and routing, from red to black and back. Order of the checks: RFC 4301 5.1 and 5.2, RFC 4303 3.3 and 3.4.
#include "gateway/mode/tunnel.hpp"
#include "gateway/transform/transform.hpp"
#include "gateway/wire/ethernet.hpp"
#include "gateway/wire/icmp.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/wire/udp.hpp"
#include "gateway/worker/in_udp.hpp"
#include "gateway/worker/rehearsal.hpp"
#include "gateway/worker/selectors.hpp"
#include "gateway/worker/worker.hpp"

#include <algorithm>
#include <cstring>

namespace sallyport::worker {

namespace {

/// Calls `work` with the frames of each row of the registry: mostly one row, one call.
template <class RowOf, class Work>
void by_row(std::span<Frame* const> frames, RowOf row_of, Work work) {
    std::array<Frame*, batch_size> rest, group;
    while (!frames.empty()) {
        const std::uint8_t row = row_of(*frames.front());
        const auto other = std::ranges::find_if(frames, [&](const Frame* frame) { return row_of(*frame) != row; });
        if (other == frames.end()) return work(row, frames);
        unsigned grouped = 0, left = 0;
        for (Frame* frame : frames) (row_of(*frame) == row ? group[grouped++] : rest[left++]) = frame;
        work(row, std::span<Frame* const>(group.data(), grouped));
        frames = {rest.data(), left};
    }
}

/// The SA's addresses against those of the packet that carries its SPI.
bool outer_addresses_match(const transform::InboundSa& sa, const Frame& frame) {
    const std::uint8_t* header = frame.at(frame.network);
    if (frame.family == 4)
        return std::memcmp(sa.outer_remote.data(), header + wire::ipv4_source, 4) == 0 &&
               std::memcmp(sa.outer_local.data(), header + wire::ipv4_destination, 4) == 0;
    return std::memcmp(sa.outer_remote.data(), header + wire::ipv6_source, 16) == 0 &&
           std::memcmp(sa.outer_local.data(), header + wire::ipv6_destination, 16) == 0;
}

std::uint16_t destination_port(const Frame& frame) { return wire::load16(frame.at(frame.transport) + wire::destination_port_offset); }

/// On port 4500 four zero octets mark IKE, anything else is the SPI of ESP (RFC 3948 2.2).
bool is_ike(const Frame& frame) {
    if ((frame.flags & frame_fragment) != 0 || frame.protocol != wire::protocol_udp) return false;
    const bool marked = frame.end - frame.transport >= static_cast<int>(wire::udp_size + 4) &&
                        wire::load32(frame.at(frame.transport) + wire::udp_size) == 0;
    const std::uint16_t port = destination_port(frame);
    return port == wire::port_ike || (port == wire::port_ike_nat && marked);
}

/// Why a packet to the gateway's own black address goes no further: no SA takes it.
DropReason not_taken(const Frame& frame) {
    if ((frame.flags & frame_fragment) != 0) return DropReason::fragment_outer;
    if (frame.protocol != wire::protocol_udp) return DropReason::unsupported_protocol;
    if (is_ike(frame)) return DropReason::ike_nobody_listening;
    return destination_port(frame) == wire::port_ike_nat ? DropReason::malformed_esp : DropReason::unsupported_protocol;
}

/// AH, or ESP, bare or in UDP: both are taken at any time, whatever the SA sends (RFC 7296 2.23).
bool carries_ipsec(Frame& frame) {
    if ((frame.flags & (frame_fragment | frame_gathered | frame_in_udp)) != 0) [[unlikely]]
        return (frame.flags & frame_in_udp) != 0; // handed over
    return frame.protocol == wire::protocol_esp || frame.protocol == wire::protocol_ah || wire::enter_udp(frame);
}

/// After opening: selectors, then the hop (RFC 4301 5.2 step 4, 5.1.2.1 note 2). `order`: null: no policies overlap.
DropReason judge_opened(Frame& frame, const tables::Spd* order) {
    wire::parse_opened(frame);
    if (frame.reason != DropReason::none) return frame.reason;
    frame.flags |= frame_to_red;
    const transform::InboundSa& sa = *frame.inbound;
    if (const DropReason reason = check_selectors({sa.selectors, sa.selector_count}, frame); reason != DropReason::none) return reason;
    if (order != nullptr && order->ordered(sa.number)) [[unlikely]]
        if (const DropReason reason = order->check_opened(frame); reason != DropReason::none) return reason;
    const transform::Fit fit = transform::fit_of(sa);
    mode::clamp_segment(frame, fit.segment_ipv4, fit.segment_ipv6);
    return mode::count_hop(frame);
}

/// What becomes of a packet to the gateway itself that is none of ESP or AH: ICMP that the port's program sent here is an error about what
/// we sent.
Errand errand_of_ours(const Frame& frame) {
    if ((frame.flags & frame_fragment) != 0) return Errand::reassemble_outer;
    if (is_ike(frame)) return Errand::ike;
    return frame.protocol == (frame.family == 4 ? wire::protocol_icmp : wire::protocol_icmpv6) ? Errand::icmp_received : Errand::none;
}

} // namespace

void Worker::outbound(Batch& batch) {
    if (batch.count == 0) return;
    spd_->decide_outbound(batch.span());
    if (rehearsal_ != nullptr) [[unlikely]]
        rehearsal_->decided_outbound(*spd_, batch.span());
    sift(batch);
    Batch own, bypassed;
    for (Frame* frame : batch.span()) {
        const transform::OutboundSa* sa = frame->outbound;
        if (sa == nullptr) [[unlikely]]
            bypassed.add(frame);
        else if (sa->worker != number_) [[unlikely]]
            hand_over(*frame, sa->worker);
        else
            own.add(frame);
    }
    mode_.take(own, chunks_);
    seal(own);
    route(own);
    if (bypassed.count != 0) bypass_outwards(bypassed);
}

void Worker::inbound(Batch& batch) {
    if (batch.count == 0) return;
    Batch sealed, clear;
    for (Frame* frame : batch.span()) (carries_ipsec(*frame) ? sealed : clear).add(frame);
    around_.sad.find(sealed.span());
    if (rehearsal_ != nullptr) [[unlikely]]
        rehearsal_->found(sealed.span());
    Batch own, strangers;
    for (Frame* frame : sealed.span()) {
        const transform::InboundSa* sa = frame->inbound;
        if (sa == nullptr || !outer_addresses_match(*sa, *frame)) [[unlikely]] {
            if (sa != nullptr && may_have_moved(*frame))
                strangers.add(frame);
            else if (is_other_traffic(*frame))
                clear.add(frame);
        } else if (sa->worker != number_) [[unlikely]] {
            hand_over(*frame, sa->worker);
        } else if (lacks_checksum(*frame)) [[unlikely]] {
            frame->reason = DropReason::udp_no_checksum;
            drop(*frame);
        } else {
            if (((frame->flags & frame_in_udp) != 0) != (sa->udp != 0)) [[unlikely]]
                LiveCounters::add(counters_.now().other_form);
            __builtin_prefetch(sa->selectors);
            __builtin_prefetch(reinterpret_cast<const char*>(sa->selectors) + 64);
            own.add(frame);
        }
    }
    const Origin last = sample(own);
    open(own);
    if (last.frame != nullptr) [[unlikely]]
        look_at_origin(last);
    route(own);
    if (strangers.count != 0) [[unlikely]]
        open_strangers(strangers);
    if (clear.count != 0) [[unlikely]]
        clear_from_black(clear);
}

/// ESP or AH that no SA takes: others' on its way through us is as any clear packet. False: it was for us, and is dropped.
bool Worker::is_other_traffic(Frame& frame) {
    if (for_us(frame, Role::black)) {
        frame.reason = frame.inbound != nullptr ? DropReason::wrong_outer_address : around_.sad.why_missing(frame.spi);
        drop(frame);
        return false;
    }
    frame.reason = DropReason::none;
    if ((frame.flags & frame_in_udp) != 0) wire::leave_udp(frame);
    return true;
}

void Worker::seal(Batch& batch) {
    if (rehearsal_ != nullptr) [[unlikely]]
        rehearsal_->before_seal(batch.span());
    by_row(
        batch.span(), [](const Frame& frame) { return frame.outbound->transform; },
        [](std::uint8_t row, std::span<Frame* const> frames) { transform::transform(row).seal(frames); });
    sift(batch);
    LiveCounters::add(counters_.now().sealed, batch.count);
    if (rehearsal_ != nullptr) [[unlikely]]
        rehearsal_->sealed(batch.span());
}

void Worker::open(Batch& batch) {
    if (rehearsal_ != nullptr) [[unlikely]]
        rehearsal_->before_open(batch.span());
    by_row(
        batch.span(), [](const Frame& frame) { return frame.inbound->transform; },
        [](std::uint8_t row, std::span<Frame* const> frames) { transform::transform(row).open(frames); });
    if (rehearsal_ != nullptr) [[unlikely]] {
        sift(batch);
        rehearsal_->opened(batch.span());
    }
    LiveCounters::add(counters_.now().opened, judge(batch));
}

/// What was opened: may its SA carry it? What was not goes no further either. Returns how many were.
unsigned Worker::judge(Batch& batch) {
    const tables::Spd* const order = spd_->any_ordered() ? spd_ : nullptr;
    unsigned opened = 0;
    for (Frame* frame : batch.span()) {
        if (frame->reason != DropReason::none) [[unlikely]]
            continue;
        ++opened;
        frame->reason = judge_opened(*frame, order);
        // The last hop is ours: nobody passes it on.
        if (frame->reason == DropReason::ttl_expired && next_hop(*frame).reason == DropReason::for_gateway) [[unlikely]]
            frame->reason = DropReason::none;
    }
    sift(batch);
    if (rehearsal_ != nullptr) [[unlikely]]
        rehearsal_->admitted(batch.span());
    return opened;
}

/// Red packets that a policy lets out in clear. Their VPN's own table says where to, else the table of the black side.
void Worker::bypass_outwards(Batch& batch) {
    for (Frame* frame : batch.span()) {
        frame->flags |= frame_bypassed;
        if ((frame->flags & frame_secret) != 0)
            frame->reason = DropReason::should_be_protected;
        else if ((frame->flags & frame_ours) == 0)
            frame->reason = mode::count_hop(*frame);
    }
    sift(batch);
    LiveCounters::add(counters_.now().bypassed, batch.count);
    route(batch);
}

/// What comes from the black side and is no packet of ours with ESP or AH.
void Worker::clear_from_black(Batch& batch) {
    Batch going;
    for (Frame* frame : batch.span()) {
        if (for_us(*frame, Role::black)) {
            const Errand errand = errand_of_ours(*frame);
            send_on(*frame, errand, errand == Errand::icmp_received ? DropReason::icmp_other : not_taken(*frame));
            continue;
        }
        going.add(frame);
        const tables::PolicyVerdict verdict = spd_->decide_inbound(*frame);
        if (rehearsal_ != nullptr) rehearsal_->decided_inbound(verdict);
        frame->reason = verdict.reason;
        if (verdict.reason != DropReason::none) continue;
        frame->vpn = verdict.vpn;
        frame->flags |= frame_bypassed | frame_to_red;
        frame->reason = mode::count_hop(*frame);
    }
    sift(going);
    LiveCounters::add(counters_.now().bypassed, going.count);
    route(going);
}

bool Worker::for_us(const Frame& frame, Role side) const {
    const bool ipv4 = frame.family == 4;
    const std::uint8_t* destination = frame.at(frame.network + (ipv4 ? wire::ipv4_destination : wire::ipv6_destination));
    return fib_->lookup(frame.vpn, side, ipv4 ? Family::ipv4 : Family::ipv6, destination, 0).reason == DropReason::for_gateway;
}

/// A frame of a VLAN on which no kernel stands for us: is it ARP, neighbour discovery, or for the gateway itself and no matter of IPsec? An
/// unspecified source is that of duplicate address detection (RFC 4862 5.4.2).
bool Worker::is_housekeeping(const Frame& frame) const {
    if (frame.reason == DropReason::not_ip) return wire::load16(frame.at(frame.network - 2U)) == wire::ethertype_arp;
    if (frame.reason == DropReason::martian_source) return frame.family == 6;
    if (frame.reason != DropReason::none) return false;
    const std::uint8_t* header = frame.at(frame.network);
    const bool ipv4 = frame.family == 4;
    const std::uint8_t* to = header + (ipv4 ? wire::ipv4_destination : wire::ipv6_destination);
    const bool icmp = frame.protocol == (ipv4 ? wire::protocol_icmp : wire::protocol_icmpv6);
    const Role side = ports_[frame.port].role;
    // 224.0.0.0/24 (RFC 5771 4), the limited broadcast, ff01::/16 and ff02::/16 (RFC 4291 2.7)
    const bool link_scope = ipv4 ? (wire::load32(to) >> 8) == 0xe00000 || wire::load32(to) == 0xffffffff
                                 : to[0] == 0xff && ((to[1] & 0xfU) == 1 || (to[1] & 0xfU) == 2);
    if (link_scope) return true;
    return (side == Role::red || (icmp && !wire::is_icmp_error(frame))) && for_us(frame, side); // errors: about what we sent
}

void Worker::hand_over(Frame& frame, std::uint8_t owner) {
    if (rehearsal_ != nullptr) rehearsal_->handed_over(owner);
    if (owner < inboxes_.size() && push(*inboxes_[owner], frame)) {
        rung_[owner] = 1;
        rung_any_ = true;
        LiveCounters::add(counters_.now().handed_over);
        return;
    }
    frame.reason = DropReason::handover_full;
    drop(frame);
}

} // namespace sallyport::worker
