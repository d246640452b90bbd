// SPDX-License-Identifier: Apache-2.0
// What the families of algorithms share that ipsec-mb does: its managers, and the suites that they give to the table in ipsec_mb.cpp. What
// is called was chosen by measurement for batches of 64, cycles a packet of 64 octets: GCM by the direct call (38; jobs 60),
// ChaCha20-Poly1305 by jobs (490; direct 840), CBC and HMAC by one burst each (51 + 167; chained jobs 307), which also lets HMAC be judged
// before anything is deciphered.
#pragma once

#include "gateway/crypto/crypto.hpp"

#ifdef SALLYPORT_HAVE_IPSEC_MB

#include <intel-ipsec-mb.h>
#include <memory>

namespace sallyport::crypto::ipsec_mb {

struct Release {
    void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, Release>;

/// For calls without state of their own, which many threads may share. Null where the processor lacks AES-NI or SSE4.2, which every path of
/// the library needs.
[[nodiscard]] const Manager& shared_manager();

/// What a thread needs for jobs and bursts: their lanes live in the manager. Without memory for it (null) nothing is sealed.
struct Lanes {
    Manager manager;
    std::array<IMB_JOB, batch_size> jobs{};
    std::array<std::array<std::uint8_t, 64>, batch_size> icvs{}; // of the largest hash
};
[[nodiscard]] Lanes& lanes();

inline void refuse(Packet* packets, unsigned count) {
    for (unsigned i = 0; i < count; ++i) packets[i].good = false;
}

template <class Key>
void wipe(void* memory) {
    imb_clear_mem(memory, sizeof(Key));
}

/// An AES key schedule, or one direction of it.
struct Aes {
    keyexp_t IMB_MGR::* expand;
    std::uint8_t key; // octets
};
inline constexpr Aes aes_128{&IMB_MGR::keyexp_128, 16}, aes_192{&IMB_MGR::keyexp_192, 24}, aes_256{&IMB_MGR::keyexp_256, 32};

struct alignas(16) Schedules {
    std::array<std::uint8_t, 240> encrypt, decrypt; // each aligned to 16
};

// By length of the AES key: 128, 192, 256.
extern const std::array<Suite, 3> gcm, gmac; // ipsec_mb_gcm.cpp
extern const Suite chacha;                   // ipsec_mb_aead.cpp
extern const Suite ccm_128_16, ccm_256_16, ccm_128_8, ccm_256_8;
extern const std::array<Suite, 3> cbc_hmac_sha_256, cbc_hmac_sha_384, cbc_hmac_sha_512; // ipsec_mb_hmac.cpp
extern const std::array<Suite, 3> hmac_sha;                                             // by hash: 256, 384, 512
extern const Suite cmac_128;                                                            // ipsec_mb_cmac.cpp

} // namespace sallyport::crypto::ipsec_mb

#endif
