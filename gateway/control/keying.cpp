// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/keying.hpp"

#include "gateway/control/keying_inside.hpp"

#include <algorithm>
#include <set>
#include <unordered_set>
#include <utility>

namespace sallyport::control {

namespace {

constexpr std::size_t most_held = std::size_t{256} << 20; // octets of one caller
constexpr std::size_t most_told = 8;                      // packets on reserved SPIs, each second
constexpr std::uint32_t top_bit = 0x80000000;

Error wrong(ErrorCode code, const char* field, std::string sentence, std::string remedy = {}) {
    return {code, std::move(sentence), field, std::move(remedy)};
}

Error placed(Error error, const char* list, std::size_t index) {
    error.place = std::string(list) + "[" + std::to_string(index) + "] " + error.place;
    return error;
}

Error taken_name(const char* field, const char* what) {
    return wrong(ErrorCode::conflict, field, std::string("the configuration has a ") + what + " of this name", "choose another name");
}

std::string hexadecimal(std::uint32_t spi) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text = "0x";
    for (int shift = 28; shift >= 0; shift -= 4) text += digits[spi >> shift & 15];
    return text;
}

void append(record::Changes& all, record::Changes more) {
    const auto move_to = [](auto& to, auto& from) {
        if (to.empty() && to.capacity() < from.size())
            to = std::move(from);
        else
            std::ranges::move(from, std::back_inserter(to));
    };
    move_to(all.install, more.install);
    move_to(all.update, more.update);
    move_to(all.remove, more.remove);
    move_to(all.policies, more.policies);
    move_to(all.remove_policies, more.remove_policies);
}

} // namespace

Result<void> Keying::install(Caller caller, const KeyingCall& call, int memfd) {
    Inside& in = inside_;
    Inside::Held& held = in.held[caller];
    if (held.refused && held.generation != call.generation) held.refused = false;
    if (held.calls.empty() && !held.refused) held.generation = call.generation;
    Result<void> done = in.take(held, call, memfd);
    if (done && !call.hold) done = in.bring_about(held);
    wipe_stack();
    if (done && call.hold) return {};
    if (!done && call.hold) {
        held.calls.clear();
        held.refused = true;
        held.generation = call.generation;
    } else {
        in.held.erase(caller);
    }
    return done;
}

Result<void> Keying::commit(Caller caller, std::uint64_t generation) {
    const auto at = inside_.held.find(caller);
    if (at == inside_.held.end() || at->second.generation != generation)
        return std::unexpected(wrong(ErrorCode::missing, "generation", "nothing of this generation is held for this connection"));
    const Inside::Held held = std::move(at->second);
    inside_.held.erase(at);
    if (held.refused)
        return std::unexpected(wrong(ErrorCode::refused, "generation", "a call of this generation was refused: nothing of it is in force"));
    Result<void> done = inside_.bring_about(held);
    wipe_stack();
    return done;
}

void Keying::leave(Caller caller) { inside_.held.erase(caller); }

std::uint64_t Keying::generation() const { return inside_.generation; }

Result<std::vector<std::uint32_t>> Keying::reserve_spis(std::uint32_t count, std::uint32_t block) {
    return inside_.gateway.spis->reserve(count, block, milliseconds());
}

std::size_t Keying::release_spis(std::span<const std::uint32_t> spis) { return inside_.gateway.spis->release(spis); }

Result<void> Keying::add_ike_spis(std::span<const std::uint64_t> spis, std::uint64_t owner) {
    if (auto added = inside_.ike_spis.add(spis, owner); !added) return added;
    if (inside_.gateway.courier) inside_.gateway.courier->know(spis);
    return {};
}

std::size_t Keying::remove_ike_spis(std::span<const std::uint64_t> spis) {
    if (inside_.gateway.courier) inside_.gateway.courier->forget(spis);
    return inside_.ike_spis.remove(spis);
}

const store::IkeSpis& Keying::ike_spis() const { return inside_.ike_spis; }

/// Copies what is handed over and looks at all of it; the copy is kept, for its keys lie in locked memory there.
Result<void> Keying::Inside::take(Held& to, const KeyingCall& call, int memfd) {
    auto records = HandedRecords::take(memfd, record::largest_call);
    if (!records) return std::unexpected(std::move(records.error()));
    if (to.refused) return std::unexpected(wrong(ErrorCode::refused, "generation", "an earlier call of this generation was refused"));
    if (to.generation != call.generation)
        return std::unexpected(wrong(ErrorCode::conflict, "generation", "another generation is held and not committed"));
    if (call.generation <= generation)
        return std::unexpected(wrong(ErrorCode::conflict, "generation",
                                     "generation " + std::to_string(generation) + " is in force: the next one is higher",
                                     "ask Status for keyGeneration"));
    if (call.version != record::version)
        return std::unexpected(wrong(ErrorCode::unsupported, "version", "records are of version " + std::to_string(record::version)));
    std::size_t octets = records->octets().size();
    for (const HandedRecords& one : to.calls) octets += one.octets().size();
    if (octets > most_held) return std::unexpected(wrong(ErrorCode::exhausted, "hold", "more than 256 MiB are held", "commit more often"));
    auto changes = record::decode(records->octets());
    if (!changes) return std::unexpected(std::move(changes.error()));
    if (changes->sas() + changes->policies.size() + changes->remove_policies.size() != call.count)
        return std::unexpected(wrong(ErrorCode::invalid, "count", "the records are more or fewer than the call says"));
    to.calls.push_back(std::move(*records));
    return {};
}

Result<void> Keying::Inside::bring_about(const Held& from) {
    std::vector<record::Changes> parts;
    std::size_t installs = 0;
    for (const HandedRecords& one : from.calls) {
        auto changes = record::decode(one.octets());
        if (!changes) return std::unexpected(std::move(changes.error()));
        installs += changes->install.size();
        parts.push_back(std::move(*changes));
    }
    record::Changes all;
    if (parts.size() > 1) all.install.reserve(installs);
    for (record::Changes& one : parts) append(all, std::move(one));
    return bring_about(std::move(all), from.generation);
}

Result<void> Keying::Inside::bring_about(record::Changes changes, std::uint64_t new_generation) {
    if (gateway.pending)
        return std::unexpected(wrong(ErrorCode::conflict, "generation", "a configuration is being brought about", "try again"));
    if (auto good = check(changes); !good) return good;
    auto plan = children.plan(changes);
    if (!plan) return std::unexpected(std::move(plan.error()));
    const bool other_policies = !changes.policies.empty() || !changes.remove_policies.empty();
    std::optional<Error> error;
    std::vector<PolicySpec> next = other_policies ? policies_after(changes, error) : std::vector<PolicySpec>{};
    if (error) return std::unexpected(std::move(*error));
    const std::vector<PolicySpec>& then = other_policies ? next : policies;

    for (auto* list : {&changes.install, &changes.update})
        for (SaSpec& sa : *list) {
            sa.generation = new_generation;
            const store::Sa* before = gateway.store->find(sa.name, sa.direction, sa.child);
            sa.begun = before != nullptr ? before->spec().begun : boot_seconds();
        }
    std::optional<Boundary> boundary;
    if (other_policies || (plan->ways_changed && !then.empty())) boundary = boundary_of(joined(gateway.desired, then, &*plan));
    std::optional<Gateway::Inside::Rules> rules;
    // Where policies overlap, the SPD must know every SA that opens.
    const bool ordered = gateway.spd->read().any_ordered() && !changes.install.empty();
    if (other_policies || plan->senders_changed || ordered) rules.emplace(gateway.desired.policies, then, &*plan);
    auto change = gateway.prepare_change({std::move(changes.install), std::move(changes.update), std::move(plan->remove)}, rules,
                                         std::move(boundary));
    if (!change) return std::unexpected(std::move(change.error()));
    if (auto staged = stage_policies(changes); !staged) {
        gateway.abandon_change(std::move(*change));
        return staged;
    }

    const std::uint64_t now = milliseconds();
    for (auto& drain : plan->drain) drains.emplace(now + drain.milliseconds, std::move(drain.name));
    children.commit(std::move(*plan));
    gateway.take_acquires(); // by the names of now
    if (other_policies) policies = std::move(next);
    generation = new_generation;
    gateway.commit_change(std::move(*change));
    return {};
}

void Keying::Inside::tick(std::uint64_t now) {
    end_drains(now);
    gateway.spis->expire(now);
    const std::vector<std::uint32_t> met = gateway.sad->reserved().take_met();
    for (std::size_t i = 0; i < std::min(met.size(), most_told); ++i)
        gateway.note(Level::information, "A packet came for the SPI " + hexadecimal(met[i]) + ", which is reserved and not yet installed",
                     {}, "nothing, if keys are being negotiated: the peer was quicker");
    if (met.size() > most_told)
        gateway.note(Level::information, "Packets came for " + std::to_string(met.size() - most_told) + " more reserved SPIs");
}

void Keying::Inside::end_drains(std::uint64_t now) {
    record::Changes changes;
    for (; !drains.empty() && drains.begin()->first <= now; drains.erase(drains.begin())) {
        const store::SaName& name = drains.begin()->second;
        // It may have been removed, and come again, before its time.
        if (children.state(name.name, name.child) == ChildState::inbound_drained)
            changes.remove.push_back({.name = name.name, .direction = Direction::inbound, .child = name.child, .drain = 0});
    }
    if (changes.remove.empty()) return;
    if (auto done = bring_about(std::move(changes), generation); !done) gateway.note(Level::error, done.error());
}

Result<void> Keying::Inside::check_configuration(const Desired& wanted) const {
    for (const SaSpec& sa : wanted.sas)
        if (children.has(sa.name))
            return std::unexpected(Error{ErrorCode::conflict, "A connection of this name has negotiated keys", sa.name,
                                         "choose another name, or end the other connection"});
    std::set<std::string_view> names;
    for (const PolicySpec& policy : policies) names.insert(policy.name);
    for (const PolicySpec& policy : wanted.policies)
        if (names.contains(policy.name))
            return std::unexpected(Error{ErrorCode::conflict, "A negotiated policy has this name", policy.name, "choose another name"});
    return {};
}

Result<void> Keying::Inside::check(const record::Changes& changes) const {
    std::unordered_set<std::string_view> connections, names;
    for (const SaSpec& sa : gateway.desired.sas) connections.insert(sa.name);
    for (const PolicySpec& policy : gateway.desired.policies) names.insert(policy.name);
    std::unordered_set<VpnNumber> vpns;
    for (const VpnSpec& vpn : gateway.desired.vpns) vpns.insert(vpn.number);
    const auto check_sa = [&](const SaSpec& sa, bool fresh) -> std::optional<Error> {
        if (connections.contains(sa.name)) return taken_name("name", "connection");
        if (sa.manual) return wrong(ErrorCode::invalid, "manual", "an SA with durable marks is one of the configuration");
        if (sa.generation != 0) return wrong(ErrorCode::invalid, "generation", "the generation is that of the call: 0");
        if (!vpns.contains(sa.outer_vpn)) return wrong(ErrorCode::missing, "outer_vpn", "there is no such VPN");
        if (!vpns.contains(sa.red_vpn)) return wrong(ErrorCode::missing, "red_vpn", "there is no such VPN");
        if (sa.direction == Direction::outbound || !fresh) return std::nullopt;
        if ((sa.spi & top_bit) != 0)
            return wrong(ErrorCode::invalid, "spi", "an SPI of ours has its top bit clear", "take one by ReserveSpis");
        if (!gateway.spis->may_install(sa.spi))
            return wrong(ErrorCode::conflict, "spi", "the SPI is in use or half closed", "take one by ReserveSpis");
        return std::nullopt;
    };
    for (const auto& [list, sas] : {std::pair{"install", &changes.install}, std::pair{"update", &changes.update}})
        for (std::size_t i = 0; i < sas->size(); ++i)
            if (auto error = check_sa((*sas)[i], sas == &changes.install)) return std::unexpected(placed(std::move(*error), list, i));
    for (std::size_t i = 0; i < changes.policies.size(); ++i) {
        const PolicySpec& policy = changes.policies[i];
        if (names.contains(policy.name)) return std::unexpected(placed(taken_name("name", "policy"), "policy", i));
        if (!vpns.contains(policy.vpn))
            return std::unexpected(placed(wrong(ErrorCode::missing, "vpn", "there is no such VPN"), "policy", i));
    }
    return {};
}

/// One of a name that is there takes its place in the order.
std::vector<PolicySpec> Keying::Inside::policies_after(record::Changes& changes, std::optional<Error>& error) const {
    std::vector<PolicySpec> result = policies;
    std::map<std::string, std::size_t, std::less<>> places;
    for (std::size_t i = 0; i < result.size(); ++i) places.emplace(result[i].name, i);
    std::unordered_set<std::string_view> met;
    std::set<std::size_t> gone;
    for (std::size_t i = 0; i < changes.remove_policies.size() && !error; ++i) {
        const std::string& name = changes.remove_policies[i];
        const auto at = places.find(name);
        if (!met.insert(name).second)
            error = placed(wrong(ErrorCode::conflict, "name", "the transaction names it twice"), "remove-policy", i);
        else if (at == places.end())
            error = placed(wrong(ErrorCode::missing, "name", "there is no such policy"), "remove-policy", i);
        else
            gone.insert(at->second);
    }
    std::vector<PolicySpec> fresh;
    for (std::size_t i = 0; i < changes.policies.size() && !error; ++i) {
        const PolicySpec& policy = changes.policies[i];
        if (!met.insert(policy.name).second) {
            error = placed(wrong(ErrorCode::conflict, "name", "the transaction names it twice"), "policy", i);
        } else if (const auto at = places.find(policy.name); at != places.end()) {
            result[at->second] = policy;
        } else {
            fresh.push_back(policy);
        }
    }
    std::vector<PolicySpec> kept;
    kept.reserve(result.size() + fresh.size());
    for (std::size_t i = 0; i < result.size(); ++i)
        if (!gone.contains(i)) kept.push_back(std::move(result[i]));
    std::ranges::move(fresh, std::back_inserter(kept));
    return kept;
}

Desired Keying::Inside::joined(const Desired& configured, const std::vector<PolicySpec>& more, const Children::Plan* plan) const {
    Desired result;
    result.ports = configured.ports;
    result.ike = configured.ike;
    result.policies = configured.policies;
    result.policies.insert(result.policies.end(), more.begin(), more.end());
    for (const SaSpec& sa : configured.sas) {
        SaSpec& way = result.sas.emplace_back();
        way.name = sa.name;
        way.outer_vpn = sa.outer_vpn;
    }
    std::unordered_set<std::string_view> met;
    for (const PolicySpec& policy : result.policies) {
        if (policy.action != PolicyAction::protect || !met.insert(policy.sa).second) continue;
        if (const auto vpn = children.outer_vpn(policy.sa, plan)) {
            SaSpec& way = result.sas.emplace_back();
            way.name = policy.sa;
            way.outer_vpn = *vpn;
        }
    }
    return result;
}

} // namespace sallyport::control
