// SPDX-License-Identifier: Apache-2.0
// The rows of ESP (RFC 4303): every algorithm of the table with every engine.
#pragma once

#include "gateway/transform/transform.hpp"

namespace sallyport::transform {

inline constexpr std::uint8_t row_count = static_cast<std::uint8_t>(crypto::engines.size() * algorithms.size());

[[nodiscard]] constexpr std::uint8_t row_of(crypto::Engine engine, Algorithm algorithm) {
    return static_cast<std::uint8_t>(static_cast<std::size_t>(engine) * algorithms.size() + static_cast<std::size_t>(algorithm));
}

[[nodiscard]] constexpr Algorithm algorithm_of(std::uint8_t row) { return static_cast<Algorithm>(row % algorithms.size()); }

[[nodiscard]] constexpr crypto::Engine engine_of(std::uint8_t row) { return static_cast<crypto::Engine>(row / algorithms.size()); }

[[nodiscard]] inline const crypto::Suite& suite_of(std::uint8_t row) { return crypto::suite(engine_of(row), algorithm_of(row)); }

} // namespace sallyport::transform
