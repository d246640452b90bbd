// SPDX-License-Identifier: Apache-2.0
// The memory of counters and windows: mapped BPF arrays pinned in our bpffs, which outlive the process, cut into units of 64 octets. When
// one is full another one is made beside it, so that what lies there never moves.
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
#include <span>
#include <string>
#include <utility>
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

    /// Opens the array pinned at `path` and those beside it (`path`-1, ...), or makes one of `least` units (header included) and pins it
    /// there. Where they are too small, and whenever they are full, another one comes beside them. One of the layout before this one is
    /// replaced by one that holds the same. If the first is damaged or of a layout that this release does not know an empty one replaces
    /// it: refused() says why.
    [[nodiscard]] static Result<std::unique_ptr<Units>> pinned(const std::string& path, std::uint32_t least);
    /// Memory of this process, for tests and benchmarks.
    [[nodiscard]] static Result<std::unique_ptr<Units>> anonymous(std::uint32_t units);
    /// Why what lay at the path was not adopted; nothing: it was, or there was nothing.
    [[nodiscard]] const std::optional<Error>& refused() const { return refused_; }
    [[nodiscard]] const Instance& instance() const { return instance_; }
    [[nodiscard]] std::uint32_t capacity() const; // units, headers included
    [[nodiscard]] std::uint32_t used() const;     // headers included

    /// Memory for a space of this key: what survived of it, if direction and window are the same, or fresh units. Error exhausted.
    [[nodiscard]] Result<Claim> claim(const Fingerprint& key, Direction direction, std::uint32_t window);
    /// Nobody uses the space any more: it is free from now on.
    void release(sequence::Unit* memory);
    /// A claim that survived is not used after all; it lies there for the next claim, in this process or a later one.
    void put_back(sequence::Unit* memory, const Fingerprint& key);
    /// Whose space it is, as it was claimed.
    [[nodiscard]] static Fingerprint fingerprint_of(const sequence::Unit* memory);
    /// Frees what survived and nobody ever claimed.
    void forget_survivors();

private:
    /// One array. Its first unit is the header.
    struct Part {
        explicit Part(PinnedArray its) : array(std::move(its)), units(array.units()), taken(units.size()) { taken[0] = true; }
        [[nodiscard]] std::uint32_t find_free(unsigned wanted) const; // 0: none
        void mark_taken(std::uint32_t first, unsigned count, bool is_taken);

        PinnedArray array;
        std::span<sequence::Unit> units;
        std::uint32_t used = 1;
        std::uint32_t next = 1; // where the search for free units begins
        std::vector<bool> taken;
    };
    explicit Units(PinnedArray array);
    [[nodiscard]] static Result<std::unique_ptr<Units>> make_pinned(const std::string& path, std::uint32_t count,
                                                                    const Units* before = nullptr);
    void write_header(const Part& part) const;
    [[nodiscard]] Result<void> read_header(const std::string& path);
    void open_further();
    [[nodiscard]] bool belongs(std::span<const sequence::Unit> units) const; // to the first array
    [[nodiscard]] Result<void> add_part(std::uint32_t count);
    [[nodiscard]] std::string path_of(std::size_t part) const;
    [[nodiscard]] Part& part_of(const sequence::Unit* memory);
    void find_survivors(Part& part);
    void copy_survivors(const Units& before);
    /// Units of a space with this window (0: outbound).
    [[nodiscard]] unsigned units_of_space(std::uint32_t window) const;
    [[nodiscard]] sequence::Unit* take(unsigned wanted); // null: they are full

    std::vector<Part> parts_; // never empty
    std::string path_;        // of the first; empty: not pinned
    std::uint64_t layout_ = 0;
    Instance instance_{};
    std::optional<Error> refused_;
    struct Survivor {
        sequence::Unit* head;
        bool kept; // put back
    };
    std::multimap<Fingerprint, Survivor> survivors_;
};

} // namespace sallyport::state
