// SPDX-License-Identifier: Apache-2.0
#include "gateway/port/places.hpp"

#include <algorithm>
#include <string_view>

namespace sallyport {
namespace {

constexpr std::array<std::string_view, 6> names{"nowhere", "with a receive side", "being transmitted", "completed", "free", "kept back"};

std::string_view name_of(ChunkPlace place) { return names[static_cast<std::size_t>(place)]; }

} // namespace

bool ChunkPlaces::put(std::uint32_t chunk, ChunkPlace place) {
    if (chunk < place_.size() && place_[chunk] == ChunkPlace::unknown) {
        place_[chunk] = place;
        return true;
    }
    if (!fault_.empty()) return false;
    fault_ = "Chunk " + std::to_string(chunk);
    if (chunk >= place_.size())
        fault_.append(" is not one of ").append(std::to_string(place_.size())).append(".");
    else
        fault_.append(" is ").append(name_of(place_[chunk])).append(" and ").append(name_of(place)).append(".");
    return false;
}

std::uint32_t ChunkPlaces::count(ChunkPlace place) const { return static_cast<std::uint32_t>(std::ranges::count(place_, place)); }

std::vector<std::uint32_t> ChunkPlaces::chunks_at(ChunkPlace place) const {
    std::vector<std::uint32_t> found;
    for (std::uint32_t chunk = 0; chunk < place_.size(); ++chunk)
        if (place_[chunk] == place) found.push_back(chunk);
    return found;
}

} // namespace sallyport
