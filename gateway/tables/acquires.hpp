// SPDX-License-Identifier: Apache-2.0
// Packets that a policy protects while its SA is not there (RFC 4301 5.1.1): the first of each policy is kept for the control thread, who
// has keys negotiated. A flood costs no more than a look at a word each.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/selector.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sallyport::tables {

/// A packet that asked for an SA.
struct Acquire {
    std::uint32_t policy = 0; // PolicyVerdict::number
    std::uint32_t flow_label = 0;
    Flow flow;
};

/// Threads: ask() any, the others one.
class Acquires {
public:
    /// `policies`: numbers of those that have no SA.
    explicit Acquires(std::vector<std::uint32_t> policies = {});

    /// A parsed frame that was dropped for its policy's want of an SA. True: its policy asks for the first time, and take() has something.
    [[nodiscard]] bool ask(std::uint32_t policy, const Frame& frame) const;
    /// One packet of each policy that has asked since it was opened. Costs nothing where there is none.
    [[nodiscard]] std::vector<Acquire> take() const;
    /// Whoever's packet was taken may ask again.
    void open() const;

private:
    enum class State : std::uint8_t { open, writing, asked, taken };
    struct Slot {
        std::atomic<State> state{State::open};
        Acquire packet;
    };
    struct Slots {
        explicit Slots(std::size_t count) : of_policies(new Slot[count]) {}
        std::atomic<bool> any_asked{false};
        std::unique_ptr<Slot[]> of_policies;
    };
    std::vector<std::uint32_t> policies_; // ascending; each has the slot of its place
    std::unique_ptr<Slots> slots_;        // null: no policy
};

} // namespace sallyport::tables
