// SPDX-License-Identifier: Apache-2.0
// What happens later, and why: each timer says its reason for who asks what an IKE SA waits for.
#pragma once

#include "ike/codec/message.hpp"
#include "ike/engine/time.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace sallyport::ike {

enum class TimerKind : std::uint8_t {
    retransmit, // of the outstanding request
    half_open,  // an IKE SA that the peer has not authenticated
    linger,     // an IKE SA that is gone still answers repeated requests
    liveness,   // an established IKE SA whose peer may have vanished
    flow,       // a flow waits for the time itself
};

struct Timer {
    Spi sa = 0; // own SPI
    TimerKind kind = TimerKind::flow;
    std::uint64_t flow = 0; // of TimerKind::flow
    std::string_view reason;
};

/// When, and which of those at that time; a time of 0: none runs.
using TimerKey = std::pair<Time, std::uint64_t>;

class Timers {
public:
    /// Takes the place of the one in `key`.
    void start(TimerKey& key, Time at, const Timer& timer) {
        stop(key);
        key = {at, ++serial_};
        timers_.emplace(key, timer);
    }
    void stop(TimerKey& key) {
        if (key.first != 0) timers_.erase(key);
        key = {};
    }
    /// The first that is due, taken out; its owner's key is stale from then on.
    [[nodiscard]] std::optional<Timer> take(Time now) {
        if (timers_.empty() || timers_.begin()->first.first > now) return std::nullopt;
        const Timer timer = timers_.begin()->second;
        timers_.erase(timers_.begin());
        return timer;
    }
    [[nodiscard]] std::optional<Time> next() const { return timers_.empty() ? std::nullopt : std::optional(timers_.begin()->first.first); }
    [[nodiscard]] std::size_t size() const { return timers_.size(); }
    [[nodiscard]] const Timer* find(const TimerKey& key) const { // null: it does not run
        const auto found = timers_.find(key);
        return found != timers_.end() ? &found->second : nullptr;
    }

private:
    std::map<TimerKey, Timer> timers_;
    std::uint64_t serial_ = 0;
};

} // namespace sallyport::ike
