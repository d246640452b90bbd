// SPDX-License-Identifier: Apache-2.0
// The door of the responder: which IKE_SA_INIT requests are let in before anybody is authenticated, and when a cookie is asked for (RFC
// 7296 2.6). Nothing is kept of a request that is not let in.
#pragma once

#include "ike/engine/random.hpp"
#include "ike/engine/sa.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

namespace sallyport::ike {

/// A digest of a request that nobody outside can foresee: by it a repeated one is known.
using Digest = std::uint64_t;

class HalfOpen {
public:
    explicit HalfOpen(Random& random);

    [[nodiscard]] Digest digest(const Path& path, Octets message) const;

    /// The IKE SA that this very request has begun; 0: none.
    [[nodiscard]] Spi find(Digest digest) const;
    void add(Digest digest, Spi own_spi, const Address& peer);
    /// It is authenticated, or gone: it weighs no more. The request stays known until forget().
    void leave(Spi own_spi);
    void forget(Spi own_spi);

    /// Is one to be asked for?
    [[nodiscard]] bool cookie_wanted(const Settings& settings, const Address& peer) const;
    /// Is there room for one more?
    [[nodiscard]] bool room(const Settings& settings, const Address& peer) const;
    [[nodiscard]] std::size_t size() const { return entries_.size() - left_; }
    [[nodiscard]] std::size_t known() const { return entries_.size(); }

    /// Of this request, by the present secret.
    [[nodiscard]] std::vector<std::uint8_t> cookie(const Path& path, Spi spi_i, Octets ni);
    /// Was it made by the present secret or the one before, for the same request?
    [[nodiscard]] bool good(Octets cookie, const Path& path, Spi spi_i, Octets ni);
    /// New secrets are taken as time goes by.
    void turn(Time now, Time life);

private:
    struct Entry {
        Digest digest = 0;
        std::uint64_t prefix = 0;
        bool inside = true; // it weighs
    };
    struct Secrets {
        std::array<std::uint8_t, 32> octets{};
        std::uint8_t version = 0;
    };
    [[nodiscard]] std::vector<std::uint8_t> cookie_by(const Secrets& secret, const Path& path, Spi spi_i, Octets ni) const;
    [[nodiscard]] unsigned from(std::uint64_t prefix) const;

    Random& random_;
    std::array<std::uint8_t, 32> digest_key_{};
    std::unordered_map<Digest, Spi> by_digest_;
    std::unordered_map<Spi, Entry> entries_;
    std::unordered_map<std::uint64_t, unsigned> prefixes_; // half-open ones of a /32 or /64
    std::size_t left_ = 0;
    std::array<Secrets, 2> secrets_; // the present one, the one before
    Time turned_ = 0;
};

} // namespace sallyport::ike
