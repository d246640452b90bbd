// SPDX-License-Identifier: Apache-2.0
// Durable marks of manual SAs: no number above a mark is given or accepted before a higher mark is on the disk, so that after a power cut
// sending starts behind everything that was ever sent, and receiving above everything that was ever accepted.
// A thread of its own writes the file; nobody else waits for the disk but open(), settle() and close().
#pragma once

#include "gateway/sequence/space.hpp"
#include "gateway/state/files.hpp"
#include "gateway/state/marks_file.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sallyport::state {

// How far a mark runs ahead (numbers): two seconds at the present rate, within these bounds.
inline constexpr std::uint64_t least_outbound = std::uint64_t{1} << 16;
inline constexpr std::uint64_t most_outbound = std::uint64_t{1} << 20;
inline constexpr std::uint64_t least_inbound = std::uint64_t{1} << 12;
inline constexpr std::uint64_t most_inbound = std::uint64_t{1} << 25; // 16.7 million packets a second; a jump of the numbers is no rate

/// Numbers that are reserved ahead at this rate (numbers a second).
[[nodiscard]] std::uint64_t reserve_of(Direction direction, std::uint64_t rate);

/// What an SA that goes on from its mark starts with.
struct Admission {
    std::uint64_t* mark = nullptr; // for Space::mark, good until release()
    std::uint64_t floor = 0;       // for Space::last of an inbound space
};

/// Threads: the control thread; settle() and close() wait for the disk.
class Marks {
public:
    /// Reads the file `marks` in the directory and takes the word clean out of it, durably. Never fails: where the file is missing, damaged
    /// or not to be written, every admit() says so. `units` is the memory of counters that will be used with it.
    [[nodiscard]] static std::unique_ptr<Marks> open(const std::string& directory, const Instance& units);
    [[nodiscard]] static std::unique_ptr<Marks> open(std::unique_ptr<Files> files, const Instance& units);
    /// Without close() as if the process had died: the file stays as it is.
    ~Marks();
    Marks(const Marks&) = delete;
    Marks& operator=(const Marks&) = delete;

    /// How to wait until every worker has done with the packets it has in hand (rcu::synchronize); called by the marks' own thread. With it
    /// an inbound mark that a burst left far ahead comes down again; without, it stays there.
    void set_grace_period(void (*grace_period)());

    /// Prepares the memory of an SA (units_of() units) and follows it. `survived`: the memory may hold what an earlier process left; it is
    /// taken over if the file fits it, else the SA goes on behind its mark. Error refused: what the operator has to do is said.
    [[nodiscard]] Result<Admission> admit(const SaSpec& sa, const Fingerprint& key, sequence::Unit* memory, bool survived);
    /// Nobody uses the memory any more (after a grace period): its exact number is kept.
    void release(std::uint64_t* mark);

    /// Waits until every mark is ahead of its number, at most `milliseconds`. False: some are not; trouble() may say why.
    [[nodiscard]] bool settle(unsigned milliseconds);
    /// The workers have stopped: writes exact marks and the word clean. Nothing is followed afterwards.
    [[nodiscard]] Result<void> close();
    /// Why the disk does not take marks at this moment; nothing: it does, or nobody tried.
    [[nodiscard]] std::optional<Error> trouble() const;
    /// How often the file was written, for status and tests.
    [[nodiscard]] std::uint64_t writes() const;

private:
    struct Inside;
    explicit Marks(std::unique_ptr<Inside> inside);
    std::unique_ptr<Inside> inside_;
};

struct Created {
    std::vector<std::string> fresh; // "NAME direction", now with mark 0
    std::vector<std::string> kept;  // had a mark already; it stays
    std::string set_aside;          // path of a damaged file that was moved out of the way
};

/// What `sallyport marks --create` does: makes marks of 0 for those manual SAs whose keys the file does not know. Only the operator knows
/// that these keys have never been used. Makes the directory. Error conflict: a gateway is running.
[[nodiscard]] Result<Created> create_marks(const std::string& directory, std::span<const SaSpec> sas);

} // namespace sallyport::state
