// SPDX-License-Identifier: Apache-2.0
// HMAC-SHA2 (RFC 4868), alone and behind AES-CBC (RFC 3602), by ipsec-mb's bursts.
#include "gateway/crypto/ipsec_mb.hpp"

#ifdef SALLYPORT_HAVE_IPSEC_MB

#include <cstring>

namespace sallyport::crypto::ipsec_mb {
namespace {

struct Hash {
    IMB_HASH_ALG algorithm;
    unsigned key, icv, state; // octets
};
constexpr Hash sha_256{IMB_AUTH_HMAC_SHA_256, 32, 16, 32}, sha_384{IMB_AUTH_HMAC_SHA_384, 48, 24, 64},
    sha_512{IMB_AUTH_HMAC_SHA_512, 64, 32, 64};

constexpr unsigned iv_octets = 16;

template <const Hash& hash>
struct alignas(key_alignment) MacKey {
    std::array<std::uint8_t, hash.state> inner; // of the hash after the key with ipad
    std::array<std::uint8_t, hash.state> outer; // and with opad
};

template <const Hash& hash>
struct CbcKey : MacKey<hash> {
    alignas(16) std::array<std::uint8_t, 240> schedule; // of the one direction
};

template <const Hash& hash>
const MacKey<hash>& key_of(const Packet& packet) {
    return *static_cast<const MacKey<hash>*>(packet.key);
}

template <const Hash& hash>
bool expand_mac(const std::uint8_t* octets, MacKey<hash>& key) {
    struct {
        alignas(16) std::array<std::uint8_t, IMB_SHA_512_BLOCK_SIZE> inner, outer;
    } work;
    IMB_MGR* const manager = shared_manager().get();
    imb_hmac_ipad_opad(manager, hash.algorithm, octets, hash.key, work.inner.data(), work.outer.data());
    const bool good = imb_get_errno(manager) == 0;
    std::memcpy(key.inner.data(), work.inner.data(), key.inner.size());
    std::memcpy(key.outer.data(), work.outer.data(), key.outer.size());
    imb_clear_mem(&work, sizeof work);
    return good;
}

/// AAD, text and tail are hashed; the tail lies where the ICV comes to lie.
template <const Hash& hash>
void mac_job(const Packet& packet, IMB_JOB& job, std::uint8_t* icv) {
    job.hash_alg = hash.algorithm;
    job.src = packet.aad;
    job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_hash_in_bytes = std::uint64_t{packet.aad_length} + packet.length + packet.tail_length;
    job.auth_tag_output = icv;
    job.auth_tag_output_len_in_bytes = hash.icv;
    job.u.HMAC._hashed_auth_key_xor_ipad = key_of<hash>(packet).inner.data();
    job.u.HMAC._hashed_auth_key_xor_opad = key_of<hash>(packet).outer.data();
    std::memcpy(packet.icv, packet.extra.data(), packet.tail_length);
}

template <const Hash& hash>
bool mac_burst(Lanes& own, unsigned count) {
    return IMB_SUBMIT_HASH_BURST_NOCHECK(own.manager.get(), own.jobs.data(), count, hash.algorithm) == count;
}

/// The hash of what is enciphered already.
template <const Hash& hash>
void mac_sealed(Lanes& own, Packet* packets, unsigned count, bool enciphered) {
    for (unsigned i = 0; i < count; ++i) mac_job<hash>(packets[i], own.jobs[i], own.icvs[i].data());
    const bool good = mac_burst<hash>(own, count) && enciphered;
    for (unsigned i = 0; i < count; ++i) {
        std::memcpy(packets[i].icv, own.icvs[i].data(), hash.icv);
        packets[i].good = good;
    }
}

/// Whose ICV fits; the text of the others is wiped.
template <const Hash& hash>
void check_macs(Lanes& own, Packet* packets, unsigned count) {
    std::array<std::array<std::uint8_t, hash.icv>, batch_size> received;
    for (unsigned i = 0; i < count; ++i) {
        std::memcpy(received[i].data(), packets[i].icv, hash.icv);
        mac_job<hash>(packets[i], own.jobs[i], own.icvs[i].data());
    }
    const bool hashed = mac_burst<hash>(own, count);
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        packet.good = hashed && equal_icv<hash.icv>(own.icvs[i].data(), received[i].data());
        if (!packet.good) [[unlikely]]
            imb_clear_mem(packet.text, packet.length);
    }
    imb_clear_mem(own.icvs.data(), sizeof own.icvs);
}

// --- without a cipher ---

template <const Hash& hash>
bool mac_expand(Direction, std::span<const std::uint8_t> material, void* memory) {
    if (material.size() != hash.key) return false;
    if (expand_mac<hash>(material.data(), *static_cast<MacKey<hash>*>(memory))) return true;
    wipe<MacKey<hash>>(memory);
    return false;
}

template <const Hash& hash>
void mac_seal(Packet* packets, unsigned count) {
    Lanes& own = lanes();
    if (own.manager == nullptr) return refuse(packets, count);
    mac_sealed<hash>(own, packets, count, true);
}

template <const Hash& hash>
void mac_open(Packet* packets, unsigned count) {
    Lanes& own = lanes();
    if (own.manager == nullptr) return refuse(packets, count);
    check_macs<hash>(own, packets, count);
}

// --- behind AES-CBC ---

template <const Aes& aes, const Hash& hash>
bool cbc_expand(Direction direction, std::span<const std::uint8_t> material, void* memory) {
    if (material.size() != aes.key + hash.key) return false;
    CbcKey<hash>& key = *static_cast<CbcKey<hash>*>(memory);
    std::memset(memory, 0, sizeof key);
    Schedules work;
    (shared_manager().get()->*aes.expand)(material.data(), work.encrypt.data(), work.decrypt.data());
    key.schedule = direction == Direction::outbound ? work.encrypt : work.decrypt;
    imb_clear_mem(&work, sizeof work);
    if (expand_mac<hash>(material.data() + aes.key, key)) return true;
    wipe<CbcKey<hash>>(memory);
    return false;
}

template <const Aes& aes, const Hash& hash>
void cbc_job(const Packet& packet, IMB_JOB& job) {
    const auto* key = static_cast<const CbcKey<hash>*>(packet.key);
    job.enc_keys = key->schedule.data();
    job.dec_keys = key->schedule.data();
    job.key_len_in_bytes = aes.key;
    job.cipher_mode = IMB_CIPHER_CBC;
    job.src = packet.text;
    job.dst = packet.text;
    job.cipher_start_src_offset_in_bytes = 0;
    job.msg_len_to_cipher_in_bytes = packet.length;
    job.iv = packet.text - iv_octets;
    job.iv_len_in_bytes = iv_octets;
}

template <const Aes& aes>
bool cbc_burst(Lanes& own, IMB_CIPHER_DIRECTION direction, unsigned count) {
    return IMB_SUBMIT_CIPHER_BURST_NOCHECK(own.manager.get(), own.jobs.data(), count, IMB_CIPHER_CBC, direction,
                                           static_cast<IMB_KEY_SIZE_BYTES>(aes.key)) == count;
}

template <const Aes& aes, const Hash& hash>
void cbc_seal(Packet* packets, unsigned count) {
    Lanes& own = lanes();
    if (own.manager == nullptr) return refuse(packets, count);
    for (unsigned i = 0; i < count; ++i) cbc_job<aes, hash>(packets[i], own.jobs[i]);
    mac_sealed<hash>(own, packets, count, cbc_burst<aes>(own, IMB_DIR_ENCRYPT, count));
}

template <const Aes& aes, const Hash& hash>
void cbc_open(Packet* packets, unsigned count) {
    Lanes& own = lanes();
    if (own.manager == nullptr) return refuse(packets, count);
    check_macs<hash>(own, packets, count);
    unsigned authentic = 0; // what is not is never deciphered
    for (unsigned i = 0; i < count; ++i)
        if (packets[i].good) cbc_job<aes, hash>(packets[i], own.jobs[authentic++]);
    if (authentic == 0) return;
    const bool opened = cbc_burst<aes>(own, IMB_DIR_DECRYPT, authentic);
    for (unsigned i = 0; i < count && !opened; ++i) packets[i].good = false;
}

template <const Hash& hash>
constexpr Suite mac_suite{mac_expand<hash>, wipe<MacKey<hash>>, mac_seal<hash>, mac_open<hash>, sizeof(MacKey<hash>)};
template <const Aes& aes, const Hash& hash>
constexpr Suite cbc_suite{cbc_expand<aes, hash>, wipe<CbcKey<hash>>, cbc_seal<aes, hash>, cbc_open<aes, hash>, sizeof(CbcKey<hash>)};
template <const Hash& hash>
constexpr std::array<Suite, 3> cbc_suites{cbc_suite<aes_128, hash>, cbc_suite<aes_192, hash>, cbc_suite<aes_256, hash>};

} // namespace

constinit const std::array<Suite, 3> cbc_hmac_sha_256 = cbc_suites<sha_256>;
constinit const std::array<Suite, 3> cbc_hmac_sha_384 = cbc_suites<sha_384>;
constinit const std::array<Suite, 3> cbc_hmac_sha_512 = cbc_suites<sha_512>;
constinit const std::array<Suite, 3> hmac_sha{mac_suite<sha_256>, mac_suite<sha_384>, mac_suite<sha_512>};

} // namespace sallyport::crypto::ipsec_mb

#endif
