// SPDX-License-Identifier: Apache-2.0
// How the payload of SAs is filled, in time: between look-up and sealing a mode takes n frames and gives m. It may keep frames and give
// them later, cut or joined, and add frames of its own making.
#pragma once

#include "gateway/port/batch.hpp"
#include "gateway/port/chunks.hpp"

#include <cstdint>

namespace sallyport::mode {

/// One worker's. Times are nanoseconds of the monotonic clock. Frames that it gives and that did not come in with the batch are its own and
/// stay good until it is called again; their chunks are the batch's.
class Mode {
public:
    virtual ~Mode() = default;
    Mode() = default;
    Mode(const Mode&) = delete;
    Mode& operator=(const Mode&) = delete;

    /// Outbound frames, each with its SA: in, those that came; out, those to seal now.
    virtual void take(Batch& batch, Chunks& chunks) = 0;
    /// When tick() has something to give although nothing comes in; never: no such time.
    [[nodiscard]] virtual std::uint64_t next() const = 0;
    /// next() is over. `batch` is empty; out, what to seal now.
    virtual void tick(std::uint64_t now, Batch& batch, Chunks& chunks) = 0;

    static constexpr std::uint64_t never = ~std::uint64_t{0};
};

} // namespace sallyport::mode
