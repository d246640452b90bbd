// SPDX-License-Identifier: Apache-2.0
// The lifetimes of SAs (RFC 4301 4.4.2.1). Workers see to it that no packet passes a hard one in packets or octets; here is seen what has
// been reached, and time.
#pragma once

#include "gateway/store/store.hpp"

#include <cstdint>
#include <random>
#include <unordered_map>
#include <vector>

namespace sallyport::control {

/// Threads: the control thread. Times are seconds of CLOCK_BOOTTIME.
class Lifetimes {
public:
    /// Between two calls of look() at most; a hard lifetime in seconds ends by so much early rather than late.
    static constexpr std::uint64_t tick = 1;

    explicit Lifetimes(std::uint64_t seed) : random_(seed) {}

    /// From now on; before workers see it, for its time may be over already. `sa` stays where it is until remove(). SAs without a lifetime
    /// cost nothing. In the place of another one under the same key and lifetimes, an update, it goes on with what was told of that.
    void add(const store::Sa& sa, const SaSpec& spec, std::uint64_t now);
    /// Nothing where another one has taken its place.
    void remove(const store::Sa& sa) {
        if (const auto at = watched_.find(sa.number); at != watched_.end() && at->second.sa == &sa) watched_.erase(at);
    }

    struct Reached {
        const store::Sa* sa;
        bool hard;
    };
    /// What was reached since the last call, each once. An SA whose hard time is over passes nothing from now on. Reads every SA that has a
    /// lifetime: some milliseconds for 100,000 of them.
    [[nodiscard]] std::vector<Reached> look(std::uint64_t now);

private:
    struct Watched {
        const store::Sa* sa;
        Lifetime asked; // the soft one
        Lifetime soft;  // shortened
        Lifetime hard;
        std::uint64_t begun;
        std::uint8_t jitter;
        bool soft_told = false, hard_told = false;
    };
    [[nodiscard]] static bool goes_on(const Watched& before, const store::Sa& now, const SaSpec& spec);
    [[nodiscard]] Lifetime shortened(const SaSpec& spec);

    std::mt19937_64 random_;                             // spreads the work; it protects nothing
    std::unordered_map<std::uint32_t, Watched> watched_; // by number of the SA
};

} // namespace sallyport::control
