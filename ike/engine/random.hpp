// SPDX-License-Identifier: Apache-2.0
// Where nonces, SPIs, cookies' secrets and jitter come from: the kernel's generator, or a seed in a simulation.
#pragma once

#include <cstdint>
#include <span>

namespace sallyport::ike {

class Random {
public:
    Random() = default;
    Random(const Random&) = delete;
    Random& operator=(const Random&) = delete;
    virtual ~Random() = default;
    virtual void fill(std::span<std::uint8_t> to) = 0;

    [[nodiscard]] std::uint64_t number() {
        std::uint64_t value = 0;
        fill({reinterpret_cast<std::uint8_t*>(&value), sizeof value});
        return value;
    }
};

} // namespace sallyport::ike
