// SPDX-License-Identifier: Apache-2.0
// Multi-octet fields of the wire: big-endian, at any alignment, read and written by memcpy.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace sallyport::wire {

static_assert(std::endian::native == std::endian::little || std::endian::native == std::endian::big);

/// Network order to host order, and back.
template <class Integer>
[[nodiscard]] constexpr Integer swapped(Integer value) {
    if constexpr (std::endian::native == std::endian::little)
        return std::byteswap(value);
    else
        return value;
}

/// An integer as it lies in memory.
template <class Integer>
[[nodiscard]] inline Integer load_raw(const std::uint8_t* from) {
    Integer value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class Integer>
inline void store_raw(std::uint8_t* to, Integer value) {
    std::memcpy(to, &value, sizeof value);
}

[[nodiscard]] inline std::uint16_t load16(const std::uint8_t* from) { return swapped(load_raw<std::uint16_t>(from)); }

[[nodiscard]] inline std::uint32_t load32(const std::uint8_t* from) { return swapped(load_raw<std::uint32_t>(from)); }

[[nodiscard]] inline std::uint64_t load64(const std::uint8_t* from) { return swapped(load_raw<std::uint64_t>(from)); }

inline void store16(std::uint8_t* to, std::uint16_t value) { store_raw(to, swapped(value)); }

inline void store32(std::uint8_t* to, std::uint32_t value) { store_raw(to, swapped(value)); }

inline void store64(std::uint8_t* to, std::uint64_t value) { store_raw(to, swapped(value)); }

} // namespace sallyport::wire
