// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/informational.hpp"

#include "gateway/wire/octets.hpp"
#include "ike/exchange/child.hpp"
#include "ike/exchange/exchanges.hpp"
#include "ike/extension/extensions.hpp"

#include <algorithm>
#include <ranges>

namespace sallyport::ike::simulation {
namespace {

exchange::Nonces nonces() { return {std::vector<std::uint8_t>(32, 1), std::vector<std::uint8_t>(32, 2)}; }

Writer widened(const Writer& answer) {
    const Contents contents = *parse_contents(*parse_chain(answer.first(), answer.octets()));
    Writer wide;
    wide.sa(contents.sa);
    const std::array everything{selector("0.0.0.0/0")};
    wide.ts(PayloadType::traffic_selector_initiator, everything);
    wide.ts(PayloadType::traffic_selector_responder, everything);
    return wide;
}

template <bool beyond>
Task<Answer> respond_further(Context context, const Received& request) {
    Answer answer;
    (void)co_await exchange::answer_child(context, *context.sa.connection, request, answer.payloads, nonces());
    if (beyond) answer.payloads = widened(answer.payloads);
    co_return answer;
}

Task<> connect_with_all_children(Context context) {
    co_await exchange::connect(context);
    const ConnectionPointer connection = context.sa.connection;
    for (const ChildPolicy& policy : connection->children | std::views::drop(1)) {
        if (context.sa.state != IkeState::established) co_return;
        Writer request;
        std::optional<exchange::ChildOffer> offer = exchange::offer_child(context, policy, request);
        if (!offer) co_return;
        const Reply reply = co_await context.ask(further_child, request);
        if (!reply) co_return;
        if (const Verdict made = co_await exchange::conclude_child(context, *std::move(offer), *reply, nonces()); !made)
            context.tell(Event::Kind::failed, made.error().sentence);
    }
}

std::vector<Exchange> exchanges_with(Task<Answer> (*respond)(Context, const Received&)) {
    std::vector<Exchange> all(exchange::exchanges.begin(), exchange::exchanges.end());
    all.push_back({further_child, "FURTHER CHILD", {}, {}, in(IkeState::established), respond});
    return all;
}

} // namespace

Registry with_further_children(bool beyond) {
    static const std::vector<Exchange> good = exchanges_with(respond_further<false>), wide = exchanges_with(respond_further<true>);
    Registry registry = product();
    registry.exchanges = beyond ? wide : good;
    registry.connect = connect_with_all_children;
    return registry;
}

Connection three_children(std::size_t own) {
    Connection all = connection(own);
    all.children[0].name = "first";
    for (const std::string number : {"3", "4"}) {
        ChildPolicy child = all.children[0];
        const std::array networks{"10." + number + "1.0.0/16", "10." + number + "2.0.0/16"};
        child.local = {selector(networks[own])};
        child.remote = {selector(networks[1 - own])};
        child.name = number == "3" ? "second" : "third";
        all.children.push_back(std::move(child));
    }
    Proposal ah{.protocol = ProtocolId::ah, .transforms = transforms_of(Algorithm::null_hmac_sha2_256_128, SaProtocol::ah)};
    ah.transforms.push_back({TransformType::sequence_numbers, sequence_extended});
    all.children[2].proposals = {std::move(ah)};
    return all;
}

namespace {

void read(const Delete& payload, Spoken& to) {
    if (payload.protocol == ProtocolId::ike) to.ike = true;
    if (payload.spi_size != 4) return;
    for (std::size_t at = 0; at < payload.spis.size(); at += 4)
        (payload.protocol == ProtocolId::esp ? to.esp : to.ah).push_back(wire::load32(payload.spis.data() + at));
}

} // namespace

Informational::Informational(const Settings& settings, bool beyond) : world(settings, with_further_children(beyond), 41) {
    world.watch = [this](std::size_t from, Datagram& datagram) {
        if (parse_header(datagram.octets)->exchange == ExchangeType::ike_sa_init) return Fate::deliver;
        const Spoken said = understood(from, datagram);
        if (up) spoken.push_back(said);
        return judge ? judge(said) : Fate::deliver;
    };
    world.side(0).engine.set_connections({shared(three_children(0))});
    world.side(1).engine.set_connections({shared(three_children(1))});
}

void Informational::come_up(std::size_t children) {
    own[0] = world.start(0, world.side(0).engine.connections().front());
    world.run(2000);
    ASSERT_TRUE(only_sa(world.side(0)) != nullptr && only_sa(world.side(1)) != nullptr) << told(0) << told(1);
    own[1] = only_sa(world.side(1))->own_spi;
    ASSERT_EQ(sa(0).children.size(), children) << told(0) << told(1);
    ASSERT_TRUE(children == 0 || passes_both_ways(gateway(0), gateway(1)));
    up = true;
}

void Informational::expect_children(const std::vector<std::string>& wanted) {
    for (const std::size_t which : {0U, 1U}) {
        EXPECT_EQ(names(which), wanted) << which;
        EXPECT_EQ(gateway(which).inbound.size(), wanted.size()) << which;
        EXPECT_EQ(gateway(which).outbound.size(), wanted.size()) << which;
        EXPECT_TRUE(gateway(which).draining.empty()) << which;
        EXPECT_TRUE(std::ranges::equal(gateway(which).policies | std::views::keys, wanted)) << which;
    }
    EXPECT_TRUE(wanted.empty() || passes_both_ways(gateway(0), gateway(1)));
}

Spoken Informational::ask(const Writer& payloads, ExchangeType exchange) {
    const std::size_t before = spoken.size();
    auto judged = std::exchange(judge,
                                [](const Spoken& said) { return said.from == 1 && said.header.response ? Fate::lose : Fate::deliver; });
    world.inject(1, protected_by(sa(0), exchange, sa(1).expected, false, payloads));
    world.run(50);
    judge = std::move(judged);
    for (const Spoken& said : spoken | std::views::drop(before))
        if (said.from == 1 && said.header.response) return said;
    ADD_FAILURE() << "no answer";
    return {};
}

std::uint32_t Informational::spi(std::size_t which, std::string_view name) {
    const auto found = std::ranges::find(sa(which).children, name, &ChildSa::name);
    return found != sa(which).children.end() ? found->spi_in : 0;
}

std::vector<std::string> Informational::names(std::size_t which) {
    std::vector<std::string> all;
    for (const ChildSa& child : sa(which).children) all.push_back(child.name);
    std::ranges::sort(all);
    return all;
}

std::string Informational::told(std::size_t which) {
    std::string text;
    for (const Event& event : world.side(which).events) text += event.sentence + "\n";
    return text;
}

std::vector<Spoken> Informational::said(std::size_t from, bool response) {
    std::vector<Spoken> all;
    for (const Spoken& one : spoken)
        if (one.from == from && one.header.response == response) all.push_back(one);
    return all;
}

/// By the keys of whichever side still has them.
Spoken Informational::understood(std::size_t from, const Datagram& datagram) {
    Spoken said{.from = from, .at = world.now(), .header = *parse_header(datagram.octets), .datagram = datagram};
    if (!up) return said;
    const IkeSa* sender = world.side(from).engine.find(own[from]);
    const IkeSa* receiver = world.side(1 - from).engine.find(own[1 - from]);
    if (sender == nullptr && receiver == nullptr) return said;
    const IkeSa& keeper = sender != nullptr ? *sender : *receiver;
    Message opened = datagram.octets;
    const auto plain = open(keeper.suite.protection, sender != nullptr ? keeper.outbound() : keeper.inbound(), opened,
                            header_size + payload_header_size);
    if (!plain) return said;
    const Parsed<Chain> chain = parse_chain(static_cast<PayloadType>(datagram.octets[header_size]), *plain);
    if (!chain) return said;
    const Contents contents = parse_contents(*chain).value_or(Contents{});
    said.payloads = chain->payloads.size();
    for (const Delete& payload : contents.deletes) simulation::read(payload, said);
    for (const Notify& notify : contents.notifies) said.notifies.push_back(notify.type);
    return said;
}

Writer deletion(ProtocolId protocol, const Spis& spis) {
    std::vector<std::uint8_t> octets(spis.size() * 4);
    for (std::size_t i = 0; i < spis.size(); ++i) wire::store32(octets.data() + i * 4, spis[i]);
    Writer payloads;
    payloads.erase(protocol, protocol == ProtocolId::ike ? 0 : 4, octets);
    return payloads;
}

} // namespace sallyport::ike::simulation
