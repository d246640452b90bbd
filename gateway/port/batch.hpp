// SPDX-License-Identifier: Apache-2.0
// Frames that go through the stages together.
#pragma once

#include "gateway/port/frame.hpp"

#include <array>
#include <span>

namespace sallyport {

inline constexpr unsigned batch_size = 64;

/// Does not own the frames. What leaves the batch was dropped, handed over, queued or kept by its mode.
struct Batch {
    std::array<Frame*, batch_size> at;
    unsigned count = 0;
    void add(Frame* frame) { at[count++] = frame; }
    [[nodiscard]] std::span<Frame* const> span() const { return {at.data(), count}; }
};

} // namespace sallyport
