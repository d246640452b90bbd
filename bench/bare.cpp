// SPDX-License-Identifier: Apache-2.0
#include "bench/bare.hpp"

#include "bench/measure.hpp"

#include <algorithm>
#ifdef SALLYPORT_HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

namespace sallyport::bench {
namespace {

Bare by_suite(crypto::Engine engine, Algorithm algorithm, Direction direction) {
    const crypto::Suite& suite = crypto::suite(engine, algorithm);
    const auto call = direction == Direction::outbound ? suite.seal : suite.open;
    return [call](std::span<crypto::Packet> packets) {
        const std::uint64_t begin = now();
        for (std::size_t i = 0; i < packets.size(); i += crypto::batch_size)
            call(packets.data() + i, static_cast<unsigned>(std::min<std::size_t>(crypto::batch_size, packets.size() - i)));
        return now() - begin;
    };
}

#ifdef SALLYPORT_HAVE_IPSEC_MB

constexpr std::size_t ahead = 8; // packets, as in gateway/crypto

/// The call of a manager that is never given back.
aes_gcm_enc_dec_t gcm_call(Algorithm algorithm, Direction direction) {
    static IMB_MGR* manager = [] {
        IMB_MGR* fresh = alloc_mb_mgr(0);
        init_mb_mgr_auto(fresh, nullptr);
        return fresh;
    }();
    const bool seal = direction == Direction::outbound;
    switch (algorithm) {
    case Algorithm::aes_128_gcm_16: return seal ? manager->gcm128_enc : manager->gcm128_dec;
    case Algorithm::aes_192_gcm_16: return seal ? manager->gcm192_enc : manager->gcm192_dec;
    case Algorithm::aes_256_gcm_16: return seal ? manager->gcm256_enc : manager->gcm256_dec;
    default: return nullptr;
    }
}

Bare by_gcm(aes_gcm_enc_dec_t call) {
    return [call](std::span<crypto::Packet> packets) {
        gcm_context_data context;
        std::array<std::uint8_t, 16> icv;
        const std::uint64_t begin = now();
        for (std::size_t i = 0; i < packets.size(); ++i) {
            if (i + ahead < packets.size() && packets[i + ahead].key != packets[i].key) {
                const auto* key = static_cast<const char*>(packets[i + ahead].key);
                for (std::size_t line = 0; line < 3 * 64; line += 64) __builtin_prefetch(key + line);
                for (const std::size_t line : {10U, 11U, 18U, 19U}) // where the low powers of H lie with AVX-512
                    __builtin_prefetch(key + 64 * line);
            }
            crypto::Packet& packet = packets[i];
            call(static_cast<const gcm_key_data*>(packet.key), &context, packet.text, packet.text, packet.length, packet.nonce.data(),
                 packet.aad, packet.aad_length, icv.data(), icv.size());
        }
        return now() - begin;
    };
}

#endif

} // namespace

std::size_t library_key_size(crypto::Engine engine, Algorithm algorithm) {
#ifdef SALLYPORT_HAVE_IPSEC_MB
    if (engine == crypto::Engine::ipsec_mb && gcm_call(algorithm, Direction::outbound) != nullptr) return sizeof(gcm_key_data);
#endif
    return crypto::suite(engine, algorithm).key_size;
}

Bare bare(crypto::Engine engine, Algorithm algorithm, Direction direction) {
#ifdef SALLYPORT_HAVE_IPSEC_MB
    if (engine == crypto::Engine::ipsec_mb)
        if (const auto call = gcm_call(algorithm, direction); call != nullptr) return by_gcm(call);
#endif
    return by_suite(engine, algorithm, direction);
}

} // namespace sallyport::bench
