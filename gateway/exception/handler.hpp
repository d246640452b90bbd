// SPDX-License-Identifier: Apache-2.0
// What the exception stage does for one errand is a handler: a file of this folder, and one line where the stage is made
// (gateway/control/start.cpp).
#pragma once

#include "gateway/port/chunks.hpp"
#include "gateway/port/frame.hpp"

#include <cstddef>
#include <cstdint>

namespace sallyport::exception {

/// Where a handler's frames go, and where it gets chunks for frames of its own making. A frame that is given here is no longer the
/// handler's.
class Exits {
public:
    virtual ~Exits() = default;
    Exits() = default;
    Exits(const Exits&) = delete;
    Exits& operator=(const Exits&) = delete;

    /// Back to the worker Frame::worker, in the order of the calls: routed again with frame_waited or frame_onward, else looked up again,
    /// from the red side with frame_from_red or a red port, from the black side otherwise. Reason and errand are cleared.
    virtual void again(const Frame& frame) = 0;
    /// Counted with its reason.
    virtual void drop(const Frame& frame, DropReason reason) = 0;
    /// Its octets went into another frame, or into the kernel: the chunk is free, and nothing was dropped.
    virtual void used_up(const Frame& frame) = 0;
    /// Sets chunk and index of a fresh frame. False: there is no free chunk.
    [[nodiscard]] virtual bool make(Frame& frame) = 0;
};

/// Called by the stage's thread alone. Times are nanoseconds of the monotonic clock, never falling. Never blocks.
class Handler {
public:
    virtual ~Handler() = default;
    Handler() = default;
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;

    /// One frame that a worker sent on this errand, all fields as the worker left them but the SA pointer, which is null. It is the
    /// handler's until it gives it to an exit.
    virtual void take(const Frame& frame, std::uint64_t now, Exits& exits) = 0;
    /// Once a round, after what came in. The default is for handlers that hold nothing.
    virtual void look(std::uint64_t /*now*/, Exits& /*exits*/) {}
    /// When look() has something to do although nothing comes in; never: no such time.
    [[nodiscard]] virtual std::uint64_t next() const { return never; }
    /// Frames that it holds now.
    [[nodiscard]] virtual std::size_t held() const { return 0; }
    /// The end: everything that it holds is given to the exits.
    virtual void leave(Exits& /*exits*/) {}

    static constexpr std::uint64_t never = ~std::uint64_t{0};
};

} // namespace sallyport::exception
