// SPDX-License-Identifier: Apache-2.0
// The end of the way: next hop, Ethernet header, the port's ring.
#include "gateway/wire/ethernet.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/udp.hpp"
#include "gateway/worker/rehearsal.hpp"
#include "gateway/worker/worker.hpp"

#include <cstring>

namespace sallyport::worker {

namespace {

/// Is why it was dropped its sender's business?
bool worth_telling(const Frame& frame, bool tell_prohibited) {
    if ((frame.flags & frame_ours) != 0) return false;
    switch (frame.reason) {
    case DropReason::ttl_expired:
    case DropReason::too_big:
    case DropReason::no_route: return true;
    case DropReason::no_policy:
    case DropReason::policy_discard: return tell_prohibited;
    default: return false;
    }
}

const std::uint8_t* destination_of(const Frame& frame) {
    return frame.at(frame.network + (frame.family == 4 ? wire::ipv4_destination : wire::ipv6_destination));
}

Family family_of(const Frame& frame) { return frame.family == 4 ? Family::ipv4 : Family::ipv6; }

} // namespace

/// The same for all packets of a flow, so that a multipath route does not reorder it: an SA outside, the addresses and ports inside.
std::uint32_t Worker::flow_hash(const Frame& frame) {
    if ((frame.flags & (frame_waited | frame_onward)) != 0) return frame.spi; // it no longer knows its SA
    if ((frame.flags & (frame_to_red | frame_bypassed)) == 0) return frame.outbound->number * 0x9e3779b1U;
    const std::uint8_t* header = frame.at(frame.network);
    const unsigned first = frame.family == 4 ? wire::ipv4_source : wire::ipv6_source;
    const unsigned size = frame.family == 4 ? 8 : 32; // both addresses
    std::uint64_t sum = frame.protocol;
    for (unsigned i = 0; i < size; i += 8) sum = (sum + wire::load_raw<std::uint64_t>(header + first + i)) * 0x9e3779b97f4a7c15U;
    if ((frame.flags & frame_ports) != 0) sum = (sum + wire::load_raw<std::uint32_t>(frame.at(frame.transport))) * 0x9e3779b97f4a7c15U;
    return static_cast<std::uint32_t>(sum >> 32);
}

void Worker::route(const Batch& batch) {
    for (Frame* frame : batch.span()) {
        const route::NextHop& hop = next_hop(*frame);
        if (hop.reason == DropReason::none) [[likely]] {
            leave(*frame, hop);
        } else if (hop.reason == DropReason::neighbour_unresolved) {
            wait_for_neighbour(*frame);
        } else if (hop.reason == DropReason::for_gateway && (frame->flags & (frame_to_red | frame_bypassed)) == frame_to_red) {
            send_on(*frame, Errand::to_kernel, DropReason::for_gateway);
        } else {
            refuse_at_the_end(*frame, hop.reason);
        }
    }
}

const route::NextHop& Worker::next_hop(Frame& frame) {
    const Role out = (frame.flags & frame_to_red) != 0 ? Role::red : Role::black;
    const std::uint8_t* destination = destination_of(frame);
    const bool alike = way_.family == frame.family && way_.vpn == frame.vpn && way_.out == out;
    const bool same = alike && (frame.family == 4 ? std::memcmp(way_.destination.data(), destination, 4) == 0 // constant sizes: no call
                                                  : std::memcmp(way_.destination.data(), destination, 16) == 0);
    if (same && !way_.next.by_flow) [[likely]]
        return way_.next;
    if (alike && way_.next.shared && fib_->group(frame.vpn, family_of(frame), destination) == way_.group) return way_.next;
    const std::uint32_t hash = flow_hash(frame);
    if (!same || way_.hash != hash) look_up(frame, out, hash);
    return way_.next;
}

void Worker::look_up(Frame& frame, Role out, std::uint32_t hash) {
    const std::uint8_t* destination = destination_of(frame);
    const Family family = family_of(frame);
    way_.next = fib_->lookup(frame.vpn, out, family, destination, hash);
    const bool nowhere = way_.next.reason == DropReason::no_route || way_.next.reason == DropReason::route_not_ours;
    if (nowhere && out == Role::black && (frame.flags & frame_bypassed) != 0 && frame.vpn != wan_vpn) {
        frame.vpn = wan_vpn;
        way_.next = fib_->lookup(wan_vpn, out, family, destination, hash);
    }
    if (rehearsal_ != nullptr) rehearsal_->way(frame, way_.next);
    way_.group = fib_->group(frame.vpn, family, destination);
    way_.family = frame.family;
    way_.vpn = frame.vpn;
    way_.hash = hash;
    way_.out = out;
    std::memcpy(way_.destination.data(), destination, frame.family == 4 ? 4 : 16);
}

void Worker::leave(Frame& frame, const route::NextHop& hop) {
    if (frame.network_length() > hop.mtu || hop.port >= ports_.size()) [[unlikely]] {
        frame.spi = hop.mtu;
        refuse_at_the_end(frame, hop.port < ports_.size() ? DropReason::too_big : DropReason::route_not_ours);
        return;
    }
    const std::uint16_t ethertype = frame.family == 4 ? wire::ethertype_ipv4 : wire::ethertype_ipv6;
    const unsigned header = wire::write_ethernet(frame.at(frame.network), hop.destination, hop.source, hop.vlan, ethertype);
    Leaving& leaving = leaving_[hop.port];
    Frame& queued = leaving.frames[leaving.count++]; // by field: a copy of the whole would wait for the fields written just now
    queued.chunk = frame.chunk;
    queued.index = frame.index;
    queued.begin = static_cast<std::uint16_t>(frame.network - header);
    queued.end = frame.end;
    if (leaving.count == batch_size) transmit(hop.port);
}

/// Once: what comes back and finds nobody again is dropped.
void Worker::wait_for_neighbour(Frame& frame) {
    frame.spi = flow_hash(frame); // goes along in a field that has served
    const bool waited = (frame.flags & frame_waited) != 0;
    send_on(frame, waited ? Errand::none : Errand::neighbour, DropReason::neighbour_unresolved);
}

/// A frame that goes no further as it is. Where it cannot be mended, and its sender may be told why, the exception stage does it; the frame
/// counts with its reason anyway.
void Worker::refuse(Frame& frame) {
    if (mend(frame)) return;
    const bool tells = worth_telling(frame, around_.tell_prohibited && from_red(frame));
    if (!tells || rehearsal_ != nullptr || !go_on_errand(frame, Errand::icmp_error)) drop(frame);
}

/// The same for one that is on its way out. Whose packet it was is known only where it was not sealed.
void Worker::refuse_at_the_end(Frame& frame, DropReason reason) {
    frame.reason = reason;
    if ((frame.flags & (frame_to_red | frame_bypassed)) == 0) return drop(frame);
    const bool from_red_port = frame.port < ports_.size() && ports_[frame.port].role == Role::red;
    if ((frame.flags & frame_to_red) == 0 && from_red_port) // its route may have been looked for in `wan`
        frame.vpn = static_cast<VpnNumber>(ports_[frame.port].vlans.vpn_of(frame.vlan));
    refuse(frame);
}

/// False: the ring is full.
bool Worker::push(FrameRing& ring, const Frame& frame) {
    chunks_.pushing(frame);
    if (ring.push({&frame, 1}) == 1) return true;
    chunks_.not_pushed(frame);
    return false;
}

/// False: the exception stage cannot take it.
bool Worker::go_on_errand(Frame& frame, Errand errand) {
    frame.errand = errand;
    frame.worker = number_;
    if (around_.exceptions == nullptr || !push(*around_.exceptions, frame)) return false;
    if (rehearsal_ != nullptr) rehearsal_->excepted(frame);
    exceptions_rung_ = true;
    LiveCounters::add(counters_.now().to_exceptions);
    return true;
}

/// Through the one door out of the straight way; `otherwise`: the reason for which the frame is dropped where nobody can help.
void Worker::send_on(Frame& frame, Errand errand, DropReason otherwise) {
    frame.reason = otherwise;
    if (errand != Errand::none && around_.exceptions != nullptr) {
        if (go_on_errand(frame, errand)) return;
        frame.reason = DropReason::exception_full;
    }
    drop(frame);
}

/// Made by the exception stage, Ethernet header and all.
void Worker::leave_raw(Frame& frame) {
    if (frame.port >= ports_.size()) {
        frame.reason = DropReason::route_not_ours;
        return drop(frame);
    }
    Leaving& leaving = leaving_[frame.port];
    leaving.frames[leaving.count++] = frame;
    if (leaving.count == batch_size) transmit(frame.port);
}

/// How many the ring took, from the front.
unsigned Worker::put_on(PortQueue& queue, std::span<const Frame> frames) {
    const unsigned sent = queue.transmit(frames);
    chunks_.transmitted(frames.first(sent));
    return sent;
}

void Worker::transmit(unsigned port) {
    Leaving& leaving = leaving_[port];
    PortQueue* queue = ports_[port].queue;
    const std::span<Frame> frames = std::span(leaving.frames).first(leaving.count);
    leaving.count = 0;
    unsigned sent = 0;
    if (queue != nullptr) {
        sent = put_on(*queue, frames);
        if (sent < frames.size()) [[unlikely]] { // let the kernel take what is in the ring, once
            queue->flush();
            queue->complete(chunks_);
            sent += put_on(*queue, frames.subspan(sent));
        }
    }
    std::uint64_t octets = 0;
    for (const Frame& frame : frames.first(sent)) octets += frame.length();
    LiveCounters::add(counters_.now().ports[port].transmitted, sent);
    LiveCounters::add(counters_.now().ports[port].transmitted_octets, octets);
    for (Frame& frame : frames.subspan(sent)) {
        frame.reason = DropReason::transmit_full;
        drop(frame);
    }
}

} // namespace sallyport::worker
