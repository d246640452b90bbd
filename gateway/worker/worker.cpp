// SPDX-License-Identifier: Apache-2.0
#include "gateway/worker/worker.hpp"

#include "gateway/tables/rcu.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/worker/clock.hpp"
#include "gateway/worker/rehearsal.hpp"

#include <algorithm>
#include <poll.h>

namespace sallyport::worker {

namespace {

constexpr unsigned inbox_capacity = 1024;
constexpr unsigned kept_chunks = 1024;
constexpr unsigned empty_rounds_before_sleep = 64;
constexpr std::uint64_t longest_sleep = 1'000'000'000; // ns; a worker without a single free chunk looks again that often

} // namespace

Worker::Worker(std::uint8_t number, const Surroundings& surroundings, std::vector<PortOfWorker> ports, Rehearsal* rehearsal)
    : number_(number), around_(surroundings), ports_(std::move(ports)), chunks_(around_.depot, kept_chunks, holder_of(number)),
      inbox_(inbox_capacity, waker_), counters_(ports_.size()), events_(surroundings.events, number), leaving_(ports_.size()),
      mode_(ticks()), rehearsal_(rehearsal) {
    around_.audience.join(waker_);
}

Worker::~Worker() {
    around_.audience.leave(waker_);
    std::array<Frame, batch_size> left;
    while (const unsigned count = inbox_.pop(left)) {
        chunks_.popped(std::span(left).first(count));
        for (const Frame& frame : std::span(left).first(count)) chunks_.give(frame);
    }
}

void Worker::meet(std::span<Worker* const> all) {
    inboxes_.clear();
    for (Worker* worker : all) inboxes_.push_back(&worker->inbox());
    rung_.assign(all.size(), 0);
}

bool Worker::run_once() {
    if (visitor_.load(std::memory_order_relaxed) != nullptr) [[unlikely]]
        receive_visitor();
    rcu::quiescent();
    spd_ = &around_.spd.read();
    fib_ = &around_.fib.read();
    way_.family = 0;
    bool busy = take_inbox();
    for (unsigned port = 0; port < ports_.size(); ++port) {
        Batch batch;
        if (receive(port, batch) == 0) continue;
        busy = true;
        if (ports_[port].role == Role::red)
            outbound(batch);
        else
            inbound(batch);
    }
    busy |= tick();
    finish();
    return busy;
}

void Worker::run(const std::atomic<bool>& stop) {
    const rcu::Reader reader;
    unsigned empty = 0;
    while (!stop.load(std::memory_order_acquire)) {
        empty = run_once() ? 0 : empty + 1;
        if (empty < empty_rounds_before_sleep || around_.spin) continue;
        waker_.prepare();
        // What came before prepare() rang no bell: look once more.
        if (inbox_.empty() && around_.unasked.version() == planned_ && visitor_.load(std::memory_order_acquire) == nullptr &&
            !stop.load(std::memory_order_acquire))
            sleep();
        waker_.woken();
    }
}

bool Worker::call(Visitor& visitor) {
    constexpr timespec nap{0, 100'000};
    constexpr unsigned patience = 20'000; // naps: some two seconds
    visited_.store(false, std::memory_order_relaxed);
    visitor_.store(&visitor, std::memory_order_release);
    waker_.wake();
    for (unsigned naps = 0; !visited_.load(std::memory_order_acquire); ++naps) {
        if (naps >= patience && visitor_.exchange(nullptr, std::memory_order_acq_rel) != nullptr) return false;
        nanosleep(&nap, nullptr);
    }
    return true;
}

void Worker::receive_visitor() {
    Visitor* visitor = visitor_.exchange(nullptr, std::memory_order_acq_rel);
    if (visitor == nullptr) return;
    visitor->visit();
    visited_.store(true, std::memory_order_release);
}

void Worker::rehearse_opened(Frame& frame) {
    rcu::quiescent();
    spd_ = &around_.spd.read();
    fib_ = &around_.fib.read();
    way_.family = 0;
    Batch batch;
    batch.add(&frame);
    judge(batch);
    route(batch);
    finish();
}

/// Nobody waits for a sleeper: it is offline, and whoever brings something rings.
void Worker::sleep() {
    std::array<pollfd, 65> waits;
    nfds_t count = 0;
    waits[count++] = {waker_.descriptor(), POLLIN, 0};
    for (const PortOfWorker& port : ports_)
        if (port.queue != nullptr && port.queue->descriptor() >= 0 && count < waits.size())
            waits[count++] = {port.queue->descriptor(), POLLIN, 0};
    const std::uint64_t next = next_tick();
    const std::uint64_t now = next == mode::Mode::never ? 0 : monotonic();
    const std::uint64_t until = next <= now ? 0 : std::min(longest_sleep, next - now);
    const timespec timeout{static_cast<time_t>(until / 1'000'000'000U), static_cast<long>(until % 1'000'000'000U)};
    LiveCounters::add(counters_.now().sleeps);
    rcu::offline();
    ppoll(waits.data(), count, &timeout, nullptr);
    rcu::online();
}

unsigned Worker::receive(unsigned port, Batch& batch) {
    PortQueue* queue = ports_[port].queue;
    if (queue == nullptr) return 0;
    queue->complete(chunks_);
    queue->refill(chunks_);
    const unsigned count = queue->receive(frames_);
    if (count == 0) return 0;
    const std::span<Frame> frames = std::span(frames_).first(count);
    chunks_.received(frames);
    for (const Frame& frame : frames.first(std::min(count, 8U))) __builtin_prefetch(frame.data());
    const VlanMap& vlans = ports_[port].vlans;
    const std::uint64_t now = ticks();
    std::uint64_t octets = 0;
    for (unsigned i = 0; i < count; ++i) {
        Frame& frame = frames[i];
        if (i + 8 < count) __builtin_prefetch(frames[i + 8].data());
        octets += frame.length();
        frame.arrival = now;
        frame.port = static_cast<std::uint8_t>(port);
        frame.worker = number_;
        wire::parse(frame);
        const std::uint32_t vpn = (frame.flags & frame_unclear) != 0 ? VlanMap::none : vlans.vpn_of(frame.vlan);
        if (vpn == VlanMap::none && frame.reason == DropReason::none) frame.reason = DropReason::unknown_vlan;
        frame.vpn = static_cast<VpnNumber>(vpn);
        if ((vpn & VlanMap::own) != 0 && is_housekeeping(frame)) [[unlikely]]
            send_on(frame, Errand::own_vlan, DropReason::own_vlan);
        else
            batch.add(&frame);
    }
    LiveCounters::add(counters_.now().ports[port].received, count);
    LiveCounters::add(counters_.now().ports[port].received_octets, octets);
    if (rehearsal_ != nullptr) [[unlikely]]
        rehearsal_->parsed(batch.span());
    sift(batch);
    return count;
}

bool Worker::from_red(const Frame& frame) const {
    return (frame.flags & frame_from_red) != 0 || (frame.port < ports_.size() && ports_[frame.port].role == Role::red);
}

/// Frames from other threads: those that waited for a neighbour, or are on their way into red, are routed, the others are looked up here,
/// with their SA's owner or after the exception stage has mended or made them.
bool Worker::take_inbox() {
    if (inbox_.empty()) return false;
    const unsigned count = inbox_.pop(frames_);
    chunks_.popped(std::span(frames_).first(count));
    Batch red, black, routed;
    for (Frame& frame : std::span(frames_).first(count)) {
        if ((frame.flags & frame_raw) != 0) {
            leave_raw(frame);
            continue;
        }
        ((frame.flags & (frame_waited | frame_onward | frame_to_red)) != 0 ? routed : from_red(frame) ? red : black).add(&frame);
    }
    LiveCounters::add(counters_.now().taken_over, count);
    outbound(red);
    inbound(black);
    route(routed);
    return count != 0;
}

void Worker::finish() {
    for (unsigned port = 0; port < ports_.size(); ++port) {
        if (leaving_[port].count != 0) transmit(port);
        if (ports_[port].queue != nullptr) ports_[port].queue->flush();
    }
    if (rung_any_) {
        for (std::size_t other = 0; other < rung_.size(); ++other)
            if (rung_[other] != 0) inboxes_[other]->wake();
        std::ranges::fill(rung_, std::uint8_t{0});
        rung_any_ = false;
    }
    if (exceptions_rung_) around_.exceptions->wake();
    exceptions_rung_ = false;
    chunks_.expect_nothing_in_hand();
    LiveCounters::set(counters_.now().chunks, chunks_.size());
    events_.flush();
    LiveCounters::add(counters_.now().rounds);
}

void Worker::sift(Batch& batch) {
    unsigned kept = 0;
    for (unsigned i = 0; i < batch.count; ++i) {
        Frame* frame = batch.at[i];
        if (frame->reason == DropReason::none) [[likely]]
            batch.at[kept++] = frame;
        else
            refuse(*frame);
    }
    batch.count = kept;
}

void Worker::drop(const Frame& frame) {
    counters_.drop(frame.reason);
    if (rehearsal_ != nullptr) [[unlikely]]
        rehearsal_->dropped(frame);
    if (info(frame.reason).audit) [[unlikely]]
        audit(frame);
    chunks_.give(frame);
}

/// The SA of a frame that has waited may be gone.
void Worker::audit(const Frame& frame) {
    const bool inbound = ports_[frame.port].role == Role::black && (frame.flags & (frame_ours | frame_from_red)) == 0;
    events_.dropped(frame, inbound, (frame.flags & frame_waited) == 0, frame.arrival);
    if (frame.reason == DropReason::no_sa && around_.events != nullptr && spd_->acquires().ask(frame.spi, frame)) events_.ring();
}

} // namespace sallyport::worker
