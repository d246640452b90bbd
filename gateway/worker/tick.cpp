// SPDX-License-Identifier: Apache-2.0
// What the worker's mode gives by itself when its time has come goes the way of every other packet.
#include "gateway/worker/clock.hpp"
#include "gateway/worker/worker.hpp"

#include <algorithm>

namespace sallyport::worker {

/// True: something was sent. Where no SA wants dummies it costs a load and two comparisons a round.
bool Worker::tick() {
    if (around_.dummies.version() != planned_) plan_dummies(monotonic());
    if (mode_.next() == mode::Mode::never) return false;
    const std::uint64_t now = monotonic();
    if (now < mode_.next()) return false;
    Batch batch;
    mode_.tick(now, batch, chunks_);
    for (Frame* frame : batch.span()) {
        frame->arrival = ticks();
        frame->worker = number_;
        const unsigned fits = transform::fit_of(*frame->outbound).inner; // of a dummy, any part is a dummy
        frame->end = static_cast<std::uint16_t>(std::min<unsigned>(frame->end, frame->network + fits));
    }
    LiveCounters::add(counters_.now().dummies, batch.count);
    seal(batch);
    route(batch);
    return true;
}

void Worker::plan_dummies(std::uint64_t now) {
    planned_ = around_.dummies.version(); // before the list: a change between the two makes another plan
    std::vector<mode::DummyRate> own;
    for (const mode::DummyRate& rate : around_.dummies.read().list)
        if (rate.sa->worker == number_ && rate.per_second != 0) own.push_back(rate);
    mode_.plan(own, now);
}

} // namespace sallyport::worker
