// SPDX-License-Identifier: Apache-2.0
#include "bench/stream.hpp"

#include "gateway/wire/octets.hpp"

#include <algorithm>
#include <ctime>

namespace sallyport::bench {

Stream::Stream(const char* device, const route::Mac& to, unsigned inner)
    : generator_(device), memory_(std::size_t{burst} * chunk_size), frames_(burst) {
    for (unsigned i = 0; i < burst; ++i) {
        frames_[i].chunk = memory_.data() + std::size_t{i} * chunk_size;
        put_red_packet(frames_[i], inner, 0);
        std::ranges::copy(to, frames_[i].data());
    }
}

Stream::~Stream() {
    if (thread_.joinable()) static_cast<void>(end());
}

void Stream::begin(double rate) {
    stop_ = false;
    offered_ = 0;
    thread_ = std::thread([this, rate] { run(rate); });
}

std::uint64_t Stream::end() {
    stop_ = true;
    thread_.join();
    return offered_;
}

void Stream::run(double rate) {
    timespec next{};
    clock_gettime(CLOCK_MONOTONIC, &next);
    const auto step = rate == 0 ? 0 : static_cast<long>(1e9 * burst / rate);
    while (!stop_) {
        generator_.send(frames_);
        offered_ += burst;
        if (step == 0) continue;
        next.tv_nsec += step;
        next.tv_sec += next.tv_nsec / 1'000'000'000;
        next.tv_nsec %= 1'000'000'000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
    }
}

} // namespace sallyport::bench
