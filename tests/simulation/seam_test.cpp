// SPDX-License-Identifier: Apache-2.0
// The places where something new comes in: an extension and two exchanges that exist only here take part by their records alone.
#include "tests/simulation/quick_kex.hpp"
#include "tests/simulation/world.hpp"

#include "ike/exchange/exchanges.hpp"
#include "ike/extension/extensions.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sallyport::ike::simulation {
namespace {

constexpr NotifyType announcement{40'960};
constexpr PayloadType private_payload{200};
constexpr ExchangeType private_exchange{240}, private_one_way{241};
constexpr std::array<std::uint8_t, 3> greeting{'s', 'e', 's'};

/// What the extension has seen, of both sides.
struct Seen {
    unsigned offers = 0, examinations = 0, answers = 0, conclusions = 0;
    unsigned outbound = 0, inbound = 0; // messages between codec and cipher
    unsigned asked = 0, thrown = 0;     // private exchanges
    std::vector<ExchangeType> points;
    bool refuses = false, refuses_in_the_end = false;
};
Seen seen;
std::map<Spi, unsigned> rounds; // IKE_INTERMEDIATE exchanges that an IKE SA had

Task<Verdict> offer(Context context, ExchangeType point, Writer& request) {
    ++seen.offers;
    seen.points.push_back(point);
    if (point == ExchangeType::ike_sa_init) request.notify(announcement, greeting);
    if (point == ExchangeType::ike_intermediate) request.raw(private_payload, greeting);
    co_await context.wait(3, "the extension thinks");
    co_return Verdict{};
}

Task<Verdict> examine(Context context, ExchangeType point, const Received& request) {
    ++seen.examinations;
    if (seen.refuses) co_return std::unexpected(Refusal{NotifyType{8192}, {}, "the extension does not like it"});
    if (point == ExchangeType::ike_sa_init && request.contents.find(announcement) != nullptr) {
        context.sa.announced.add(Feature::experiment);
        context.sa.agreed.add(Feature::experiment);
    }
    co_return Verdict{};
}

Task<Verdict> answer(Context context, ExchangeType point, const Received& request, Writer& response) {
    ++seen.answers;
    if (point == ExchangeType::ike_sa_init) response.notify(announcement, greeting);
    if (point == ExchangeType::ike_intermediate) {
        const Payload* given = request.contents.find_other(private_payload);
        EXPECT_TRUE(given != nullptr && std::ranges::equal(given->body, greeting));
        response.raw(private_payload, greeting);
        ++rounds[context.sa.own_spi];
    }
    co_return Verdict{};
}

Task<Verdict> conclude(Context context, ExchangeType point, const Received& response) {
    ++seen.conclusions;
    if (point == ExchangeType::ike_sa_init) co_return co_await examine(context, point, response);
    if (point == ExchangeType::ike_auth && seen.refuses_in_the_end)
        co_return std::unexpected(Refusal{NotifyType{8192}, {}, "the extension does not like the end"});
    if (point == ExchangeType::ike_intermediate) {
        EXPECT_NE(response.contents.find_other(private_payload), nullptr);
        ++rounds[context.sa.own_spi];
    }
    co_return Verdict{};
}

bool pending(const IkeSa& sa) { return sa.agreed.has(Feature::experiment) && rounds[sa.own_spi] < 3; }

void plain(IkeSa&, const PlainMessage& message) { ++(message.outbound ? seen.outbound : seen.inbound); }

constexpr Extension experiment{.name = "experiment",
                               .source = "",
                               .offer = offer,
                               .examine = examine,
                               .answer = answer,
                               .conclude = conclude,
                               .pending = pending,
                               .plain = plain};

Task<Answer> respond_private(Context, const Received& request) {
    ++seen.asked;
    Answer answer;
    answer.payloads.nonce(request.contents.nonce);
    co_return answer;
}
Task<Answer> respond_thrown(Context, const Received&) {
    ++seen.thrown;
    co_return Answer{};
}

constexpr std::array private_rules{PayloadRule{PayloadType::nonce, 1, 1}};
const std::vector<Exchange> exchanges = [] {
    std::vector<Exchange> all(exchange::exchanges.begin(), exchange::exchanges.end());
    all.push_back({private_exchange, "PRIVATE", private_rules, private_rules, in(IkeState::established), respond_private});
    all.push_back({private_one_way, "THROWN", {}, {}, in(IkeState::established), respond_thrown, true});
    return all;
}();
const std::vector<const Extension*> extensions = [] {
    std::vector<const Extension*> all(extension::extensions.begin(), extension::extensions.end());
    all.push_back(&experiment);
    return all;
}();

Registry own_registry() {
    Registry registry = product();
    registry.exchanges = exchanges;
    registry.extensions = extensions;
    return registry;
}

class Seam : public testing::Test {
protected:
    Seam() : world(quick_settings(), own_registry(), 21) {
        seen = {};
        rounds.clear();
        world.watch = [this](std::size_t from, const Datagram& datagram) {
            sent[from].push_back(datagram);
            return Fate::deliver;
        };
        world.side(0).engine.set_connections({shared(connection(0))});
        world.side(1).engine.set_connections({shared(connection(1))});
        world.start(0, world.side(0).engine.connections().front());
        world.run(3000);
    }
    World world;
    std::array<std::vector<Datagram>, 2> sent;
};

TEST_F(Seam, an_extension_takes_part_at_every_point_and_in_its_own_rounds) {
    ASSERT_NE(only_sa(world.side(0)), nullptr);
    EXPECT_EQ(only_sa(world.side(0))->state, IkeState::established);
    EXPECT_EQ(only_sa(world.side(1))->state, IkeState::established);
    using enum ExchangeType;
    EXPECT_EQ(seen.points, (std::vector{ike_sa_init, ike_intermediate, ike_intermediate, ike_intermediate, ike_auth}));
    EXPECT_EQ(seen.offers, 5U);
    EXPECT_EQ(seen.answers, 5U);
    EXPECT_EQ(seen.conclusions, 5U);
    EXPECT_EQ(seen.inbound, 8U); // four exchanges, both messages of each
    EXPECT_EQ(seen.outbound, 8U);
    EXPECT_TRUE(passes_both_ways(world.side(0).gateway, world.side(1).gateway));
}

TEST_F(Seam, an_exchange_of_its_own_has_its_table_and_its_answer) {
    sent[1].clear();
    Writer good;
    good.nonce(std::array<std::uint8_t, 16>{});
    world.inject(1, protected_by(*only_sa(world.side(0)), private_exchange, 5, false, good));
    world.run(10);
    EXPECT_EQ(seen.asked, 1U);
    EXPECT_EQ(sent[1].size(), 1U);
    world.inject(1, protected_by(*only_sa(world.side(0)), private_exchange, 6, false, Writer{}));
    world.run(10);
    EXPECT_EQ(seen.asked, 1U) << "without the payload that it must have";
    EXPECT_EQ(only_sa(world.side(1))->state, IkeState::gone);
}

TEST_F(Seam, an_exchange_that_nobody_answers_is_not_answered) {
    sent[1].clear();
    world.inject(1, protected_by(*only_sa(world.side(0)), private_one_way, 5, false, Writer{}));
    world.run(10);
    EXPECT_EQ(seen.thrown, 1U);
    EXPECT_TRUE(sent[1].empty());
    EXPECT_EQ(only_sa(world.side(1))->expected, 6U);
}

TEST_F(Seam, an_extension_that_refuses_ends_it_with_its_notify_and_its_sentence) {
    seen.refuses = true;
    world.inject(1, protected_by(*only_sa(world.side(0)), ExchangeType::informational, 5, false, Writer{}));
    world.run(10);
    EXPECT_EQ(only_sa(world.side(1))->state, IkeState::gone);
    EXPECT_EQ(world.side(1).events.back().sentence, "the extension does not like it");
}

TEST_F(Seam, an_extension_that_refuses_what_the_peer_believes_to_stand_has_it_deleted) {
    seen.refuses_in_the_end = true;
    const Spi second = world.start(0, world.side(0).engine.connections().front());
    world.run(3000);
    EXPECT_EQ(world.side(0).engine.find(second), nullptr);
    for (const std::size_t which : {0U, 1U}) EXPECT_EQ(world.side(which).gateway.outbound.size(), 1U) << "of the first IKE SA alone";
    EXPECT_EQ(world.side(1).events.back().sentence, "the peer deletes the IKE SA");
    EXPECT_NE(std::ranges::find(world.side(0).events, "the extension does not like the end", &Event::sentence), world.side(0).events.end());
}

// --- NAT (RFC 7296 2.23): an extension like others ---

class Nat : public testing::Test {
protected:
    /// Side 0 sits behind one: the other side sees it elsewhere.
    void come_up(bool behind) {
        const Address outside = *parse_address("198.51.100.7");
        world.watch = [=, this](std::size_t from, Datagram& datagram) {
            ports[from].push_back(datagram.path.local.port);
            if (!behind) return Fate::deliver;
            if (from == 0) datagram.path.local = {outside, static_cast<std::uint16_t>(datagram.path.local.port + 10'000)};
            if (from == 1 && datagram.path.remote.address == outside)
                datagram.path.remote = {address_a, static_cast<std::uint16_t>(datagram.path.remote.port - 10'000)};
            return Fate::deliver;
        };
        Connection theirs = connection(1);
        theirs.remote.reset();
        world.side(0).engine.set_connections({shared(connection(0))});
        world.side(1).engine.set_connections({shared(std::move(theirs))});
        world.start(0, world.side(0).engine.connections().front());
        world.run(3000);
    }
    World world{quick_settings(), product(), 31};
    std::array<std::vector<std::uint16_t>, 2> ports;
};

TEST_F(Nat, between_the_two_moves_both_to_port_4500_after_the_first_exchange) {
    come_up(true);
    const IkeSa* one = only_sa(world.side(0));
    const IkeSa* other = only_sa(world.side(1));
    ASSERT_TRUE(one != nullptr && other != nullptr);
    EXPECT_EQ(other->state, IkeState::established);
    EXPECT_TRUE(one->behind_nat);
    EXPECT_FALSE(one->peer_behind_nat);
    EXPECT_TRUE(other->peer_behind_nat);
    EXPECT_EQ(ports[0].front(), 500);
    EXPECT_TRUE(std::all_of(ports[0].begin() + 1, ports[0].end(), [](std::uint16_t port) { return port == 4500; }));
    EXPECT_EQ(ports[1].front(), 500);
    EXPECT_TRUE(std::all_of(ports[1].begin() + 1, ports[1].end(), [](std::uint16_t port) { return port == 4500; }));
    EXPECT_EQ(other->path.remote.port, 14'500);
    ASSERT_EQ(world.side(1).gateway.outbound.size(), 1U);
    EXPECT_EQ(world.side(1).gateway.outbound.begin()->second.udp_port, 14'500);
    EXPECT_TRUE(world.side(1).gateway.inbound.begin()->second.follow);
    EXPECT_EQ(world.side(0).gateway.outbound.begin()->second.udp_port, 4500);
    EXPECT_FALSE(world.side(0).gateway.inbound.begin()->second.follow);
}

TEST_F(Nat, that_is_not_there_changes_nothing) {
    come_up(false);
    ASSERT_NE(only_sa(world.side(0)), nullptr);
    EXPECT_TRUE(only_sa(world.side(0))->agreed.has(Feature::nat_traversal));
    EXPECT_FALSE(only_sa(world.side(0))->behind_nat);
    EXPECT_TRUE(std::ranges::all_of(ports[0], [](std::uint16_t port) { return port == 500; }));
    EXPECT_EQ(world.side(0).gateway.outbound.begin()->second.udp_port, 0);
}

} // namespace
} // namespace sallyport::ike::simulation
