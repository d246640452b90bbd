// SPDX-License-Identifier: Apache-2.0
// AES-GCM, and GMAC with the same keys, by ipsec-mb's direct calls.
#include "gateway/crypto/ipsec_mb.hpp"

#ifdef SALLYPORT_HAVE_IPSEC_MB

#include <algorithm>
#include <cstring>
#include <xmmintrin.h>

namespace sallyport::crypto::ipsec_mb {
namespace {

constexpr unsigned cache_line = 64;
constexpr unsigned prefetch_distance = 8; // packets
constexpr unsigned icv_octets = 16;

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
        std::array<std::uint8_t, short_text + icv_octets> out{};
        const std::array<std::uint8_t, 12> nonce{};
        gcm_context_data context;
        seal(&with.data, &context, out.data(), out.data(), short_text, nonce.data(), octets.data(), 12, out.data() + short_text,
             icv_octets);
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
             packet.icv, icv_octets);
        packet.good = true;
    }
    imb_clear_mem(&context, sizeof context);
}

template <const GcmCalls& calls>
void gcm_open(Packet* packets, unsigned count) {
    const auto open = shared_manager().get()->*calls.open;
    const GcmLines& lines = gcm_lines<calls>();
    gcm_context_data context;
    std::uint8_t expected[icv_octets];
    prefetch_first(lines, packets, count);
    for (unsigned i = 0; i < count; ++i) {
        prefetch_ahead(lines, packets, i + prefetch_distance, count);
        Packet& packet = packets[i];
        open(gcm_key(packet), &context, packet.text, packet.text, packet.length, packet.nonce.data(), packet.aad, packet.aad_length,
             expected, icv_octets);
        packet.good = equal_icv<icv_octets>(expected, packet.icv);
        if (!packet.good) [[unlikely]]
            imb_clear_mem(packet.text, packet.length);
    }
    imb_clear_mem(expected, sizeof expected); // the right ICV of a forged packet must not be found
    imb_clear_mem(&context, sizeof context);
}

// --- GMAC (RFC 4543): the AAD, then IV and text, which lie together in the frame ---

constexpr unsigned gmac_iv = 8; // octets

struct GmacCalls {
    const GcmCalls& gcm;
    aes_gmac_init_t IMB_MGR::* init;
    aes_gmac_update_t IMB_MGR::* update;
    aes_gmac_finalize_t IMB_MGR::* finalize;
};

constexpr GmacCalls gmac_128{gcm_128, &IMB_MGR::gmac128_init, &IMB_MGR::gmac128_update, &IMB_MGR::gmac128_finalize};
constexpr GmacCalls gmac_192{gcm_192, &IMB_MGR::gmac192_init, &IMB_MGR::gmac192_update, &IMB_MGR::gmac192_finalize};
constexpr GmacCalls gmac_256{gcm_256, &IMB_MGR::gmac256_init, &IMB_MGR::gmac256_update, &IMB_MGR::gmac256_finalize};

template <const GmacCalls& calls>
void gmac_of(IMB_MGR* manager, const Packet& packet, gcm_context_data& context, std::uint8_t* icv) {
    const gcm_key_data* const key = gcm_key(packet);
    (manager->*calls.init)(key, &context, packet.nonce.data(), packet.nonce.size());
    (manager->*calls.update)(key, &context, packet.aad, packet.aad_length);
    (manager->*calls.update)(key, &context, packet.text - gmac_iv, packet.length + gmac_iv);
    (manager->*calls.finalize)(key, &context, icv, icv_octets);
}

template <const GmacCalls& calls>
void gmac_seal(Packet* packets, unsigned count) {
    IMB_MGR* const manager = shared_manager().get();
    const GcmLines& lines = gcm_lines<calls.gcm>();
    gcm_context_data context;
    prefetch_first(lines, packets, count);
    for (unsigned i = 0; i < count; ++i) {
        prefetch_ahead(lines, packets, i + prefetch_distance, count);
        gmac_of<calls>(manager, packets[i], context, packets[i].icv);
        packets[i].good = true;
    }
    imb_clear_mem(&context, sizeof context);
}

template <const GmacCalls& calls>
void gmac_open(Packet* packets, unsigned count) {
    IMB_MGR* const manager = shared_manager().get();
    const GcmLines& lines = gcm_lines<calls.gcm>();
    gcm_context_data context;
    std::uint8_t expected[icv_octets];
    prefetch_first(lines, packets, count);
    for (unsigned i = 0; i < count; ++i) {
        prefetch_ahead(lines, packets, i + prefetch_distance, count);
        Packet& packet = packets[i];
        gmac_of<calls>(manager, packet, context, expected);
        packet.good = equal_icv<icv_octets>(expected, packet.icv);
        if (!packet.good) [[unlikely]]
            imb_clear_mem(packet.text, packet.length);
    }
    imb_clear_mem(expected, sizeof expected);
    imb_clear_mem(&context, sizeof context);
}

template <const GcmCalls& calls>
constexpr Suite gcm_suite{gcm_expand<calls>, wipe<GcmKey>, gcm_seal<calls>, gcm_open<calls>, sizeof(GcmKey)};
template <const GmacCalls& calls>
constexpr Suite gmac_suite{gcm_expand<calls.gcm>, wipe<GcmKey>, gmac_seal<calls>, gmac_open<calls>, sizeof(GcmKey)};

} // namespace

constinit const std::array<Suite, 3> gcm{gcm_suite<gcm_128>, gcm_suite<gcm_192>, gcm_suite<gcm_256>};
constinit const std::array<Suite, 3> gmac{gmac_suite<gmac_128>, gmac_suite<gmac_192>, gmac_suite<gmac_256>};

} // namespace sallyport::crypto::ipsec_mb

#endif
