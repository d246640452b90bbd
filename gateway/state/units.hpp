// SPDX-License-Identifier: Apache-2.0
// The memory of counters and windows: a mapped BPF array pinned in our bpffs, which outlives the process, cut into units of 64 octets.
// Layout (version 2): unit 0 is the header (magic, version, units, instance, checksum); then spaces, each of one head unit, inbound the
// units of its window, and one unit for the counters of the SA. Words 2 to 7 of a head unit say whose it is (direction, window, fingerprint
// of the key, checksum); all zero: free. Version 1 had no counters.
#pragma once

#include "gateway/sequence/space.hpp"
#include "gateway/state/marks_file.hpp"
#include "gateway/state/pinned_array.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::state {

/// Threads: the control thread; the units themselves belong to the SAs' owners.
class Units {
public:
    struct Claim {
        sequence::Unit* memory = nullptr;   // units_of(direction, window)
        sequence::Unit* counters = nullptr; // of the SA, whatever it counts; zero where they are fresh
        bool survived =
            false; // number, window and counters are those that a gateway before this one left; else the memory is to be prepared
    };

    /// Opens the array pinned at `path`, or makes one of `least` units (header included) and pins it there. One that is too small or of the
    /// layout before this one is replaced by a larger one that holds the same. One that is damaged or of a layout that this release does
    /// not know is replaced by an empty one: refused() says why.
    [[nodiscard]] static Result<std::unique_ptr<Units>> pinned(const std::string& path, std::uint32_t least);
    /// Memory of this process, for tests and benchmarks.
    [[nodiscard]] static Result<std::unique_ptr<Units>> anonymous(std::uint32_t units);
    /// Why what lay at the path was not adopted; nothing: it was, or there was nothing.
    [[nodiscard]] const std::optional<Error>& refused() const { return refused_; }
    [[nodiscard]] const Instance& instance() const { return instance_; }
    [[nodiscard]] std::uint32_t capacity() const { return count_; } // units, header included
    [[nodiscard]] std::uint32_t used() const { return used_; }

    /// Memory for a space of this key: what survived of it, if direction and window are the same, or fresh units. Error exhausted.
    [[nodiscard]] Result<Claim> claim(const Fingerprint& key, Direction direction, std::uint32_t window);
    /// Nobody uses the space any more: it is free from now on.
    void release(sequence::Unit* memory);
    /// A claim that survived is not used after all; it lies there for the next claim, in this process or a later one.
    void put_back(sequence::Unit* memory, const Fingerprint& key);
    /// Frees what survived and nobody ever claimed.
    void forget_survivors();

private:
    explicit Units(PinnedArray array);
    [[nodiscard]] static Result<std::unique_ptr<Units>> make_pinned(const std::string& path, std::uint32_t count,
                                                                    const Units* before = nullptr);
    void write_header(const Instance* instance);
    [[nodiscard]] Result<void> read_header(const std::string& path);
    void find_survivors();
    void copy_survivors(const Units& before);
    /// Units of a space with this window (0: outbound).
    [[nodiscard]] unsigned units_of_space(std::uint32_t window) const;
    [[nodiscard]] std::uint32_t find_free(unsigned wanted) const; // 0: none
    void mark_taken(std::uint32_t first, unsigned units, bool taken);

    PinnedArray array_;
    sequence::Unit* units_;
    std::uint32_t count_;
    std::uint32_t used_ = 1;
    std::uint32_t next_ = 1; // where the search for free units begins
    std::vector<bool> taken_;
    std::uint64_t layout_ = 0;
    Instance instance_{};
    std::optional<Error> refused_;
    struct Survivor {
        std::uint32_t place; // of the head unit
        bool kept;           // put back
    };
    std::multimap<Fingerprint, Survivor> survivors_;
};

} // namespace sallyport::state
