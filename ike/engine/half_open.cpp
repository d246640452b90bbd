// SPDX-License-Identifier: Apache-2.0
#include "ike/engine/half_open.hpp"

#include "gateway/wire/octets.hpp"
#include "ike/crypto/prf.hpp"

#include <algorithm>
#include <cstring>

namespace sallyport::ike {
namespace {

/// Who counts as one: a host of IPv4, a network of /64 of IPv6.
std::uint64_t prefix_of(const Address& address) {
    std::uint64_t prefix = 0;
    std::memcpy(&prefix, address.octets.data(), address.family == Family::ipv4 ? 4 : 8);
    return address.family == Family::ipv4 ? prefix : ~prefix;
}

std::array<std::uint8_t, 8> octets_of(std::uint64_t number) {
    std::array<std::uint8_t, 8> octets;
    wire::store64(octets.data(), number);
    return octets;
}

std::array<std::uint8_t, 20> octets_of(const Endpoint& endpoint) {
    std::array<std::uint8_t, 20> octets{};
    std::ranges::copy(endpoint.address.octets, octets.begin());
    wire::store16(octets.data() + 16, endpoint.port);
    octets[18] = static_cast<std::uint8_t>(endpoint.address.family);
    return octets;
}

} // namespace

HalfOpen::HalfOpen(Random& random) : random_(random) {
    random_.fill(digest_key_);
    for (Secrets& secret : secrets_) random_.fill(secret.octets);
}

Digest HalfOpen::digest(const Path& path, Octets message) const {
    const auto remote = octets_of(path.remote), local = octets_of(path.local);
    const auto vpn = octets_of(std::uint64_t{path.vpn});
    std::array<std::uint8_t, 32> out{};
    if (!compute(Prf::hmac_sha2_256, digest_key_, {remote, local, vpn, message}, out)) return 0;
    return wire::load64(out.data()) | 1U; // 0 is none
}

Spi HalfOpen::find(Digest digest) const {
    const auto found = by_digest_.find(digest);
    return found != by_digest_.end() ? found->second : 0;
}

void HalfOpen::add(Digest digest, Spi own_spi, const Address& peer) {
    const std::uint64_t prefix = prefix_of(peer);
    by_digest_[digest] = own_spi;
    entries_[own_spi] = {digest, prefix, true};
    ++prefixes_[prefix];
}

void HalfOpen::leave(Spi own_spi) {
    const auto found = entries_.find(own_spi);
    if (found == entries_.end() || !found->second.inside) return;
    found->second.inside = false;
    ++left_;
    const auto prefix = prefixes_.find(found->second.prefix);
    if (--prefix->second == 0) prefixes_.erase(prefix);
}

void HalfOpen::forget(Spi own_spi) {
    leave(own_spi);
    const auto found = entries_.find(own_spi);
    if (found == entries_.end()) return;
    --left_;
    by_digest_.erase(found->second.digest);
    entries_.erase(found);
}

unsigned HalfOpen::from(std::uint64_t prefix) const {
    const auto found = prefixes_.find(prefix);
    return found != prefixes_.end() ? found->second : 0;
}

bool HalfOpen::cookie_wanted(const Settings& settings, const Address& peer) const {
    return size() >= settings.cookies_from || from(prefix_of(peer)) >= settings.cookies_from_prefix;
}

bool HalfOpen::room(const Settings& settings, const Address& peer) const {
    return size() < settings.half_open_most && from(prefix_of(peer)) < settings.half_open_most_prefix;
}

std::vector<std::uint8_t> HalfOpen::cookie_by(const Secrets& secret, const Path& path, Spi spi_i, Octets ni) const {
    // Not the port: a NAT may give another one to each try. Not KE: after INVALID_KE_PAYLOAD the cookie is still good (RFC 7296 2.6.1).
    std::array<std::uint8_t, 32> mac{};
    if (!compute(Prf::hmac_sha2_256, secret.octets, {ni, path.remote.address.octets, octets_of(spi_i)}, mac)) return {};
    std::vector<std::uint8_t> cookie{secret.version};
    cookie.insert(cookie.end(), mac.begin(), mac.begin() + 16);
    return cookie;
}

std::vector<std::uint8_t> HalfOpen::cookie(const Path& path, Spi spi_i, Octets ni) { return cookie_by(secrets_[0], path, spi_i, ni); }

bool HalfOpen::good(Octets cookie, const Path& path, Spi spi_i, Octets ni) {
    if (cookie.size() != 17) return false;
    return std::ranges::any_of(
        secrets_, [&](const Secrets& secret) { return secret.version == cookie[0] && equal(cookie, cookie_by(secret, path, spi_i, ni)); });
}

void HalfOpen::turn(Time now, Time life) {
    if (now - turned_ < life) return;
    secrets_[1] = secrets_[0];
    // After a long sleep the one before is as old as it looks.
    if (now - turned_ >= 2 * life) random_.fill(secrets_[1].octets);
    random_.fill(secrets_[0].octets);
    ++secrets_[0].version;
    turned_ = now;
}

} // namespace sallyport::ike
