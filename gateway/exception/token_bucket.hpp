// SPDX-License-Identifier: Apache-2.0
// A limit of so many a second, and so many at once.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sallyport::exception {

/// Kept as the time up to which its tokens are spent. Times are nanoseconds of one clock, never falling.
class TokenBucket {
public:
    /// `rate`: tokens a second, 0: none ever. `burst`: at once, at least 1.
    TokenBucket(std::uint32_t rate, std::uint32_t burst)
        : interval_(rate == 0 ? 0 : 1'000'000'000U / rate), window_(interval_ * (std::max(burst, 1U) - 1)) {}

    /// Takes a token. False: there is none.
    bool take(std::uint64_t now) {
        const std::uint64_t spent = std::max(spent_until_, now);
        if (interval_ == 0 || spent - now > window_) return false;
        spent_until_ = spent + interval_;
        return true;
    }

private:
    std::uint64_t interval_, window_; // ns
    std::uint64_t spent_until_ = 0;
};

} // namespace sallyport::exception
