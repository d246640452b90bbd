// SPDX-License-Identifier: Apache-2.0
#include "gateway/courier/courier.hpp"

#include "gateway/courier/packet.hpp"
#include "gateway/wire/udp.hpp"

#include <cstring>
#include <ctime>
#include <poll.h>

namespace sallyport::courier {
namespace {

std::uint64_t nanoseconds(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

/// A /24 of IPv4, a /48 of IPv6: as the buckets of the port's program have them.
std::uint64_t prefix_of(const Address& address) {
    std::uint64_t prefix = 0;
    std::memcpy(&prefix, address.octets.data(), address.family == Family::ipv4 ? 3 : 6);
    return address.family == Family::ipv4 ? prefix : ~prefix;
}

} // namespace

Courier::Courier(Sockets& sockets, Depot& depot, std::vector<FrameRing*> workers, CourierLimits limits)
    : sockets_(sockets), depot_(depot), workers_(std::move(workers)), limits_(limits), bucket_(limits.sent_a_second, limits.sent_at_once),
      record_(sizeof(ike_datagram::RecordHeader) + ike_datagram::most_message + 1) {}

// --- from the wire ---

/// Has another message with an unknown SPI come from there a moment ago? sallyport-ike needs a few, to tell the peer (RFC 7296 2.21.4).
bool Courier::often(const Address& remote, std::uint64_t now) {
    if (unknown_.size() >= limits_.unknown_prefixes) unknown_.clear();
    const auto [entry, fresh] = unknown_.try_emplace(prefix_of(remote), now);
    if (fresh) return false;
    if (now - entry->second < limits_.unknown_interval) return true;
    entry->second = now;
    return false;
}

Line Courier::line_of(const ike_datagram::Datagram& datagram, std::uint64_t now, bool& unknown) {
    const std::uint64_t spi = own_spi(datagram.message);
    unknown = false;
    if (spi == 0) return Line::first;
    {
        const std::lock_guard lock(mutex_);
        if (known_.contains(spi)) return Line::known;
    }
    unknown = often(datagram.remote, now);
    return Line::first;
}

void Courier::take(const Frame& frame, std::uint64_t now, exception::Exits& exits) {
    std::optional<ike_datagram::Datagram> datagram = read_packet(frame);
    if (!datagram) return exits.drop(frame, DropReason::ike_malformed);
    bool unknown = false;
    const Line line = line_of(*datagram, now, unknown);
    const std::shared_ptr<const Peer> peer = sockets_.peer(line);
    if (!peer) return exits.drop(frame, DropReason::ike_nobody_listening);
    if (unknown) return exits.drop(frame, DropReason::ike_unknown_spi);
    datagram->received = nanoseconds(CLOCK_BOOTTIME);
    if (!peer->send(*datagram)) return exits.drop(frame, DropReason::ike_full);
    brought_[static_cast<std::size_t>(line)].fetch_add(1, std::memory_order_relaxed);
    exits.used_up(frame);
}

void Courier::know(std::span<const std::uint64_t> spis) {
    const std::lock_guard lock(mutex_);
    known_.insert(spis.begin(), spis.end());
}

void Courier::forget(std::span<const std::uint64_t> spis) {
    const std::lock_guard lock(mutex_);
    for (const std::uint64_t spi : spis) known_.erase(spi);
}

void Courier::set_sources(std::set<std::pair<VpnNumber, Address>> sources) {
    const std::lock_guard lock(mutex_);
    sources_ = std::move(sources);
}

// --- to the wire ---

bool Courier::run_once(std::uint64_t now) {
    const unsigned strangers = sockets_.accept();
    turned_away_.fetch_add(strangers, std::memory_order_relaxed);
    const bool known = read(Line::known, now), first = read(Line::first, now);
    return known || first || strangers != 0;
}

bool Courier::read(Line line, std::uint64_t now) {
    const std::shared_ptr<const Peer> peer = sockets_.peer(line);
    if (!peer) return false;
    for (unsigned taken = 0; taken < batch; ++taken) {
        std::size_t size = 0;
        switch (peer->receive(record_, size)) {
        case Peer::Came::nothing: return taken != 0;
        case Peer::Came::gone: sockets_.hang_up(line); return true;
        case Peer::Came::record:
            if (size > record_.size())
                refuse(Refused::malformed);
            else
                carry({record_.data(), size}, now);
        }
    }
    return true;
}

bool Courier::is_source(const ike_datagram::Datagram& datagram) {
    if (datagram.local_port != wire::port_ike && datagram.local_port != wire::port_ike_nat) return false;
    const std::lock_guard lock(mutex_);
    return sources_.contains({datagram.vpn, datagram.local});
}

void Courier::carry(std::span<const std::uint8_t> record, std::uint64_t now) {
    const auto datagram = ike_datagram::parse(record);
    if (!datagram || datagram->message.size() > room_for_message(datagram->local.family)) return refuse(Refused::malformed);
    if (!is_source(*datagram)) return refuse(Refused::source);
    if (!bucket_.take(now)) return refuse(Refused::rate);
    push(*datagram);
}

void Courier::push(const ike_datagram::Datagram& datagram) {
    Frame frame;
    if (depot_.take(&frame.index, 1, Holder::reader) == 0) return refuse(Refused::no_chunk);
    frame.chunk = depot_.memory().chunk(frame.index);
    write_packet(frame, datagram);
    frame.worker = static_cast<std::uint8_t>(frame.spi % workers_.size());
    depot_.holders().move(frame.index, Holder::reader, Holder::passing);
    if (workers_[frame.worker]->push({&frame, 1}) != 1) {
        depot_.holders().move(frame.index, Holder::passing, Holder::reader);
        depot_.give(&frame.index, 1, Holder::reader);
        return refuse(Refused::full);
    }
    workers_[frame.worker]->wake();
    sent_.fetch_add(1, std::memory_order_relaxed);
}

void Courier::run(const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_acquire)) {
        waker_.prepare(); // before looking round, so that no change between looking and sleeping is missed
        if (!run_once(nanoseconds(CLOCK_MONOTONIC)) && !stop.load(std::memory_order_acquire)) sleep();
        waker_.woken();
    }
}

void Courier::sleep() {
    std::vector<pollfd> waited{{waker_.descriptor(), POLLIN, 0}};
    std::vector<std::shared_ptr<const Peer>> peers; // they stay open while they are waited for
    for (const Line line : {Line::known, Line::first}) {
        waited.push_back({sockets_.door(line), POLLIN, 0});
        if (auto peer = sockets_.peer(line)) {
            waited.push_back({peer->descriptor(), POLLIN, 0});
            peers.push_back(std::move(peer));
        }
    }
    poll(waited.data(), waited.size(), -1);
}

CourierCounters Courier::counters() const {
    CourierCounters result;
    for (std::size_t i = 0; i < line_count; ++i) result.brought[i] = brought_[i].load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < refused_reasons.size(); ++i) result.refused[i] = refused_[i].load(std::memory_order_relaxed);
    result.sent = sent_.load(std::memory_order_relaxed);
    result.turned_away = turned_away_.load(std::memory_order_relaxed);
    return result;
}

} // namespace sallyport::courier
