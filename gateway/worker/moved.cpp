// SPDX-License-Identifier: Apache-2.0
// Peers behind a NAT whose address or UDP port changes (RFC 7296 2.23). Of an SA that follows its peer, ESP in UDP is taken from any
// source; whoever has negotiated it is told where the peer is now, and nothing else comes of it here.
#include "gateway/wire/ip.hpp"
#include "gateway/wire/udp.hpp"
#include "gateway/worker/in_udp.hpp"
#include "gateway/worker/worker.hpp"

#include <array>
#include <cstring>

namespace sallyport::worker {

namespace {

/// A packet proves where its peer is when it is authentic and newer than all before it: a copy, or one held back, says nothing.
bool proves(const Frame& frame) {
    // In transport mode the inner packet has the new address, too, of which the SA's selectors do not know yet.
    const bool authentic = frame.reason == DropReason::none || frame.reason == DropReason::dummy ||
                           (frame.reason == DropReason::selector_mismatch && (frame.flags & frame_to_red) != 0);
    return authentic && frame.sequence == sequence::detail::load(frame.inbound->space.memory->words[sequence::number_word]);
}

bool sent_to(const transform::InboundSa& sa, const Frame& frame) {
    const std::uint8_t* header = frame.at(frame.network);
    return frame.family == 4 ? std::memcmp(sa.outer_local.data(), header + wire::ipv4_destination, 4) == 0
                             : std::memcmp(sa.outer_local.data(), header + wire::ipv6_destination, 16) == 0;
}

} // namespace

/// Null: it does not follow.
const tables::Following::Sa* Worker::following(const transform::InboundSa& sa) const {
    return around_.following != nullptr ? around_.following->read().find(sa.number) : nullptr;
}

/// An ESP packet whose outer addresses are not those of its SA.
bool Worker::may_have_moved(const Frame& frame) const {
    return (frame.flags & frame_in_udp) != 0 && sent_to(*frame.inbound, frame) && following(*frame.inbound) != nullptr;
}

Worker::Origin Worker::origin_of(Frame& frame) {
    return {.frame = &frame,
            .source = wire::source_of(frame.at(frame.network), frame.family),
            .port = wire::load16(frame.at(frame.transport) - wire::udp_size + wire::source_port_offset)};
}

/// Ports of packets whose addresses match are not compared one by one: of a batch the last packet is looked at. `frame` is null where it
/// shows nothing new.
Worker::Origin Worker::sample(const Batch& batch) const {
    if (batch.count == 0 || (batch.at[batch.count - 1]->flags & frame_in_udp) == 0) [[likely]]
        return {};
    Frame& frame = *batch.at[batch.count - 1];
    const tables::Following::Sa* sa = following(*frame.inbound);
    if (sa == nullptr) return {};
    const Origin origin = origin_of(frame);
    return origin.port != sa->port ? origin : Origin{};
}

void Worker::open_strangers(Batch& batch) {
    Batch own;
    std::array<Origin, batch_size> origins;
    for (Frame* frame : batch.span()) {
        if (frame->inbound->worker != number_) {
            hand_over(*frame, frame->inbound->worker);
        } else if (lacks_checksum(*frame)) {
            frame->reason = DropReason::udp_no_checksum;
            drop(*frame);
        } else {
            origins[own.count] = origin_of(*frame);
            own.add(frame);
        }
    }
    const unsigned count = own.count;
    open(own);
    for (unsigned i = 0; i < count; ++i) look_at_origin(origins[i]);
    route(own);
}

/// After opening.
void Worker::look_at_origin(const Origin& origin) {
    const Frame& frame = *origin.frame;
    if (!proves(frame)) return;
    const transform::InboundSa& sa = *frame.inbound;
    const Flow outer{.source = origin.source,
                     .destination = wire::address_at(sa.outer_local.data(), sa.outer_family),
                     .source_port = origin.port,
                     .destination_port = wire::port_ike_nat,
                     .protocol = wire::protocol_udp,
                     .ports_known = true};
    events_.moved(sa, outer, frame.sequence, frame.arrival);
}

} // namespace sallyport::worker
