// SPDX-License-Identifier: Apache-2.0
// Whatever C++ code of this process gives back to the heap is wiped first: a key that passed through a string, a vector or a parser's node
// does not stay behind. No packet allocates, so no packet pays for it. What C libraries hold of keys is their own affair: OpenSSL clears
// it, and so does gateway/crypto.
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define SALLYPORT_WIPES 1
#elif defined(__has_feature)
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
#define SALLYPORT_WIPES 1
#endif
#endif

#ifdef SALLYPORT_WIPES

// The library's operator new takes its memory from malloc and aligned_alloc (libstdc++); all other forms of delete end in these two.
// NOLINTBEGIN(misc-new-delete-overloads, cppcoreguidelines-no-malloc)
void operator delete(void* memory) noexcept {
    if (memory != nullptr) explicit_bzero(memory, malloc_usable_size(memory));
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }

void operator delete(void* memory, std::align_val_t) noexcept { operator delete(memory); }

void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { operator delete(memory); }
// NOLINTEND(misc-new-delete-overloads, cppcoreguidelines-no-malloc)

#endif
