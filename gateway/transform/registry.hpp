// SPDX-License-Identifier: Apache-2.0
// The rows of the registry: what protocol, mode, algorithm and engine make together. A new protocol adds its rows behind the others.
#pragma once

#include "gateway/transform/transform.hpp"

namespace sallyport::transform {

struct Kind {
    SaProtocol protocol = SaProtocol::esp;
    SaMode mode = SaMode::tunnel;
    crypto::Engine engine = crypto::Engine::openssl;
    Algorithm algorithm{};
    bool operator==(const Kind&) const = default;
};

inline constexpr unsigned engine_count = crypto::engines.size();

/// What AH takes, in the order of the algorithms' table.
inline constexpr auto ah_algorithms = [] {
    constexpr auto count = static_cast<std::size_t>(std::ranges::count_if(algorithms, &AlgorithmInfo::integrity_only));
    std::array<Algorithm, count> found{};
    std::size_t at = 0;
    for (const AlgorithmInfo& row : algorithms)
        if (row.integrity_only()) found[at++] = row.algorithm;
    return found;
}();

inline constexpr unsigned esp_rows = 3 * engine_count * algorithms.size();   // tunnel, transport, BEET
inline constexpr unsigned ah_rows = 2 * engine_count * ah_algorithms.size(); // tunnel, transport
inline constexpr unsigned row_count = esp_rows + ah_rows;
static_assert(row_count <= 256);

/// A kind that there is not, AH with a cipher or in BEET mode, has the row of another one.
[[nodiscard]] constexpr std::uint8_t row_of(const Kind& kind) {
    const unsigned block = static_cast<unsigned>(kind.mode) * engine_count + static_cast<unsigned>(kind.engine);
    if (kind.protocol == SaProtocol::esp)
        return static_cast<std::uint8_t>(block * algorithms.size() + static_cast<unsigned>(kind.algorithm));
    const auto at = static_cast<unsigned>(std::ranges::find(ah_algorithms, kind.algorithm) - ah_algorithms.begin());
    return static_cast<std::uint8_t>(esp_rows + (block * ah_algorithms.size() + at) % ah_rows);
}

[[nodiscard]] constexpr Kind kind_of(std::uint8_t row) {
    const bool esp = row < esp_rows;
    const unsigned place = esp ? row : row - esp_rows;
    const unsigned width = esp ? algorithms.size() : ah_algorithms.size();
    const unsigned block = place / width;
    return {.protocol = esp ? SaProtocol::esp : SaProtocol::ah,
            .mode = static_cast<SaMode>(block / engine_count),
            .engine = static_cast<crypto::Engine>(block % engine_count),
            .algorithm = esp ? static_cast<Algorithm>(place % width) : ah_algorithms[place % width]};
}

[[nodiscard]] constexpr std::uint8_t row_of(crypto::Engine engine, Algorithm algorithm) {
    return row_of(Kind{.engine = engine, .algorithm = algorithm});
}
[[nodiscard]] constexpr Algorithm algorithm_of(std::uint8_t row) { return kind_of(row).algorithm; }
[[nodiscard]] constexpr crypto::Engine engine_of(std::uint8_t row) { return kind_of(row).engine; }
[[nodiscard]] inline const crypto::Suite& suite_of(std::uint8_t row) { return crypto::suite(engine_of(row), algorithm_of(row)); }

extern const std::array<Transform, esp_rows> esp_transforms; // esp.cpp
extern const std::array<Transform, ah_rows> ah_transforms;   // ah.cpp

} // namespace sallyport::transform
