// SPDX-License-Identifier: Apache-2.0
// An account of the packet memory: where each chunk is, one place each. Adoption draws it up from the rings that a dead process left, and
// tests after everything that could lose a chunk or give one out twice.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sallyport {

enum class ChunkPlace : std::uint8_t {
    unknown,   // nobody has named it
    receive,   // in the fill ring, in the kernel to be written, or in the receive ring
    transmit,  // in the transmit ring, or on its way in the kernel
    completed, // in the completion ring
    free,      // in a worker's stack or the depot
    kept,      // kept back until it is known whether the kernel still has it
};

class ChunkPlaces {
public:
    explicit ChunkPlaces(std::uint32_t chunks) : place_(chunks) {}

    /// False: there is no such chunk, or it has been named before; the first fault is remembered.
    bool put(std::uint32_t chunk, ChunkPlace place);
    [[nodiscard]] ChunkPlace operator[](std::uint32_t chunk) const { return place_[chunk]; }
    [[nodiscard]] std::uint32_t count(ChunkPlace place) const;
    [[nodiscard]] std::vector<std::uint32_t> chunks_at(ChunkPlace place) const; // ascending
    /// The first chunk that was named twice or does not exist, as a sentence; empty: none.
    [[nodiscard]] const std::string& fault() const { return fault_; }

private:
    std::vector<ChunkPlace> place_;
    std::string fault_;
};

} // namespace sallyport
