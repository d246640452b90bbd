// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/store.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
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

/// Only a manual key may come twice; those of IKE are made for one direction of one SA.
bool needs_unique_key(const SaSpec& spec) { return spec.manual && info(spec.algorithm).unique_nonce(); }

std::uint64_t hash_of(std::string_view name, Direction direction, std::uint32_t child) {
    return std::hash<std::string_view>{}(name) + 2 * std::uint64_t{child} + static_cast<std::uint64_t>(direction);
}

/// Which SA it is, whatever its key: its name.
struct Named {
    std::string_view name;
    Direction direction;
    std::uint32_t child;
    bool operator==(const Named&) const = default;
    struct Hash {
        std::size_t operator()(const Named& named) const { return hash_of(named.name, named.direction, named.child); }
    };
};

/// What tells an SA on the wire: our SPI in its outer VPN, or the peer's.
struct OnWire {
    Direction direction;
    VpnNumber outer_vpn;
    Address peer; // outbound
    std::uint32_t spi;
    bool operator==(const OnWire&) const = default;
    /// Of inbound ones that of the SPI alone: they are looked for in all outer VPNs too.
    struct Hash {
        std::size_t operator()(const OnWire& sa) const {
            if (sa.direction == Direction::inbound) return sa.spi;
            const auto halves = std::bit_cast<std::array<std::uint64_t, 2>>(sa.peer.octets);
            return (halves[0] * 31 + halves[1]) * 31 + (std::uint64_t{sa.outer_vpn} << 32 | sa.spi) + 1;
        }
    };
};

OnWire on_wire(const SaSpec& spec) {
    const bool inbound = spec.direction == Direction::inbound;
    return {spec.direction, spec.outer_vpn, inbound ? Address{} : spec.outer_remote, spec.spi};
}

OnWire on_wire(const Sa& sa) {
    if (sa.inbound != nullptr) return {Direction::inbound, sa.inbound->outer_vpn, {}, sa.inbound->spi};
    const record::SaRecord head = head_of(sa.packed);
    return {Direction::outbound, head.outer_vpn, {head.outer_remote, Family{head.outer_family}}, head.spi};
}

bool is(const Sa& sa, std::string_view name, Direction direction, std::uint32_t child) {
    if (sa.direction() != direction) return false;
    const record::SaRecord head = head_of(sa.packed);
    return head.child == child && name == head.name.data();
}

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

std::size_t block_size(std::uint8_t row) { return hot_size + transform::key_size(row); }

constexpr std::uint32_t least_units = 65536; // 4 MiB

} // namespace

std::uint64_t Sa::sequence_number() const { return read(space().memory->words[sequence::number_word]); }

transform::SaCounters Sa::counters() const {
    transform::SaCounters& now = counting();
    return {.packets = read(now.packets), .octets = read(now.octets), .errors = read(now.errors)};
}

struct Store::Series {
    sequence::Unit* memory = nullptr;
    std::uint64_t* mark = nullptr;
    std::uint64_t floor = 0;
    transform::SaCounters* counters = nullptr;
};

struct Store::Change {
    SaSpec* spec; // of the transaction
    const char* list;
    std::size_t index;
    bool updates = false;
    Sa* before = nullptr; // what it updates
    Fingerprint fingerprint{};
    std::optional<Fingerprint> identity, sealing;
    SecretTable::Record record = 0; // of one that is adopted

    [[nodiscard]] bool adopted() const { return record != 0; }
    [[nodiscard]] Error at(Error error) const { return placed(std::move(error), list, index, spec->name, spec->direction); }
    [[nodiscard]] bool goes_on() const { return before != nullptr && state::Units::fingerprint_of(before->space().memory) == fingerprint; }
};

Store::Store(state::Units& units, state::Marks* marks, unsigned workers, Lasting lasting)
    : units_(units), marks_(marks), workers_(workers), lasting_(lasting) {}

Store::~Store() {
    // Units and marks stay as they are: they are what the next process goes on from.
    by_name_.each([this](std::uint32_t place) { destroy_hot(sas_[place]); });
    for (const std::uint32_t place : retired_) destroy_hot(sas_[place]);
}

std::uint32_t Store::units_for(std::span<const SaSpec> sas) {
    std::uint64_t units = 1;
    for (const SaSpec& sa : sas) units += sequence::units_of(sa.direction, sa.window) + 1U;
    return static_cast<std::uint32_t>(std::max<std::uint64_t>(least_units, units + units / 4));
}

std::optional<std::uint32_t> Store::place_of(std::string_view name, Direction direction, std::uint32_t child) const {
    return by_name_.find(hash_of(name, direction, child), [&](std::uint32_t place) { return is(sas_[place], name, direction, child); });
}

const Sa* Store::find(const std::string& name, Direction direction, std::uint32_t child) const {
    const auto place = place_of(name, direction, child);
    return place ? &sas_[*place] : nullptr;
}

const Sa* Store::find_on_wire(const SaSpec& spec) const {
    const OnWire wanted = on_wire(spec);
    const auto place = by_spi_.find(OnWire::Hash{}(wanted), [&](std::uint32_t one) { return on_wire(sas_[one]) == wanted; });
    return place ? &sas_[*place] : nullptr;
}

bool Store::uses_spi(std::uint32_t spi) const {
    return by_spi_
        .find(spi,
              [&](std::uint32_t place) {
                  const transform::InboundSa* inbound = sas_[place].inbound;
                  return inbound != nullptr && inbound->spi == spi;
              })
        .has_value();
}

const Sa* Store::find(std::uint32_t number) const {
    const auto place = by_number_.find(number, [&](std::uint32_t one) { return sas_[one].number == number; });
    return place ? &sas_[*place] : nullptr;
}

const std::vector<const Sa*>& Store::all() const {
    if (!sorted_.empty()) return sorted_;
    std::vector<std::pair<SaName, const Sa*>> named;
    named.reserve(size());
    each([&](const Sa& sa) {
        const record::SaRecord head = head_of(sa.packed);
        named.emplace_back(SaName{head.name.data(), sa.direction(), head.child}, &sa);
    });
    std::ranges::sort(named, {}, [](const auto& one) -> const SaName& { return one.first; });
    for (const auto& [name, sa] : named) sorted_.push_back(sa);
    return sorted_;
}

Result<void> Store::check_names(const std::vector<SaName>& remove, const std::vector<Change>& changes) const {
    std::unordered_set<Named, Named::Hash> met(remove.size() + changes.size()); // of names that live longer
    const auto check = [&](const Named& named, bool there) -> std::optional<Error> {
        if (!met.insert(named).second) return Error{ErrorCode::conflict, "the transaction names it twice", "name", {}};
        if (place_of(named.name, named.direction, named.child).has_value() == there) return std::nullopt;
        if (there) return Error{ErrorCode::missing, "it is not installed", "name", {}};
        return Error{ErrorCode::conflict, "it is installed already", "name", {}};
    };
    for (std::size_t i = 0; i < remove.size(); ++i)
        if (auto error = check({remove[i].name, remove[i].direction, remove[i].child}, true))
            return std::unexpected(placed(std::move(*error), "remove", i, remove[i].name, remove[i].direction));
    for (const Change& change : changes)
        if (auto error = check({change.spec->name, change.spec->direction, change.spec->child}, change.updates))
            return std::unexpected(change.at(std::move(*error)));
    return {};
}

/// When all is done inbound SPIs are unique in an outer VPN, and outbound ones at a peer there.
Result<void> Store::check_spis(const std::vector<SaName>& remove, const std::vector<Change>& changes) const {
    std::unordered_set<const Sa*> leaving;
    for (const SaName& name : remove) leaving.insert(find(name.name, name.direction, name.child));
    for (const Change& change : changes)
        if (change.before != nullptr) leaving.insert(change.before);
    std::unordered_set<OnWire, OnWire::Hash> coming(changes.size());
    for (const Change& change : changes) {
        const Sa* there = find_on_wire(*change.spec);
        const bool first = coming.insert(on_wire(*change.spec)).second;
        if (first && (there == nullptr || leaving.contains(there))) continue;
        return std::unexpected(change.at({ErrorCode::conflict,
                                          change.spec->direction == Direction::inbound ? "another inbound SA of this outer VPN has the SPI"
                                                                                       : "another outbound SA to this peer has the SPI",
                                          "spi", "choose another SPI, at both gateways"}));
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
    std::unordered_set<Fingerprint, decltype(hash)> coming(changes.size());
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
    const SaSpec then = change.before->spec();
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

Result<Store::Series> Store::make_series(const SaSpec& spec, const Fingerprint& fingerprint, bool adopted) {
    const auto claim = units_.claim(fingerprint, spec.direction, spec.window);
    if (!claim) return std::unexpected(claim.error());
    Series series{.memory = claim->memory, .counters = counters_in(*claim->counters)};
    if (!spec.manual || marks_ == nullptr) {
        if (auto claimed = claim_unmarked(*claim, spec, fingerprint, adopted); !claimed) return std::unexpected(std::move(claimed.error()));
        return series;
    }
    auto admission = marks_->admit(spec, fingerprint, series.memory, claim->survived);
    if (!admission) {
        // What survived may be why: it is there to be found again.
        if (claim->survived)
            units_.put_back(series.memory, fingerprint);
        else
            units_.release(series.memory);
        admission.error().place.clear(); // the entry's place says it
        return std::unexpected(std::move(admission.error()));
    }
    series.mark = admission->mark;
    series.floor = admission->floor;
    return series;
}

Store::Series Store::series_of(const Sa& sa) {
    const sequence::Space& space = sa.space();
    return {.memory = space.memory, .mark = space.mark, .floor = sa.inbound != nullptr ? space.last : 0, .counters = &sa.counting()};
}

/// The hot part and the key, in one block of locked memory.
Result<void> Store::build(Sa& sa, const SaSpec& spec, const Series& series) {
    const std::size_t size = block_size(sa.row);
    auto block = memory_.allocate(size);
    if (!block) return std::unexpected(std::move(block.error()));
    const transform::Place place{.row = sa.row,
                                 .key = static_cast<std::byte*>(*block) + hot_size,
                                 .units = series.memory,
                                 .mark = series.mark,
                                 .counters = series.counters,
                                 .floor = series.floor,
                                 .worker = sa.worker,
                                 .number = sa.number};
    std::optional<Error> error;
    if (spec.direction == Direction::outbound) {
        auto hot = transform::build_outbound(spec, place);
        if (hot)
            sa.outbound = new (*block) transform::OutboundSa(*hot);
        else
            error = std::move(hot.error());
    } else {
        auto selectors = std::make_unique<Selector[]>(spec.selectors.size());
        std::ranges::copy(spec.selectors, selectors.get());
        auto hot = transform::build_inbound(spec, place, {selectors.get(), spec.selectors.size()});
        if (hot) {
            sa.inbound = new (*block) transform::InboundSa(*hot);
            (void)selectors.release(); // they go with the hot part
        } else
            error = std::move(hot.error());
    }
    if (!error) return {};
    memory_.release(*block, size);
    return std::unexpected(std::move(*error));
}

/// What it was asked to be, for the next process with its key.
Result<void> Store::pack_up(Sa& sa, const Change& change) {
    if (lasting_.table == nullptr) {
        auto packed = pack(*change.spec);
        if (!packed) return std::unexpected(std::move(packed.error()));
        sa.packed = packed->release();
        sa.owns_packed = true;
        return {};
    }
    SecretTable::Record record = change.record;
    if (!change.adopted() || !current(*lasting_.table, record)) {
        auto staged = stage(*lasting_.table, *change.spec);
        if (!staged) return std::unexpected(std::move(staged.error()));
        record = *staged;
    }
    sa.packed = lasting_.table->octets(record).data();
    return {};
}

Result<Prepared::Made> Store::make(Change& change) {
    Sa sa;
    sa.worker = choose_worker(*change.spec, change.before);
    sa.number = change.before != nullptr ? change.before->number : ++last_number_;
    sa.row = transform::row_of(change.spec->algorithm, change.spec->mode, change.spec->protocol);
    sa.negotiated = change.spec->child != 0;
    sa.owns_series = !change.goes_on();
    auto series = sa.owns_series ? make_series(*change.spec, change.fingerprint, change.adopted()) : series_of(*change.before);
    if (!series) return std::unexpected(change.at(std::move(series.error())));
    if (auto built = build(sa, *change.spec, *series); !built) {
        if (sa.owns_series) leave(*series);
        return std::unexpected(change.at(std::move(built.error())));
    }
    const auto packed = pack_up(sa, change);
    const std::uint32_t place = sas_.put(sa);
    if (!packed) {
        destroy(place);
        return std::unexpected(change.at(packed.error()));
    }
    change.spec->key = KeyMaterial{};
    return Prepared::Made{&sas_[place], change.spec, sa.owns_series ? nullptr : change.before, place};
}

/// Everything that can be seen without making anything.
Result<std::vector<Store::Change>> Store::check(Transaction& transaction) {
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
        if (change.updates) change.before = &sas_[*place_of(change.spec->name, change.spec->direction, change.spec->child)];
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
        auto made = make(change);
        if (!made) {
            abandon(std::move(prepared));
            return std::unexpected(std::move(made.error()));
        }
        if (change.adopted() && lasting_.table->record_of(made->sa->packed) != change.record) prepared.old.push_back(change.record);
        if (change.identity) prepared.unique.push_back({made->sa, *change.identity, change.spec->manual});
        if (change.sealing) prepared.sealing.push_back({made->sa, *change.sealing, change.spec->manual});
        prepared.made.push_back(*made);
    }
    prepared.asked = std::move(transaction);
    return prepared;
}

/// It can still be asked what it was, until drain().
void Store::leave_table(Sa& sa) {
    if (sa.owns_packed) return;
    lasting_.table->stage_removal(lasting_.table->record_of(sa.packed));
    sa.packed = pack(sa.packed).release();
    sa.owns_packed = true;
}

/// First for the next process: killed in here it finds all of the transaction or nothing, and no packet was sealed yet.
void Store::commit_lasting(const Prepared& prepared) {
    if (lasting_.table != nullptr) {
        for (const SaName& name : prepared.leave) leave_table(sas_[*place_of(name.name, name.direction, name.child)]);
        for (const SecretTable::Record record : prepared.old) lasting_.table->stage_removal(record);
        lasting_.table->commit();
    }
    if (lasting_.known == nullptr) return;
    for (const Prepared::Key& key : prepared.sealing) lasting_.known->add(key.identity, key.manual);
}

Applied Store::commit(Prepared prepared) {
    commit_lasting(prepared);
    sorted_ = {};
    Applied applied;
    for (const SaName& name : prepared.leave) retire(name, applied);
    for (const auto& [sa, identity, manual] : prepared.unique) {
        aead_keys_.insert_or_assign(identity, sa);
        identities_.emplace(sa, identity);
    }
    applied.added.reserve(prepared.made.size());
    applied.specs.reserve(prepared.made.size());
    for (const Prepared::Made& made : prepared.made) enter(made, applied);
    applied.asked = std::move(prepared.asked);
    return applied;
}

void Store::abandon(Prepared&& prepared) {
    if (lasting_.table != nullptr) lasting_.table->roll_back();
    const Prepared ended = std::move(prepared);
    for (const Prepared::Made& made : ended.made) destroy(made.place);
}

Result<Applied> Store::apply(Transaction transaction) {
    return prepare(std::move(transaction)).transform([this](Prepared&& prepared) { return commit(std::move(prepared)); });
}

void Store::enter(const Prepared::Made& made, Applied& applied) {
    Sa& sa = sas_[made.place];
    const SaSpec& spec = *made.spec;
    if (made.before != nullptr) {
        sa.owns_series = made.before->owns_series;
        made.before->owns_series = false;
    }
    limit(spec, sa.counting());
    by_name_.insert(hash_of(spec.name, spec.direction, spec.child), made.place);
    by_number_.insert(sa.number, made.place);
    by_spi_.insert(OnWire::Hash{}(on_wire(spec)), made.place);
    applied.added.push_back(&sa);
    applied.specs.push_back(&spec);
}

void Store::retire(const SaName& name, Applied& applied) {
    const std::uint32_t place = *place_of(name.name, name.direction, name.child);
    const Sa& sa = sas_[place];
    by_name_.erase(hash_of(name.name, name.direction, name.child), place);
    by_number_.erase(sa.number, place);
    by_spi_.erase(OnWire::Hash{}(on_wire(sa)), place);
    if (const auto key = identities_.find(&sa); key != identities_.end()) {
        aead_keys_.erase(key->second);
        identities_.erase(key);
    }
    applied.gone.push_back(&sa);
    retired_.push_back(place);
}

void Store::discard(std::span<const SecretTable::Record> records) {
    for (const SecretTable::Record record : records) lasting_.table->stage_removal(record);
    lasting_.table->commit();
}

void Store::drain() {
    for (const std::uint32_t place : std::exchange(retired_, {})) destroy(place);
}

void Store::destroy(std::uint32_t place) {
    Sa& sa = sas_[place];
    const Series series = series_of(sa);
    const bool owns_series = sa.owns_series;
    destroy_hot(sa);
    if (owns_series) leave(series);
    sas_.erase(place);
}

/// Hot part, key and all else that is in no memory which outlives the process.
void Store::destroy_hot(Sa& sa) {
    if (sa.owns_packed) delete[] sa.packed;
    if (sa.inbound != nullptr) delete[] sa.inbound->selectors;
    const void* hot = sa.outbound != nullptr ? static_cast<const void*>(sa.outbound) : sa.inbound;
    auto* block = static_cast<std::byte*>(const_cast<void*>(hot));
    transform::wipe_key(sa.row, block + hot_size);
    memory_.release(block, block_size(sa.row));
}

void Store::leave(const Series& series) {
    if (series.mark != nullptr) marks_->release(series.mark);
    units_.release(series.memory);
}

} // namespace sallyport::store
