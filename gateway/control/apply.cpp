// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/boundary.hpp"
#include "gateway/control/inside.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace sallyport::control {

namespace {

using PrefixKey = std::tuple<VpnNumber, Address, std::uint8_t>;

template <class Entry>
PrefixKey key_of(const Entry& entry) {
    return {entry.vpn, entry.prefix.address, entry.prefix.length};
}

void join(std::vector<xdp::VpnPrefix>& list, const std::vector<xdp::VpnPrefix>& more) {
    std::set<PrefixKey> known;
    for (const xdp::VpnPrefix& entry : list) known.insert(key_of(entry));
    for (const xdp::VpnPrefix& entry : more)
        if (known.insert(key_of(entry)).second) list.push_back(entry);
}

/// What either protects, and of the exempted what the new one exempts and the old one does not protect.
std::vector<xdp::ProtectedSource> join_protected(const std::vector<xdp::ProtectedSource>& next,
                                                 const std::vector<xdp::ProtectedSource>& now) {
    std::map<PrefixKey, xdp::ProtectedSource> joined;
    for (const xdp::ProtectedSource& one : next) joined.try_emplace(key_of(one), one);
    for (const xdp::ProtectedSource& one : now) {
        if (one.exempt) continue;
        const auto [at, fresh] = joined.try_emplace(key_of(one), one);
        if (!fresh) at->second.exempt = false;
    }
    std::vector<xdp::ProtectedSource> result;
    for (const auto& [key, one] : joined) result.push_back(one);
    return result;
}

bool same_table(const VpnSpec& a, const VpnSpec& b) { return a.number == b.number && a.table == b.table; }

} // namespace

Result<void> Gateway::apply(Desired desired) { return inside_->apply(std::move(desired)); }

/// Each for itself, so that one that is refused does not hinder the others.
void Gateway::Inside::install_one_by_one(const std::vector<SaSpec>& sas) {
    for (const SaSpec& sa : sas) {
        const SaName name{sa.name, sa.direction};
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
    std::unordered_map<std::uint32_t, const transform::InboundSa*> next; // by number, which an update keeps
    for (const store::Sa* sa : applied.added)
        if (sa->inbound != nullptr) next.emplace(sa->number, sa->inbound);
    for (const store::Sa* sa : applied.gone) {
        if (sa->inbound == nullptr) continue;
        sad->remove(*sa->inbound);
        const auto at = next.find(sa->number);
        if (at == next.end()) continue;
        (void)sad->add(*at->second);
        next.erase(at);
    }
    for (const auto& [number, sa] : next) (void)sad->add(*sa);
    tell(EventKind::sa_removed, applied.gone);
    tell(EventKind::sa_installed, applied.added);
}

Result<std::unique_ptr<const tables::Spd>> Gateway::Inside::build_spd(const std::vector<PolicySpec>& policies) const {
    std::vector<const PolicySpec*> ordered;
    for (const PolicySpec& policy : policies) ordered.push_back(&policy);
    std::ranges::stable_sort(ordered, {}, [](const PolicySpec* p) { return p->priority; });
    std::vector<tables::Policy> rules;
    for (const PolicySpec* policy : ordered) {
        const store::Sa* sa = policy->action == PolicyAction::protect ? store->find(policy->sa, Direction::outbound) : nullptr;
        rules.push_back({.vpn = policy->vpn,
                         .action = policy->action,
                         .selectors = policy->selectors,
                         .sa = sa != nullptr ? sa->outbound : nullptr,
                         .number = static_cast<std::uint32_t>(policy - policies.data())});
    }
    return tables::Spd::build(rules);
}

/// Returns when no worker reads what was before.
void Gateway::Inside::publish_policies(std::unique_ptr<const tables::Spd> next) {
    auto sending = std::make_unique<tables::Dummies>();
    for (const store::Sa* sa : store->all())
        if (sa->outbound != nullptr && sa->spec.dummies_per_second != 0)
            sending->list.push_back({sa->outbound, sa->spec.dummies_per_second});
    const auto old_policies = spd->swap(std::move(next));
    const auto old_dummies = dummies->swap(std::move(sending));
    audience.settle();
    store->drain();
}

Result<void> Gateway::Inside::apply(Desired wanted) {
    if (const auto what = needs_restart(desired, wanted))
        return std::unexpected(Error{ErrorCode::unsupported, "A change of the " + *what + " needs a restart of the gateway", wanted.source,
                                     "restart it, or take this change back"});
    // What was refused before is not in the store: it is installed, or tried again, on its own.
    std::vector<SaSpec> in_use;
    for (const SaSpec& sa : desired.sas)
        if (!refused.contains({sa.name, sa.direction})) in_use.push_back(sa);
    SaDifference changes = difference(in_use, prints, wanted.sas);
    std::vector<SaSpec> again;
    std::erase_if(changes.install, [&](SaSpec& sa) {
        if (!refused.contains({sa.name, sa.direction})) return false;
        again.push_back(std::move(sa));
        return true;
    });
    if (auto done = change(wanted, std::move(changes)); !done) return done;

    std::erase_if(refused, [&](const auto& entry) {
        return std::ranges::none_of(wanted.sas, [&](const SaSpec& sa) { return entry.first == SaName{sa.name, sa.direction}; });
    });
    prints = take_keys(wanted.sas);
    desired = std::move(wanted);
    ++generation;
    tell({.kind = EventKind::committed, .generation = generation});
    if (!again.empty()) {
        install_one_by_one(again);
        if (auto policies = build_spd(desired.policies)) publish_policies(std::move(*policies));
    }
    settle_boundary();
    raise_wall();
    arrange_own_traffic();
    return {};
}

/// All or nothing. The workers go from the old to the new at one moment; what only one of both protects stays protected until then.
Result<void> Gateway::Inside::change(const Desired& wanted, SaDifference difference) {
    if (auto done = prepare_boundary(wanted); !done) {
        settle_boundary();
        return done;
    }
    // A rule too many is found before anything has changed: the SAs do not count for that.
    auto trial = build_spd(wanted.policies);
    Result<void> arranged = trial ? Result<void>() : std::unexpected(std::move(trial.error()));
    const bool other_tables = !std::ranges::equal(desired.vpns, wanted.vpns, same_table);
    if (arranged && other_tables) arranged = mirror->arrange(wanted.vpns, wanted.ports);
    auto applied = arranged ? store->apply({std::move(difference.install), std::move(difference.update), std::move(difference.remove)})
                            : Result<store::Applied>(std::unexpected(std::move(arranged.error())));
    if (!applied) {
        if (other_tables)
            if (auto back = mirror->arrange(desired.vpns, desired.ports); !back) note(Level::error, back.error());
        settle_boundary();
        return std::unexpected(std::move(applied.error()));
    }
    into_tables(*applied);
    auto policies = build_spd(wanted.policies);
    publish_policies(policies ? std::move(*policies) : std::make_unique<const tables::Spd>());
    return {};
}

/// While both configurations are about: the sources that either protects, the bypasses of both.
Result<void> Gateway::Inside::prepare_boundary(const Desired& wanted) {
    BypassPrefixes bypass = bypass_prefixes(wanted);
    const BypassPrefixes bypass_now = bypass_prefixes(desired);
    join(bypass.sources, bypass_now.sources);
    join(bypass.destinations, bypass_now.destinations);
    EgressPrefixes egress = egress_prefixes(wanted);
    const EgressPrefixes egress_now = egress_prefixes(desired);
    join(egress.sources, egress_now.sources);

    xdp::SharedMaps& all = shared_maps();
    if (auto set = all.set_protected_sources(join_protected(protected_sources(wanted), protected_sources(desired))); !set) return set;
    if (auto set = all.set_bypass(bypass.sources, bypass.destinations); !set) return set;
    if (auto set = all.set_egress(join_protected(egress.destinations, egress_now.destinations), egress.sources); !set) return set;
    return all.set_ike_peers(ike_peers(wanted));
}

void Gateway::Inside::settle_boundary() {
    if (auto set = fill_maps(desired); !set) note(Level::error, set.error());
}

} // namespace sallyport::control
