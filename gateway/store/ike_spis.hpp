// SPDX-License-Identifier: Apache-2.0
// Which IKE SAs there are, by our SPI (RFC 7296 3.1): the gateway sorts IKE datagrams by it, and knows those of nobody.
#pragma once

#include "gateway/sa/error.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace sallyport::store {

/// Threads: the control thread.
class IkeSpis {
public:
    static constexpr std::size_t most = 262'144;
    static constexpr std::size_t most_in_a_call = 1024;

    struct Entry {
        std::uint64_t spi = 0;
        std::uint64_t owner = 0; // generation of who added it: which life of the process that negotiates
        bool operator==(const Entry&) const = default;
    };

    /// All or nothing; one that is there gets the new owner. Error: place is "spis[INDEX]".
    [[nodiscard]] Result<void> add(std::span<const std::uint64_t> spis, std::uint64_t owner);
    /// Gives how many were there.
    std::size_t remove(std::span<const std::uint64_t> spis);
    /// By SPI, from the `first` one on, at most `count`.
    [[nodiscard]] std::vector<Entry> list(std::size_t first, std::size_t count) const;
    [[nodiscard]] bool contains(std::uint64_t spi) const { return owners_.contains(spi); }
    [[nodiscard]] std::size_t size() const { return owners_.size(); }

private:
    std::map<std::uint64_t, std::uint64_t> owners_;
};

} // namespace sallyport::store
