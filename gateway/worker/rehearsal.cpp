// SPDX-License-Identifier: Apache-2.0
#include "gateway/worker/rehearsal.hpp"

#include "gateway/wire/octets.hpp"
#include "gateway/wire/parse.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace sallyport::worker {

namespace {

constexpr unsigned most_units = sequence::units_of(Direction::inbound, 65536);

Flow flow_of(const Frame& frame) { return frame.network != 0 && frame.family != 0 ? wire::flow_of(frame) : Flow{}; }

} // namespace

Rehearsal::Rehearsal() : units_(most_units) {
    for (const AlgorithmInfo& algorithm : algorithms) {
        const std::uint8_t row = transform::row_of(algorithm.algorithm);
        auto* memory = static_cast<std::uint8_t*>(std::aligned_alloc(crypto::key_alignment, transform::key_size(row)));
        if (memory == nullptr) throw std::bad_alloc();
        std::unique_ptr<std::uint8_t[], void (*)(void*)> held(memory, &std::free);
        if (!transform::make_throwaway_key(row, memory)) throw std::bad_alloc();
        keys_.push_back({row, std::move(held)});
    }
}

Rehearsal::~Rehearsal() {
    for (const Key& key : keys_) transform::wipe_key(key.row, key.memory.get());
}

const Step* Rehearsal::last(StepKind kind) const {
    for (unsigned i = count_; i-- > 0;)
        if (steps_[i].kind == kind) return &steps_[i];
    return nullptr;
}

Step& Rehearsal::add(StepKind kind) {
    Step& step = steps_[std::min(count_, most_steps - 1)];
    count_ = std::min(count_ + 1, most_steps);
    step = Step{};
    step.kind = kind;
    return step;
}

void Rehearsal::parsed(std::span<Frame* const> frames) {
    for (const Frame* frame : frames) {
        Step& step = add(StepKind::parsed);
        step.reason = frame->reason;
        step.port = frame->port;
        if (frame->reason != DropReason::none) continue;
        step.vpn = frame->vpn;
        step.vlan = frame->vlan;
        step.length = static_cast<std::uint16_t>(frame->network_length());
        step.flags = frame->flags;
        step.spi = frame->spi;
        step.flow = flow_of(*frame);
    }
}

void Rehearsal::decided_outbound(const tables::Spd& spd, std::span<Frame* const> frames) {
    for (const Frame* frame : frames) {
        Step& step = add(StepKind::policy);
        step.reason = frame->reason;
        step.vpn = frame->vpn;
        step.policy = spd.decide_outbound(*frame).number;
        if (frame->reason != DropReason::none || frame->outbound == nullptr) continue;
        step.sa = frame->outbound->number;
        step.spi = frame->outbound->spi();
        step.worker = frame->outbound->worker;
    }
}

void Rehearsal::decided_inbound(const tables::PolicyVerdict& verdict) {
    Step& step = add(StepKind::policy);
    step.reason = verdict.reason;
    step.vpn = verdict.vpn;
    step.policy = verdict.number;
}

void Rehearsal::found(std::span<Frame* const> frames) {
    for (const Frame* frame : frames) {
        Step& step = add(StepKind::found);
        step.reason = frame->reason;
        step.spi = frame->spi;
        if (frame->inbound == nullptr) continue;
        step.sa = frame->inbound->number;
        step.worker = frame->inbound->worker;
    }
}

void Rehearsal::before_seal(std::span<Frame* const> frames) {
    for (Frame* frame : frames) {
        outbound_ = *frame->outbound;
        units_.front() = *outbound_.space.memory;
        outbound_.space.memory = units_.data();
        outbound_.counters = &counters_;
        const auto key = std::ranges::find(keys_, transform::key_row(outbound_.transform), &Key::row);
        outbound_.space.key = key != keys_.end() ? key->memory.get() : nullptr;
        if (key == keys_.end()) outbound_.space.last = 0; // of another engine: it gets no number
        frame->outbound = &outbound_;
    }
}

void Rehearsal::sealed(std::span<Frame* const> frames) {
    for (const Frame* frame : frames) {
        Step& step = add(StepKind::sealed);
        step.vpn = frame->vpn;
        step.length = static_cast<std::uint16_t>(frame->network_length());
        step.sa = outbound_.number;
        step.spi = outbound_.spi();
        step.sequence = frame->sequence;
        step.flow = flow_of(*frame);
    }
}

void Rehearsal::before_open(std::span<Frame* const> frames) {
    for (Frame* frame : frames) {
        inbound_ = *frame->inbound;
        std::copy_n(inbound_.space.memory, sequence::units_of(Direction::inbound, inbound_.space.window), units_.begin());
        inbound_.space.memory = units_.data();
        inbound_.counters = &counters_;
        frame->inbound = &inbound_;
        if (count_ != 0) steps_[count_ - 1].highest = units_.front().words[sequence::number_word];
    }
}

void Rehearsal::opened(std::span<Frame* const> frames) {
    for (const Frame* frame : frames) {
        Step& step = add(StepKind::opened);
        step.vpn = frame->vpn;
        step.length = static_cast<std::uint16_t>(frame->network_length());
        step.sa = inbound_.number;
        step.spi = inbound_.spi;
        step.sequence = frame->sequence;
    }
}

void Rehearsal::admitted(std::span<Frame* const> frames) {
    for (const Frame* frame : frames) {
        Step& step = add(StepKind::admitted);
        step.vpn = frame->vpn;
        step.length = static_cast<std::uint16_t>(frame->network_length());
        step.sa = frame->inbound->number;
        step.spi = frame->inbound->spi;
        step.flow = flow_of(*frame);
    }
}

void Rehearsal::way(const Frame& frame, const route::NextHop& hop) {
    Step& step = add(StepKind::way);
    step.reason = hop.reason;
    step.flags = frame.flags;
    step.vpn = frame.vpn;
    step.port = hop.port;
    step.vlan = hop.vlan;
    step.mtu = hop.mtu;
    step.length = static_cast<std::uint16_t>(frame.network_length());
    step.mac_known = hop.reason == DropReason::none;
    step.mac = hop.destination;
    step.gateway = hop.gateway;
    step.interface = hop.interface;
}

void Rehearsal::sent(std::uint8_t port, const Frame& frame) {
    Step& step = add(StepKind::sent);
    step.port = port;
    step.length = static_cast<std::uint16_t>(frame.length());
}

void Rehearsal::excepted(const Frame& frame) {
    Step& step = add(StepKind::excepted);
    step.reason = frame.reason;
    step.errand = frame.errand;
}

void Rehearsal::handed_over(std::uint8_t owner) { add(StepKind::handed_over).worker = owner; }

void Rehearsal::dropped(const Frame& frame) { add(StepKind::dropped).reason = frame.reason; }

unsigned RehearsalPort::receive(std::span<Frame> frames) {
    if (!has_frame_) return 0;
    has_frame_ = false;
    frames[0] = Frame{};
    frames[0].chunk = offered_.chunk;
    frames[0].index = offered_.index;
    frames[0].begin = offered_.begin;
    frames[0].end = offered_.end;
    return 1;
}

unsigned RehearsalPort::transmit(std::span<const Frame> frames) {
    for (const Frame& frame : frames) rehearsal_.sent(number_, frame);
    return static_cast<unsigned>(frames.size());
}

} // namespace sallyport::worker
