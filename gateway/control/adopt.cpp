// SPDX-License-Identifier: Apache-2.0
// What the process before left of its SAs and negotiated policies: they go on, the SAs with their keys, numbers, windows and counters.
#include "gateway/control/keying_inside.hpp"

#include <algorithm>
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
bool Gateway::Inside::goes_on(const SaSpec& sa) {
    const bool named = std::ranges::any_of(desired.sas, [&](const SaSpec& wanted) { return wanted.name == sa.name; });
    if (sa.generation != 0) {
        if (!named && knows(desired, sa.outer_vpn) && knows(desired, sa.red_vpn)) return true;
        note(Level::error, "An SA of the gateway before this one cannot go on: the configuration has its connection or has its VPN no more",
             sa.name);
        return false;
    }
    const SaName name = store::name_of(sa);
    const auto at = std::ranges::find_if(desired.sas, [&](const SaSpec& wanted) { return store::name_of(wanted) == name; });
    return at != desired.sas.end() && same(*at, sa) && prints.at(name) == state::fingerprint_of(sa);
}

/// Those of `wanted` that go on are taken out of it.
void Gateway::Inside::adopt(store::AllLeft left, std::vector<SaSpec>& wanted) {
    std::vector<store::SecretTable::Record> discarded;
    std::vector<const store::Sa*> negotiated;
    std::size_t count = 0;
    for (store::Left& one : left.sas) {
        const SaName name = store::name_of(one.spec);
        const store::SecretTable::Record record = one.record;
        const bool configured = one.spec.generation == 0;
        if (!goes_on(one.spec)) {
            discarded.push_back(record);
            continue;
        }
        if (!configured && one.spec.owner >= static_cast<int>(ports->queues())) one.spec.owner = -1;
        keying->generation = std::max(keying->generation, one.spec.generation);
        store::Transaction transaction;
        transaction.adopt.push_back(std::move(one));
        const auto applied = store->apply(transaction);
        if (!applied) {
            discarded.push_back(record);
            if (!configured) // what the configuration wants is tried again, and said then
                note(Level::error, "An SA of the gateway before this one cannot go on: " + applied.error().sentence, name.name,
                     applied.error().remedy);
            continue;
        }
        into_tables(*applied);
        ++count;
        if (configured)
            std::erase_if(wanted, [&](const SaSpec& sa) { return store::name_of(sa) == name; });
        else
            negotiated.push_back(applied->added[0]);
    }
    std::ranges::sort(negotiated, {}, [](const store::Sa* sa) { return store::name_of(sa->spec); });
    keying->children.take_over(negotiated);
    keying->adopt(std::move(left.policies), discarded);
    store->discard(discarded);
    boundary = boundary_of(keying->joined(desired, keying->policies, nullptr));
    settle_boundary();
    if (count != 0) note(Level::information, std::to_string(count) + " SAs of the gateway before this one go on");
}

void Keying::Inside::adopt(std::vector<store::LeftPolicy> left, std::vector<store::SecretTable::Record>& discarded) {
    for (store::LeftPolicy& policy : left) {
        const bool taken = std::ranges::any_of(gateway.desired.policies, [&](const PolicySpec& one) { return one.name == policy.spec.name; });
        if (taken || !knows(gateway.desired, policy.spec.vpn)) {
            gateway.note(Level::error, "A negotiated policy cannot go on: the configuration has its name, or has its VPN no more",
                         policy.spec.name);
            discarded.push_back(policy.record);
            continue;
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
