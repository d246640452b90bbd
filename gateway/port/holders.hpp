// SPDX-License-Identifier: Apache-2.0
// Who has each chunk of the packet memory, written down with every step. In every build but the release, which this costs nothing: a chunk
// given on by one who does not have it, given back twice or kept past the end of a round ends the process with a line that says so.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sallyport {

#ifdef SALLYPORT_CHECKED
inline constexpr bool checked = true;
#else
inline constexpr bool checked = false;
#endif

enum class Holder : std::uint16_t {
    others,  // who keeps no account: tests. What they have or give is not asked about, unless it is free
    free,    // the depot, or a worker's stack
    port,    // a port's rings, or the kernel
    passing, // a ring between threads
    stage,   // the exception stage
    reader,  // of what the gateway itself sends
    worker,  // worker 0; the others follow
};
inline constexpr std::size_t holder_count = static_cast<std::size_t>(Holder::worker) + 256;

/// The n-th of them all, workers included.
[[nodiscard]] constexpr Holder holder_at(std::size_t number) {
    return static_cast<Holder>(number); // NOLINT(clang-analyzer-optin.core.EnumCastOutOfRange): workers have no names
}

[[nodiscard]] constexpr Holder holder_of(std::uint8_t worker) { return holder_at(static_cast<std::size_t>(Holder::worker) + worker); }

/// Threads: any; what belongs to a holder, only that holder moves.
class Holders {
public:
    /// All chunks belong to `all`.
    Holders(std::uint32_t chunks, Holder all);

    /// Before `to` can touch it.
    void move(std::uint32_t chunk, Holder from, Holder to) {
        if constexpr (checked) write_down(chunk, from, to);
    }
    /// The holder has so many chunks now, and knows of them all.
    void expect(Holder holder, std::size_t count) const {
        if constexpr (checked) look(holder, count);
    }
    /// Everything is with ports, free or passing.
    void expect_nothing_in_hand() const {
        if constexpr (checked)
            for (std::size_t i = static_cast<std::size_t>(Holder::stage); i < holder_count; ++i) look(holder_at(i), 0);
    }

private:
    void write_down(std::uint32_t chunk, Holder from, Holder to);
    void look(Holder holder, std::size_t count) const;

    std::vector<std::atomic<Holder>> holder_;                      // by chunk; empty in a release
    std::array<std::atomic<std::size_t>, holder_count> counted_{}; // by holder, those before `stage` are not counted
};

} // namespace sallyport
