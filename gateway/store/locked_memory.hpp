// SPDX-License-Identifier: Apache-2.0
// Memory for hot parts and expanded keys: locked, never in a core dump, on huge pages where the machine has them, wiped when it is given
// back.
#pragma once

#include "gateway/sa/error.hpp"

#include <cstddef>
#include <map>
#include <vector>

namespace sallyport::store {

/// Blocks of a few sizes. Threads: one at a time.
class LockedMemory {
public:
    LockedMemory() = default;
    ~LockedMemory(); // wipes and unmaps everything
    LockedMemory(const LockedMemory&) = delete;
    LockedMemory& operator=(const LockedMemory&) = delete;

    /// `size` octets of zeros, aligned to 64, at most chunk_size. Error: the machine has no memory left, or does not let us lock it.
    [[nodiscard]] Result<void*> allocate(std::size_t size);
    /// Wipes the block. `size` as it was asked for.
    void release(void* block, std::size_t size);
    /// Octets that are mapped and locked.
    [[nodiscard]] std::size_t mapped() const { return chunks_.size() * chunk_size; }

    static constexpr std::size_t chunk_size = std::size_t{2} << 20; // octets: a huge page of x86-64 and AArch64

private:
    [[nodiscard]] Result<void> add_chunk();
    std::vector<std::byte*> chunks_;
    std::size_t used_ = chunk_size;                  // of the last chunk
    std::map<std::size_t, std::vector<void*>> free_; // by size
};

} // namespace sallyport::store
