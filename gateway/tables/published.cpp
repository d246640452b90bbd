// SPDX-License-Identifier: Apache-2.0
#include "gateway/tables/published.hpp"

#include <algorithm>

namespace sallyport::tables {

void Audience::join(Waker& waker) {
    const std::lock_guard lock(mutex_);
    wakers_.push_back(&waker);
}

void Audience::leave(Waker& waker) {
    const std::lock_guard lock(mutex_);
    std::erase(wakers_, &waker);
}

void Audience::settle() {
    {
        const std::lock_guard lock(mutex_);
        for (Waker* waker : wakers_) waker->wake();
    }
    rcu::synchronize();
}

} // namespace sallyport::tables
