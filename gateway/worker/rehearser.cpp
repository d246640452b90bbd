// SPDX-License-Identifier: Apache-2.0
#include "gateway/worker/rehearser.hpp"

#include "gateway/wire/ip.hpp"

#include <algorithm>

namespace sallyport::worker {

namespace {

constexpr std::size_t page = 4096;

std::unique_ptr<std::uint8_t[], void (*)(void*)> make_memory(std::size_t octets) {
    auto* memory = static_cast<std::uint8_t*>(std::aligned_alloc(page, octets));
    if (memory == nullptr) throw std::bad_alloc();
    std::fill_n(memory, octets, std::uint8_t{0});
    return {memory, &std::free};
}

} // namespace

Rehearser::Rehearser(std::uint8_t number, const Surroundings& real, std::vector<PortOfWorker> ports)
    : memory_(make_memory(std::size_t{chunks} * chunk_size)), depot_({memory_.get(), chunks}),
      unasked_(std::make_unique<const tables::Unasked>()), exceptions_(16, waker_) {
    for (PortOfWorker& port : ports) port.queue = &queues_.emplace_back(static_cast<std::uint8_t>(queues_.size()), rehearsal_);
    const Surroundings around{.depot = depot_,
                              .sad = real.sad,
                              .spd = real.spd,
                              .fib = real.fib,
                              .unasked = unasked_,
                              .audience = audience_,
                              .exceptions = &exceptions_,
                              .tell_prohibited = real.tell_prohibited,
                              .following = real.following};
    worker_ = std::make_unique<Worker>(number, around, std::move(ports), &rehearsal_);
}

/// A frame with these octets where received ones begin.
Frame Rehearser::lay(std::span<const std::uint8_t> octets) {
    Frame frame;
    if (octets.size() > largest_frame || depot_.take(&frame.index, 1) == 0) return frame;
    frame.chunk = depot_.memory().chunk(frame.index);
    frame.begin = frame_headroom;
    frame.end = static_cast<std::uint16_t>(frame_headroom + octets.size());
    std::ranges::copy(octets, frame.data());
    return frame;
}

bool Rehearser::run(std::size_t port, std::span<const std::uint8_t> octets) {
    const Frame frame = lay(octets);
    if (frame.chunk == nullptr || port >= queues_.size()) return false;
    queues_[port].offer(frame);
    worker_->run_once();
    return true;
}

bool Rehearser::run_opened(const transform::InboundSa& sa, std::span<const std::uint8_t> packet) {
    Frame frame = lay(packet);
    if (frame.chunk == nullptr || packet.size() < wire::ipv4_size) return false;
    frame.family = packet[0] >> 4 == 6 ? 6 : 4;
    if (frame.family == 6 && packet.size() < wire::ipv6_size) return false;
    frame.network = frame.begin;
    frame.inbound = &sa;
    frame.vpn = sa.red_vpn;
    worker_->rehearse_opened(frame);
    return true;
}

} // namespace sallyport::worker
