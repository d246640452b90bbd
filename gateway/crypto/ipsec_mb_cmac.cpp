// SPDX-License-Identifier: Apache-2.0
// AES-CMAC-96 (RFC 4494) by ipsec-mb's jobs, which go through its lanes side by side: there is no burst of it.
#include "gateway/crypto/ipsec_mb.hpp"

#ifdef SALLYPORT_HAVE_IPSEC_MB

#include <cstring>

namespace sallyport::crypto::ipsec_mb {
namespace {

constexpr unsigned icv_octets = 12;

struct alignas(key_alignment) CmacKey {
    std::array<std::uint8_t, 240> schedule;
    alignas(16) std::array<std::uint8_t, 16> first, second; // subkeys (RFC 4493 2.3)
};

bool cmac_expand(Direction, std::span<const std::uint8_t> material, void* memory) {
    if (material.size() != aes_128.key) return false;
    CmacKey& key = *static_cast<CmacKey*>(memory);
    std::memset(memory, 0, sizeof key);
    IMB_MGR* const manager = shared_manager().get();
    Schedules work;
    (manager->*aes_128.expand)(material.data(), work.encrypt.data(), work.decrypt.data());
    key.schedule = work.encrypt;
    IMB_AES_CMAC_SUBKEY_GEN_128(manager, key.schedule.data(), key.first.data(), key.second.data());
    imb_clear_mem(&work, sizeof work);
    return true;
}

/// AAD, text and tail; the tail lies where the ICV comes to lie.
void fill(const Packet& packet, std::uint8_t* icv, IMB_JOB& job) {
    const auto* key = static_cast<const CmacKey*>(packet.key);
    job.cipher_mode = IMB_CIPHER_NULL;
    job.hash_alg = IMB_AUTH_AES_CMAC;
    job.cipher_direction = IMB_DIR_ENCRYPT;
    job.chain_order = IMB_ORDER_HASH_CIPHER;
    job.src = packet.aad;
    job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_hash_in_bytes = std::uint64_t{packet.aad_length} + packet.length + packet.tail_length;
    job.auth_tag_output = icv;
    job.auth_tag_output_len_in_bytes = icv_octets;
    job.u.CMAC._key_expanded = key->schedule.data();
    job.u.CMAC._skey1 = key->first.data();
    job.u.CMAC._skey2 = key->second.data();
    std::memcpy(packet.icv, packet.extra.data(), packet.tail_length);
}

/// The ICVs of all packets into own.icvs. False: one of them is not done.
bool mac_all(Lanes& own, const Packet* packets, unsigned count) {
    IMB_MGR* const manager = own.manager.get();
    unsigned done = 0;
    const auto take = [&done](const IMB_JOB* job) {
        if (job != nullptr && job->status == IMB_STATUS_COMPLETED) ++done;
        return job != nullptr;
    };
    for (unsigned i = 0; i < count; ++i) {
        fill(packets[i], own.icvs[i].data(), *IMB_GET_NEXT_JOB(manager));
        if (take(IMB_SUBMIT_JOB_NOCHECK(manager)))
            while (take(IMB_GET_COMPLETED_JOB(manager))) {
            }
    }
    while (take(IMB_FLUSH_JOB(manager))) {
    }
    return done == count;
}

void cmac_seal(Packet* packets, unsigned count) {
    Lanes& own = lanes();
    if (own.manager == nullptr) return refuse(packets, count);
    const bool good = mac_all(own, packets, count);
    for (unsigned i = 0; i < count; ++i) {
        std::memcpy(packets[i].icv, own.icvs[i].data(), icv_octets);
        packets[i].good = good;
    }
}

void cmac_open(Packet* packets, unsigned count) {
    Lanes& own = lanes();
    if (own.manager == nullptr) return refuse(packets, count);
    std::array<std::array<std::uint8_t, icv_octets>, batch_size> received;
    for (unsigned i = 0; i < count; ++i) std::memcpy(received[i].data(), packets[i].icv, icv_octets);
    const bool good = mac_all(own, packets, count);
    for (unsigned i = 0; i < count; ++i) {
        Packet& packet = packets[i];
        packet.good = good && equal_icv<icv_octets>(own.icvs[i].data(), received[i].data());
        if (!packet.good) [[unlikely]]
            imb_clear_mem(packet.text, packet.length);
    }
    imb_clear_mem(own.icvs.data(), sizeof own.icvs);
}

} // namespace

constinit const Suite cmac_128{cmac_expand, wipe<CmacKey>, cmac_seal, cmac_open, sizeof(CmacKey)};

} // namespace sallyport::crypto::ipsec_mb

#endif
