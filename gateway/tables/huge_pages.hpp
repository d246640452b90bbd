// SPDX-License-Identifier: Apache-2.0
// Where large tables lie: in huge pages, if the machine has any to give. Looking something up in a table of many pages costs a walk through
// the page table besides the cache miss.
#pragma once

#include <cstddef>
#include <new>
#include <sys/mman.h>

namespace sallyport::tables {

/// An allocator for std::vector. What takes less than a huge page comes from the heap as ever.
template <class T>
struct HugePages {
    using value_type = T;
    static constexpr std::size_t page = std::size_t{2} << 20;

    HugePages() = default;
    template <class U>
    HugePages(const HugePages<U>&) {} // NOLINT(google-explicit-constructor): as the standard wants it

    [[nodiscard]] T* allocate(std::size_t count) {
        const std::size_t octets = count * sizeof(T);
        if (octets < page) return static_cast<T*>(::operator new(octets, std::align_val_t{alignof(T)}));
        void* memory = ::operator new(whole(octets), std::align_val_t{page});
        madvise(memory, whole(octets), MADV_HUGEPAGE); // where it fails the pages are small
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, std::size_t count) {
        ::operator delete(memory, std::align_val_t{count * sizeof(T) < page ? alignof(T) : page});
    }
    template <class U>
    bool operator==(const HugePages<U>&) const {
        return true;
    }

private:
    static constexpr std::size_t whole(std::size_t octets) { return (octets + page - 1) & ~(page - 1); }
};

} // namespace sallyport::tables
