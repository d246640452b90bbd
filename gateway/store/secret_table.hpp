// SPDX-License-Identifier: Apache-2.0
// Records that outlive the process and that nobody else can read: a memfd_secret (2), which is never swapped, in no core dump, and out of
// reach even for the rest of the kernel. Whoever keeps its descriptor keeps the records. Where the kernel does not allow it: a memfd that
// is locked and left out of core dumps while we have it mapped.
//
// Layout 2: slots of 16 octets. The first three are the head: magic, layout, slots, their checksum; the number of the last transaction in
// force; how many slots were ever used. A record lies in as many slots as it needs, behind 32 octets of its own: the transactions that it
// was born and dies with, size, tag, checksum. It is in force from the instant on at which the head names its birth, to that at which the
// head names its death: so a transaction of many records is in force as a whole or not at all, whenever the process is killed.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/state/descriptor.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace sallyport::store {

/// Threads: the control thread.
class SecretTable {
public:
    using Record = std::uint32_t; // 0: none

    enum class Kind : std::uint8_t { secret, plain };
    /// An empty one of at most `octets`, of which memory is taken as records come. Plain: as on a kernel that has no memfd_secret.
    [[nodiscard]] static Result<std::unique_ptr<SecretTable>> make(std::size_t octets = default_size, Kind kind = Kind::secret);
    /// What an earlier process left. Error conflict: it is damaged, cut, or of a layout that
    /// this release does not know; then all of it is wiped.
    [[nodiscard]] static Result<std::unique_ptr<SecretTable>> adopt(Descriptor descriptor);
    ~SecretTable(); // the records stay, for whoever has the descriptor
    SecretTable(const SecretTable&) = delete;
    SecretTable& operator=(const SecretTable&) = delete;

    /// For the keeper of descriptors; it stays ours.
    [[nodiscard]] int descriptor() const { return descriptor_.get(); }
    /// It is a memfd_secret.
    [[nodiscard]] bool secret() const { return secret_; }

    /// Records in force.
    [[nodiscard]] std::vector<Record> records() const;
    [[nodiscard]] std::span<const std::uint8_t> octets(Record record) const; // they stay where they are until it is gone
    [[nodiscard]] Record record_of(const std::uint8_t* octets) const;        // whose octets begin there
    [[nodiscard]] std::uint32_t tag(Record record) const;                    // as it was staged

    // A transaction: what is staged comes into force with commit(), all of it at one instant, or goes with roll_back().
    /// A new record: room of `size` octets, zeros, to be filled before commit(). `tag` says what it is to who reads it. Error exhausted.
    struct Staged {
        Record record = 0;
        std::span<std::uint8_t> octets; // aligned to 8
    };
    [[nodiscard]] Result<Staged> stage(std::size_t size, std::uint32_t tag);
    void stage_removal(Record record);
    void commit();
    void roll_back();
    /// Nothing of it is left, for nobody; it is of no use afterwards.
    void wipe();

    static constexpr std::size_t default_size = std::size_t{512} << 20; // a million SAs

private:
    struct Head;
    struct RecordHead;
    SecretTable(Descriptor descriptor, std::uint8_t* memory, std::size_t size, bool secret);
    [[nodiscard]] Result<void> read();
    [[nodiscard]] bool read_record(std::uint32_t slot);
    void wipe(Record record);
    [[nodiscard]] Head& head() const;
    [[nodiscard]] RecordHead& at(Record record) const;
    [[nodiscard]] static constexpr std::uint32_t first_slot();
    [[nodiscard]] Record take_free(std::uint32_t slots);
    void give_free(Record first, std::uint32_t slots);

    Descriptor descriptor_;
    std::uint8_t* memory_;
    std::size_t size_;
    bool secret_;
    std::map<Record, std::uint32_t> free_;                      // runs of free slots below the head's `used`: where, how many
    std::set<std::pair<std::uint32_t, Record>> free_by_length_; // the same
    std::vector<Record> coming_, going_;
};

} // namespace sallyport::store
