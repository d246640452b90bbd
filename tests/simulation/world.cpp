// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/world.hpp"

#include "ike/exchange/exchanges.hpp"
#include "ike/extension/extensions.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace sallyport::ike::simulation {

World::World(const Settings& settings, const Registry& registry, std::uint64_t seed, Weather weather) : random_(seed), weather_(weather) {
    for (std::size_t which = 0; which < sides_.size(); ++which) {
        sides_[which] = std::make_unique<Side>(settings, registry, seed * 2 + which);
        sides_[which]->gateway.next_spi = which == 0 ? 0x1000 : 0x2000;
        std::vector<std::uint32_t> spis;
        for (unsigned i = 0; i < 8; ++i) spis.push_back(sides_[which]->gateway.next_spi++);
        sides_[which]->engine.stock(spis);
    }
}

Spi World::start(std::size_t which, const ConnectionPointer& connection) {
    const Spi own = side(which).engine.start(connection, now_);
    collect(which);
    return own;
}

void World::close(std::size_t which, Spi own_spi) {
    side(which).engine.close(own_spi, now_);
    collect(which);
}

void World::close_child(std::size_t which, Spi own_spi, std::uint32_t spi_in) {
    side(which).engine.close_child(own_spi, spi_in, now_);
    collect(which);
}

void World::forget(std::size_t which, Spi own_spi) {
    side(which).engine.forget(own_spi);
    collect(which);
}

void World::inject(std::size_t to, Datagram datagram) {
    side(to).engine.receive(std::move(datagram), now_);
    collect(to);
}

void World::carry(std::size_t from, Datagram datagram) {
    if (watch && watch(from, datagram) == Fate::lose) return;
    std::swap(datagram.path.local, datagram.path.remote);
    for (unsigned copies = random_.chance(weather_.duplicates) ? 2 : 1; copies != 0; --copies) {
        if (random_.chance(weather_.loss)) continue;
        later(weather_.delay + random_.up_to(weather_.spread), Arrival{1 - from, datagram});
    }
}

namespace {

using Sas = std::map<std::uint32_t, SaSpec>;

Sas::iterator find(Sas& sas, std::string_view name, std::uint32_t child) {
    return std::ranges::find_if(sas, [&](const auto& entry) { return entry.second.name == name && entry.second.child == child; });
}

std::unexpected<Error> wrong(Gateway& gateway, const char* sentence) {
    ++gateway.wrong;
    return std::unexpected(Error{ErrorCode::conflict, sentence});
}

} // namespace

/// All or nothing, and refused is what the gateway's control would refuse.
Result<void> World::apply(std::size_t which, const record::Changes& changes) {
    if (side(which).gateway.refuses) return std::unexpected(Error{ErrorCode::refused, "it refuses everything"});
    Gateway& before = side(which).gateway;
    Gateway gateway = before;
    for (const SaSpec& sa : changes.install) {
        const bool inbound = sa.direction == Direction::inbound;
        if (inbound && !gateway.used.insert(sa.spi).second) return wrong(before, "the SPI was used before");
        Sas& sas = inbound ? gateway.inbound : gateway.outbound;
        if (find(sas, sa.name, sa.child) != sas.end() || find(gateway.draining, sa.name, sa.child) != gateway.draining.end())
            return wrong(before, "the child has this SA already");
        sas[sa.spi] = sa;
    }
    for (const Direction direction : {Direction::outbound, Direction::inbound})
        for (const record::Removal& removal : changes.remove) {
            if (removal.direction != direction) continue;
            Sas& sas = direction == Direction::inbound ? gateway.inbound : gateway.outbound;
            const auto found = find(sas, removal.name, removal.child);
            if (found == sas.end()) return wrong(before, "there is no such SA");
            if (direction == Direction::inbound && find(gateway.outbound, removal.name, removal.child) != gateway.outbound.end())
                return wrong(before, "the child still sends");
            if (removal.drain != 0) {
                gateway.draining.insert(*found);
                later(removal.drain, Drained{which, found->first});
            }
            sas.erase(found);
        }
    for (const PolicySpec& policy : changes.policies) gateway.policies[policy.name] = policy;
    for (const std::string& name : changes.remove_policies)
        if (gateway.policies.erase(name) == 0) return wrong(before, "there is no such policy");
    before = std::move(gateway);
    return {};
}

void World::collect(std::size_t which) {
    Side& own = side(which);
    Outputs outputs = own.engine.take();
    for (Datagram& datagram : outputs.datagrams) carry(which, std::move(datagram));
    for (std::unique_ptr<Job>& job : outputs.jobs) later(random_.up_to(weather_.computing), Computed{which, std::move(job)});
    for (const Keying& keying : outputs.keying)
        later(random_.up_to(weather_.computing), Installed{which, keying.id, apply(which, keying.changes)});
    own.events.insert(own.events.end(), outputs.events.begin(), outputs.events.end());
    if (outputs.spis_wanted == 0) return;
    std::vector<std::uint32_t> spis;
    for (std::size_t i = 0; i < outputs.spis_wanted; ++i) spis.push_back(own.gateway.next_spi++);
    own.engine.stock(spis);
}

void World::happen(Happening happening) {
    std::size_t which = 0;
    if (auto* arrival = std::get_if<Arrival>(&happening)) {
        which = arrival->to;
        side(which).engine.receive(std::move(arrival->datagram), now_);
    } else if (auto* computed = std::get_if<Computed>(&happening)) {
        which = computed->side;
        computed->job->run();
        side(which).engine.finished(std::move(computed->job), now_);
    } else if (const auto* drained = std::get_if<Drained>(&happening)) {
        side(drained->side).gateway.draining.erase(drained->spi);
        return;
    } else {
        auto& installed = std::get<Installed>(happening);
        which = installed.side;
        side(which).engine.keyed(installed.id, std::move(installed.result), now_);
    }
    collect(which);
}

/// The next thing before `until`: of the network, or of an engine's timers.
bool World::step(Time until) {
    Time next = happenings_.empty() ? until + 1 : happenings_.begin()->first.first;
    std::optional<std::size_t> timer;
    for (std::size_t which = 0; which < sides_.size(); ++which)
        if (const std::optional<Time> due = side(which).engine.next(); due && *due < next) {
            next = *due;
            timer = which;
        }
    if (next > until) return false;
    now_ = std::max(now_, next);
    if (timer) {
        side(*timer).engine.tick(now_);
        collect(*timer);
    } else {
        auto first = happenings_.extract(happenings_.begin());
        happen(std::move(first.mapped()));
    }
    return true;
}

void World::run(Time milliseconds) {
    const Time until = now_ + milliseconds;
    while (step(until)) {
    }
    now_ = until;
}

void World::settle(Time most) {
    const Time until = now_ + most;
    while (!happenings_.empty() && step(until)) {
    }
}

Registry product() {
    using namespace exchange;
    return {exchanges, extension::extensions, connect, delete_child, delete_ike_sa, probe};
}

Proposal ike_proposal(std::string_view words) {
    Proposal proposal;
    TransformType next = TransformType::key_exchange;
    while (!words.empty()) {
        const std::string_view word = words.substr(0, words.find(' '));
        words.remove_prefix(std::min(words.size(), word.size() + 1));
        const auto named = [&](const auto& row) { return row.name == word; };
        if (const auto cipher = std::ranges::find_if(encryptions, named); cipher != encryptions.end())
            proposal.transforms.push_back({TransformType::encryption, cipher->id, cipher->key_length});
        else if (const auto prf = std::ranges::find_if(prfs, named); prf != prfs.end())
            proposal.transforms.push_back({TransformType::prf, static_cast<std::uint16_t>(prf->prf)});
        else if (const auto integrity = std::ranges::find_if(integrities, named); integrity != integrities.end())
            proposal.transforms.push_back({TransformType::integrity, integrity->id});
        else if (const kex::Method* method = kex::find(kex::methods(), word)) {
            proposal.transforms.push_back({next, method->id});
            next = next == TransformType::key_exchange ? TransformType::additional_key_exchange_1
                                                       : static_cast<TransformType>(static_cast<unsigned>(next) + 1);
        }
    }
    return proposal;
}

Proposal esp_proposal(Algorithm algorithm) {
    Proposal proposal{.protocol = ProtocolId::esp, .transforms = transforms_of(algorithm, SaProtocol::esp)};
    proposal.transforms.push_back({TransformType::sequence_numbers, sequence_extended});
    proposal.transforms.push_back({TransformType::sequence_numbers, sequence_32_bits});
    return proposal;
}

TrafficSelector selector(std::string_view prefix) { return {0, {}, *parse_range(prefix)}; }

namespace {

Identity fqdn(std::string_view name) { return {IdType::fqdn, {name.begin(), name.end()}}; }

} // namespace

Connection connection(std::size_t own) {
    constexpr std::array names{"a.example.net", "b.example.net"};
    constexpr std::array networks{"10.1.0.0/16", "10.2.0.0/16"};
    constexpr std::string_view key = "sallyport test psk";
    Connection connection;
    connection.name = own == 0 ? "to-b" : "to-a";
    connection.local = own == 0 ? address_a : address_b;
    connection.remote = own == 0 ? address_b : address_a;
    connection.local_id = fqdn(names[own]);
    connection.remote_id = fqdn(names[1 - own]);
    connection.proposals = {ike_proposal("aes-256-gcm prf-hmac-sha2-256 x25519 ml-kem-768"),
                            ike_proposal("aes-256-gcm prf-hmac-sha2-256 x25519")};
    connection.psk = Secret(Octets(reinterpret_cast<const std::uint8_t*>(key.data()), key.size()));
    ChildPolicy child;
    child.name = "child";
    child.local = {selector(networks[own])};
    child.remote = {selector(networks[1 - own])};
    child.proposals = {esp_proposal()};
    connection.children.push_back(std::move(child));
    return connection;
}

ConnectionPointer shared(Connection connection) { return std::make_shared<const Connection>(std::move(connection)); }

namespace {

bool matches(const SaSpec& sending, const SaSpec& receiving) {
    const auto mirrored = [](const Selector& one, const Selector& other) {
        return one.local == other.remote && one.remote == other.local && one.protocol == other.protocol &&
               one.local_ports == other.remote_ports && one.remote_ports == other.local_ports;
    };
    return sending.key.size != 0 && sending.key.size == receiving.key.size && sending.key.octets == receiving.key.octets &&
           sending.algorithm == receiving.algorithm && sending.sequence == receiving.sequence && sending.mode == receiving.mode &&
           sending.outer_local == receiving.outer_remote && sending.outer_remote == receiving.outer_local &&
           std::ranges::equal(sending.selectors, receiving.selectors, mirrored);
}

bool passes(const Gateway& from, const Gateway& to) {
    return !from.outbound.empty() && std::ranges::all_of(from.outbound, [&](const auto& entry) {
        const auto receiving = to.inbound.find(entry.first);
        return receiving != to.inbound.end() && matches(entry.second, receiving->second);
    });
}

} // namespace

bool passes_both_ways(const Gateway& one, const Gateway& other) { return passes(one, other) && passes(other, one); }

Datagram protected_by(const IkeSa& from, ExchangeType exchange, std::uint32_t message_id, bool response, const Inside& inside) {
    static std::uint64_t counter = 1U << 30U; // far from those that the engine has used
    const bool fragment = inside.total != 0;
    const std::size_t body = from.suite.protection.sealed(inside.octets.size()), sk = payload_header_size + (fragment ? 4U : 0U);
    Message message(header_size + sk + body);
    store({.spi_i = from.spi_i(),
           .spi_r = from.spi_r(),
           .first = fragment ? PayloadType::encrypted_fragment : PayloadType::encrypted,
           .exchange = exchange,
           .initiator = from.initiator,
           .response = response,
           .message_id = message_id,
           .length = static_cast<std::uint32_t>(message.size())},
          message.data());
    message[header_size] = static_cast<std::uint8_t>(inside.first);
    wire::store16(message.data() + header_size + 2, static_cast<std::uint16_t>(sk + body));
    if (fragment) {
        wire::store16(message.data() + header_size + 4, inside.number);
        wire::store16(message.data() + header_size + 6, inside.total);
    }
    if (!seal(from.suite.protection, from.outbound(), ++counter, inside.octets, message)) std::abort();
    return {{from.path.remote, from.path.local, from.path.vpn}, std::move(message)};
}

Datagram protected_by(const IkeSa& from, ExchangeType exchange, std::uint32_t message_id, bool response, const Writer& payloads) {
    return protected_by(from, exchange, message_id, response, Inside{payloads.first(), payloads.octets()});
}

bool nothing_left(const Side& side) {
    const Engine::Load left = side.engine.load();
    return left.sas + left.half_open + left.flows + left.timers + left.keying == 0 && side.gateway.empty();
}

const IkeSa* only_sa(const Side& side) { return side.engine.sas().size() == 1 ? side.engine.sas().begin()->second.get() : nullptr; }

} // namespace sallyport::ike::simulation
