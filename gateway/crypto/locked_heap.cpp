// SPDX-License-Identifier: Apache-2.0
#include "gateway/crypto/locked_heap.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <openssl/crypto.h>

namespace sallyport::crypto {
namespace {

constexpr std::size_t chunk_size = std::size_t{256} << 10; // octets, mapped and locked at once
constexpr unsigned least_shift = 5;                        // blocks of 2^5 octets
constexpr unsigned most_shift = 15;                        // to 2^15; larger ones are mapped each for itself
constexpr std::size_t head_size = 16;                      // keeps blocks aligned as malloc's

/// Locked as far as the process may: it asks for the right to do so before it starts.
std::byte* map(std::size_t size) {
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    madvise(memory, size, MADV_DONTDUMP);
    (void)mlock(memory, size);
    return static_cast<std::byte*>(memory);
}

/// Blocks of sizes that are powers of two. Before each lies its size, the head included. Threads: any.
class Heap {
public:
    void* allocate(std::size_t size) {
        if (size > (std::size_t{1} << 30)) return nullptr;
        const std::size_t whole = size + head_size;
        const auto shift = std::max<unsigned>(least_shift, static_cast<unsigned>(std::bit_width(whole - 1)));
        std::byte* block = shift <= most_shift ? take(shift) : map(whole);
        if (block == nullptr) return nullptr;
        new (block) std::size_t(shift <= most_shift ? std::size_t{1} << shift : whole);
        return block + head_size;
    }

    void release(void* memory) {
        if (memory == nullptr) return;
        std::byte* block = static_cast<std::byte*>(memory) - head_size;
        const std::size_t whole = size_of(memory) + head_size;
        explicit_bzero(memory, whole - head_size);
        if (whole > (std::size_t{1} << most_shift)) {
            munmap(block, whole);
            return;
        }
        const std::lock_guard lock(mutex_);
        Free*& first = free_[static_cast<unsigned>(std::countr_zero(whole))];
        first = new (block) Free{first};
    }

    /// Octets that the block has room for.
    static std::size_t size_of(const void* memory) {
        std::size_t whole = 0;
        std::memcpy(&whole, static_cast<const std::byte*>(memory) - head_size, sizeof whole);
        return whole - head_size;
    }

private:
    struct Free {
        Free* next;
    };

    std::byte* take(unsigned shift) {
        const std::lock_guard lock(mutex_);
        if (Free* first = free_[shift]; first != nullptr) {
            free_[shift] = first->next;
            return reinterpret_cast<std::byte*>(first);
        }
        const std::size_t size = std::size_t{1} << shift;
        if (left_ < size) {
            std::byte* chunk = map(chunk_size); // what is left of the one before is not used: less than a block
            if (chunk == nullptr) return nullptr;
            next_ = chunk;
            left_ = chunk_size;
        }
        std::byte* block = next_;
        next_ += size;
        left_ -= size;
        return block;
    }

    std::mutex mutex_;
    std::array<Free*, most_shift + 1> free_{};
    std::byte* next_ = nullptr;
    std::size_t left_ = 0;
};

/// Lives as long as the process: OpenSSL frees at its very end.
Heap& heap() {
    alignas(Heap) static std::byte place[sizeof(Heap)];
    static Heap* const one = new (place) Heap;
    return *one;
}

void* allocate(std::size_t size, const char* /*file*/, int /*line*/) { return size == 0 ? nullptr : heap().allocate(size); }

void release(void* memory, const char* /*file*/, int /*line*/) { heap().release(memory); }

void* reallocate(void* memory, std::size_t size, const char* file, int line) {
    if (memory == nullptr) return allocate(size, file, line);
    if (size != 0 && size <= Heap::size_of(memory)) return memory;
    void* larger = size == 0 ? nullptr : heap().allocate(size);
    if (size != 0 && larger == nullptr) return nullptr;
    if (larger != nullptr) std::memcpy(larger, memory, std::min(size, Heap::size_of(memory)));
    heap().release(memory);
    return larger;
}

} // namespace

bool lock_openssl_memory() { return CRYPTO_set_mem_functions(allocate, reallocate, release) == 1; }

} // namespace sallyport::crypto
