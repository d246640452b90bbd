// SPDX-License-Identifier: Apache-2.0
// A secret that is empty says that something before failed: nothing is derived from it.
#include "ike/crypto/keys.hpp"

#include "gateway/wire/octets.hpp"

#include <algorithm>
#include <array>

namespace sallyport::ike {
namespace {

constexpr std::size_t most_exchanges = 8; // one key exchange and seven additional ones (RFC 9370 2)

/// What the key exchanges of one series gave, in their order; empty where there was none.
struct Shared {
    std::array<Octets, most_exchanges> of{};
    bool good = true;
};

Shared gather(std::span<const Secret> secrets) {
    Shared shared;
    shared.good = secrets.size() <= most_exchanges && std::ranges::none_of(secrets, &Secret::empty);
    if (shared.good) std::ranges::transform(secrets, shared.of.begin(), &Secret::octets);
    return shared;
}

std::vector<std::uint8_t> joined(Parts parts) {
    std::vector<std::uint8_t> whole;
    std::size_t size = 0;
    for (const Octets part : parts) size += part.size();
    whole.reserve(size);
    for (const Octets part : parts) whole.insert(whole.end(), part.begin(), part.end());
    return whole;
}

using Digest = std::array<std::uint8_t, largest_prf>;

/// prf(SK_p, RestOfID), of size_of(prf) octets.
bool mac_id(Prf prf, Octets sk_p, Octets id_body, Digest& to) { return !sk_p.empty() && compute(prf, sk_p, {id_body}, to); }

} // namespace

SkKeys::SkKeys(Prf prf, const Protection& protection, Octets skeyseed, Octets ni, Octets nr, std::uint64_t spi_i, std::uint64_t spi_r) {
    if (skeyseed.empty()) return;
    const std::size_t d = size_of(prf), a = protection.integrity_key(), e = protection.encryption_key();
    std::array<std::uint8_t, 16> spis;
    wire::store64(spis.data(), spi_i);
    wire::store64(spis.data() + 8, spi_r);
    all_ = expand(prf, skeyseed, {ni, nr, spis}, 3 * d + 2 * a + 2 * e);
    if (all_.empty()) return;
    d_ = p_ = d;
    a_ = a;
    e_ = e;
}

bool SkKeys::forget_p() {
    if (p_ == 0) return true;
    Secret kept(all_.part(0, p(0)));
    if (kept.empty()) return false;
    all_ = std::move(kept);
    p_ = 0;
    return true;
}

Secret skeyseed_first(Prf prf, Octets ni, Octets nr, Octets shared) {
    if (shared.empty()) return {};
    return compute(prf, joined({ni, nr}), {shared});
}

Secret skeyseed_next(Prf prf, Octets sk_d, Octets shared, Octets ni, Octets nr) {
    if (sk_d.empty() || shared.empty()) return {};
    return compute(prf, sk_d, {shared, ni, nr});
}

Secret skeyseed_rekey(Prf old_prf, Octets old_sk_d, std::span<const Secret> shared, Octets ni, Octets nr) {
    const auto [sk, good] = gather(shared);
    if (!good || shared.empty() || old_sk_d.empty()) return {};
    return compute(old_prf, old_sk_d, {sk[0], ni, nr, sk[1], sk[2], sk[3], sk[4], sk[5], sk[6], sk[7]});
}

Secret keymat(Prf prf, Octets sk_d, std::span<const Secret> shared, Octets ni, Octets nr, std::size_t size) {
    const auto [sk, good] = gather(shared);
    if (!good || sk_d.empty()) return {};
    return expand(prf, sk_d, {sk[0], ni, nr, sk[1], sk[2], sk[3], sk[4], sk[5], sk[6], sk[7]}, size);
}

std::vector<std::uint8_t> intauth(Prf prf, Octets sk_p, Octets before, Octets a, Octets p) {
    std::vector<std::uint8_t> result(size_of(prf));
    if (sk_p.empty() || !compute(prf, sk_p, {before, a, p}, result)) return {};
    return result;
}

Secret psk_auth(Prf prf, Octets shared_key, Octets real_message, Octets nonce, Octets sk_p, Octets id_body, Octets all_intauth) {
    static constexpr std::uint8_t key_pad[] = {'K', 'e', 'y', ' ', 'P', 'a', 'd', ' ', 'f', 'o', 'r', ' ', 'I', 'K', 'E', 'v', '2'};
    Digest id;
    if (shared_key.empty() || !mac_id(prf, sk_p, id_body, id)) return {};
    const Secret key = compute(prf, shared_key, {key_pad});
    if (key.empty()) return {};
    return compute(prf, key.octets(), {real_message, nonce, Octets(id).first(size_of(prf)), all_intauth});
}

std::optional<std::vector<std::uint8_t>> signed_octets(Prf prf, Octets real_message, Octets nonce, Octets sk_p, Octets id_body,
                                                       Octets all_intauth) {
    Digest id;
    if (!mac_id(prf, sk_p, id_body, id)) return std::nullopt;
    return joined({real_message, nonce, Octets(id).first(size_of(prf)), all_intauth});
}

} // namespace sallyport::ike
