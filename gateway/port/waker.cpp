// SPDX-License-Identifier: Apache-2.0
#include "gateway/port/waker.hpp"

#include <cstdint>
#include <sys/eventfd.h>
#include <unistd.h>

namespace sallyport {

Waker::Waker() : descriptor_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

Waker::~Waker() {
    if (descriptor_ >= 0) close(descriptor_);
}

void Waker::woken() {
    asleep_.exchange(false, std::memory_order_acq_rel);
    std::uint64_t count = 0;
    // Fails where nobody rang: that is as good.
    [[maybe_unused]] const auto ignored = read(descriptor_, &count, sizeof count);
}

void Waker::ring() const {
    const std::uint64_t one = 1;
    // Fails only where the counter is full: then it rings already.
    [[maybe_unused]] const auto ignored = write(descriptor_, &one, sizeof one);
}

} // namespace sallyport
