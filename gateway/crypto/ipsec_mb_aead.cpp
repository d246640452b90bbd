// SPDX-License-Identifier: Apache-2.0
// ChaCha20-Poly1305 and AES-CCM by ipsec-mb's jobs.
#include "gateway/crypto/ipsec_mb.hpp"

#ifdef SALLYPORT_HAVE_IPSEC_MB

#include <cstring>

namespace sallyport::crypto::ipsec_mb {
namespace {

// --- ChaCha20-Poly1305 ---

constexpr unsigned chacha_icv = 16;

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
    job->auth_tag_output_len_in_bytes = chacha_icv;
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
    std::uint8_t expected[chacha_icv];
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        chacha_job(manager, IMB_DIR_DECRYPT, packet, expected);
        packet.good = packet.good && equal_icv<chacha_icv>(expected, packet.icv);
        if (!packet.good) [[unlikely]]
            imb_clear_mem(packet.text, packet.length);
    }
    imb_clear_mem(expected, sizeof expected);
}

// --- AES-CCM (RFC 4309): a burst of packets side by side ---

constexpr unsigned ccm_salt = 3, ccm_nonce = 11; // octets

struct alignas(key_alignment) CcmKey {
    std::array<std::uint8_t, 240> schedule; // CCM enciphers in both directions
};

template <const Aes& aes>
bool ccm_expand(Direction, std::span<const std::uint8_t> material, void* memory) {
    if (material.size() != aes.key + ccm_salt) return false;
    std::memset(memory, 0, sizeof(CcmKey));
    Schedules work;
    (shared_manager().get()->*aes.expand)(material.data(), work.encrypt.data(), work.decrypt.data());
    static_cast<CcmKey*>(memory)->schedule = work.encrypt;
    imb_clear_mem(&work, sizeof work);
    return true;
}

void ccm_job(const Aes& aes, IMB_CIPHER_DIRECTION direction, const Packet& packet, unsigned icv_octets, std::uint8_t* icv, IMB_JOB& job) {
    job.cipher_mode = IMB_CIPHER_CCM;
    job.hash_alg = IMB_AUTH_AES_CCM;
    job.cipher_direction = direction;
    job.chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
    job.enc_keys = packet.key;
    job.dec_keys = packet.key;
    job.key_len_in_bytes = aes.key;
    job.src = packet.text;
    job.dst = packet.text;
    job.cipher_start_src_offset_in_bytes = 0;
    job.msg_len_to_cipher_in_bytes = packet.length;
    job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_hash_in_bytes = packet.length;
    job.iv = packet.nonce.data();
    job.iv_len_in_bytes = ccm_nonce;
    job.auth_tag_output = icv;
    job.auth_tag_output_len_in_bytes = icv_octets;
    job.u.CCM.aad = packet.aad;
    job.u.CCM.aad_len_in_bytes = packet.aad_length;
}

template <const Aes& aes>
bool ccm_burst(Lanes& own, IMB_CIPHER_DIRECTION direction, unsigned count) {
    return IMB_SUBMIT_AEAD_BURST_NOCHECK(own.manager.get(), own.jobs.data(), count, IMB_CIPHER_CCM, direction,
                                         static_cast<IMB_KEY_SIZE_BYTES>(aes.key)) == count;
}

template <const Aes& aes, unsigned icv_octets>
void ccm_seal(Packet* packets, unsigned count) {
    Lanes& own = lanes();
    if (own.manager == nullptr) return refuse(packets, count);
    for (unsigned i = 0; i < count; ++i) ccm_job(aes, IMB_DIR_ENCRYPT, packets[i], icv_octets, packets[i].icv, own.jobs[i]);
    const bool good = ccm_burst<aes>(own, IMB_DIR_ENCRYPT, count);
    for (unsigned i = 0; i < count; ++i) packets[i].good = good;
}

template <const Aes& aes, unsigned icv_octets>
void ccm_open(Packet* packets, unsigned count) {
    Lanes& own = lanes();
    if (own.manager == nullptr) return refuse(packets, count);
    for (unsigned i = 0; i < count; ++i) ccm_job(aes, IMB_DIR_DECRYPT, packets[i], icv_octets, own.icvs[i].data(), own.jobs[i]);
    const bool done = ccm_burst<aes>(own, IMB_DIR_DECRYPT, count);
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        packet.good = done && equal_icv<icv_octets>(own.icvs[i].data(), packet.icv);
        if (!packet.good) [[unlikely]]
            imb_clear_mem(packet.text, packet.length);
    }
    imb_clear_mem(own.icvs.data(), sizeof own.icvs);
}

template <const Aes& aes, unsigned icv_octets>
constexpr Suite ccm_suite{ccm_expand<aes>, wipe<CcmKey>, ccm_seal<aes, icv_octets>, ccm_open<aes, icv_octets>, sizeof(CcmKey)};

} // namespace

constinit const Suite chacha{chacha_expand, wipe<ChachaKey>, chacha_seal, chacha_open, sizeof(ChachaKey)};
constinit const Suite ccm_128_16 = ccm_suite<aes_128, 16>, ccm_256_16 = ccm_suite<aes_256, 16>;
constinit const Suite ccm_128_8 = ccm_suite<aes_128, 8>, ccm_256_8 = ccm_suite<aes_256, 8>;

} // namespace sallyport::crypto::ipsec_mb

#endif
