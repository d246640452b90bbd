// SPDX-License-Identifier: Apache-2.0
// Dummy packets (RFC 4303 2.6): each SA that has them sends so many a second, of sizes that vary; they go the way of every other packet.
#include "gateway/mode/tunnel.hpp"
#include "gateway/worker/clock.hpp"
#include "gateway/worker/worker.hpp"

#include <algorithm>

namespace sallyport::worker {

namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr unsigned smallest_dummy = 40, dummy_sizes = 1280; // octets of the payload: from the first, that many different ones

/// Marsaglia's xorshift64: what is random here only has to look uneven, it protects nothing by itself.
std::uint64_t next_random(std::uint64_t& state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

} // namespace

/// True: dummies were sent. Without SAs that want them it costs two loads a round.
bool Worker::tick() {
    if (around_.dummies.version() != planned_) plan_dummies(monotonic());
    if (dummies_.empty()) return false;
    const std::uint64_t now = monotonic();
    if (now < next_dummy_) return false;
    send_dummies(now);
    return true;
}

void Worker::plan_dummies(std::uint64_t now) {
    planned_ = around_.dummies.version(); // before the list: a change between the two makes another plan
    dummies_.clear();
    next_dummy_ = ~std::uint64_t{0};
    for (const tables::Dummy& dummy : around_.dummies.read().list) {
        if (dummy.sa->worker != number_ || dummy.per_second == 0) continue;
        const std::uint64_t interval = std::max<std::uint64_t>(second / dummy.per_second, 1);
        dummies_.push_back({dummy.sa, interval, now + next_random(random_) % interval}); // not all at once
        next_dummy_ = std::min(next_dummy_, dummies_.back().due);
    }
}

void Worker::send_dummies(std::uint64_t now) {
    Batch batch;
    next_dummy_ = ~std::uint64_t{0};
    for (DummyDue& dummy : dummies_) {
        std::uint32_t index = 0;
        if (dummy.due <= now && batch.count < batch_size && chunks_.take(index)) {
            // Who slept too long does not catch up by a burst.
            dummy.due = std::max(dummy.due + dummy.interval, now);
            Frame& frame = frames_[batch.count] = Frame{};
            frame.index = index;
            frame.chunk = chunks_.memory().chunk(index);
            const unsigned size = smallest_dummy + static_cast<unsigned>(next_random(random_) % dummy_sizes);
            mode::make_dummy(frame, std::min<unsigned>(size, transform::fit_of(*dummy.sa).inner));
            frame.outbound = dummy.sa;
            frame.arrival = ticks();
            frame.worker = number_;
            batch.add(&frame);
        }
        next_dummy_ = std::min(next_dummy_, dummy.due);
    }
    LiveCounters::add(counters_.now().dummies, batch.count);
    seal(batch);
    route(batch);
}

} // namespace sallyport::worker
