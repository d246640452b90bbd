// SPDX-License-Identifier: Apache-2.0
// Memory that outlives the process and needs nobody for it: a BPF array of units of 64 octets, mapped, and pinned in our bpffs.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/sequence/space.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace sallyport::state {

/// Threads: one at a time; the units themselves belong to whoever was given them.
class PinnedArray {
public:
    /// What is pinned at `path`. Error missing: nothing is; conflict: something of another shape.
    [[nodiscard]] static Result<PinnedArray> open(const std::string& path);
    /// Zeros, not pinned yet. `name` is what bpftool shows; at most 15 letters.
    [[nodiscard]] static Result<PinnedArray> make(const char* name, std::uint32_t count);
    /// Memory of this process, for tests and benchmarks.
    [[nodiscard]] static Result<PinnedArray> anonymous(std::uint32_t count);
    PinnedArray(PinnedArray&& other) noexcept : units_(std::exchange(other.units_, {})), map_(std::exchange(other.map_, -1)) {}
    PinnedArray& operator=(PinnedArray&& other) noexcept;
    ~PinnedArray();

    /// Takes the place of what is pinned there at one instant: killed at any moment, the one or the other is found.
    [[nodiscard]] Result<void> pin(const std::string& path);
    /// What is pinned there is no longer; who has it mapped keeps it.
    static void unpin(const std::string& path);
    [[nodiscard]] std::span<sequence::Unit> units() const { return units_; }

private:
    PinnedArray(std::span<sequence::Unit> units, int map) : units_(units), map_(map) {}
    [[nodiscard]] static Result<PinnedArray> mapped(int map, std::uint32_t count, const std::string& place);
    void unmap();
    std::span<sequence::Unit> units_;
    int map_ = -1; // until it is pinned
};

} // namespace sallyport::state
