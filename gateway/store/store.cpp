// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/store.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <new>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>

namespace sallyport::store {

using state::Fingerprint;

namespace {

Error wrong(const char* field, std::string sentence, std::string remedy = {}) {
    return {ErrorCode::invalid, std::move(sentence), field, std::move(remedy)};
}

/// Puts the entry in front of the field that an error names.
Error placed(Error error, const char* list, std::size_t index, const std::string& name, Direction direction) {
    std::string place = std::string(list) + "[" + std::to_string(index) + "] " + name +
                        (direction == Direction::outbound ? " outbound" : " inbound");
    if (!error.place.empty()) place += " " + error.place;
    error.place = std::move(place);
    return error;
}

std::optional<Error> wrong_inbound(const SaSpec& spec) {
    if (!std::has_single_bit(spec.window) || spec.window < 32 || spec.window > 65536)
        return wrong("window", "the replay window is no power of two from 32 to 65536");
    if (spec.selectors.empty()) return wrong("selectors", "an inbound SA has no selector: nothing could pass it");
    if (spec.selectors.size() > 65535) return wrong("selectors", "an SA has more than 65535 selectors");
    for (const Selector& selector : spec.selectors)
        if (const std::string_view error = fault(selector); !error.empty()) return wrong("selectors", std::string(error));
    return std::nullopt;
}

std::optional<Error> wrong_spec(const SaSpec& spec, unsigned workers) {
    if (spec.name.empty()) return wrong("name", "the SA has no name");
    if (spec.spi < 256) return wrong("spi", "the SPI " + std::to_string(spec.spi) + " is reserved (RFC 4303 2.1)", "choose one from 256");
    if (spec.outer_local.family != spec.outer_remote.family) return wrong("outer_remote", "the outer addresses are of different families");
    if (spec.key.size != info(spec.algorithm).material())
        return wrong("key", "the key has " + std::to_string(spec.key.size) + " octets, " + std::string(info(spec.algorithm).name) +
                                " takes " + std::to_string(info(spec.algorithm).material()));
    if (spec.dscp_value > 63) return wrong("dscp_value", "the DSCP is above 63");
    if (spec.hop_limit == 0) return wrong("hop_limit", "the hop limit is 0");
    if (spec.owner >= static_cast<int>(workers) || spec.owner < -1)
        return wrong("owner", "there is no worker " + std::to_string(spec.owner));
    return spec.direction == Direction::inbound ? wrong_inbound(spec) : std::nullopt;
}

std::uint64_t spi_key(const SaSpec& spec) { return std::uint64_t{spec.outer_vpn} << 32 | spec.spi; }

/// Only a manual key may come twice; those of IKE are made for one direction of one SA.
bool needs_unique_key(const SaSpec& spec) { return spec.manual && info(spec.algorithm).unique_nonce(); }

/// Where a peer takes an outbound SA's packets.
auto peer_spi(const SaSpec& spec) { return std::tuple{spec.outer_vpn, spec.outer_remote, spec.spi}; }

/// With an AEAD the fingerprint of an outbound SA is that of its key, whatever the SPI (gateway/state/marks_file.hpp).
Fingerprint sealing_key(const SaSpec& spec, const Fingerprint& fingerprint) {
    return info(spec.algorithm).unique_nonce() ? fingerprint : state::identity_of(spec);
}

constexpr const char* known_remedy = "take a new key: this one has sealed packets before, and its numbers would repeat";

std::uint64_t read(std::uint64_t& word) { return std::atomic_ref(word).load(std::memory_order_relaxed); }

/// What an SA counted lies beside its number and outlives the process with it.
transform::SaCounters* counters_in(sequence::Unit& unit) {
    static_assert(sizeof(transform::SaCounters) == 5 * sizeof(std::uint64_t));
    const auto [packets, octets, errors] = std::array{unit.words[0], unit.words[1], unit.words[2]};
    return new (unit.words.data()) transform::SaCounters{.packets = packets, .octets = octets, .errors = errors};
}

/// Where the hard lifetime ends that its workers see to; what was counted under the key before counts.
void limit(const SaSpec& spec, transform::SaCounters& counters) {
    const auto set = [](std::uint64_t& limit, std::uint64_t value) {
        std::atomic_ref(limit).store(value != 0 ? value : transform::SaCounters::unlimited, std::memory_order_relaxed);
    };
    set(counters.packet_limit, spec.hard.packets);
    set(counters.octet_limit, spec.hard.octets);
}

constexpr std::size_t hot_size = sizeof(transform::OutboundSa);
static_assert(sizeof(transform::InboundSa) == hot_size);

constexpr std::uint32_t least_units = 65536; // 4 MiB

} // namespace

std::uint64_t Sa::sequence_number() const { return read(series->memory->words[sequence::number_word]); }

transform::SaCounters Sa::counters() const {
    transform::SaCounters& now = *series->counters;
    return {.packets = read(now.packets), .octets = read(now.octets), .errors = read(now.errors)};
}

struct Store::Change {
    SaSpec* spec; // of the transaction; then that of the new SA, which takes it over
    const char* list;
    std::size_t index;
    bool updates = false;
    const Sa* before = nullptr; // what it updates
    Fingerprint fingerprint{};
    std::optional<Fingerprint> identity, sealing;
    SecretTable::Record record = 0; // of one that is adopted

    [[nodiscard]] bool adopted() const { return record != 0; }
    [[nodiscard]] Error at(Error error) const { return placed(std::move(error), list, index, spec->name, spec->direction); }
    [[nodiscard]] bool goes_on() const { return before != nullptr && before->fingerprint == fingerprint; }
};

Store::Store(state::Units& units, state::Marks* marks, unsigned workers, Lasting lasting)
    : units_(units), marks_(marks), workers_(workers), lasting_(lasting) {}

Store::~Store() {
    // Units and marks stay as they are: they are what the next process goes on from.
    for (const auto& sa : by_name_) transform::wipe_key(sa->row, static_cast<std::byte*>(sa->block) + hot_size);
    for (const auto& sa : retired_) transform::wipe_key(sa->row, static_cast<std::byte*>(sa->block) + hot_size);
}

std::uint32_t Store::units_for(std::span<const SaSpec> sas) {
    std::uint64_t units = 1;
    for (const SaSpec& sa : sas) units += sequence::units_of(sa.direction, sa.window) + 1U;
    return static_cast<std::uint32_t>(std::max<std::uint64_t>(least_units, units + units / 4));
}

const Sa* Store::find(const std::string& name, Direction direction, std::uint32_t child) const {
    const auto found = by_name_.find(SaName{name, direction, child});
    return found == by_name_.end() ? nullptr : found->get();
}

const Sa* Store::find_inbound(VpnNumber outer_vpn, std::uint32_t spi) const {
    const auto [first, last] = by_spi_.equal_range(spi);
    const auto found = std::find_if(first, last, [&](const auto& entry) { return entry.second->spec.outer_vpn == outer_vpn; });
    return found == last ? nullptr : found->second;
}

const Sa* Store::find(std::uint32_t number) const {
    const auto found = by_number_.find(number);
    return found == by_number_.end() ? nullptr : found->second;
}

std::vector<const Sa*> Store::all() const {
    std::vector<const Sa*> sas;
    sas.reserve(by_name_.size());
    for (const auto& sa : by_name_) sas.push_back(sa.get());
    return sas;
}

Result<void> Store::check_names(const std::vector<SaName>& remove, const std::vector<Change>& changes) const {
    std::set<decltype(ByName::key(std::declval<const SaName&>()))> met; // of names that live longer
    const auto check = [&](const auto& name, bool there) -> std::optional<Error> {
        if (!met.insert(ByName::key(name)).second) return Error{ErrorCode::conflict, "the transaction names it twice", "name", {}};
        if (by_name_.contains(name) == there) return std::nullopt;
        if (there) return Error{ErrorCode::missing, "it is not installed", "name", {}};
        return Error{ErrorCode::conflict, "it is installed already", "name", {}};
    };
    for (std::size_t i = 0; i < remove.size(); ++i)
        if (auto error = check(remove[i], true))
            return std::unexpected(placed(std::move(*error), "remove", i, remove[i].name, remove[i].direction));
    for (const Change& change : changes)
        if (auto error = check(*change.spec, change.updates)) return std::unexpected(change.at(std::move(*error)));
    return {};
}

/// When all is done inbound SPIs are unique in an outer VPN, and outbound ones at a peer there.
Result<void> Store::check_spis(const std::vector<SaName>& remove, const std::vector<Change>& changes) const {
    std::unordered_set<const Sa*> leaving;
    for (const SaName& name : remove) leaving.insert(find(name.name, name.direction, name.child));
    for (const Change& change : changes) leaving.insert(change.before);
    std::unordered_set<std::uint64_t> coming; // outer VPN, SPI
    std::set<PeerSpi> coming_at_peers;
    for (const Change& change : changes) {
        const SaSpec& spec = *change.spec;
        const bool inbound = spec.direction == Direction::inbound;
        const Sa* there = nullptr;
        if (inbound)
            there = find_inbound(spec.outer_vpn, spec.spi);
        else if (const auto found = by_peer_spi_.find(peer_spi(spec)); found != by_peer_spi_.end())
            there = *found;
        const bool first = inbound ? coming.insert(spi_key(spec)).second : coming_at_peers.insert(peer_spi(spec)).second;
        if (first && (there == nullptr || leaving.contains(there))) continue;
        return std::unexpected(
            change.at({ErrorCode::conflict,
                       inbound ? "another inbound SA of this outer VPN has the SPI" : "another outbound SA to this peer has the SPI", "spi",
                       "choose another SPI, at both gateways"}));
    }
    return {};
}

Result<void> Store::check_keys(const std::vector<Change>& changes) const {
    std::map<Fingerprint, const Change*> coming;
    for (const Change& change : changes) {
        if (!change.identity) continue;
        const auto there = aead_keys_.find(*change.identity);
        const bool taken = there != aead_keys_.end() && there->second != change.before;
        if (taken || !coming.emplace(*change.identity, &change).second)
            return std::unexpected(change.at({ErrorCode::refused,
                                              "another SA has the same key: with " + std::string(info(change.spec->algorithm).name) +
                                                  " their nonces would repeat (RFC 8221 4)",
                                              "key", "give each direction of each SA a key of its own"}));
    }
    return {};
}

/// A key that was ever used for sealing is not installed for it again; only its own series of numbers goes on, by adoption, by an update,
/// or for a key given by hand from its durable marks.
Result<void> Store::check_known(std::vector<Change>& changes) const {
    if (lasting_.known == nullptr) return {};
    const auto hash = [](const Fingerprint& key) { return std::bit_cast<std::array<std::size_t, 4>>(key)[0]; };
    std::unordered_set<Fingerprint, decltype(hash)> coming;
    for (Change& change : changes) {
        if (change.spec->direction != Direction::outbound || change.goes_on()) continue;
        const Fingerprint key = sealing_key(*change.spec, change.fingerprint);
        const auto use = lasting_.known->use(key);
        const bool by_hand = change.spec->manual && use != state::KnownKeys::Use::negotiated;
        const bool known = use != state::KnownKeys::Use::none || (!coming.insert(key).second && !change.spec->manual);
        if (known && !change.adopted() && !by_hand)
            return std::unexpected(change.at({ErrorCode::refused, "its key has been used for sealing already", "key", known_remedy}));
        if (use == state::KnownKeys::Use::none) change.sealing = key;
    }
    return {};
}

/// Under a live key nothing may change that the numbers and the window stand on.
Result<void> Store::check_update(const Change& change) const {
    if (change.before != nullptr && !change.goes_on() && change.spec->child != 0)
        return std::unexpected(change.at({ErrorCode::refused, "a child SA keeps its key as long as it lives", "key",
                                          "install another child of the connection, then remove this one"}));
    if (!change.goes_on()) return {};
    const SaSpec& now = *change.spec;
    const SaSpec& then = change.before->spec;
    const char* field = nullptr;
    if (now.direction == Direction::inbound && now.window != then.window) field = "window";
    if (now.sequence != then.sequence) field = "sequence";
    if (now.owner >= 0 && now.owner != change.before->worker) field = "owner";
    if (now.manual != then.manual) field = "manual";
    if (field == nullptr) return {};
    return std::unexpected(change.at(
        {ErrorCode::refused, "this cannot change while the key is in use", field, "give the SA a new key, or restart the gateway"}));
}

std::uint8_t Store::choose_worker(const SaSpec& spec, const Sa* before) {
    if (spec.owner >= 0) return static_cast<std::uint8_t>(spec.owner);
    if (before != nullptr) return before->worker;
    return static_cast<std::uint8_t>(next_worker_[static_cast<std::size_t>(spec.direction)]++ % workers_);
}

/// Memory of an SA that has no durable marks: nothing but itself says which numbers were used.
Result<void> Store::claim_unmarked(const state::Units::Claim& claim, const SaSpec& spec, const Fingerprint& fingerprint, bool adopted) {
    const bool holds_numbers = claim.survived && claim.memory->words[sequence::number_word] != ~std::uint64_t{0};
    if (adopted && holds_numbers) return {};
    if (!adopted && !claim.survived) {
        sequence::prepare(claim.memory, spec.direction, spec.window, 0);
        return {};
    }
    if (claim.survived)
        units_.put_back(claim.memory, fingerprint);
    else
        units_.release(claim.memory);
    if (adopted) return std::unexpected(Error{ErrorCode::refused, "its numbers did not survive", {}, "make a new SA in its place"});
    return std::unexpected(Error{ErrorCode::refused, "a gateway before this one has used its key", "key", known_remedy});
}

Result<std::shared_ptr<Series>> Store::make_series(const SaSpec& spec, const Fingerprint& fingerprint, bool adopted) {
    auto series = std::make_shared<Series>();
    series->users = 1;
    const auto claim = units_.claim(fingerprint, spec.direction, spec.window);
    if (!claim) return std::unexpected(claim.error());
    series->memory = claim->memory;
    series->counters = counters_in(*claim->counters);
    if (!spec.manual || marks_ == nullptr) {
        if (auto claimed = claim_unmarked(*claim, spec, fingerprint, adopted); !claimed) return std::unexpected(std::move(claimed.error()));
        return series;
    }
    auto admission = marks_->admit(spec, fingerprint, series->memory, claim->survived);
    if (!admission) {
        // What survived may be why: it is there to be found again.
        if (claim->survived)
            units_.put_back(series->memory, fingerprint);
        else
            units_.release(series->memory);
        admission.error().place.clear(); // the entry's place says it
        return std::unexpected(std::move(admission.error()));
    }
    series->mark = admission->mark;
    series->floor = admission->floor;
    series->followed = admission->followed;
    return series;
}

/// The hot part and the key, in one block of locked memory.
Result<void> Store::build(Sa& sa, const SaSpec& spec) {
    auto block = memory_.allocate(sa.block_size);
    if (!block) return std::unexpected(std::move(block.error()));
    sa.block = *block;
    const transform::Place place{.row = sa.row,
                                 .key = static_cast<std::byte*>(sa.block) + hot_size,
                                 .units = sa.series->memory,
                                 .mark = sa.series->mark,
                                 .counters = sa.series->counters,
                                 .floor = sa.series->floor,
                                 .worker = sa.worker,
                                 .number = sa.number};
    std::optional<Error> error;
    if (spec.direction == Direction::outbound) {
        auto hot = transform::build_outbound(spec, place);
        if (hot)
            sa.outbound = new (sa.block) transform::OutboundSa(*hot);
        else
            error = std::move(hot.error());
    } else {
        auto hot = transform::build_inbound(spec, place, sa.spec.selectors);
        if (hot)
            sa.inbound = new (sa.block) transform::InboundSa(*hot);
        else
            error = std::move(hot.error());
    }
    if (!error) return {};
    memory_.release(sa.block, sa.block_size);
    sa.block = nullptr;
    return std::unexpected(std::move(*error));
}

Result<std::unique_ptr<Sa>> Store::make(Change& change) {
    auto sa = std::make_unique<Sa>();
    sa->fingerprint = change.fingerprint;
    sa->record = change.record;
    sa->worker = choose_worker(*change.spec, change.before);
    sa->number = change.before != nullptr ? change.before->number : ++last_number_;
    sa->row = transform::row_of(change.spec->algorithm, change.spec->mode, change.spec->protocol);
    sa->block_size = hot_size + transform::key_size(sa->row);
    if (change.goes_on()) {
        sa->series = change.before->series;
        ++sa->series->users;
    } else {
        auto series = make_series(*change.spec, change.fingerprint, change.adopted());
        if (!series) return std::unexpected(change.at(std::move(series.error())));
        sa->series = std::move(*series);
    }
    sa->spec = std::move(*change.spec);
    change.spec = &sa->spec;
    if (auto built = build(*sa, sa->spec); !built) {
        leave(*sa->series);
        return std::unexpected(change.at(std::move(built.error())));
    }
    if (lasting_.table != nullptr && !(change.adopted() && current(*lasting_.table, change.record))) {
        auto record = stage(*lasting_.table, sa->spec);
        if (!record) {
            destroy(*sa);
            return std::unexpected(change.at(std::move(record.error())));
        }
        sa->record = *record;
    }
    sa->spec.key = KeyMaterial{};
    return sa;
}

/// Everything that can be seen without making anything.
Result<std::vector<Store::Change>> Store::check(Transaction& transaction) const {
    std::vector<Change> changes;
    changes.reserve(transaction.adopt.size() + transaction.update.size() + transaction.install.size());
    for (std::size_t i = 0; i < transaction.adopt.size(); ++i)
        changes.push_back({.spec = &transaction.adopt[i].spec, .list = "adopt", .index = i, .record = transaction.adopt[i].record});
    for (std::size_t i = 0; i < transaction.update.size(); ++i)
        changes.push_back({.spec = &transaction.update[i], .list = "update", .index = i, .updates = true});
    for (std::size_t i = 0; i < transaction.install.size(); ++i)
        changes.push_back({.spec = &transaction.install[i], .list = "install", .index = i});
    for (const Change& change : changes)
        if (auto error = wrong_spec(*change.spec, workers_)) return std::unexpected(change.at(std::move(*error)));
    if (auto good = check_names(transaction.remove, changes); !good) return std::unexpected(std::move(good.error()));
    for (Change& change : changes)
        if (change.updates) change.before = find(change.spec->name, change.spec->direction, change.spec->child);
    if (auto good = check_spis(transaction.remove, changes); !good) return std::unexpected(std::move(good.error()));
    for (Change& change : changes) {
        change.fingerprint = state::fingerprint_of(*change.spec);
        if (needs_unique_key(*change.spec)) change.identity = state::identity_of(*change.spec);
        if (auto good = check_update(change); !good) return std::unexpected(std::move(good.error()));
    }
    if (auto good = check_keys(changes); !good) return std::unexpected(std::move(good.error()));
    if (auto good = check_known(changes); !good) return std::unexpected(std::move(good.error()));
    return changes;
}

Result<Prepared> Store::prepare(Transaction transaction) {
    auto changes = check(transaction);
    if (!changes) return std::unexpected(std::move(changes.error()));
    Prepared prepared;
    prepared.leave = std::move(transaction.remove);
    for (const SaSpec& spec : transaction.update) prepared.leave.push_back(name_of(spec));
    prepared.made.reserve(changes->size());
    for (Change& change : *changes) {
        auto sa = make(change);
        if (!sa) {
            abandon(std::move(prepared));
            return std::unexpected(std::move(sa.error()));
        }
        if (change.adopted() && (*sa)->record != change.record) prepared.old.push_back(change.record);
        if (change.identity) prepared.unique.push_back({sa->get(), *change.identity});
        if (change.sealing) prepared.sealing.push_back({sa->get(), *change.sealing});
        prepared.made.push_back(std::move(*sa));
    }
    return prepared;
}

/// First for the next process: killed in here it finds all of the transaction or nothing, and no packet was sealed yet.
void Store::commit_lasting(const Prepared& prepared) {
    if (lasting_.table != nullptr) {
        for (const SaName& name : prepared.leave)
            if (const Sa* sa = find(name.name, name.direction, name.child); sa->record != 0) lasting_.table->stage_removal(sa->record);
        for (const SecretTable::Record record : prepared.old) lasting_.table->stage_removal(record);
        lasting_.table->commit();
    }
    if (lasting_.known == nullptr) return;
    for (const Prepared::Key& key : prepared.sealing) lasting_.known->add(key.identity, key.sa->spec.manual);
}

Applied Store::commit(Prepared prepared) {
    commit_lasting(prepared);
    Applied applied;
    for (const SaName& name : prepared.leave) retire(std::move(by_name_.extract(by_name_.find(name)).value()), applied);
    for (const auto& [sa, identity] : prepared.unique) sa->identity = &aead_keys_.insert_or_assign(identity, sa).first->first;
    for (auto& sa : prepared.made) enter(std::move(sa), applied);
    return applied;
}

void Store::abandon(Prepared&& prepared) {
    if (lasting_.table != nullptr) lasting_.table->roll_back();
    const Prepared ended = std::move(prepared);
    for (const auto& sa : ended.made) destroy(*sa);
}

Result<Applied> Store::apply(Transaction transaction) {
    return prepare(std::move(transaction)).transform([this](Prepared&& prepared) { return commit(std::move(prepared)); });
}

void Store::enter(std::unique_ptr<Sa> sa, Applied& applied) {
    by_number_[sa->number] = sa.get();
    limit(sa->spec, *sa->series->counters);
    if (sa->spec.direction == Direction::inbound)
        by_spi_.emplace(sa->spec.spi, sa.get());
    else
        by_peer_spi_.insert(sa.get());
    applied.added.push_back(sa.get());
    by_name_.insert(std::move(sa));
}

void Store::retire(std::unique_ptr<Sa> sa, Applied& applied) {
    by_number_.erase(sa->number);
    if (sa->spec.direction == Direction::inbound) {
        const auto [first, last] = by_spi_.equal_range(sa->spec.spi);
        by_spi_.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == sa.get(); }));
    } else
        by_peer_spi_.erase(sa.get());
    if (sa->identity != nullptr) aead_keys_.erase(aead_keys_.find(*sa->identity));
    applied.gone.push_back(sa.get());
    retired_.push_back(std::move(sa));
}

void Store::discard(std::span<const SecretTable::Record> records) {
    for (const SecretTable::Record record : records) lasting_.table->stage_removal(record);
    lasting_.table->commit();
}

void Store::drain() {
    for (const auto& sa : retired_) destroy(*sa);
    retired_.clear();
}

void Store::destroy(Sa& sa) {
    transform::wipe_key(sa.row, static_cast<std::byte*>(sa.block) + hot_size);
    memory_.release(sa.block, sa.block_size);
    leave(*sa.series);
}

void Store::leave(Series& series) {
    if (--series.users != 0) return;
    if (series.followed != nullptr) marks_->release(series.followed);
    units_.release(series.memory);
}

} // namespace sallyport::store
