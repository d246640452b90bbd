// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/spi_space.hpp"

#include <algorithm>
#include <bit>
#include <openssl/rand.h>

namespace sallyport::store {

namespace {

constexpr std::uint32_t first_free = 256; // RFC 4303 2.1
constexpr std::uint32_t top_bit = 0x80000000;

} // namespace

Result<std::vector<std::uint32_t>> SpiSpace::reserve(std::uint32_t count, std::uint32_t block, std::uint64_t now) {
    if (!std::has_single_bit(block) || block > most_in_a_call)
        return std::unexpected(Error{ErrorCode::invalid, "a block has 1, 2, 4, ... 256 SPIs", "block", {}});
    if (count == 0 || count > most_in_a_call / block)
        return std::unexpected(Error{ErrorCode::invalid, "a call takes 1 to 256 SPIs", "count", "make several calls"});
    if (until_.size() + std::size_t{count} * block > most_reserved)
        return std::unexpected(Error{ErrorCode::exhausted, "16384 SPIs are reserved", "count", "install or release some"});
    std::vector<std::uint32_t> result;
    // Even where as many as a gateway can have are in use, one guess in a thousand fails; a hundred in a row mean something else.
    for (unsigned misses = 0; result.size() < count && misses < 100;) {
        std::uint32_t guess = 0;
        if (RAND_bytes(reinterpret_cast<unsigned char*>(&guess), sizeof guess) != 1) break;
        guess &= ~top_bit & ~(block - 1);
        if (guess >= first_free && take_block(guess, block, now + reservation))
            result.push_back(guess);
        else
            ++misses;
    }
    if (result.size() == count) return result;
    for (const std::uint32_t first : result)
        for (std::uint32_t spi = first; spi < first + block; ++spi) release({&spi, 1});
    return std::unexpected(Error{ErrorCode::exhausted, "no free SPIs were found, or there are no random octets", "count", "try again"});
}

bool SpiSpace::take_block(std::uint32_t first, std::uint32_t block, std::uint64_t until) {
    for (std::uint32_t spi = first; spi < first + block; ++spi)
        if (!free(spi)) return false;
    for (std::uint32_t spi = first; spi < first + block; ++spi) {
        if (!reserved_.put(spi)) {
            while (spi-- != first) release({&spi, 1});
            return false;
        }
        until_.emplace(spi, until);
        reservations_.push_back({until, spi});
    }
    return true;
}

std::size_t SpiSpace::release(std::span<const std::uint32_t> spis) {
    std::size_t released = 0;
    for (const std::uint32_t spi : spis) {
        if (until_.erase(spi) == 0) continue;
        reserved_.take_out(spi);
        ++released;
    }
    return released;
}

void SpiSpace::closed(std::uint32_t spi, std::uint64_t now) {
    closing_[spi] = now + closing;
    closings_.push_back({now + closing, spi});
}

void SpiSpace::expire(std::uint64_t now) {
    // One that was released and reserved again meanwhile stands here twice: the first time is not its own.
    for (; !reservations_.empty() && reservations_.front().at <= now; reservations_.pop_front()) {
        const auto at = until_.find(reservations_.front().spi);
        if (at != until_.end() && at->second <= now) release({&reservations_.front().spi, 1});
    }
    for (; !closings_.empty() && closings_.front().at <= now; closings_.pop_front()) {
        const auto at = closing_.find(closings_.front().spi);
        if (at != closing_.end() && at->second <= now) closing_.erase(at);
    }
}

} // namespace sallyport::store
