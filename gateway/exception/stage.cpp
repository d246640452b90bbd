// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/stage.hpp"

#include "gateway/tables/rcu.hpp"

#include <algorithm>
#include <ctime>
#include <poll.h>

namespace sallyport::exception {

namespace {

constexpr unsigned inbox_size = 1024;
constexpr std::uint64_t millisecond = 1'000'000;

std::uint64_t monotonic() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

} // namespace

Stage::Stage(Depot& depot, EventRing* events) : depot_(depot), events_(events, Event::no_worker), inbox_(inbox_size, waker_) {
    ready_.reserve(inbox_size + batch);
    dropped_.reserve(inbox_size + batch);
}

Stage::~Stage() {
    std::array<Frame, batch> frames;
    while (const unsigned count = pop(frames)) dropped_.insert(dropped_.end(), frames.begin(), frames.begin() + count);
    for (Handler* handler : handlers()) handler->leave(*this);
    dropped_.insert(dropped_.end(), ready_.begin(), ready_.end());
    drop_all(0);
}

void Stage::run_once(std::uint64_t now) {
    take_in(now);
    std::size_t held = 0;
    for (Handler* handler : handlers()) {
        handler->look(now, *this);
        held += handler->held();
    }
    give_back();
    drop_all(now);
    held_.store(held, std::memory_order_relaxed);
    depot_.holders().expect(Holder::stage, held + ready_.size());
}

unsigned Stage::pop(std::span<Frame> frames) {
    const unsigned count = inbox_.pop(frames);
    for (const Frame& frame : frames.first(count)) depot_.holders().move(frame.index, Holder::passing, Holder::stage);
    return count;
}

void Stage::take_in(std::uint64_t now) {
    std::array<Frame, batch> frames;
    for (unsigned taken = 0; taken < inbox_size;) {
        const unsigned count = pop(frames);
        if (count == 0) return;
        for (Frame& frame : std::span(frames).first(count)) {
            frame.outbound = nullptr;
            Handler* handler = handlers_[static_cast<std::size_t>(frame.errand)];
            if (handler != nullptr)
                handler->take(frame, now, *this);
            else
                dropped_.push_back(frame);
        }
        taken += count;
    }
}

void Stage::again(const Frame& frame) {
    ready_.push_back(frame);
    ready_.back().reason = DropReason::none;
    ready_.back().errand = Errand::none;
}

void Stage::drop(const Frame& frame, DropReason reason) {
    dropped_.push_back(frame);
    dropped_.back().reason = reason;
}

bool Stage::make(Frame& frame) {
    frame = Frame{};
    if (depot_.take(&frame.index, 1, Holder::stage) == 0) return false;
    frame.chunk = depot_.memory().chunk(frame.index);
    return true;
}

// What does not fit into a worker's inbox is kept for the next round.
void Stage::give_back() {
    std::size_t kept = 0;
    for (const Frame& frame : ready_) {
        FrameRing* worker = frame.worker < workers_.size() ? workers_[frame.worker] : nullptr;
        depot_.holders().move(frame.index, Holder::stage, Holder::passing);
        if (worker != nullptr && worker->push({&frame, 1}) == 1) {
            worker->wake();
            returned_.fetch_add(1, std::memory_order_relaxed);
            continue;
        }
        depot_.holders().move(frame.index, Holder::passing, Holder::stage);
        ready_[kept++] = frame;
    }
    ready_.resize(kept);
    // A worker that stands still for good must not eat the packet memory.
    while (ready_.size() > inbox_size) {
        drop(ready_.back(), DropReason::exception_full);
        ready_.pop_back();
    }
}

void Stage::drop_all(std::uint64_t now) {
    for (const Frame& frame : dropped_) {
        if (info(frame.reason).audit) events_.dropped(frame, (frame.flags & frame_to_red) != 0, false, now);
        counted_[static_cast<std::size_t>(frame.reason)].fetch_add(1, std::memory_order_relaxed);
        depot_.give(&frame.index, 1, Holder::stage);
    }
    dropped_.clear();
    events_.flush();
}

std::vector<Handler*> Stage::handlers() const {
    std::vector<Handler*> result;
    for (Handler* handler : handlers_)
        if (handler != nullptr && std::ranges::find(result, handler) == result.end()) result.push_back(handler);
    return result;
}

int Stage::sleep_ms(std::uint64_t now) const {
    if (!ready_.empty()) return 1;
    std::uint64_t next = Handler::never;
    for (const Handler* handler : handlers_)
        if (handler != nullptr) next = std::min(next, handler->next());
    if (next == Handler::never) return -1;
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
    result.returned = returned_.load(std::memory_order_relaxed);
    result.held = held_.load(std::memory_order_relaxed);
    return result;
}

} // namespace sallyport::exception
