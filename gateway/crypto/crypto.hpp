// SPDX-License-Identifier: Apache-2.0
// Cryptography of packets behind one batch interface, with two engines: ipsec-mb where the processor has what it needs, OpenSSL everywhere.
#pragma once

#include "gateway/sa/algorithm.hpp"
#include "gateway/sa/selector.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sallyport::crypto {

inline constexpr unsigned batch_size = 64; // packets of one call at most
inline constexpr unsigned key_alignment = 64;

/// One packet of a batch: everything but the algorithm, whose Construction says what lies where. The text is enciphered or deciphered in
/// place. Whoever fills it sets every member but `good`; nothing is initialised here, because a batch of them is filled for every 64
/// packets.
struct Packet {
    const void* key;          // context made by expand(), of the direction of the call
    std::uint8_t* text;       // encrypt_then_mac: the IV is the 16 octets before it. gmac: the 8 octets before it are authenticated with it
    std::uint8_t* icv;        // info().icv octets, written by seal, compared by open. encrypt_then_mac, mac: directly behind the text,
                              // or with a tail of 0 octets anywhere
    const std::uint8_t* aad;  // authenticated only. encrypt_then_mac, mac: ends where the text begins, so it holds the IV too
    std::uint32_t length;     // octets of the text, at least 1, with mac and an AAD 0; encrypt_then_mac: a multiple of 16
    std::uint16_t aad_length; // octets
    std::uint8_t tail_length; // encrypt_then_mac, mac: the first 0 or 4 octets of `extra` are authenticated behind the text (ESN)
    bool good;                // set by the call. After open: the ICV fits; where it does not the text is wiped. After seal: sealed
    std::array<std::uint8_t, 12> nonce; // aead, gmac: salt, then IV (RFC 4106 4, RFC 4309 4, RFC 7634 2)
    std::array<std::uint8_t, 12> extra; // room for an AAD that does not lie in the frame, or the tail
};
static_assert(sizeof(Packet) == 64);

enum class Engine : std::uint8_t { openssl, ipsec_mb };
inline constexpr std::array engines{Engine::openssl, Engine::ipsec_mb};

/// One algorithm by one engine. The calls may run on many threads at once; one key context is used by one thread at a time.
struct Suite {
    /// Makes a key context of `key_size` octets at `memory` (aligned to 64) from the key material of an SA (cipher key, salt, integrity
    /// key; the salt is not looked at). False: the library refused or has no memory; then nothing is left to wipe.
    bool (*expand)(Direction direction, std::span<const std::uint8_t> material, void* memory);
    /// Wipes the context and gives back what hangs on it.
    void (*wipe)(void* memory);
    /// Up to batch_size packets; sets `good` of each.
    void (*seal)(Packet* packets, unsigned count);
    void (*open)(Packet* packets, unsigned count);
    std::uint32_t key_size; // octets, a multiple of 64
};

/// Whether this processor and this build have the engine. The first call on a machine looks; later ones are quick.
[[nodiscard]] bool available(Engine engine);
/// The faster engine of those that are available.
[[nodiscard]] Engine best_engine();
/// For the log: "ipsec-mb 2.0.0 (AVX512, VAES)", "OpenSSL 3.5.1".
[[nodiscard]] std::string describe(Engine engine);
/// Only for an engine that is available.
[[nodiscard]] const Suite& suite(Engine engine, Algorithm algorithm);

/// `count` IVs of 16 octets that nobody can predict (RFC 3602 3), from a pool of the calling thread that OpenSSL's generator fills; no
/// system call a packet. False: the generator failed.
[[nodiscard]] bool random_ivs(std::uint8_t* const* places, unsigned count);

/// Whether two ICVs are equal, in the same time whatever they hold.
template <unsigned octets>
[[nodiscard]] inline bool equal_icv(const std::uint8_t* a, const std::uint8_t* b) {
    static_assert(octets % 4 == 0);
    std::uint64_t different = 0;
    const auto compare = [&]<class Word>(unsigned at, Word) {
        Word first = 0, second = 0;
        __builtin_memcpy(&first, a + at, sizeof first);
        __builtin_memcpy(&second, b + at, sizeof second);
        different |= first ^ second;
    };
    for (unsigned at = 0; at + 8 <= octets; at += 8) compare(at, std::uint64_t{});
    if constexpr (octets % 8 != 0) compare(octets - 4, std::uint32_t{});
    return different == 0;
}

} // namespace sallyport::crypto
