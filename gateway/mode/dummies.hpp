// SPDX-License-Identifier: Apache-2.0
// Tunnel mode in time: every packet is sealed at once, and where an SA wants them dummy packets (RFC 4303 2.6) go between, so many a second
// and of sizes that vary.
#pragma once

#include "gateway/mode/mode.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace sallyport::mode {

struct DummyRate {
    const transform::OutboundSa* sa = nullptr;
    std::uint32_t per_second = 0; // at least 1
};

class Dummies final : public Mode {
public:
    /// `seed`: what is random here only has to look uneven, it protects nothing by itself.
    explicit Dummies(std::uint64_t seed) : random_(seed | 1U) {}

    /// From now on these SAs, and no others.
    void plan(std::span<const DummyRate> rates, std::uint64_t now);

    void take(Batch& /*batch*/, Chunks& /*chunks*/) override {}
    [[nodiscard]] std::uint64_t next() const override { return next_; }
    void tick(std::uint64_t now, Batch& batch, Chunks& chunks) override;

private:
    struct Due {
        const transform::OutboundSa* sa;
        std::uint64_t interval; // nanoseconds
        std::uint64_t due;
    };
    std::uint64_t random();

    std::vector<Due> dues_;
    std::uint64_t next_ = never;
    std::uint64_t random_;
    std::array<Frame, batch_size> made_;
};

} // namespace sallyport::mode
