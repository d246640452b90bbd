// SPDX-License-Identifier: Apache-2.0
#include "gateway/port/memory_port.hpp"

#include <algorithm>
#include <cstring>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace sallyport {

MemoryPort::MemoryPort(unsigned fill) : waker_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), most_(fill) {}

MemoryPort::~MemoryPort() {
    if (waker_ >= 0) close(waker_);
}

bool MemoryPort::inject(std::vector<std::uint8_t> octets) {
    if (octets.size() > largest_frame) return false;
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(octets));
    const std::uint64_t one = 1;
    return write(waker_, &one, sizeof one) == sizeof one;
}

std::vector<std::vector<std::uint8_t>> MemoryPort::take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(sent_, {});
}

void MemoryPort::transmit_at_most(unsigned frames) {
    const std::lock_guard lock(mutex_);
    room_ = frames;
}

std::size_t MemoryPort::held() {
    const std::lock_guard lock(mutex_);
    return fill_.size() + done_.size();
}

unsigned MemoryPort::receive(std::span<Frame> frames) {
    const std::lock_guard lock(mutex_);
    unsigned count = 0;
    for (; count < frames.size() && !waiting_.empty() && !fill_.empty(); ++count) {
        const std::vector<std::uint8_t>& octets = waiting_.front();
        Frame& frame = frames[count] = Frame{};
        frame.index = fill_.back();
        frame.chunk = memory_.chunk(frame.index);
        frame.begin = frame_headroom;
        frame.end = static_cast<std::uint16_t>(frame_headroom + octets.size());
        if (!octets.empty()) std::memcpy(frame.data(), octets.data(), octets.size());
        fill_.pop_back();
        waiting_.pop_front();
    }
    if (waiting_.empty()) {
        std::uint64_t rung = 0;
        [[maybe_unused]] const auto ignored = read(waker_, &rung, sizeof rung);
    }
    statistics_.received += count;
    return count;
}

void MemoryPort::refill(Chunks& free) {
    const std::lock_guard lock(mutex_);
    memory_ = free.memory();
    std::uint32_t index = 0;
    while (fill_.size() < most_ && free.take(index)) {
        fill_.push_back(index);
        free.lend(index);
    }
}

unsigned MemoryPort::transmit(std::span<const Frame> frames) {
    const std::lock_guard lock(mutex_);
    const unsigned count = std::min(static_cast<unsigned>(frames.size()), room_);
    for (const Frame& frame : frames.first(count)) {
        sent_.emplace_back(frame.data(), frame.data() + frame.length());
        done_.push_back(frame.index);
    }
    if (room_ != ~0U) room_ -= count;
    statistics_.transmitted += count;
    return count;
}

void MemoryPort::complete(Chunks& free) {
    const std::lock_guard lock(mutex_);
    for (const std::uint32_t index : done_) free.take_back(index);
    done_.clear();
}

PortStatistics MemoryPort::statistics() const {
    const std::lock_guard lock(mutex_);
    return statistics_;
}

unsigned LapPort::receive(std::span<Frame> frames) {
    const std::size_t count = std::min(frames.size(), lap_.size() - next_);
    std::copy_n(lap_.begin() + static_cast<std::ptrdiff_t>(next_), count, frames.begin());
    next_ += count;
    received_ += count;
    return static_cast<unsigned>(count);
}

unsigned LapPort::transmit(std::span<const Frame> frames) {
    transmitted_ += frames.size();
    if (record_ != nullptr) record_->insert(record_->end(), frames.begin(), frames.end());
    return static_cast<unsigned>(frames.size());
}

PortStatistics LapPort::statistics() const { return {.received = received_, .transmitted = transmitted_}; }

} // namespace sallyport
