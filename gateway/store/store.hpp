// SPDX-License-Identifier: Apache-2.0
// What is installed: the cold part of every SA, and the memory of its hot part, key, counters, numbers and window. The tables of the
// workers point into it; whoever changes it brings the tables in line and says when no worker reads the old parts any more:
//     auto prepared = store.prepare(transaction);     // everything that can fail
//     auto applied = store.commit(std::move(*prepared)); // nothing changes for the workers yet
//     ... take applied->gone out of the tables, put applied->added in ...
//     audience.settle();                              // the grace period
//     store.drain();                                  // keys of what is gone are wiped, memory is free
#pragma once

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
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sallyport::store {

/// The life of a series of numbers: it goes on when an SA is updated under its key.
struct Series {
    sequence::Unit* memory = nullptr;
    std::uint64_t* mark = nullptr;
    std::uint64_t floor = 0;
    state::Followed* followed = nullptr;
    transform::SaCounters* counters = nullptr;
    unsigned users = 0; // SAs that point here; two while an update waits for its grace period
};

/// One installed SA. Good until the drain() after it is gone.
struct Sa {
    SaSpec spec;                                     // without its key
    std::uint32_t number = 0;                        // stays the same through updates
    std::uint8_t worker = 0;                         // owner
    const transform::OutboundSa* outbound = nullptr; // one of the two, by spec.direction
    const transform::InboundSa* inbound = nullptr;
    std::shared_ptr<Series> series;
    state::Fingerprint fingerprint{};             // of the key as the durable marks know it
    const state::Fingerprint* identity = nullptr; // of a manual AEAD key, whatever the direction: where the store keeps it
    void* block = nullptr;                        // hot part, then the key context
    std::size_t block_size = 0;
    SecretTable::Record record = 0; // where the next process finds it with its key
    std::uint8_t row = 0;

    /// The last number given, or the highest accepted.
    [[nodiscard]] std::uint64_t sequence_number() const;
    /// A copy of the counters as they are now.
    [[nodiscard]] transform::SaCounters counters() const;
};

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
    std::vector<const Sa*> added; // installed and updated
    std::vector<const Sa*> gone;  // removed, and what was before an update
};

/// A transaction that cannot fail any more: new SAs are made, and nobody sees them. Ends with Store::commit() or Store::abandon().
struct Prepared {
    std::vector<std::unique_ptr<Sa>> made; // installed and updated
    std::vector<SaName> leave;             // removed and updated
    std::vector<SecretTable::Record> old;  // of adopted SAs, whose records are of the version before
    struct Key {
        Sa* sa;
        state::Fingerprint identity;
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
    [[nodiscard]] bool uses_spi(std::uint32_t spi) const { return by_spi_.contains(spi); } // an inbound SA, in any outer VPN
    [[nodiscard]] std::size_t size() const { return by_name_.size(); }
    /// All of them by name, outbound before inbound, then by child.
    [[nodiscard]] std::vector<const Sa*> all() const;

    /// Units that these SAs take, with room for changes while the gateway runs: what to ask of Units::pinned().
    [[nodiscard]] static std::uint32_t units_for(std::span<const SaSpec> sas);

private:
    struct Change; // one new SA on its way in
    using PeerSpi = std::tuple<VpnNumber, Address, std::uint32_t>;
    /// What an index is sorted by lies in the SAs themselves: there may be a million.
    struct ByName {
        using is_transparent = void;
        static auto key(const std::unique_ptr<Sa>& sa) { return std::tie(sa->spec.name, sa->spec.direction, sa->spec.child); }
        static auto key(const SaSpec& sa) { return std::tie(sa.name, sa.direction, sa.child); }
        static auto key(const SaName& name) { return std::tie(name.name, name.direction, name.child); }
        bool operator()(const auto& left, const auto& right) const { return key(left) < key(right); }
    };
    struct ByPeerSpi {
        using is_transparent = void;
        static auto key(const Sa* sa) { return std::tie(sa->spec.outer_vpn, sa->spec.outer_remote, sa->spec.spi); }
        static PeerSpi key(const PeerSpi& spi) { return spi; }
        bool operator()(const auto& left, const auto& right) const { return key(left) < key(right); }
    };

    [[nodiscard]] Result<void> check_names(const std::vector<SaName>& remove, const std::vector<Change>& changes) const;
    [[nodiscard]] Result<void> check_spis(const std::vector<SaName>& remove, const std::vector<Change>& changes) const;
    [[nodiscard]] Result<void> check_keys(const std::vector<Change>& changes) const;
    [[nodiscard]] Result<void> check_known(std::vector<Change>& changes) const;
    [[nodiscard]] Result<void> check_update(const Change& change) const;
    [[nodiscard]] Result<std::unique_ptr<Sa>> make(Change& change);
    [[nodiscard]] Result<std::vector<Change>> check(Transaction& transaction) const;
    [[nodiscard]] const Sa* find_inbound(VpnNumber outer_vpn, std::uint32_t spi) const; // null: none
    [[nodiscard]] Result<std::shared_ptr<Series>> make_series(const SaSpec& spec, const state::Fingerprint& fingerprint, bool adopted);
    [[nodiscard]] Result<void> claim_unmarked(const state::Units::Claim& claim, const SaSpec& spec, const state::Fingerprint& fingerprint,
                                              bool adopted);
    [[nodiscard]] Result<void> build(Sa& sa, const SaSpec& spec);
    void commit_lasting(const Prepared& prepared);
    void enter(std::unique_ptr<Sa> sa, Applied& applied);
    void retire(std::unique_ptr<Sa> sa, Applied& applied);
    void destroy(Sa& sa);
    void leave(Series& series);
    [[nodiscard]] std::uint8_t choose_worker(const SaSpec& spec, const Sa* before);

    state::Units& units_;
    state::Marks* marks_;
    unsigned workers_;
    Lasting lasting_;
    LockedMemory memory_;
    std::array<unsigned, 2> next_worker_{}; // by direction, so that a pair that is installed together has one owner
    std::uint32_t last_number_ = 0;
    std::set<std::unique_ptr<Sa>, ByName> by_name_;
    std::unordered_map<std::uint32_t, const Sa*> by_number_;
    std::unordered_multimap<std::uint32_t, const Sa*> by_spi_; // inbound, one in each outer VPN
    std::set<const Sa*, ByPeerSpi> by_peer_spi_;               // outbound
    std::map<state::Fingerprint, const Sa*> aead_keys_;        // of manual SAs: identity of the key, whatever the direction
    std::vector<std::unique_ptr<Sa>> retired_;
};

} // namespace sallyport::store
