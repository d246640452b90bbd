// SPDX-License-Identifier: Apache-2.0
// Who may use which SPI for what we receive (RFC 4303 2.1: the receiver chooses it). The gateway owns them all; those who negotiate keys
// take them from here in advance.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/store/store.hpp"
#include "gateway/tables/reserved.hpp"

#include <cstdint>
#include <deque>
#include <span>
#include <unordered_map>
#include <vector>

namespace sallyport::store {

/// SPIs are random, at least 256, with the top bit clear, and unique over all outer VPNs. Time is in milliseconds of any clock that does
/// not go back. Threads: the control thread.
class SpiSpace {
public:
    static constexpr std::uint64_t reservation = 60'000; // milliseconds that one is kept for who took it
    static constexpr std::uint64_t closing = 60'000;     // that one whose SA is gone is not given out: the peer may still send on it
    static constexpr std::uint32_t most_in_a_call = 256;
    static constexpr std::size_t most_reserved = 16384;

    SpiSpace(const Store& store, tables::ReservedSpis& reserved) : store_(store), reserved_(reserved) {}

    /// `count` blocks of `block` SPIs each, a power of two; a block begins at a multiple of its size. Gives the first SPI of each.
    /// Error: place is the argument; exhausted: too many are reserved, or no random octets.
    [[nodiscard]] Result<std::vector<std::uint32_t>> reserve(std::uint32_t count, std::uint32_t block, std::uint64_t now);
    /// Those that are not reserved are left as they are. Gives how many were.
    std::size_t release(std::span<const std::uint32_t> spis);
    /// Ends reservations whose time is over.
    void expire(std::uint64_t now);

    /// May an SA be installed under it: reserved, or nobody's.
    [[nodiscard]] bool may_install(std::uint32_t spi) const { return !closing_.contains(spi) && !store_.uses_spi(spi); }
    void installed(std::uint32_t spi) { release({&spi, 1}); }
    /// The inbound SA with it is gone.
    void closed(std::uint32_t spi, std::uint64_t now);
    [[nodiscard]] bool is_reserved(std::uint32_t spi) const { return until_.contains(spi); }
    [[nodiscard]] std::size_t reserved() const { return until_.size(); }

private:
    struct Ending {
        std::uint64_t at;
        std::uint32_t spi;
    };
    [[nodiscard]] bool free(std::uint32_t spi) const { return may_install(spi) && !until_.contains(spi); }
    [[nodiscard]] bool take_block(std::uint32_t first, std::uint32_t block, std::uint64_t until);

    const Store& store_;
    tables::ReservedSpis& reserved_;
    std::unordered_map<std::uint32_t, std::uint64_t> until_;   // reserved
    std::unordered_map<std::uint32_t, std::uint64_t> closing_; // half closed
    std::deque<Ending> reservations_, closings_;               // by time
};

} // namespace sallyport::store
