// SPDX-License-Identifier: Apache-2.0
// What is installed: the cold part of every SA, and the memory of its hot part, key, counters, numbers and window. The tables of the
// workers point into it; whoever changes it brings the tables in line and says when no worker reads the old parts any more:
//     auto prepared = store.prepare(transaction);     // everything that can fail
//     auto applied = store.commit(std::move(*prepared)); // nothing changes for the workers yet
//     ... take applied->gone out of the tables, put applied->added in ...
//     audience.settle();                              // the grace period
//     store.drain();                                  // keys of what is gone are wiped, memory is free
#pragma once

#include "gateway/index/index.hpp"
#include "gateway/index/slab.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/state/known_keys.hpp"
#include "gateway/state/marks.hpp"
#include "gateway/state/units.hpp"
#include "gateway/store/locked_memory.hpp"
#include "gateway/store/sa_records.hpp"
#include "gateway/store/secret_table.hpp"
#include "gateway/transform/transform.hpp"

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sallyport::store {

/// One installed SA. Good until the drain() after it is gone. There may be a million: what can be seen in its hot part or in what it was
/// asked to be is not kept a second time.
struct Sa {
    const transform::OutboundSa* outbound = nullptr; // one of the two; its key context is behind it
    const transform::InboundSa* inbound = nullptr;
    const std::uint8_t* packed = nullptr; // what it was asked to be: in the table, or its own (gateway/store/sa_records.hpp)
    std::uint32_t number = 0;             // stays the same through updates
    std::uint8_t worker = 0;              // owner
    std::uint8_t row = 0;
    bool owns_packed : 1 = false;
    bool owns_series : 1 = false; // its numbers go with it; not where an update goes on with them
    bool negotiated : 1 = false;  // its child is not 0

    /// What it was asked to be, without its key: unpacked with every call.
    [[nodiscard]] SaSpec spec() const { return unpack(packed); }
    [[nodiscard]] std::string name() const { return head_of(packed).name.data(); } // of its connection
    [[nodiscard]] Direction direction() const { return outbound != nullptr ? Direction::outbound : Direction::inbound; }
    [[nodiscard]] std::uint32_t spi() const { return outbound != nullptr ? outbound->spi() : inbound->spi; }
    [[nodiscard]] const sequence::Space& space() const { return outbound != nullptr ? outbound->space : inbound->space; }
    /// Where its owner counts.
    [[nodiscard]] transform::SaCounters& counting() const { return outbound != nullptr ? *outbound->counters : *inbound->counters; }
    /// A copy of the counters as they are now.
    [[nodiscard]] transform::SaCounters counters() const;
    /// The last number given, or the highest accepted.
    [[nodiscard]] std::uint64_t sequence_number() const;
};
static_assert(sizeof(Sa) == 32);

/// Whose SA it is: several children of one connection live side by side while it gets new keys.
struct SaName {
    std::string name; // of the connection
    Direction direction = Direction::outbound;
    std::uint32_t child = 0;
    auto operator<=>(const SaName&) const = default;
};

[[nodiscard]] inline SaName name_of(const SaSpec& spec) { return {spec.name, spec.direction, spec.child}; }

/// All of it happens or nothing.
struct Transaction {
    std::vector<SaSpec> install; // of names that are not there
    std::vector<SaSpec> update;  // of names that are there; under the same key the series of numbers goes on
    std::vector<SaName> remove;
    std::vector<Left> adopt{}; // of names that are not there: each goes on with the numbers that it had
};

struct Applied {
    std::vector<const Sa*> added;       // installed and updated
    std::vector<const Sa*> gone;        // removed, and what was before an update
    std::vector<const SaSpec*> specs{}; // of `added`, in its order, without their keys: in `asked`
    Transaction asked{};
};

/// A transaction that cannot fail any more: new SAs are made, and nobody sees them. Ends with Store::commit() or Store::abandon().
struct Prepared {
    struct Made {
        const Sa* sa;
        const SaSpec* spec; // in `asked`, without its key
        Sa* before;         // with whose numbers it goes on; null: it has its own
        std::uint32_t place;
    };
    Transaction asked;
    std::vector<Made> made;               // installed and updated
    std::vector<SaName> leave;            // removed and updated
    std::vector<SecretTable::Record> old; // of adopted SAs, whose records are of the version before
    struct Key {
        const Sa* sa;
        state::Fingerprint identity;
        bool manual;
    };
    std::vector<Key> unique;  // of manual AEAD keys
    std::vector<Key> sealing; // of keys for sealing that were not known before
};

/// What outlives the process and is not needed to install an SA; null only in tests and benchmarks.
struct Lasting {
    state::KnownKeys* known = nullptr; // keys of which none is installed for sealing a second time
    SecretTable* table = nullptr;      // SAs and keys for the next process
};

/// Threads: the control thread. Units, marks and what is lasting outlive the store; it leaves what lies there to the next process.
class Store {
public:
    /// `marks` null: manual SAs have no durable marks; only for tests and benchmarks.
    Store(state::Units& units, state::Marks* marks, unsigned workers, Lasting lasting = {});
    ~Store(); // wipes all keys; no worker runs any more
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    /// Everything of a transaction that can fail. Nothing else may be prepared before it is committed or abandoned.
    /// Error: place names the entry and the field, as in "install[3] office inbound spi".
    [[nodiscard]] Result<Prepared> prepare(Transaction transaction);
    [[nodiscard]] Applied commit(Prepared prepared);
    void abandon(Prepared&& prepared);
    /// Both in one.
    [[nodiscard]] Result<Applied> apply(Transaction transaction);
    /// Takes what is not adopted out of the table for the next process.
    void discard(std::span<const SecretTable::Record> records);
    /// Frees what earlier apply() calls said is gone: the grace period is over.
    void drain();

    [[nodiscard]] const Sa* find(const std::string& name, Direction direction, std::uint32_t child = 0) const; // null: none
    [[nodiscard]] const Sa* find(std::uint32_t number) const;
    [[nodiscard]] bool uses_spi(std::uint32_t spi) const; // an inbound SA, in any outer VPN
    [[nodiscard]] std::size_t size() const { return by_name_.size(); }
    /// All of them by name, outbound before inbound, then by child; good until the next commit(). It takes long when something has changed.
    [[nodiscard]] const std::vector<const Sa*>& all() const;
    /// Calls `work(sa)` for all of them, in no order.
    template <class Work>
    void each(Work work) const {
        by_name_.each([&](std::uint32_t place) { work(sas_[place]); });
    }

    /// Units that these SAs take, with room for changes while the gateway runs: what to ask of Units::pinned().
    [[nodiscard]] static std::uint32_t units_for(std::span<const SaSpec> sas);

private:
    struct Change; // one new SA on its way in
    struct Series; // of numbers: it goes on when an SA is updated under its key

    [[nodiscard]] std::optional<std::uint32_t> place_of(std::string_view name, Direction direction, std::uint32_t child) const;
    [[nodiscard]] Result<void> check_names(const std::vector<SaName>& remove, const std::vector<Change>& changes) const;
    [[nodiscard]] Result<void> check_spis(const std::vector<SaName>& remove, const std::vector<Change>& changes) const;
    [[nodiscard]] Result<void> check_keys(const std::vector<Change>& changes) const;
    [[nodiscard]] Result<void> check_known(std::vector<Change>& changes) const;
    [[nodiscard]] Result<void> check_update(const Change& change) const;
    [[nodiscard]] Result<Prepared::Made> make(Change& change);
    [[nodiscard]] Result<std::vector<Change>> check(Transaction& transaction);
    [[nodiscard]] const Sa* find_on_wire(const SaSpec& spec) const; // the one that has its SPI; null: none
    [[nodiscard]] static Series series_of(const Sa& sa);
    [[nodiscard]] Result<Series> make_series(const SaSpec& spec, const state::Fingerprint& fingerprint, bool adopted);
    [[nodiscard]] Result<void> claim_unmarked(const state::Units::Claim& claim, const SaSpec& spec, const state::Fingerprint& fingerprint,
                                              bool adopted);
    [[nodiscard]] Result<void> build(Sa& sa, const SaSpec& spec, const Series& series);
    [[nodiscard]] Result<void> pack_up(Sa& sa, const Change& change);
    void leave_table(Sa& sa);
    void commit_lasting(const Prepared& prepared);
    void enter(const Prepared::Made& made, Applied& applied);
    void retire(const SaName& name, Applied& applied);
    void destroy(std::uint32_t place);
    void destroy_hot(Sa& sa);
    void leave(const Series& series);
    [[nodiscard]] std::uint8_t choose_worker(const SaSpec& spec, const Sa* before);

    state::Units& units_;
    state::Marks* marks_;
    unsigned workers_;
    Lasting lasting_;
    LockedMemory memory_;
    std::array<unsigned, 2> next_worker_{}; // by direction, so that a pair that is installed together has one owner
    std::uint32_t last_number_ = 0;
    index::Slab<Sa> sas_;                                          // those that are made, installed or retired
    index::Index by_name_, by_number_, by_spi_;                    // of those that are installed: their places in it
    mutable std::vector<const Sa*> sorted_;                        // by name; empty: not sorted since the last change
    std::map<state::Fingerprint, const Sa*> aead_keys_;            // of manual SAs: identity of the key, whatever the direction
    std::unordered_map<const Sa*, state::Fingerprint> identities_; // the same
    std::vector<std::uint32_t> retired_;
};

} // namespace sallyport::store
