// SPDX-License-Identifier: Apache-2.0
#include "ike/exchange/child.hpp"
#include "ike/exchange/exchanges.hpp"

#include "ike/crypto/keys.hpp"
#include "ike/exchange/seam.hpp"
#include "ike/selector/narrow.hpp"

#include "gateway/wire/octets.hpp"

#include <algorithm>
#include <cstring>

namespace sallyport::ike::exchange {
namespace {

constexpr std::uint16_t nat_keepalive = 20; // seconds (RFC 3948 4)
constexpr std::uint32_t smallest_spi = 256; // what is below is reserved (RFC 4303 2.1)

void put_spi(Proposal& proposal, std::uint32_t spi) {
    proposal.spi_size = 4;
    wire::store32(proposal.spi.data(), spi);
}

/// The peer's SPI; nothing: one that no SA can have.
std::optional<std::uint32_t> spi_of(const Proposal& proposal) {
    if (proposal.spi_size != 4) return std::nullopt;
    const std::uint32_t spi = wire::load32(proposal.spi.data());
    return spi >= smallest_spi ? std::optional(spi) : std::nullopt;
}

/// Numbered, with our SPI, and without key exchanges: in IKE_AUTH there is none (RFC 7296 1.2).
std::vector<Proposal> first_proposals(const ChildPolicy& policy, std::uint32_t spi) {
    std::vector<Proposal> proposals = policy.proposals;
    std::uint8_t number = 0;
    for (Proposal& proposal : proposals) {
        proposal.number = ++number;
        put_spi(proposal, spi);
        std::erase_if(proposal.transforms, [](const Transform& transform) {
            return transform.type == TransformType::key_exchange || is_additional(transform.type);
        });
    }
    return proposals;
}

/// The two SAs of a pair, as the gateway takes them, and the policy that sends by them.
struct Pair {
    SaSpec inbound, outbound;
    PolicySpec policy;
};

SaSpec sa_of(const IkeSa& sa, const ChildPolicy& policy, const ChildSa& child, Direction direction) {
    SaSpec spec;
    spec.name = child.name;
    spec.direction = direction;
    spec.child = child.number;
    spec.spi = direction == Direction::inbound ? child.spi_in : child.spi_out;
    spec.outer_local = sa.path.local.address;
    spec.outer_remote = sa.path.remote.address;
    spec.outer_vpn = sa.path.vpn;
    spec.red_vpn = policy.vpn;
    spec.protocol = child.suite.protocol;
    spec.mode = policy.mode;
    spec.algorithm = child.suite.algorithm;
    spec.sequence = child.suite.sequence;
    spec.window = policy.window;
    spec.selectors = pairs({child.local, child.remote});
    spec.manual = false;
    spec.place = sa.connection->place;
    if (sa.behind_nat || sa.peer_behind_nat) {
        spec.udp_port = sa.path.remote.port;
        if (direction == Direction::outbound && sa.behind_nat) spec.keepalive = nat_keepalive;
        spec.follow = direction == Direction::inbound && sa.peer_behind_nat;
    }
    return spec;
}

/// KEYMAT: what the exchange's initiator sends by comes first, of each the cipher's key before that of integrity (RFC 7296 2.17).
bool put_keys(const IkeSa& sa, const Nonces& nonces, std::span<const Secret> shared, bool initiator, Pair& pair) {
    const std::size_t size = info(pair.inbound.algorithm).material();
    const Secret material = keymat(sa.suite.prf, sa.keys.d(), shared, nonces.ni, nonces.nr, 2 * size);
    if (material.empty()) return false;
    SaSpec& first = initiator ? pair.outbound : pair.inbound;
    SaSpec& second = initiator ? pair.inbound : pair.outbound;
    const auto put = [&](SaSpec& spec, std::size_t at) {
        std::memcpy(spec.key.octets.data(), material.octets().data() + at, size);
        spec.key.size = static_cast<std::uint8_t>(size);
    };
    put(first, 0);
    put(second, size);
    return true;
}

PolicySpec policy_of(const ChildPolicy& policy, const SaSpec& outbound) {
    PolicySpec spec;
    spec.name = policy.name;
    spec.vpn = policy.vpn;
    spec.action = PolicyAction::protect;
    spec.selectors = outbound.selectors;
    spec.sa = policy.name;
    spec.place = outbound.place;
    return spec;
}

/// Gives the pair to the gateway, and the child to the IKE SA.
Task<Verdict> install(Context context, const ChildPolicy& policy, ChildSa child, Nonces nonces, bool initiator) {
    IkeSa& sa = context.sa;
    const std::uint32_t spi_in = child.spi_in;
    child.number = context.new_child_number();
    Pair pair{sa_of(sa, policy, child, Direction::inbound), sa_of(sa, policy, child, Direction::outbound), {}};
    pair.policy = policy_of(policy, pair.outbound);
    if (!put_keys(sa, nonces, {}, initiator, pair)) co_return refuse(NotifyType::temporary_failure, "no memory for secrets is left");
    record::Changes changes;
    changes.install = {std::move(pair.inbound), std::move(pair.outbound)};
    changes.policies = {std::move(pair.policy)};
    context.add_child(std::move(child));
    if (const Result<void> installed = co_await context.install(std::move(changes)); !installed) {
        context.refused(spi_in);
        co_return refuse(NotifyType::no_proposal_chosen, "the gateway refuses the child SA: " + to_string(installed.error()));
    }
    if (const ChildSa* up = context.installed(spi_in))
        context.tell(Event::Kind::child_up, policy.name + ": " + to_string(up->local) + " to " + to_string(up->remote) + ", " +
                                                std::string(info(up->suite.algorithm).name));
    co_return Verdict{};
}

} // namespace

std::optional<ChildOffer> offer_child(const Context& context, const ChildPolicy& policy, Writer& request) {
    const std::optional<std::uint32_t> spi = context.take_spi();
    if (!spi) return std::nullopt;
    ChildOffer offer{&policy, *spi, first_proposals(policy, *spi)};
    request.sa(offer.proposals);
    request.ts(PayloadType::traffic_selector_initiator, policy.local);
    request.ts(PayloadType::traffic_selector_responder, policy.remote);
    return offer;
}

namespace {

constexpr std::size_t most_early = 64; // more than any answer that is on its way can bring

bool deleted_early(const IkeSa& sa, ProtocolId protocol, std::uint32_t spi_out) {
    return std::ranges::contains(sa.early, std::pair(protocol, spi_out));
}

/// What the peer has made of the offer is made here too.
Task<Verdict> take_choice(Context context, const ChildOffer& offer, const Contents& contents, Nonces nonces) {
    const auto failed = [&](std::string sentence) {
        return refuse(NotifyType::no_proposal_chosen, offer.policy->name + ": " + std::move(sentence));
    };
    if (!contents.tsi || !contents.tsr) co_return failed("the peer's answer lacks TSi or TSr");
    if (const auto good = verify(offer.proposals, contents.sa); !good)
        co_return failed("the peer's choice for the child SA cannot be: " + std::string(good.error()));
    const std::optional<ChildSuite> suite = child_suite(contents.sa.front());
    const std::optional<std::uint32_t> spi = spi_of(contents.sa.front());
    if (!suite || !spi) co_return failed("the peer's choice for the child SA cannot be used");
    if (deleted_early(context.sa, contents.sa.front().protocol, *spi)) co_return failed("the peer has deleted it already");
    const SelectorPair agreed{contents.tsi->known, contents.tsr->known};
    if (!within({offer.policy->local, offer.policy->remote}, agreed) || contents.tsi->unknown + contents.tsr->unknown != 0)
        co_return failed("the peer answers with traffic selectors beyond those that were asked for: " + to_string(agreed.local) + " to " +
                         to_string(agreed.remote));
    ChildSa child{offer.policy->name, 0, *suite, offer.spi, *spi, agreed.local, agreed.remote};
    co_return co_await install(context, *offer.policy, std::move(child), std::move(nonces), true);
}

} // namespace

void note_early_delete(IkeSa& sa, ProtocolId protocol, std::uint32_t spi_out) {
    const bool others_at_work = sa.flows.size() > 1;
    if (others_at_work && sa.early.size() < most_early) sa.early.emplace_back(protocol, spi_out);
}

Task<Verdict> conclude_child(Context context, ChildOffer offer, const Received& response, Nonces nonces) {
    const Contents& contents = response.contents;
    const Notify* error = contents.first_error();
    if (error != nullptr || contents.sa.empty()) {
        context.give_back_spi(offer.spi); // the peer has made nothing with it
        co_return refuse(NotifyType::no_proposal_chosen,
                         offer.policy->name + ": " + (error != nullptr ? said(*error) : "the peer's answer has no child SA"));
    }
    Verdict made = co_await take_choice(context, offer, contents, std::move(nonces));
    // The peer believes that it stands (RFC 7296 1.3.1).
    if (!made) (void)co_await ask_delete(context, offer.proposals.front().protocol, offer.spi);
    co_return made;
}

namespace {

/// What the responder makes of an offer: the first policy of the connection of which something is left.
struct Choice {
    const ChildPolicy* policy = nullptr;
    Proposal proposal;
    SelectorPair selectors;
};

std::expected<Choice, Refusal> choose_child(const Connection& connection, const Contents& request) {
    const SelectorPair asked{request.tsr->known, request.tsi->known};
    bool selectors_fit = false;
    for (const ChildPolicy& policy : connection.children) {
        SelectorPair left = narrow({policy.local, policy.remote}, asked);
        if (left.empty()) continue;
        selectors_fit = true;
        std::expected<Proposal, NoChoice> chosen = choose(first_proposals(policy, smallest_spi), request.sa, false);
        if (chosen) return Choice{&policy, *std::move(chosen), std::move(left)};
    }
    if (selectors_fit) return refuse(NotifyType::no_proposal_chosen, "no child SA: the peer offers no proposal that this side takes");
    return refuse(NotifyType::ts_unacceptable, "no child SA: the peer asks for " + to_string(asked.remote) + " to " +
                                                   to_string(asked.local) + ", which is not in the selectors of the connection");
}

} // namespace

Task<Verdict> answer_child(Context context, const Connection& connection, const Received& request, Writer& response, Nonces nonces) {
    const auto failed = [&](Refusal refusal) -> Verdict {
        response.notify(refusal.type, refusal.data);
        return std::unexpected(std::move(refusal));
    };
    std::expected<Choice, Refusal> choice = choose_child(connection, request.contents);
    if (!choice) co_return failed(std::move(choice).error());
    const std::optional<ChildSuite> suite = child_suite(choice->proposal);
    const std::optional<std::uint32_t> peer_spi = spi_of(choice->proposal);
    if (!suite || !peer_spi) co_return failed({NotifyType::no_proposal_chosen, {}, "no child SA: the peer's proposal cannot be used"});
    const std::optional<std::uint32_t> spi = context.take_spi();
    if (!spi) co_return failed({NotifyType::temporary_failure, {}, "no child SA: the gateway has given no SPI yet"});

    put_spi(choice->proposal, *spi);
    ChildSa child{choice->policy->name, 0, *suite, *spi, *peer_spi, choice->selectors.local, choice->selectors.remote};
    Verdict installed = co_await install(context, *choice->policy, std::move(child), std::move(nonces), false);
    if (!installed) {
        context.give_back_spi(*spi);
        co_return failed(std::move(installed).error());
    }
    response.sa({&choice->proposal, 1});
    response.ts(PayloadType::traffic_selector_initiator, choice->selectors.remote);
    response.ts(PayloadType::traffic_selector_responder, choice->selectors.local);
    co_return Verdict{};
}

} // namespace sallyport::ike::exchange
