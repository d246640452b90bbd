// SPDX-License-Identifier: Apache-2.0
#include "gateway/mode/dummies.hpp"

#include "gateway/mode/tunnel.hpp"

#include <algorithm>

namespace sallyport::mode {

namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr unsigned smallest = 40, sizes = 1280; // octets of the payload: from the first, that many different ones

} // namespace

/// Marsaglia's xorshift64.
std::uint64_t Dummies::random() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
}

void Dummies::plan(std::span<const DummyRate> rates, std::uint64_t now) {
    dues_.clear();
    next_ = never;
    for (const DummyRate& rate : rates) {
        const std::uint64_t interval = std::max<std::uint64_t>(second / rate.per_second, 1);
        dues_.push_back({rate.sa, interval, now + random() % interval}); // not all at once
        next_ = std::min(next_, dues_.back().due);
    }
}

void Dummies::tick(std::uint64_t now, Batch& batch, Chunks& chunks) {
    next_ = never;
    for (Due& dummy : dues_) {
        std::uint32_t index = 0;
        if (dummy.due <= now && batch.count < batch_size && chunks.take(index)) {
            // Who slept too long does not catch up by a burst.
            dummy.due = std::max(dummy.due + dummy.interval, now);
            Frame& frame = made_[batch.count] = Frame{};
            frame.index = index;
            frame.chunk = chunks.memory().chunk(index);
            make_dummy(frame, smallest + static_cast<unsigned>(random() % sizes));
            frame.outbound = dummy.sa;
            batch.add(&frame);
        }
        next_ = std::min(next_, dummy.due);
    }
}

} // namespace sallyport::mode
