// SPDX-License-Identifier: Apache-2.0
#include "gateway/tables/event_source.hpp"

#include "gateway/transform/transform.hpp"
#include "gateway/wire/esp.hpp"
#include "gateway/wire/octets.hpp"
#include "gateway/wire/parse.hpp"

namespace sallyport::tables {

namespace {

constexpr std::int64_t window = std::int64_t{1} << 31; // ticks: 0.4 to 2 seconds

void describe_sa(const Frame& frame, bool inbound, Event& event) {
    if (inbound && frame.inbound != nullptr) {
        event.sa = frame.inbound->number;
        event.spi = frame.inbound->spi;
        event.sequence = frame.sequence;
    } else if (!inbound && frame.outbound != nullptr) {
        event.sa = frame.outbound->number;
        event.spi = frame.outbound->spi();
    }
}

/// An ESP header that no SA belongs to.
void describe_esp(const Frame& frame, Event& event) {
    if (frame.protocol != wire::protocol_esp || frame.end - frame.transport < static_cast<int>(wire::esp_size)) return;
    if ((frame.flags & frame_fragment) != 0) return;
    event.spi = wire::load32(frame.at(frame.transport));
    event.sequence = wire::load32(frame.at(frame.transport) + wire::esp_sequence);
}

} // namespace

void EventSource::moved(const transform::InboundSa& sa, const Flow& outer, std::uint64_t sequence, std::uint64_t ticks) {
    if (ring_ == nullptr) return;
    const std::uint64_t second = ticks / window + 1;
    // Which SAs share a place differs from second to second, so that none keeps another away for good.
    std::uint64_t& last = moved_[(sa.number + second * 0x9e3779b97f4a7c15U) * 0x9e3779b97f4a7c15U >> 58];
    if (last >= second) return;
    Event event;
    event.kind = EventKind::address_changed;
    event.worker = worker_;
    event.vpn = sa.red_vpn;
    event.direction = Direction::inbound;
    event.has_flow = true;
    event.flow = outer;
    event.spi = sa.spi;
    event.sa = sa.number;
    event.sequence = sequence;
    if (ring_->push({&event, 1}) == 0) return; // the next packet tries again
    last = second;
    told_ = true;
}

void EventSource::miss(Gate& gate) {
    ++gate.missed;
    left_out_.store(left_out_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void EventSource::dropped(const Frame& frame, bool inbound, bool sa_known, std::uint64_t ticks) {
    if (ring_ == nullptr) return;
    Gate& gate = gates_[static_cast<std::size_t>(frame.reason)];
    if (static_cast<std::int64_t>(ticks - gate.since) > window || gate.given == 0) {
        gate.since = ticks;
        gate.given = 0;
    }
    if (gate.given >= burst) return miss(gate);
    Event event;
    event.kind = EventKind::dropped;
    event.reason = frame.reason;
    event.worker = worker_;
    event.port = frame.port;
    event.vpn = frame.vpn;
    event.direction = inbound ? Direction::inbound : Direction::outbound;
    if (frame.network != 0 && frame.family != 0) {
        event.has_flow = true;
        event.flow = wire::flow_of(frame);
        if (frame.family == 6) event.flow_label = wire::load32(frame.at(frame.network)) & 0xfffffU; // RFC 8200 3
    }
    if (sa_known) describe_sa(frame, inbound, event);
    if (event.sa == 0 && event.has_flow) describe_esp(frame, event);
    event.left_out = gate.missed;
    if (ring_->push({&event, 1}) == 0) return miss(gate);
    ++gate.given;
    gate.missed = 0;
    told_ = true;
}

} // namespace sallyport::tables
