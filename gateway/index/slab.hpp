// SPDX-License-Identifier: Apache-2.0
// Very many things of one type that stay where they are, without what an allocator adds to each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace sallyport::index {

/// Each has a number, small and given again when it is free. Threads: one at a time.
template <class Thing>
class Slab {
public:
    std::uint32_t put(Thing thing) {
        if (free_.empty()) {
            if (made_ == size_of_chunk * chunks_.size()) chunks_.push_back(std::make_unique<Chunk>());
            free_.push_back(made_++);
        }
        const std::uint32_t number = free_.back();
        free_.pop_back();
        (*this)[number] = std::move(thing);
        return number;
    }
    void erase(std::uint32_t number) {
        (*this)[number] = Thing{};
        free_.push_back(number);
    }
    [[nodiscard]] Thing& operator[](std::uint32_t number) { return (*chunks_[number / size_of_chunk])[number % size_of_chunk]; }
    [[nodiscard]] const Thing& operator[](std::uint32_t number) const { return (*chunks_[number / size_of_chunk])[number % size_of_chunk]; }
    [[nodiscard]] std::size_t size() const { return made_ - free_.size(); }

private:
    static constexpr std::uint32_t size_of_chunk = 256;
    using Chunk = std::array<Thing, size_of_chunk>;
    std::vector<std::unique_ptr<Chunk>> chunks_;
    std::vector<std::uint32_t> free_;
    std::uint32_t made_ = 0; // numbers that were ever given
};

} // namespace sallyport::index
