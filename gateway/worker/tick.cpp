// SPDX-License-Identifier: Apache-2.0
// What goes out by itself when its time has come: what the worker's mode gives goes the way of every other packet, keepalives without being
// sealed.
#include "gateway/worker/clock.hpp"
#include "gateway/worker/worker.hpp"

#include <algorithm>

namespace sallyport::worker {

/// True: it was time for something. Where no SA wants anything it costs a load and three comparisons a round.
bool Worker::tick() {
    if (around_.unasked.version() != planned_) plan_unasked(monotonic());
    if (next_tick() == mode::Mode::never) return false;
    const std::uint64_t now = monotonic();
    if (now < next_tick()) return false;
    if (now >= mode_.next()) send_dummies(now);
    if (now >= keepalives_.next()) send_keepalives(now);
    return true;
}

void Worker::send_dummies(std::uint64_t now) {
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
}

void Worker::send_keepalives(std::uint64_t now) {
    Batch batch;
    keepalives_.tick(now, batch, chunks_);
    for (Frame* frame : batch.span()) {
        frame->arrival = ticks();
        frame->worker = number_;
    }
    LiveCounters::add(counters_.now().keepalives, batch.count);
    route(batch);
}

void Worker::plan_unasked(std::uint64_t now) {
    planned_ = around_.unasked.version(); // before the list: a change between the two makes another plan
    const tables::Unasked& all = around_.unasked.read();
    std::vector<mode::DummyRate> dummies;
    for (const mode::DummyRate& rate : all.dummies)
        if (rate.sa->worker == number_ && rate.per_second != 0) dummies.push_back(rate);
    mode_.plan(dummies, now);
    std::vector<mode::Silence> silences;
    for (const mode::Silence& silence : all.keepalives)
        if (silence.sa->worker == number_ && silence.seconds != 0) silences.push_back(silence);
    keepalives_.plan(std::move(silences), now);
}

} // namespace sallyport::worker
