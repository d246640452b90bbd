// SPDX-License-Identifier: Apache-2.0
// Records with keys that another process hands over in a memfd: copied into memory of our own, so that nobody changes them while they are
// checked, and wiped where they came from.
#pragma once

#include "gateway/sa/error.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace sallyport::control {

/// Locked, not in a core dump, wiped when it goes.
class HandedRecords {
public:
    /// Copies all of the memfd and overwrites it with zeros. Its size must be sealed (F_SEAL_SHRINK, F_SEAL_GROW) and its octets must not
    /// be (F_SEAL_WRITE, F_SEAL_FUTURE_WRITE). The descriptor stays the caller's. Error: nothing is kept.
    [[nodiscard]] static Result<HandedRecords> take(int memfd, std::size_t largest);
    HandedRecords(HandedRecords&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    HandedRecords& operator=(HandedRecords&& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(size_, other.size_);
        return *this;
    }
    HandedRecords(const HandedRecords&) = delete;
    ~HandedRecords();

    [[nodiscard]] std::span<const std::uint8_t> octets() const { return {static_cast<const std::uint8_t*>(memory_), size_}; }

private:
    HandedRecords(void* memory, std::size_t size) : memory_(memory), size_(size) {}
    void* memory_;
    std::size_t size_;
};

} // namespace sallyport::control
