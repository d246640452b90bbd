// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/waiting.hpp"

#include <algorithm>

namespace sallyport::exception {

std::size_t WaitingFrames::find(const Neighbour& neighbour) const {
    return static_cast<std::size_t>(std::ranges::find(neighbours_, neighbour) - neighbours_.begin());
}

void WaitingFrames::left(const Neighbour& neighbour) {
    const std::size_t at = find(neighbour);
    if (--asked_[at].waiters > 0) return;
    neighbours_[at] = neighbours_.back();
    asked_[at] = asked_.back();
    neighbours_.pop_back();
    asked_.pop_back();
}

bool WaitingFrames::put(const Frame& frame, const Neighbour& neighbour, std::uint64_t now, std::vector<Frame>& dropped) {
    std::size_t at = find(neighbour);
    if (at < neighbours_.size() && asked_[at].waiters >= limits_.each) {
        dropped.push_back(frame);
        dropped.back().reason = DropReason::neighbour_queue_full;
        return false;
    }
    if (frames_.size() >= limits_.all) {
        const Waiter oldest = frames_.front();
        frames_.erase(frames_.begin());
        left(oldest.neighbour);
        dropped.push_back(oldest.frame);
        dropped.back().reason = DropReason::neighbour_queue_full;
        at = find(neighbour);
    }
    frames_.push_back({frame, now, neighbour});
    if (at < neighbours_.size()) {
        ++asked_[at].waiters;
        return false;
    }
    neighbours_.push_back(neighbour);
    asked_.push_back({now, 1});
    return true;
}

void WaitingFrames::release(const Neighbour& neighbour, std::vector<Frame>& out) {
    const std::size_t at = find(neighbour);
    if (at == neighbours_.size()) return;
    std::erase_if(frames_, [&](const Waiter& waiter) {
        if (waiter.neighbour != neighbour) return false;
        out.push_back(waiter.frame);
        return true;
    });
    asked_[at].waiters = 1;
    left(neighbour);
}

void WaitingFrames::expire(std::uint64_t now, std::vector<Frame>& dropped) {
    std::size_t count = 0;
    while (count < frames_.size() && now - frames_[count].since >= limits_.patience) {
        dropped.push_back(frames_[count].frame);
        dropped.back().reason = DropReason::neighbour_unresolved;
        left(frames_[count].neighbour);
        ++count;
    }
    frames_.erase(frames_.begin(), frames_.begin() + static_cast<std::ptrdiff_t>(count));
}

void WaitingFrames::due(std::uint64_t now, std::vector<Neighbour>& out) {
    for (std::size_t i = 0; i < neighbours_.size(); ++i)
        if (now - asked_[i].last >= limits_.ask_again) {
            asked_[i].last = now;
            out.push_back(neighbours_[i]);
        }
}

std::uint64_t WaitingFrames::next() const {
    std::uint64_t result = frames_.front().since + limits_.patience;
    for (const Asked& asked : asked_) result = std::min(result, asked.last + limits_.ask_again);
    return result;
}

} // namespace sallyport::exception
