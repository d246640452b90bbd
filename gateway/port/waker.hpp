// SPDX-License-Identifier: Apache-2.0
// The doorbell of a worker that may be asleep in poll().
#pragma once

#include <atomic>

namespace sallyport {

/// The sleeper calls prepare(), looks once more at everything it waits for, polls descriptor(), and calls woken(). Whoever brings something
/// calls wake() behind it; that costs a system call only while the sleeper sleeps. Threads: wake() any, the others the sleeper only.
class Waker {
public:
    Waker();
    ~Waker();
    Waker(const Waker&) = delete;
    Waker& operator=(const Waker&) = delete;

    [[nodiscard]] bool good() const { return descriptor_ >= 0; } // false: the process has no descriptor left
    [[nodiscard]] int descriptor() const { return descriptor_; }

    /// Both ends exchange, so whichever comes second sees what the first did: no wake-up is lost and no fence is needed.
    void prepare() { asleep_.exchange(true, std::memory_order_acq_rel); }
    void woken();
    void wake() {
        if (asleep_.exchange(false, std::memory_order_acq_rel)) ring();
    }

private:
    void ring() const;
    int descriptor_;
    std::atomic<bool> asleep_{false};
};

} // namespace sallyport
