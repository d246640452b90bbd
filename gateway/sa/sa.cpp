// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/sa.hpp"

#include <cstring>

namespace sallyport {

KeyMaterial::~KeyMaterial() { explicit_bzero(octets.data(), octets.size()); }

namespace {

/// memcpy leaves its last octets in vector registers that few others use, and a new thread takes them along and may save them on its stack.
void wipe_vectors() {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        asm volatile(".irp r,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\tvpxord %%zmm\\r, %%zmm\\r, %%zmm\\r\n\t.endr" ::);
    if (__builtin_cpu_supports("avx"))
        asm volatile("vzeroall" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
                           "xmm13", "xmm14", "xmm15");
#elifdef __aarch64__
    asm volatile(".irp r,0,1,2,3,4,5,6,7,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\tmovi v\\r\\().16b, #0\n\t.endr" ::
                     : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",
                       "v26", "v27", "v28", "v29", "v30", "v31");
#endif
}

} // namespace

[[gnu::noinline]] void wipe_stack() {
    std::uint8_t octets[std::size_t{256} << 10];
    explicit_bzero(octets, sizeof octets);
    wipe_vectors();
}

} // namespace sallyport
