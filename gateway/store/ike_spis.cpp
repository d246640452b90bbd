// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/ike_spis.hpp"

#include <algorithm>
#include <iterator>
#include <string>

namespace sallyport::store {

Result<void> IkeSpis::add(std::span<const std::uint64_t> spis, std::uint64_t owner) {
    if (spis.size() > most_in_a_call)
        return std::unexpected(Error{ErrorCode::exhausted, "a call takes at most 1024 IKE SPIs", "spis", "make several calls"});
    for (std::size_t i = 0; i < spis.size(); ++i)
        if (spis[i] == 0)
            return std::unexpected(
                Error{ErrorCode::invalid, "an IKE SPI is not zero (RFC 7296 3.1)", "spis[" + std::to_string(i) + "]", {}});
    const auto fresh = std::ranges::count_if(spis, [this](std::uint64_t spi) { return !owners_.contains(spi); });
    if (owners_.size() + static_cast<std::size_t>(fresh) > most)
        return std::unexpected(Error{ErrorCode::exhausted, "262144 IKE SPIs are there", "spis", "remove those that are gone"});
    for (const std::uint64_t spi : spis) owners_[spi] = owner;
    return {};
}

std::size_t IkeSpis::remove(std::span<const std::uint64_t> spis) {
    std::size_t removed = 0;
    for (const std::uint64_t spi : spis) removed += owners_.erase(spi);
    return removed;
}

std::vector<IkeSpis::Entry> IkeSpis::list(std::size_t first, std::size_t count) const {
    std::vector<Entry> result;
    if (first >= owners_.size()) return result;
    for (auto at = std::next(owners_.begin(), static_cast<std::ptrdiff_t>(first)); at != owners_.end() && result.size() < count; ++at)
        result.push_back({at->first, at->second});
    return result;
}

} // namespace sallyport::store
