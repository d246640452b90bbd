// SPDX-License-Identifier: Apache-2.0
// The two clocks of a worker.
#pragma once

#include <cstdint>
#include <ctime>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace sallyport::worker {

/// Nanoseconds of CLOCK_MONOTONIC: for deadlines.
[[nodiscard]] inline std::uint64_t monotonic() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

/// The processor's counter, for Frame::arrival; elsewhere than on x86-64 the monotonic clock.
[[nodiscard]] inline std::uint64_t ticks() {
#if defined(__x86_64__)
    return __rdtsc();
#else
    return monotonic();
#endif
}

} // namespace sallyport::worker
