// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/stage.hpp"

#include "gateway/sa/selector.hpp"
#include "gateway/tables/rcu.hpp"

#include <algorithm>
#include <ctime>
#include <poll.h>
#include <utility>

namespace sallyport::exception {

namespace {

constexpr unsigned inbox_size = 1024;
constexpr std::uint64_t millisecond = 1'000'000;

std::uint64_t monotonic() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// Where the frame would go now.
route::NextHop route_of(const route::Fib& fib, const Frame& frame) {
    const bool ipv4 = frame.family == 4;
    const std::uint8_t* destination = frame.at(frame.network + (ipv4 ? 16U : 24U)); // RFC 791 3.1, RFC 8200 3
    const Role out = (frame.flags & frame_to_red) != 0 ? Role::red : Role::black;
    return fib.lookup(frame.vpn, out, ipv4 ? Family::ipv4 : Family::ipv6, destination, frame.spi);
}

} // namespace

Stage::Stage(Depot& depot, const tables::Published<route::Fib>& fib, Asker& asker, const WaitingLimits& limits, EventRing* events)
    : depot_(depot), fib_(fib), asker_(asker), events_(events, Event::no_worker), inbox_(inbox_size, waker_), waiting_(limits) {
    ready_.reserve(limits.all + batch);
    dropped_.reserve(limits.all + batch);
}

Stage::~Stage() {
    std::array<Frame, batch> frames;
    while (const unsigned count = inbox_.pop(frames)) dropped_.insert(dropped_.end(), frames.begin(), frames.begin() + count);
    waiting_.expire(~std::uint64_t{0}, dropped_);
    dropped_.insert(dropped_.end(), ready_.begin(), ready_.end());
    drop_all(0);
}

void Stage::run_once(std::uint64_t now) {
    take_in(now);
    if (!waiting_.empty()) check_waited_for(now);
    give_back();
    drop_all(now);
    waiting_now_.store(waiting_.size(), std::memory_order_relaxed);
}

void Stage::take_in(std::uint64_t now) {
    std::array<Frame, batch> frames;
    for (unsigned taken = 0; taken < inbox_size;) {
        const unsigned count = inbox_.pop(frames);
        if (count == 0) return;
        for (const Frame& frame : std::span(frames).first(count)) look_after(frame, now);
        taken += count;
    }
}

void Stage::look_after(const Frame& frame, std::uint64_t now) {
    if (frame.reason != DropReason::neighbour_unresolved) {
        dropped_.push_back(frame);
        return;
    }
    const route::NextHop hop = route_of(fib_.read(), frame);
    if (hop.reason == DropReason::neighbour_unresolved) {
        const Neighbour neighbour{hop.interface, hop.gateway};
        if (waiting_.put(frame, neighbour, now, dropped_)) ask(neighbour);
    } else {
        ready_.push_back(frame); // found meanwhile, or the route has changed: the worker has the say
    }
}

void Stage::check_waited_for(std::uint64_t now) {
    const route::Fib& fib = fib_.read();
    const std::vector<Neighbour> all = waiting_.neighbours();
    for (const Neighbour& neighbour : all)
        if (fib.knows(neighbour.interface, neighbour.address)) waiting_.release(neighbour, ready_);
    waiting_.expire(now, dropped_);
    due_.clear();
    waiting_.due(now, due_);
    for (const Neighbour& neighbour : due_) ask(neighbour);
}

// What does not fit into a worker's inbox is kept for the next round.
void Stage::give_back() {
    std::size_t kept = 0;
    for (Frame& frame : ready_) {
        frame.reason = DropReason::none;
        frame.flags |= frame_waited;
        FrameRing* worker = frame.worker < workers_.size() ? workers_[frame.worker] : nullptr;
        if (worker != nullptr && worker->push({&frame, 1}) == 1) {
            worker->wake();
            waited_.fetch_add(1, std::memory_order_relaxed);
            continue;
        }
        ready_[kept++] = frame;
    }
    ready_.resize(kept);
    // A worker that stands still for good must not eat the packet memory.
    while (ready_.size() > inbox_size) {
        dropped_.push_back(ready_.back());
        dropped_.back().reason = DropReason::exception_full;
        ready_.pop_back();
    }
}

void Stage::drop_all(std::uint64_t now) {
    for (const Frame& frame : dropped_) {
        if (info(frame.reason).audit) events_.dropped(frame, (frame.flags & frame_to_red) != 0, false, now);
        counted_[static_cast<std::size_t>(frame.reason)].fetch_add(1, std::memory_order_relaxed);
        depot_.give(&frame.index, 1);
    }
    dropped_.clear();
    events_.flush();
}

void Stage::ask(const Neighbour& neighbour) {
    asker_.ask(neighbour);
    asked_.fetch_add(1, std::memory_order_relaxed);
}

int Stage::sleep_ms(std::uint64_t now) const {
    if (!ready_.empty()) return 1;
    if (waiting_.empty()) return -1;
    const std::uint64_t next = waiting_.next();
    return next <= now ? 0 : static_cast<int>(std::min<std::uint64_t>((next - now) / millisecond + 1, 1000));
}

void Stage::run(const std::atomic<bool>& stop) {
    const rcu::Reader reader;
    while (!stop.load(std::memory_order_acquire)) {
        waker_.prepare(); // before looking round, so that no change between looking and sleeping is missed
        run_once(monotonic());
        rcu::offline();
        if (inbox_.empty() && !stop.load(std::memory_order_acquire)) {
            pollfd waited{waker_.descriptor(), POLLIN, 0};
            poll(&waited, 1, sleep_ms(monotonic()));
        }
        rcu::online();
        waker_.woken();
    }
}

StageCounters Stage::counters() const {
    StageCounters result;
    for (std::size_t i = 0; i < drop_reason_count; ++i) result.dropped[i] = counted_[i].load(std::memory_order_relaxed);
    result.waited = waited_.load(std::memory_order_relaxed);
    result.waiting = waiting_now_.load(std::memory_order_relaxed);
    result.asked = asked_.load(std::memory_order_relaxed);
    return result;
}

} // namespace sallyport::exception
