// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/locked_memory.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace sallyport::store {

namespace {

constexpr std::size_t chunk_size = LockedMemory::chunk_size;

std::size_t rounded(std::size_t size) { return (size + 63) / 64 * 64; }

/// A chunk at a multiple of its size, so that one huge page can hold it; null: no memory.
std::byte* map_chunk() {
    constexpr int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    void* reserved = mmap(nullptr, chunk_size, protection, flags | MAP_HUGETLB, -1, 0);
    if (reserved != MAP_FAILED) return static_cast<std::byte*>(reserved);
    void* wide = mmap(nullptr, 2 * chunk_size, protection, flags | MAP_NORESERVE, -1, 0);
    if (wide == MAP_FAILED) return nullptr;
    auto* begin = static_cast<std::byte*>(wide);
    const std::size_t before = (chunk_size - reinterpret_cast<std::uintptr_t>(begin) % chunk_size) % chunk_size;
    if (before != 0) munmap(begin, before);
    if (before != chunk_size) munmap(begin + before + chunk_size, chunk_size - before);
    madvise(begin + before, chunk_size, MADV_HUGEPAGE);
    return begin + before;
}

} // namespace

LockedMemory::~LockedMemory() {
    for (std::byte* chunk : chunks_) {
        explicit_bzero(chunk, chunk_size);
        munmap(chunk, chunk_size);
    }
}

Result<void> LockedMemory::add_chunk() {
    std::byte* chunk = map_chunk();
    if (chunk == nullptr) return std::unexpected(system_error(errno, "no memory for keys"));
    madvise(chunk, chunk_size, MADV_DONTDUMP);
    if (mlock(chunk, chunk_size) != 0) {
        const int failure = errno;
        munmap(chunk, chunk_size);
        return std::unexpected(system_error(failure, "cannot lock memory for keys (" + std::to_string(mapped()) + " octets are locked)", {},
                                            "give the gateway CAP_IPC_LOCK, or raise its limit of locked memory"));
    }
    chunks_.push_back(chunk);
    used_ = 0;
    return {};
}

Result<void*> LockedMemory::allocate(std::size_t size) {
    size = rounded(size);
    if (const auto found = free_.find(size); found != free_.end() && !found->second.empty()) {
        void* block = found->second.back();
        found->second.pop_back();
        return block;
    }
    if (size > chunk_size) return std::unexpected(Error{ErrorCode::invalid, "a block of key memory is too large", {}, {}});
    if (chunk_size - used_ < size) {
        if (auto added = add_chunk(); !added) return std::unexpected(std::move(added.error()));
    }
    void* block = chunks_.back() + used_;
    used_ += size;
    return block;
}

void LockedMemory::release(void* block, std::size_t size) {
    explicit_bzero(block, rounded(size));
    free_[rounded(size)].push_back(block);
}

} // namespace sallyport::store
