// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/store.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <new>
#include <optional>
#include <set>

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

std::optional<Error> wrong_selector(const Selector& selector) {
    for (const AddressRange* range : {&selector.local, &selector.remote})
        if (range->first.family != range->last.family || range->last.octets < range->first.octets)
            return wrong("selectors", "a selector's range ends before it begins");
    if (selector.local.first.family != selector.remote.first.family)
        return wrong("selectors", "the two sides of a selector are of different families");
    if (selector.local_ports.last < selector.local_ports.first || selector.remote_ports.last < selector.remote_ports.first)
        return wrong("selectors", "a selector's port range ends before it begins");
    return std::nullopt;
}

std::optional<Error> wrong_inbound(const SaSpec& spec) {
    if (!std::has_single_bit(spec.window) || spec.window < 32 || spec.window > 65536)
        return wrong("window", "the replay window is no power of two from 32 to 65536");
    if (spec.selectors.empty()) return wrong("selectors", "an inbound SA has no selector: nothing could pass it");
    if (spec.selectors.size() > 65535) return wrong("selectors", "an SA has more than 65535 selectors");
    for (const Selector& selector : spec.selectors)
        if (auto error = wrong_selector(selector)) return error;
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
bool needs_unique_key(const SaSpec& spec) { return spec.manual && info(spec.algorithm).aead; }

/// Which key it is, whatever SA uses it: the same key in two directions repeats every nonce.
Fingerprint identity_of(const SaSpec& spec) {
    SaSpec plain;
    plain.direction = Direction::outbound;
    plain.algorithm = spec.algorithm;
    plain.key = spec.key;
    return state::fingerprint_of(plain);
}

std::uint64_t read(std::uint64_t& word) { return std::atomic_ref(word).load(std::memory_order_relaxed); }

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
    const SaSpec* spec;
    const char* list;
    std::size_t index;
    const Sa* before = nullptr; // what it updates
    Fingerprint fingerprint{};
    std::optional<Fingerprint> identity;

    [[nodiscard]] Error at(Error error) const { return placed(std::move(error), list, index, spec->name, spec->direction); }
    [[nodiscard]] bool goes_on() const { return before != nullptr && before->fingerprint == fingerprint; }
};

Store::Store(state::Units& units, state::Marks* marks, unsigned workers) : units_(units), marks_(marks), workers_(workers) {}

Store::~Store() {
    // Units and marks stay as they are: they are what the next process goes on from.
    for (const auto& [name, sa] : by_name_) transform::wipe_key(sa->row, static_cast<std::byte*>(sa->block) + hot_size);
    for (const auto& sa : retired_) transform::wipe_key(sa->row, static_cast<std::byte*>(sa->block) + hot_size);
}

std::uint32_t Store::units_for(std::span<const SaSpec> sas) {
    std::uint64_t units = 1;
    for (const SaSpec& sa : sas) units += sequence::units_of(sa.direction, sa.window);
    return static_cast<std::uint32_t>(std::max<std::uint64_t>(least_units, units + units / 4));
}

const Sa* Store::find(const std::string& name, Direction direction, std::uint32_t child) const {
    const auto found = by_name_.find({name, direction, child});
    return found == by_name_.end() ? nullptr : found->second.get();
}

const Sa* Store::find(std::uint32_t number) const {
    const auto found = by_number_.find(number);
    return found == by_number_.end() ? nullptr : found->second;
}

std::vector<const Sa*> Store::all() const {
    std::vector<const Sa*> sas;
    sas.reserve(by_name_.size());
    for (const auto& [name, sa] : by_name_) sas.push_back(sa.get());
    return sas;
}

Result<void> Store::check_names(const Transaction& transaction) const {
    std::set<SaName> met;
    const auto check = [&](const char* list, std::size_t index, const SaName& name, bool there) -> std::optional<Error> {
        Error error;
        if (!met.insert(name).second)
            error = {ErrorCode::conflict, "the transaction names it twice", "name", {}};
        else if (by_name_.contains(name) == there)
            return std::nullopt;
        else if (there)
            error = {ErrorCode::missing, "it is not installed", "name", {}};
        else
            error = {ErrorCode::conflict, "it is installed already", "name", {}};
        return placed(std::move(error), list, index, name.name, name.direction);
    };
    std::optional<Error> error;
    for (std::size_t i = 0; i < transaction.remove.size() && !error; ++i) error = check("remove", i, transaction.remove[i], true);
    for (std::size_t i = 0; i < transaction.update.size() && !error; ++i) error = check("update", i, name_of(transaction.update[i]), true);
    for (std::size_t i = 0; i < transaction.install.size() && !error; ++i)
        error = check("install", i, name_of(transaction.install[i]), false);
    if (error) return std::unexpected(std::move(*error));
    return {};
}

/// Inbound SPIs are unique in an outer VPN when all is done.
Result<void> Store::check_spis(const Transaction& transaction) const {
    std::unordered_set<const Sa*> leaving;
    for (const SaName& name : transaction.remove) leaving.insert(find(name.name, name.direction, name.child));
    for (const SaSpec& spec : transaction.update) leaving.insert(find(spec.name, spec.direction, spec.child));
    std::unordered_set<SpiKey> coming;
    for (const auto& [list, specs] : {std::pair{"update", &transaction.update}, std::pair{"install", &transaction.install}}) {
        for (std::size_t i = 0; i < specs->size(); ++i) {
            const SaSpec& spec = (*specs)[i];
            if (spec.direction != Direction::inbound) continue;
            const auto there = by_spi_.find(spi_key(spec));
            const bool taken = there != by_spi_.end() && !leaving.contains(there->second);
            if (taken || !coming.insert(spi_key(spec)).second)
                return std::unexpected(placed({ErrorCode::conflict, "another inbound SA of this outer VPN has the SPI", "spi",
                                               "choose another SPI, at both gateways"},
                                              list, i, spec.name, spec.direction));
        }
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

Result<std::shared_ptr<Series>> Store::make_series(const SaSpec& spec, const Fingerprint& fingerprint) {
    auto series = std::make_shared<Series>();
    auto counters = memory_.allocate(sizeof(transform::SaCounters));
    if (!counters) return std::unexpected(std::move(counters.error()));
    series->counters = new (*counters) transform::SaCounters;
    series->users = 1;
    const auto claim = units_.claim(fingerprint, spec.direction, spec.window);
    if (!claim) {
        memory_.release(series->counters, sizeof(transform::SaCounters));
        return std::unexpected(claim.error());
    }
    series->memory = claim->memory;
    if (!spec.manual || marks_ == nullptr) {
        sequence::prepare(series->memory, spec.direction, spec.window, 0);
        return series;
    }
    auto admission = marks_->admit(spec, fingerprint, series->memory, claim->survived);
    if (!admission) {
        // What survived may be why: it is there to be found again.
        if (claim->survived)
            units_.put_back(series->memory, fingerprint);
        else
            units_.release(series->memory);
        memory_.release(series->counters, sizeof(transform::SaCounters));
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
    sa->identity = change.identity;
    sa->worker = choose_worker(*change.spec, change.before);
    sa->number = change.before != nullptr ? change.before->number : ++last_number_;
    sa->row = transform::row_of(change.spec->algorithm);
    sa->block_size = hot_size + transform::key_size(sa->row);
    if (change.goes_on()) {
        sa->series = change.before->series;
        ++sa->series->users;
    } else {
        auto series = make_series(*change.spec, change.fingerprint);
        if (!series) return std::unexpected(change.at(std::move(series.error())));
        sa->series = std::move(*series);
    }
    sa->spec = *change.spec;
    sa->spec.key = KeyMaterial{};
    if (auto built = build(*sa, *change.spec); !built) {
        leave(*sa->series);
        return std::unexpected(change.at(std::move(built.error())));
    }
    return sa;
}

Result<Prepared> Store::prepare(const Transaction& transaction) {
    std::vector<Change> changes;
    changes.reserve(transaction.install.size() + transaction.update.size());
    for (std::size_t i = 0; i < transaction.update.size(); ++i)
        changes.push_back({.spec = &transaction.update[i], .list = "update", .index = i});
    for (std::size_t i = 0; i < transaction.install.size(); ++i)
        changes.push_back({.spec = &transaction.install[i], .list = "install", .index = i});
    for (const Change& change : changes)
        if (auto error = wrong_spec(*change.spec, workers_)) return std::unexpected(change.at(std::move(*error)));
    if (auto good = check_names(transaction); !good) return std::unexpected(std::move(good.error()));
    if (auto good = check_spis(transaction); !good) return std::unexpected(std::move(good.error()));
    for (Change& change : changes) {
        change.before = find(change.spec->name, change.spec->direction, change.spec->child);
        change.fingerprint = state::fingerprint_of(*change.spec);
        if (needs_unique_key(*change.spec)) change.identity = identity_of(*change.spec);
        if (auto good = check_update(change); !good) return std::unexpected(std::move(good.error()));
    }
    if (auto good = check_keys(changes); !good) return std::unexpected(std::move(good.error()));

    Prepared prepared;
    prepared.made.reserve(changes.size());
    for (Change& change : changes) {
        auto sa = make(change);
        if (!sa) {
            abandon(std::move(prepared));
            return std::unexpected(std::move(sa.error()));
        }
        prepared.made.push_back(std::move(*sa));
    }
    prepared.leave = transaction.remove;
    for (const SaSpec& spec : transaction.update) prepared.leave.push_back(name_of(spec));
    return prepared;
}

Applied Store::commit(Prepared prepared) {
    Applied applied;
    for (const SaName& name : prepared.leave) retire(std::move(by_name_.extract(name).mapped()), applied);
    for (auto& sa : prepared.made) enter(std::move(sa), applied);
    return applied;
}

void Store::abandon(Prepared prepared) {
    for (const auto& sa : prepared.made) destroy(*sa);
}

Result<Applied> Store::apply(const Transaction& transaction) {
    return prepare(transaction).transform([this](Prepared&& prepared) { return commit(std::move(prepared)); });
}

void Store::enter(std::unique_ptr<Sa> sa, Applied& applied) {
    by_number_[sa->number] = sa.get();
    if (sa->identity) aead_keys_[*sa->identity] = sa.get();
    if (sa->spec.direction == Direction::inbound) {
        by_spi_[spi_key(sa->spec)] = sa.get();
        spis_.insert(sa->spec.spi);
    }
    applied.added.push_back(sa.get());
    SaName name = name_of(sa->spec);
    by_name_.emplace(std::move(name), std::move(sa));
}

void Store::retire(std::unique_ptr<Sa> sa, Applied& applied) {
    by_number_.erase(sa->number);
    if (sa->spec.direction == Direction::inbound) {
        by_spi_.erase(spi_key(sa->spec));
        spis_.erase(spis_.find(sa->spec.spi));
    }
    if (sa->identity) aead_keys_.erase(*sa->identity);
    applied.gone.push_back(sa.get());
    retired_.push_back(std::move(sa));
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
    memory_.release(series.counters, sizeof(transform::SaCounters));
}

} // namespace sallyport::store
