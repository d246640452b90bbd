// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/boundary.hpp"
#include "gateway/control/inside.hpp"
#include "gateway/control/keying_inside.hpp"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace sallyport::control {

namespace {

bool same_table(const VpnSpec& a, const VpnSpec& b) { return a.number == b.number && a.table == b.table; }

/// Outbound SAs as they will be when a transaction is committed.
class Senders {
public:
    Senders(const store::Store& store, const store::Prepared* prepared) : store_(store) {
        if (prepared == nullptr) return;
        for (const store::SaName& name : prepared->leave)
            if (name.direction == Direction::outbound) next_.emplace(std::pair(std::string_view(name.name), name.child), nullptr);
        for (const store::Prepared::Made& made : prepared->made) {
            if (made.sa->outbound != nullptr) next_[{made.spec->name, made.spec->child}] = made.sa;
            if (made.sa->inbound != nullptr) receiving_.push_back(made.sa);
        }
    }
    /// Null: there is none.
    [[nodiscard]] const store::Sa* find(const std::string& name, std::uint32_t child) const {
        const auto at = next_.find({name, child});
        return at != next_.end() ? at->second : store_.find(name, Direction::outbound, child);
    }

    /// Those that receive, before and after.
    [[nodiscard]] std::vector<const store::Sa*> inbound() const {
        std::vector<const store::Sa*> all = receiving_;
        store_.each([&](const store::Sa& sa) {
            if (sa.inbound != nullptr) all.push_back(&sa);
        });
        return all;
    }

private:
    const store::Store& store_;
    std::map<std::pair<std::string_view, std::uint32_t>, const store::Sa*> next_;
    std::vector<const store::Sa*> receiving_;
};

} // namespace

Result<void> Gateway::apply(Desired desired) {
    if (auto prepared = prepare(std::move(desired)); !prepared) return prepared;
    inside_->commit_configuration();
    return {};
}

Result<void> Gateway::prepare(Desired desired) {
    Result<void> prepared = inside_->prepare(std::move(desired));
    wipe_stack();
    return prepared;
}

std::uint64_t Gateway::commit() {
    inside_->commit_configuration();
    return inside_->generation;
}

void Gateway::abandon() { inside_->abandon_configuration(); }

/// Each for itself, so that one that is refused does not hinder the others.
void Gateway::Inside::install_one_by_one(const std::vector<SaSpec>& sas) {
    for (const SaSpec& sa : sas) {
        const SaName name = store::name_of(sa);
        store::Transaction transaction;
        transaction.install.push_back(sa);
        auto applied = store->apply(std::move(transaction));
        if (applied) {
            refused.erase(name);
            into_tables(*applied);
            continue;
        }
        Error error = std::move(applied.error());
        error.place = sa.name + (sa.direction == Direction::outbound ? " outbound" : " inbound");
        const auto at = refused.find(name);
        if (at == refused.end() || at->second.sentence != error.sentence) note(Level::error, error);
        refused.insert_or_assign(name, std::move(error));
    }
}

/// What is gone leaves the SAD, what is new enters it. An update has the same key there, so it must leave first; frames that come between
/// are dropped with unknown_spi, for less than a microsecond.
void Gateway::Inside::into_tables(const store::Applied& applied) {
    follow_path(applied);
    // What is new comes first: an update goes on with what it was.
    const std::uint64_t now = boot_seconds();
    for (std::size_t i = 0; i < applied.added.size(); ++i) {
        lifetimes.add(*applied.added[i], *applied.specs[i], now);
        traffic.add(*applied.added[i], *applied.specs[i], now);
    }
    for (const store::Sa* sa : applied.gone) {
        lifetimes.remove(*sa);
        traffic.remove(*sa);
    }
    sad->make_room(
        static_cast<std::size_t>(std::ranges::count_if(applied.added, [](const store::Sa* sa) { return sa->inbound != nullptr; })));
    std::unordered_map<std::uint32_t, const store::Sa*> next; // by number, which an update keeps
    for (const store::Sa* sa : applied.added)
        if (sa->inbound != nullptr) next.emplace(sa->number, sa);
    for (const store::Sa* sa : applied.gone) {
        if (sa->inbound == nullptr) continue;
        sad->remove(*sa->inbound);
        const auto at = next.find(sa->number);
        if (at == next.end() || at->second->spi() != sa->spi()) spis->closed(sa->spi(), milliseconds());
        if (at == next.end()) continue;
        (void)sad->add(*at->second->inbound);
        spis->installed(at->second->spi());
        next.erase(at);
    }
    for (const auto& [number, sa] : next) {
        (void)sad->add(*sa->inbound);
        spis->installed(sa->spi());
    }
    tell(EventKind::sa_removed, applied.gone);
    tell(EventKind::sa_installed, applied.added);
}

/// What is new takes over the path MTU of its tunnel before the first packet.
void Gateway::Inside::follow_path(const store::Applied& applied) {
    for (std::size_t i = 0; i < applied.added.size(); ++i) {
        const store::Sa& sa = *applied.added[i];
        const SaSpec& spec = *applied.specs[i];
        sa.outbound != nullptr ? path_mtus.add(*sa.outbound, spec.mtu, spec.clamp_mss, fib->read())
                               : path_mtus.add(*sa.inbound, spec.mtu, spec.clamp_mss, fib->read());
    }
    for (const store::Sa* sa : applied.gone) sa->outbound != nullptr ? path_mtus.remove(*sa->outbound) : path_mtus.remove(*sa->inbound);
}

/// Policies of the configuration first, then those of the door; a policy's number is its place in this order.
Result<std::unique_ptr<const tables::Spd>> Gateway::Inside::build_spd(const Rules& rules, const store::Prepared* prepared) const {
    const Senders senders(*store, prepared);
    std::vector<std::pair<const PolicySpec*, std::uint32_t>> ordered;
    for (const auto* list : {&rules.configured, &rules.keyed})
        for (const PolicySpec& policy : *list) ordered.emplace_back(&policy, static_cast<std::uint32_t>(ordered.size()));
    std::ranges::stable_sort(ordered, {}, [](const auto& entry) { return entry.first->priority; });
    std::vector<tables::Policy> policies;
    policies.reserve(ordered.size());
    std::unordered_map<std::string_view, std::uint32_t> connections; // numbered for this table only
    for (const auto& [policy, number] : ordered) {
        const bool protect = policy->action == PolicyAction::protect;
        const auto next = static_cast<std::uint32_t>(connections.size() + 1);
        // A connection without children has its keys from the configuration.
        const std::uint32_t child = protect ? keying->children.sender(policy->sa, rules.plan).value_or(0) : 0;
        const store::Sa* const sa = protect ? senders.find(policy->sa, child) : nullptr;
        if (sa != nullptr && transform::mode_of(sa->row) != SaMode::tunnel && !may_send_by(*policy, sa->spec()))
            return std::unexpected(Error{ErrorCode::invalid,
                                         "The policy speaks of other addresses than the two between which its SA carries packets",
                                         "policy " + policy->name, "give it these two, or use tunnel mode"});
        policies.push_back({.vpn = policy->vpn,
                            .action = policy->action,
                            .selectors = policy->selectors,
                            .sa = sa != nullptr ? sa->outbound : nullptr,
                            .number = number,
                            .reach = policy->reach,
                            .connection = protect ? connections.try_emplace(policy->sa, next).first->second : 0});
    }
    std::vector<tables::Opening> openings;
    for (const store::Sa* sa : senders.inbound())
        if (const auto at = connections.find(sa->name()); at != connections.end())
            openings.push_back({sa->number, sa->inbound->red_vpn, at->second});
    return tables::Spd::build(policies, openings);
}

/// Which SAs send what nobody asked for: of each connection only the one by which policies send. Null: those of before.
std::unique_ptr<const tables::Unasked> Gateway::Inside::build_unasked(const store::Applied* applied) const {
    const auto sends = [](const SaSpec& sa) {
        return sa.direction == Direction::outbound && (sa.dummies_per_second != 0 || (sa.udp_port != 0 && sa.keepalive != 0));
    };
    const tables::Unasked& before = unasked->read();
    if (applied != nullptr && before.dummies.empty() && before.keepalives.empty() &&
        std::ranges::none_of(applied->specs, sends, [](const SaSpec* sa) -> const SaSpec& { return *sa; }))
        return nullptr;
    auto next = std::make_unique<tables::Unasked>();
    store->each([&](const store::Sa& sa) {
        if (sa.outbound == nullptr) return;
        const SaSpec spec = sa.spec();
        if (!sends(spec) || keying->children.sender(spec.name).value_or(0) != spec.child) return;
        if (spec.dummies_per_second != 0) next->dummies.push_back({sa.outbound, spec.dummies_per_second});
        if (spec.udp_port != 0 && spec.keepalive != 0)
            next->keepalives.push_back({.sa = sa.outbound,
                                        .outer = mode::make_outer(spec),
                                        .outer_vpn = spec.outer_vpn,
                                        .sent = {&sa.outbound->counters->packets},
                                        .seconds = spec.keepalive});
    });
    next->keepalives = mode::joined(std::move(next->keepalives));
    return next;
}

/// Which SAs follow their peers. Null: those of before.
std::unique_ptr<const tables::Following> Gateway::Inside::build_following(const store::Applied* applied) const {
    std::vector<tables::Following::Sa> fresh;
    std::vector<std::uint32_t> gone; // with those that are updated
    const auto take = [&](const store::Sa& sa, const SaSpec& spec) {
        if (sa.inbound != nullptr && spec.follow && spec.udp_port != 0) fresh.push_back({sa.number, spec.udp_port});
    };
    if (applied == nullptr) store->each([&](const store::Sa& sa) { take(sa, sa.spec()); });
    for (std::size_t i = 0; applied != nullptr && i < applied->added.size(); ++i) take(*applied->added[i], *applied->specs[i]);
    if (applied != nullptr)
        for (const store::Sa* sa : applied->gone)
            if (following->read().find(sa->number) != nullptr) gone.push_back(sa->number);
    if (applied != nullptr && fresh.empty() && gone.empty()) return nullptr;
    std::ranges::sort(fresh, {}, &tables::Following::Sa::number);
    std::ranges::sort(gone);
    auto next = std::make_unique<tables::Following>();
    if (applied != nullptr)
        std::ranges::copy_if(following->read().sas, std::back_inserter(next->sas),
                             [&](const tables::Following::Sa& one) { return !std::ranges::binary_search(gone, one.number); });
    const auto middle = next->sas.insert(next->sas.end(), fresh.begin(), fresh.end());
    std::ranges::inplace_merge(next->sas, middle, {}, &tables::Following::Sa::number);
    return next;
}

/// Returns when no worker reads what was before.
void Gateway::Inside::publish(std::unique_ptr<const tables::Spd> policies, const store::Applied* applied) {
    std::unique_ptr<const tables::Spd> old_policies;
    std::unique_ptr<const tables::Unasked> old_unasked;
    std::unique_ptr<const tables::Following> old_following;
    if (policies) old_policies = spd->swap(std::move(policies));
    if (auto sending = build_unasked(applied)) old_unasked = unasked->swap(std::move(sending));
    if (auto next = build_following(applied)) old_following = following->swap(std::move(next));
    audience.settle();
    store->drain();
}

Result<Gateway::Inside::Change> Gateway::Inside::prepare_change(store::Transaction transaction, const std::optional<Rules>& rules,
                                                                std::optional<Boundary> next_boundary) {
    Change change{.sas = {}, .spd = nullptr, .boundary = std::move(next_boundary)};
    const auto failed = [&](Error error) {
        abandon_change(std::move(change));
        return std::unexpected(std::move(error));
    };
    if (change.boundary)
        if (auto written = write_boundary(both(boundary, *change.boundary)); !written) return failed(std::move(written.error()));
    auto prepared = store->prepare(std::move(transaction));
    if (!prepared) return failed(std::move(prepared.error()));
    change.sas = std::move(*prepared);
    if (!rules) return change;
    auto built = build_spd(*rules, &change.sas);
    if (!built) return failed(std::move(built.error()));
    change.spd = std::move(*built);
    return change;
}

/// The workers go from the old to the new at one moment; what only one of both protects stays protected until then.
void Gateway::Inside::commit_change(Change change) {
    const store::Applied applied = store->commit(std::move(change.sas));
    into_tables(applied);
    publish(std::move(change.spd), &applied);
    if (!change.boundary) return;
    boundary = std::move(*change.boundary);
    settle_boundary();
    guard_is_late = true;
}

void Gateway::Inside::abandon_change(Change change) {
    store->abandon(std::move(change.sas));
    if (change.boundary) settle_boundary();
}

Result<void> Gateway::Inside::prepare(Desired wanted) {
    if (pending) return std::unexpected(Error{ErrorCode::conflict, "Another configuration is being brought about", wanted.source, {}});
    if (const auto what = needs_restart(desired, wanted))
        return std::unexpected(Error{ErrorCode::unsupported, "A change of the " + *what + " needs a restart of the gateway", wanted.source,
                                     "restart it, or take this change back"});
    if (auto good = keying->check_configuration(wanted); !good) return good;
    // What was refused before is not in the store: it is installed, or tried again, on its own.
    std::vector<SaSpec> in_use;
    for (const SaSpec& sa : desired.sas)
        if (!refused.contains(store::name_of(sa))) in_use.push_back(sa);
    SaDifference changes = difference(in_use, prints, wanted.sas);
    Pending next{.wanted = {}, .prints = {}, .again = {}, .change = {}, .other_tables = false};
    std::erase_if(changes.install, [&](SaSpec& sa) {
        if (!refused.contains(store::name_of(sa))) return false;
        next.again.push_back(std::move(sa));
        return true;
    });
    next.other_tables = !std::ranges::equal(desired.vpns, wanted.vpns, same_table);
    if (next.other_tables)
        if (auto arranged = mirror->arrange(wanted.vpns, wanted.ports); !arranged) return arranged;
    auto change = prepare_change({std::move(changes.install), std::move(changes.update), std::move(changes.remove)},
                                 Rules{.configured = wanted.policies, .keyed = keying->policies, .plan = nullptr},
                                 boundary_of(keying->joined(wanted, keying->policies, nullptr)));
    if (!change) {
        if (next.other_tables) arrange_back();
        return std::unexpected(std::move(change.error()));
    }
    next.change = std::move(*change);
    next.prints = take_keys(wanted.sas);
    next.wanted = std::move(wanted);
    pending = std::move(next);
    return {};
}

void Gateway::Inside::commit_configuration() {
    take_acquires(); // by the names of now
    Pending next = std::move(*std::exchange(pending, std::nullopt));
    prints = std::move(next.prints);
    desired = std::move(next.wanted);
    ++generation;
    commit_change(std::move(next.change));
    bring_guard_up();
    tell({.kind = EventKind::committed, .generation = generation});
    std::set<SaName> names;
    for (const SaSpec& sa : desired.sas) names.insert(store::name_of(sa));
    std::erase_if(refused, [&](const auto& entry) { return !names.contains(entry.first); });
    if (next.again.empty()) return;
    install_one_by_one(next.again);
    if (auto policies = build_spd({.configured = desired.policies, .keyed = keying->policies, .plan = nullptr}, nullptr))
        publish(std::move(*policies), nullptr);
}

void Gateway::Inside::abandon_configuration() {
    if (!pending) return;
    Pending next = std::move(*std::exchange(pending, std::nullopt));
    abandon_change(std::move(next.change));
    if (next.other_tables) arrange_back();
}

void Gateway::Inside::arrange_back() {
    if (auto back = mirror->arrange(desired.vpns, desired.ports); !back) note(Level::error, back.error());
}

Result<void> Gateway::Inside::write_boundary(const Boundary& wanted) {
    xdp::SharedMaps& all = shared_maps();
    if (auto set = all.set_protected_sources(wanted.sources); !set) return set;
    if (auto set = all.set_bypass(wanted.bypass.sources, wanted.bypass.destinations); !set) return set;
    if (auto set = all.set_egress(wanted.egress.destinations, wanted.egress.sources); !set) return set;
    return all.set_ike_peers(wanted.peers);
}

void Gateway::Inside::settle_boundary() {
    if (auto set = write_boundary(boundary); !set) note(Level::error, set.error());
}

std::uint64_t boot_seconds() {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec);
}

std::uint64_t milliseconds() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

} // namespace sallyport::control
