// SPDX-License-Identifier: Apache-2.0
// The fast engine on x86-64: ipsec-mb.
#include "gateway/crypto/ipsec_mb.hpp"

#include "gateway/crypto/engines.hpp"

#ifdef SALLYPORT_HAVE_IPSEC_MB

namespace sallyport::crypto::ipsec_mb {
namespace {

Manager new_manager() {
    Manager manager(alloc_mb_mgr(0));
    if (manager == nullptr) return nullptr;
    IMB_ARCH arch = IMB_ARCH_NONE;
    init_mb_mgr_auto(manager.get(), &arch);
    if (imb_get_errno(manager.get()) != 0 || arch == IMB_ARCH_NONE) return nullptr;
    return manager;
}

/// Null: OpenSSL does it here too.
const Suite* find(Algorithm algorithm) {
    switch (algorithm) {
    case Algorithm::aes_128_gcm_16:
    case Algorithm::aes_128_gcm_16_iiv: return &gcm[0]; // an implicit IV is the transform's matter
    case Algorithm::aes_192_gcm_16:
    case Algorithm::aes_192_gcm_16_iiv: return &gcm[1];
    case Algorithm::aes_256_gcm_16:
    case Algorithm::aes_256_gcm_16_iiv: return &gcm[2];
    case Algorithm::chacha20_poly1305:
    case Algorithm::chacha20_poly1305_iiv: return &chacha;
    case Algorithm::aes_128_cbc_hmac_sha2_256_128: return &cbc_hmac_sha_256[0];
    case Algorithm::aes_192_cbc_hmac_sha2_256_128: return &cbc_hmac_sha_256[1];
    case Algorithm::aes_256_cbc_hmac_sha2_256_128: return &cbc_hmac_sha_256[2];
    case Algorithm::aes_128_cbc_hmac_sha2_384_192: return &cbc_hmac_sha_384[0];
    case Algorithm::aes_192_cbc_hmac_sha2_384_192: return &cbc_hmac_sha_384[1];
    case Algorithm::aes_256_cbc_hmac_sha2_384_192: return &cbc_hmac_sha_384[2];
    case Algorithm::aes_128_cbc_hmac_sha2_512_256: return &cbc_hmac_sha_512[0];
    case Algorithm::aes_192_cbc_hmac_sha2_512_256: return &cbc_hmac_sha_512[1];
    case Algorithm::aes_256_cbc_hmac_sha2_512_256: return &cbc_hmac_sha_512[2];
    case Algorithm::aes_128_ccm_16: return &ccm_128_16;
    case Algorithm::aes_256_ccm_16: return &ccm_256_16;
    case Algorithm::aes_128_ccm_8:
    case Algorithm::aes_128_ccm_8_iiv: return &ccm_128_8;
    case Algorithm::aes_256_ccm_8:
    case Algorithm::aes_256_ccm_8_iiv: return &ccm_256_8;
    case Algorithm::aes_192_ccm_16: // the library has no CCM with keys of 192 bits
    case Algorithm::aes_192_ccm_8:
    case Algorithm::aes_192_ccm_8_iiv: return nullptr;
    case Algorithm::null_aes_128_gmac: return &gmac[0];
    case Algorithm::null_aes_192_gmac: return &gmac[1];
    case Algorithm::null_aes_256_gmac: return &gmac[2];
    case Algorithm::null_hmac_sha2_256_128: return &hmac_sha[0];
    case Algorithm::null_hmac_sha2_384_192: return &hmac_sha[1];
    case Algorithm::null_hmac_sha2_512_256: return &hmac_sha[2];
    case Algorithm::null_aes_cmac_96: return &cmac_128;
    }
    return nullptr;
}

} // namespace

const Manager& shared_manager() {
    static const Manager manager = new_manager();
    return manager;
}

Lanes& lanes() {
    thread_local const auto own = std::make_unique<Lanes>(Lanes{.manager = new_manager()});
    return *own;
}

bool available() { return shared_manager() != nullptr; }

std::string describe() {
    const IMB_MGR* manager = shared_manager().get();
    if (manager == nullptr) return "ipsec-mb: not for this processor";
    std::string text = std::string("ipsec-mb ") + imb_get_version_str() + " (";
    text += (manager->features & IMB_FEATURE_AVX512_SKX) != 0 ? "AVX-512" : (manager->features & IMB_FEATURE_AVX2) != 0 ? "AVX2" : "SSE";
    return text + ((manager->features & IMB_FEATURE_VAES) != 0 ? ", VAES)" : ")");
}

const Suite& suite(Algorithm algorithm) {
    const Suite* const found = find(algorithm);
    return found != nullptr ? *found : openssl::suite(algorithm);
}

} // namespace sallyport::crypto::ipsec_mb

#else

namespace sallyport::crypto::ipsec_mb {

bool available() { return false; }

std::string describe() { return "ipsec-mb: not in this build"; }

const Suite& suite(Algorithm algorithm) { return openssl::suite(algorithm); }

} // namespace sallyport::crypto::ipsec_mb

#endif
