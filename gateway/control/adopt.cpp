// SPDX-License-Identifier: Apache-2.0
// What the process before left of its SAs and negotiated policies: they go on, the SAs with their keys, numbers, windows and counters.
#include "gateway/control/keying_inside.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

namespace sallyport::control {

namespace {

constexpr const char* kept_name = "sas"; // with the keeper

bool knows(const Desired& desired, VpnNumber vpn) {
    return std::ranges::any_of(desired.vpns, [vpn](const VpnSpec& one) { return one.number == vpn; });
}

} // namespace

/// What the process before left in the secret table, or an empty table where there is none, or none that can be trusted.
Result<store::AllLeft> Gateway::Inside::take_table() {
    if (Descriptor kept = keeper.take(kept_name)) {
        auto adopted = store::SecretTable::adopt(std::move(kept));
        auto loaded = adopted ? store::load_all(**adopted) : std::unexpected(std::move(adopted.error()));
        if (loaded) {
            table = std::move(*adopted);
            return std::move(*loaded);
        }
        note(Level::error, loaded.error());
        if (adopted) (*adopted)->wipe();
    }
    auto made = store::SecretTable::make();
    if (!made) return std::unexpected(std::move(made.error()));
    table = std::move(*made);
    if (!table->secret())
        note(Level::warning, "The kernel gives us no secret memory: keys for the next process lie in ordinary memory, locked while we live",
             {}, "start the kernel with secretmem.enable=1");
    if (auto done = keeper.keep(kept_name, table->descriptor()); !done) note(Level::error, done.error());
    return store::AllLeft{};
}

/// What is wanted and what was left together: what either protects stays protected while the one becomes the other.
Desired Gateway::Inside::with_left(const store::AllLeft& left) const {
    Desired all = desired;
    for (const store::LeftPolicy& policy : left.policies) all.policies.push_back(policy.spec);
    for (const store::Left& sa : left.sas) {
        SaSpec& way = all.sas.emplace_back();
        way.name = sa.spec.name;
        way.outer_vpn = sa.spec.outer_vpn;
    }
    return all;
}

/// One that came by the configuration follows the one of now: it goes on where it is the same there. Others go on as they were.
bool Gateway::Inside::goes_on(const SaSpec& sa, const std::map<SaName, const SaSpec*>& configured) {
    if (sa.generation != 0) {
        const auto first = configured.lower_bound({.name = sa.name});
        const bool named = first != configured.end() && first->first.name == sa.name;
        if (!named && knows(desired, sa.outer_vpn) && knows(desired, sa.red_vpn)) return true;
        note(Level::error, "An SA of the gateway before this one cannot go on: the configuration has its connection, or its VPN no more",
             sa.name);
        return false;
    }
    const auto at = configured.find(store::name_of(sa));
    return at != configured.end() && same(*at->second, sa) && prints.at(at->first) == state::fingerprint_of(sa);
}

/// What it is, without its key; nothing: it could not be.
std::optional<SaSpec> Gateway::Inside::adopt(store::Left one) {
    const std::string name = one.spec.name;
    const bool configured = one.spec.generation == 0;
    if (!configured && one.spec.owner >= static_cast<int>(ports->queues())) one.spec.owner = -1;
    store::Transaction transaction;
    transaction.adopt.push_back(std::move(one));
    auto applied = store->apply(std::move(transaction));
    if (applied) {
        into_tables(*applied);
        return std::move(applied->asked.adopt[0].spec);
    }
    if (!configured) // what the configuration wants is tried again, and said then
        note(Level::error, "An SA of the gateway before this one cannot go on: " + applied.error().sentence, name, applied.error().remedy);
    return std::nullopt;
}

/// Those of `wanted` that go on are taken out of it.
void Gateway::Inside::adopt(store::AllLeft left, std::vector<SaSpec>& wanted) {
    std::map<SaName, const SaSpec*> configured;
    for (const SaSpec& sa : desired.sas) configured.emplace(store::name_of(sa), &sa);
    std::vector<store::SecretTable::Record> discarded;
    std::vector<SaSpec> negotiated;
    std::set<SaName> go_on;
    for (store::Left& one : left.sas) {
        const store::SecretTable::Record record = one.record;
        const std::uint64_t of = one.spec.generation;
        auto sa = goes_on(one.spec, configured) ? adopt(std::move(one)) : std::nullopt;
        if (!sa) {
            discarded.push_back(record);
            continue;
        }
        go_on.insert(store::name_of(*sa));
        if (of != 0) negotiated.push_back(std::move(*sa));
        keying->generation = std::max(keying->generation, of);
    }
    std::erase_if(wanted, [&](const SaSpec& sa) { return go_on.contains(store::name_of(sa)); });
    std::ranges::sort(negotiated, {}, [](const SaSpec& sa) { return std::tie(sa.name, sa.direction, sa.child); });
    keying->children.take_over(negotiated);
    keying->adopt(std::move(left.policies), discarded);
    store->discard(discarded);
    boundary = boundary_of(keying->joined(desired, keying->policies, nullptr));
    settle_boundary();
    if (!go_on.empty()) note(Level::information, std::to_string(go_on.size()) + " SAs of the gateway before this one go on");
}

void Keying::Inside::adopt(std::vector<store::LeftPolicy> left, std::vector<store::SecretTable::Record>& discarded) {
    std::set<std::string_view> configured;
    for (const PolicySpec& policy : gateway.desired.policies) configured.insert(policy.name);
    for (store::LeftPolicy& policy : left) {
        if (configured.contains(policy.spec.name) || !knows(gateway.desired, policy.spec.vpn)) {
            gateway.note(Level::error, "A negotiated policy cannot go on: the configuration has its name, or its VPN no more",
                         policy.spec.name);
            discarded.push_back(policy.record);
            continue;
        }
        if (!store::current(*gateway.table, policy.record)) {
            const auto again = store::stage(*gateway.table, policy.spec, policy.order); // in force with the discarded going
            if (again) discarded.push_back(std::exchange(policy.record, *again));
        }
        lasting.emplace(policy.spec.name, KeptPolicy{policy.order, policy.record});
        last_order = std::max(last_order, policy.order);
        policies.push_back(std::move(policy.spec));
    }
}

/// For the next process, in the transaction that is being prepared. After an error it is to be abandoned.
Result<void> Keying::Inside::stage_policies(const record::Changes& changes) {
    store::SecretTable& table = *gateway.table;
    std::vector<std::pair<std::string, KeptPolicy>> fresh;
    for (const PolicySpec& policy : changes.policies) {
        const auto at = lasting.find(policy.name);
        const std::uint64_t order = at != lasting.end() ? at->second.order : last_order + fresh.size() + 1;
        const auto record = store::stage(table, policy, order);
        if (!record) return std::unexpected(record.error());
        fresh.emplace_back(policy.name, KeptPolicy{order, *record});
    }
    // Nothing fails any more.
    const auto leaves = [&](const std::string& name) {
        if (const auto at = lasting.find(name); at != lasting.end()) table.stage_removal(at->second.record);
        lasting.erase(name);
    };
    for (const std::string& name : changes.remove_policies) leaves(name);
    for (auto& [name, policy] : fresh) {
        leaves(name);
        last_order = std::max(last_order, policy.order);
        lasting.emplace(std::move(name), policy);
    }
    return {};
}

} // namespace sallyport::control
