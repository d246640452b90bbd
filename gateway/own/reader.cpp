// SPDX-License-Identifier: Apache-2.0
#include "gateway/own/reader.hpp"

#include "gateway/wire/ethernet.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/parse.hpp"

#include <cstring>
#include <poll.h>
#include <utility>

namespace sallyport::own {

namespace {

constexpr unsigned begin = frame_headroom + wire::ethernet_size; // where the IP header of a received frame lies too
constexpr std::size_t room = chunk_size - begin - tail_room;

Address address_at(const std::uint8_t* octets, Family family) {
    Address result;
    result.family = family;
    std::memcpy(result.octets.data(), octets, result.size());
    return result;
}

/// What the kernel says by itself on every device that is up (multicast listener reports and the like), meant for a link: there is none.
bool stays_on_link(const Frame& frame) {
    const std::uint8_t* header = frame.at(frame.network);
    if (frame.family == 4) {
        const std::uint32_t destination = wire::load32(header + wire::ipv4_destination);
        return destination >> 8 == 0xe00000 || destination == 0xffffffff; // RFC 5771 4
    }
    const std::uint8_t* destination = header + wire::ipv6_destination;
    return destination[0] == 0xff && (destination[1] & 0xf) <= 2; // RFC 4291 2.7
}

/// The IP header's own length against what was read.
bool whole(const Frame& frame, std::size_t octets) {
    const std::uint8_t* header = frame.at(frame.network);
    if (frame.family == 4) return octets >= wire::ipv4_size && wire::load16(header + wire::ipv4_total_length) == octets;
    return frame.family == 6 && octets >= wire::ipv6_size && wire::ipv6_size + wire::load16(header + wire::ipv6_payload_length) == octets;
}

/// The same for all packets of a flow; fragments have no ports, so ports do not count.
unsigned worker_of(const Frame& frame, std::size_t workers) {
    const unsigned first = frame.family == 4 ? wire::ipv4_source : wire::ipv6_source;
    const unsigned size = frame.family == 4 ? 8 : 32; // both addresses
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < size; i += 8)
        sum = (sum + wire::load_raw<std::uint64_t>(frame.at(frame.network + first + i))) * 0x9e3779b97f4a7c15U;
    return static_cast<unsigned>((sum >> 32) % workers);
}

} // namespace

Reader::Reader(Depot& depot, std::vector<FrameRing*> workers)
    : depot_(depot), workers_(std::move(workers)), rung_(workers_.size()), doors_(std::make_shared<const std::vector<Door>>()) {}

Reader::~Reader() = default;

void Reader::set(std::vector<Door> doors) {
    auto next = std::make_shared<const std::vector<Door>>(std::move(doors));
    {
        const std::lock_guard lock(mutex_);
        doors_.swap(next);
    }
    wake();
}

std::shared_ptr<const std::vector<Door>> Reader::doors() {
    const std::lock_guard lock(mutex_);
    return doors_;
}

bool Reader::run_once() {
    bool busy = false;
    const auto doors = this->doors();
    for (const Door& door : *doors) busy |= read(door);
    for (std::size_t worker = 0; worker < rung_.size(); ++worker) {
        if (rung_[worker]) workers_[worker]->wake();
        rung_[worker] = false;
    }
    return busy;
}

bool Reader::read(const Door& door) {
    for (unsigned taken = 0; taken < batch; ++taken) {
        std::uint32_t chunk = 0;
        if (depot_.take(&chunk, 1, Holder::reader) == 0) {
            std::array<std::uint8_t, 1> nowhere{}; // the kernel's queue must not fill up with what nobody will read
            if (door.tun->read(nowhere) == 0) return taken != 0;
            count(DropReason::no_chunk);
            continue;
        }
        const std::size_t octets = door.tun->read({depot_.memory().chunk(chunk) + begin, room});
        if (octets == 0) {
            depot_.give(&chunk, 1, Holder::reader);
            return taken != 0;
        }
        const DropReason reason = carry(door, chunk, octets);
        if (reason == DropReason::none) continue;
        if (reason != DropReason::dummy) count(reason);
        depot_.give(&chunk, 1, Holder::reader);
    }
    return true;
}

DropReason Reader::carry(const Door& door, std::uint32_t chunk, std::size_t octets) {
    Frame frame;
    frame.index = chunk;
    frame.chunk = depot_.memory().chunk(chunk);
    frame.begin = frame.network = begin;
    frame.end = static_cast<std::uint16_t>(begin + octets);
    frame.family = *frame.at(begin) >> 4;
    frame.vpn = door.vpn;
    frame.flags = frame_ours | frame_from_red;
    if (!whole(frame, octets)) return DropReason::malformed_inner;
    if (stays_on_link(frame)) return DropReason::dummy;
    wire::parse_opened(frame);
    if (frame.reason != DropReason::none) return frame.reason;
    const Family family = frame.family == 4 ? Family::ipv4 : Family::ipv6;
    const unsigned source = frame.family == 4 ? wire::ipv4_source : wire::ipv6_source;
    if (door.strangers.contains(address_at(frame.at(frame.network + source), family))) return DropReason::own_other_vpn;
    frame.worker = static_cast<std::uint8_t>(worker_of(frame, workers_.size()));
    depot_.holders().move(chunk, Holder::reader, Holder::passing);
    if (workers_[frame.worker]->push({&frame, 1}) != 1) {
        depot_.holders().move(chunk, Holder::passing, Holder::reader);
        return DropReason::own_full;
    }
    rung_[frame.worker] = true;
    sent_.fetch_add(1, std::memory_order_relaxed);
    return DropReason::none;
}

void Reader::run(const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_acquire)) {
        waker_.prepare(); // before looking round, so that no change between looking and sleeping is missed
        if (!run_once() && !stop.load(std::memory_order_acquire)) sleep();
        waker_.woken();
    }
}

void Reader::sleep() {
    const auto doors = this->doors();
    std::vector<pollfd> waited{{waker_.descriptor(), POLLIN, 0}};
    for (const Door& door : *doors) waited.push_back({door.tun->descriptor(), POLLIN, 0});
    poll(waited.data(), waited.size(), -1);
    // A device that somebody has taken away says so for ever: then a packet is not worth a core.
    for (const pollfd& one : waited)
        if ((one.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
            pollfd bell{waker_.descriptor(), POLLIN, 0};
            poll(&bell, 1, 100);
            return;
        }
}

ReaderCounters Reader::counters() const {
    ReaderCounters result;
    for (std::size_t i = 0; i < drop_reason_count; ++i) result.dropped[i] = dropped_[i].load(std::memory_order_relaxed);
    result.sent = sent_.load(std::memory_order_relaxed);
    return result;
}

} // namespace sallyport::own
