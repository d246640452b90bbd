// SPDX-License-Identifier: Apache-2.0
// The fast engine on x86-64: ipsec-mb. What is called was chosen by measurement for batches of 64, cycles a packet of 64 octets: GCM by the
// direct call (38; jobs 60), ChaCha20-Poly1305 by jobs (490; direct 840), CBC and HMAC by one burst each (51 + 167; chained jobs 307),
// which also lets HMAC be judged before anything is deciphered.
#include "gateway/crypto/engines.hpp"

#ifdef SALLYPORT_HAVE_IPSEC_MB

#include <algorithm>
#include <cstring>
#include <intel-ipsec-mb.h>
#include <memory>
#include <xmmintrin.h>

namespace sallyport::crypto::ipsec_mb {
namespace {

constexpr unsigned cache_line = 64;
constexpr unsigned prefetch_distance = 8; // packets

struct Release {
    void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, Release>;

/// Nothing where the processor lacks AES-NI or SSE4.2, which every path of the library needs.
Manager new_manager() {
    Manager manager(alloc_mb_mgr(0));
    if (manager == nullptr) return nullptr;
    IMB_ARCH arch = IMB_ARCH_NONE;
    init_mb_mgr_auto(manager.get(), &arch);
    if (imb_get_errno(manager.get()) != 0 || arch == IMB_ARCH_NONE) return nullptr;
    return manager;
}

/// For calls without state of their own, which many threads may share.
const Manager& shared_manager() {
    static const Manager manager = new_manager();
    return manager;
}

/// What a thread needs for jobs and bursts: their lanes live in the manager. Without memory for it nothing is sealed.
struct Lanes {
    Manager manager = new_manager();
    std::array<IMB_JOB, batch_size> jobs{};
    std::array<std::array<std::uint8_t, icv_size>, batch_size> icvs{};
};

Lanes& lanes() {
    thread_local const auto own = std::make_unique<Lanes>();
    return *own;
}

void refuse(Packet* packets, unsigned count) {
    for (unsigned i = 0; i < count; ++i) packets[i].good = false;
}

// --- AES-GCM ---

struct alignas(key_alignment) GcmKey {
    gcm_key_data data;
};

/// The lines of a GCM key that a packet touches: which powers of H lie where depends on the processor's path, so it is found by trial.
struct GcmLines {
    std::array<std::uint8_t, sizeof(GcmKey) / cache_line> offsets{}; // in lines
    unsigned count = 0;
};

struct GcmCalls {
    aes_gcm_pre_t IMB_MGR::* expand;
    aes_gcm_enc_dec_t IMB_MGR::* seal;
    aes_gcm_enc_dec_t IMB_MGR::* open;
    std::uint8_t key;
};

constexpr GcmCalls gcm_128{&IMB_MGR::gcm128_pre, &IMB_MGR::gcm128_enc, &IMB_MGR::gcm128_dec, 16};
constexpr GcmCalls gcm_192{&IMB_MGR::gcm192_pre, &IMB_MGR::gcm192_enc, &IMB_MGR::gcm192_dec, 24};
constexpr GcmCalls gcm_256{&IMB_MGR::gcm256_pre, &IMB_MGR::gcm256_enc, &IMB_MGR::gcm256_dec, 32};

constexpr unsigned short_text = 144; // octets; what longer texts touch besides the same lines is left to the processor's own prefetching

GcmLines lines_touched(const GcmCalls& calls) {
    IMB_MGR* manager = shared_manager().get();
    const auto seal = manager->*calls.seal;
    const std::array<std::uint8_t, 32> octets{1};
    const auto key = std::make_unique<GcmKey>();
    std::memset(key.get(), 0, sizeof(GcmKey));
    (manager->*calls.expand)(octets.data(), &key->data);
    const auto seal_with = [&](const GcmKey& with) {
        std::array<std::uint8_t, short_text + icv_size> out{};
        const std::array<std::uint8_t, 12> nonce{};
        gcm_context_data context;
        seal(&with.data, &context, out.data(), out.data(), short_text, nonce.data(), octets.data(), 12, out.data() + short_text, icv_size);
        return out;
    };
    const auto expected = seal_with(*key);
    GcmLines lines;
    for (unsigned line = 0; line < lines.offsets.size(); ++line) {
        const auto changed = std::make_unique<GcmKey>(*key);
        auto* begin = reinterpret_cast<std::uint8_t*>(changed.get()) + line * cache_line;
        const std::size_t size = std::min<std::size_t>(cache_line, sizeof(gcm_key_data) - std::size_t{line} * cache_line);
        for (std::size_t i = 0; i < size; ++i) begin[i] = static_cast<std::uint8_t>(begin[i] ^ 0x5a);
        if (seal_with(*changed) != expected) lines.offsets[lines.count++] = static_cast<std::uint8_t>(line);
    }
    return lines;
}

template <const GcmCalls& calls>
const GcmLines& gcm_lines() {
    static const GcmLines lines = lines_touched(calls);
    return lines;
}

void prefetch(const GcmLines& lines, const void* key) {
    for (unsigned i = 0; i < lines.count; ++i)
        _mm_prefetch(static_cast<const char*>(key) + std::size_t{lines.offsets[i]} * cache_line, _MM_HINT_T0);
}

/// Prefetches where the key that comes is another one than its predecessor's.
void prefetch_ahead(const GcmLines& lines, const Packet* packets, unsigned next, unsigned count) {
    if (next < count && packets[next].key != packets[next - 1].key) prefetch(lines, packets[next].key);
}

void prefetch_first(const GcmLines& lines, const Packet* packets, unsigned count) {
    for (unsigned i = 1; i < std::min(count, prefetch_distance); ++i) prefetch_ahead(lines, packets, i, count);
}

const gcm_key_data* gcm_key(const Packet& packet) { return &static_cast<const GcmKey*>(packet.key)->data; }

template <const GcmCalls& calls>
bool gcm_expand(Direction, std::span<const std::uint8_t> material, void* memory) {
    if (material.size() != calls.key + 4U) return false;
    std::memset(memory, 0, sizeof(GcmKey));
    IMB_MGR* manager = shared_manager().get();
    (manager->*calls.expand)(material.data(), &static_cast<GcmKey*>(memory)->data);
    return true;
}

template <const GcmCalls& calls>
void gcm_seal(Packet* packets, unsigned count) {
    const auto seal = shared_manager().get()->*calls.seal;
    const GcmLines& lines = gcm_lines<calls>();
    gcm_context_data context;
    prefetch_first(lines, packets, count);
    for (unsigned i = 0; i < count; ++i) {
        prefetch_ahead(lines, packets, i + prefetch_distance, count);
        Packet& packet = packets[i];
        seal(gcm_key(packet), &context, packet.text, packet.text, packet.length, packet.nonce.data(), packet.aad, packet.aad_length,
             packet.icv, icv_size);
        packet.good = true;
    }
    imb_clear_mem(&context, sizeof context);
}

template <const GcmCalls& calls>
void gcm_open(Packet* packets, unsigned count) {
    const auto open = shared_manager().get()->*calls.open;
    const GcmLines& lines = gcm_lines<calls>();
    gcm_context_data context;
    std::uint8_t expected[icv_size];
    prefetch_first(lines, packets, count);
    for (unsigned i = 0; i < count; ++i) {
        prefetch_ahead(lines, packets, i + prefetch_distance, count);
        Packet& packet = packets[i];
        open(gcm_key(packet), &context, packet.text, packet.text, packet.length, packet.nonce.data(), packet.aad, packet.aad_length,
             expected, icv_size);
        packet.good = equal_icv(expected, packet.icv);
        if (!packet.good) [[unlikely]]
            imb_clear_mem(packet.text, packet.length);
    }
    imb_clear_mem(expected, sizeof expected); // the right ICV of a forged packet must not be found
    imb_clear_mem(&context, sizeof context);
}

// --- ChaCha20-Poly1305 ---

struct alignas(key_alignment) ChachaKey {
    std::array<std::uint8_t, 32> octets;
};

bool chacha_expand(Direction, std::span<const std::uint8_t> material, void* memory) {
    if (material.size() != info(Algorithm::chacha20_poly1305).material()) return false;
    std::memset(memory, 0, sizeof(ChachaKey));
    std::memcpy(memory, material.data(), sizeof(ChachaKey::octets));
    return true;
}

/// These jobs are done when they are submitted, so they come back one by one.
void chacha_job(IMB_MGR* manager, IMB_CIPHER_DIRECTION direction, Packet& packet, std::uint8_t* icv) {
    IMB_JOB* job = IMB_GET_NEXT_JOB(manager);
    job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job->cipher_direction = direction;
    job->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job->enc_keys = packet.key;
    job->dec_keys = packet.key;
    job->key_len_in_bytes = sizeof(ChachaKey::octets);
    job->src = packet.text;
    job->dst = packet.text;
    job->cipher_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = packet.length;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = packet.length;
    job->iv = packet.nonce.data();
    job->iv_len_in_bytes = packet.nonce.size();
    job->auth_tag_output = icv;
    job->auth_tag_output_len_in_bytes = icv_size;
    job->u.CHACHA20_POLY1305.aad = packet.aad;
    job->u.CHACHA20_POLY1305.aad_len_in_bytes = packet.aad_length;
    job = IMB_SUBMIT_JOB_NOCHECK(manager);
    packet.good = job != nullptr && job->status == IMB_STATUS_COMPLETED;
}

void chacha_seal(Packet* packets, unsigned count) {
    IMB_MGR* manager = lanes().manager.get();
    if (manager == nullptr) return refuse(packets, count);
    for (unsigned i = 0; i < count; ++i) chacha_job(manager, IMB_DIR_ENCRYPT, packets[i], packets[i].icv);
}

void chacha_open(Packet* packets, unsigned count) {
    IMB_MGR* manager = lanes().manager.get();
    if (manager == nullptr) return refuse(packets, count);
    std::uint8_t expected[icv_size];
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        chacha_job(manager, IMB_DIR_DECRYPT, packet, expected);
        packet.good = packet.good && equal_icv(expected, packet.icv);
        if (!packet.good) [[unlikely]]
            imb_clear_mem(packet.text, packet.length);
    }
    imb_clear_mem(expected, sizeof expected);
}

// --- AES-CBC with HMAC-SHA2-256-128 ---

struct alignas(key_alignment) CbcKey {
    std::array<std::uint8_t, 32> inner;     // state of SHA-256 after the key with ipad
    std::array<std::uint8_t, 32> outer;     // and with opad
    std::array<std::uint8_t, 240> schedule; // of the one direction
};

struct CbcCalls {
    keyexp_t IMB_MGR::* expand;
    std::uint8_t key;
};

constexpr CbcCalls cbc_128{&IMB_MGR::keyexp_128, 16};
constexpr CbcCalls cbc_192{&IMB_MGR::keyexp_192, 24};
constexpr CbcCalls cbc_256{&IMB_MGR::keyexp_256, 32};

template <const CbcCalls& calls>
bool cbc_expand(Direction direction, std::span<const std::uint8_t> material, void* memory) {
    if (material.size() != calls.key + 32U) return false;
    IMB_MGR* manager = shared_manager().get();
    std::memset(memory, 0, sizeof(CbcKey));
    CbcKey& key = *static_cast<CbcKey*>(memory);
    struct {
        alignas(16) std::array<std::uint8_t, 240> encrypt, decrypt;
        alignas(16) std::array<std::uint8_t, IMB_SHA_256_BLOCK_SIZE> inner, outer;
    } work;
    (manager->*calls.expand)(material.data(), work.encrypt.data(), work.decrypt.data());
    imb_hmac_ipad_opad(manager, IMB_AUTH_HMAC_SHA_256, material.data() + calls.key, 32, work.inner.data(), work.outer.data());
    const bool good = imb_get_errno(manager) == 0;
    key.schedule = direction == Direction::outbound ? work.encrypt : work.decrypt;
    std::memcpy(key.inner.data(), work.inner.data(), key.inner.size());
    std::memcpy(key.outer.data(), work.outer.data(), key.outer.size());
    imb_clear_mem(&work, sizeof work);
    if (!good) imb_clear_mem(memory, sizeof(CbcKey));
    return good;
}

void cbc_job(const CbcCalls& calls, const Packet& packet, IMB_JOB& job, std::uint8_t* icv) {
    const auto* key = static_cast<const CbcKey*>(packet.key);
    job.enc_keys = key->schedule.data();
    job.dec_keys = key->schedule.data();
    job.key_len_in_bytes = calls.key;
    job.cipher_mode = IMB_CIPHER_CBC;
    job.hash_alg = IMB_AUTH_HMAC_SHA_256;
    job.src = packet.aad;
    job.dst = packet.text;
    job.cipher_start_src_offset_in_bytes = packet.aad_length;
    job.msg_len_to_cipher_in_bytes = packet.length;
    job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_hash_in_bytes = std::uint64_t{packet.aad_length} + packet.length + packet.tail_length;
    job.iv = packet.text - 16;
    job.iv_len_in_bytes = 16;
    job.auth_tag_output = icv;
    job.auth_tag_output_len_in_bytes = icv_size;
    job.u.HMAC._hashed_auth_key_xor_ipad = key->inner.data();
    job.u.HMAC._hashed_auth_key_xor_opad = key->outer.data();
}

template <const CbcCalls& calls>
void cbc_seal(Packet* packets, unsigned count) {
    Lanes& own = lanes();
    if (own.manager == nullptr) return refuse(packets, count);
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        cbc_job(calls, packet, own.jobs[i], own.icvs[i].data());
        std::memcpy(packet.icv, packet.extra.data(), packet.tail_length); // hashed where the ICV comes to lie
    }
    const bool good = IMB_SUBMIT_CIPHER_BURST_NOCHECK(own.manager.get(), own.jobs.data(), count, IMB_CIPHER_CBC, IMB_DIR_ENCRYPT,
                                                      static_cast<IMB_KEY_SIZE_BYTES>(calls.key)) == count &&
                      IMB_SUBMIT_HASH_BURST_NOCHECK(own.manager.get(), own.jobs.data(), count, IMB_AUTH_HMAC_SHA_256) == count;
    for (unsigned i = 0; i < count; ++i) {
        std::memcpy(packets[i].icv, own.icvs[i].data(), icv_size);
        packets[i].good = good;
    }
}

template <const CbcCalls& calls>
void cbc_open(Packet* packets, unsigned count) {
    Lanes& own = lanes();
    if (own.manager == nullptr) return refuse(packets, count);
    std::array<std::array<std::uint8_t, icv_size>, batch_size> received;
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        std::memcpy(received[i].data(), packet.icv, icv_size);
        std::memcpy(packet.icv, packet.extra.data(), packet.tail_length);
        cbc_job(calls, packet, own.jobs[i], own.icvs[i].data());
    }
    const bool hashed = IMB_SUBMIT_HASH_BURST_NOCHECK(own.manager.get(), own.jobs.data(), count, IMB_AUTH_HMAC_SHA_256) == count;
    unsigned authentic = 0; // what is not is never deciphered
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        packet.good = hashed && equal_icv(own.icvs[i].data(), received[i].data());
        if (packet.good)
            cbc_job(calls, packet, own.jobs[authentic++], own.icvs[i].data());
        else
            imb_clear_mem(packet.text, packet.length);
    }
    imb_clear_mem(own.icvs.data(), sizeof own.icvs);
    if (authentic == 0) return;
    const bool opened = IMB_SUBMIT_CIPHER_BURST_NOCHECK(own.manager.get(), own.jobs.data(), authentic, IMB_CIPHER_CBC, IMB_DIR_DECRYPT,
                                                        static_cast<IMB_KEY_SIZE_BYTES>(calls.key)) == authentic;
    for (unsigned i = 0; i < count && !opened; ++i) packets[i].good = false;
}

// --- the table ---

template <class Key>
void wipe(void* memory) {
    imb_clear_mem(memory, sizeof(Key));
}

template <const GcmCalls& calls>
constexpr Suite gcm_suite{gcm_expand<calls>, wipe<GcmKey>, gcm_seal<calls>, gcm_open<calls>, sizeof(GcmKey)};
template <const CbcCalls& calls>
constexpr Suite cbc_suite{cbc_expand<calls>, wipe<CbcKey>, cbc_seal<calls>, cbc_open<calls>, sizeof(CbcKey)};

constexpr std::array suites{
    gcm_suite<gcm_128>, gcm_suite<gcm_192>,
    gcm_suite<gcm_256>, Suite{chacha_expand, wipe<ChachaKey>, chacha_seal, chacha_open, sizeof(ChachaKey)},
    cbc_suite<cbc_128>, cbc_suite<cbc_192>,
    cbc_suite<cbc_256>,
};
static_assert(suites.size() == algorithms.size());

} // namespace

bool available() { return shared_manager() != nullptr; }

std::string describe() {
    const IMB_MGR* manager = shared_manager().get();
    if (manager == nullptr) return "ipsec-mb: not for this processor";
    std::string text = std::string("ipsec-mb ") + imb_get_version_str() + " (";
    text += (manager->features & IMB_FEATURE_AVX512_SKX) != 0 ? "AVX-512" : (manager->features & IMB_FEATURE_AVX2) != 0 ? "AVX2" : "SSE";
    return text + ((manager->features & IMB_FEATURE_VAES) != 0 ? ", VAES)" : ")");
}

const Suite& suite(Algorithm algorithm) { return suites[static_cast<std::size_t>(algorithm)]; }

} // namespace sallyport::crypto::ipsec_mb

#else

namespace sallyport::crypto::ipsec_mb {

bool available() { return false; }

std::string describe() { return "ipsec-mb: not in this build"; }

const Suite& suite(Algorithm algorithm) { return openssl::suite(algorithm); }

} // namespace sallyport::crypto::ipsec_mb

#endif
