// SPDX-License-Identifier: Apache-2.0
// Silent peers are asked whether they are there (RFC 7296 2.4), one request goes out at a time (2.3), and whatever is deleted and forgotten
// at whatever moment leaves nothing behind.
#include "tests/simulation/informational.hpp"

#include <algorithm>
#include <ranges>

namespace sallyport::ike::simulation {
namespace {

// --- liveness (2.4) ---

TEST_F(Informational, a_peer_that_vanishes_is_found_out_and_its_children_leave_the_gateway) {
    come_up();
    deafen();
    world.run(27'000);
    EXPECT_TRUE(spoken.empty()) << "silence is not long enough yet";
    world.run(5000);
    ASSERT_FALSE(said(0, false).empty());
    EXPECT_EQ(said(0, false)[0].payloads, 0U);
    EXPECT_EQ(said(0, false)[0].header.exchange, ExchangeType::informational);
    world.run(60'000);
    EXPECT_EQ(state(0), IkeState::established) << "the plan is not over";
    EXPECT_EQ(gateway(0).outbound.size(), 3U);
    world.run(100'000);
    for (const std::size_t which : {0U, 1U}) {
        EXPECT_EQ(state(which), IkeState::gone);
        EXPECT_TRUE(gateway(which).empty());
        EXPECT_EQ(said(which, false).size(), 8U);
        EXPECT_EQ(world.side(which).events.back().kind, Event::Kind::ended);
        EXPECT_NE(told(which).find("the peer did not answer 8 requests"), std::string::npos);
    }
    expect_gone();
}

TEST_F(Informational, traffic_of_children_postpones_the_question) {
    come_up();
    for (unsigned i = 0; i < 20; ++i) {
        for (const std::size_t which : {0U, 1U}) world.side(which).engine.heard(spi(which, i % 2 == 0 ? "first" : "third"), world.now());
        world.side(0).engine.heard(0x9999, world.now()); // nobody's
        world.run(20'000);
    }
    EXPECT_TRUE(spoken.empty());
    world.run(20'000);
    EXPECT_FALSE(spoken.empty());
    expect_children({"first", "second", "third"});
}

TEST_F(Informational, what_one_side_hears_alone_is_no_answer_to_the_other) {
    come_up();
    for (unsigned i = 0; i < 20; ++i) {
        world.side(0).engine.heard(spi(0, "first"), world.now());
        world.run(20'000);
    }
    EXPECT_TRUE(said(0, false).empty());
    EXPECT_GE(said(1, false).size(), 10U);
    EXPECT_EQ(state(1), IkeState::established);
}

TEST_F(Informational, a_message_of_the_ike_sa_postpones_the_question_on_both_sides) {
    come_up();
    world.run(600'000);
    const std::size_t asked = said(0, false).size() + said(1, false).size();
    EXPECT_GE(asked, 18U);
    EXPECT_LE(asked, 21U);
    for (const Spoken& one : spoken) EXPECT_EQ(one.payloads, 0U);
    expect_children({"first", "second", "third"});
}

TEST_F(Informational, an_open_request_asks_well_enough) {
    come_up();
    deafen();
    world.run(25'000);
    world.close_child(0, own[0], spi(0, "first"));
    world.run(20'000);
    EXPECT_EQ(world.side(0).engine.load().flows, 1U);
    for (const Spoken& one : said(0, false)) EXPECT_EQ(one.esp.size(), 1U);
    world.run(150'000);
    EXPECT_TRUE(gateway(0).empty());
    expect_gone();
}

TEST_F(Informational, one_timer_runs_for_it_until_the_ike_sa_goes) {
    come_up();
    EXPECT_EQ(world.side(0).engine.load().timers, 1U);
    EXPECT_NE(sa(0).liveness.first, 0U);
    world.close(0, own[0]);
    world.run(200'000);
    EXPECT_EQ(world.side(0).engine.load().timers, 0U);
}

class Unasked : public Informational {
protected:
    static Settings never() {
        Settings settings = quick_settings();
        settings.liveness = 0;
        return settings;
    }
    Unasked() : Informational(never()) {}
};

TEST_F(Unasked, peers_are_never_asked_where_the_operator_does_not_want_it) {
    come_up();
    deafen();
    world.run(600'000);
    EXPECT_TRUE(spoken.empty());
    EXPECT_EQ(world.side(0).engine.load().timers, 0U);
    EXPECT_EQ(state(0), IkeState::established);
}

TEST_F(Informational, an_ike_sa_that_one_side_has_forgotten_is_found_out_by_the_other) {
    come_up();
    world.forget(0, own[0]);
    world.run(5000);
    EXPECT_TRUE(nothing_left(world.side(0)));
    EXPECT_TRUE(spoken.empty()) << "nothing is said";
    world.run(200'000);
    EXPECT_EQ(state(1), IkeState::gone);
    expect_gone();
}

TEST_F(Informational, an_answer_that_cannot_be_read_makes_us_delete_the_ike_sa) {
    come_up();
    judge = [](const Spoken& said) { return said.header.response ? Fate::lose : Fate::deliver; };
    world.run(20'000);
    world.side(1).engine.heard(spi(1, "first"), world.now()); // so that it has nothing to ask
    world.run(11'000);
    ASSERT_TRUE(sa(0).outstanding);
    Writer bad;
    bad.raw(PayloadType::notify, std::vector<std::uint8_t>{0, 9, 0});
    judge = {};
    world.inject(0, protected_by(sa(1), ExchangeType::informational, sa(0).outstanding->id, true, bad));
    world.run(1000);
    EXPECT_TRUE(said(0, false).back().ike);
    EXPECT_EQ(state(0), IkeState::gone);
    EXPECT_EQ(state(1), IkeState::gone);
    expect_gone();
}

TEST_F(Informational, an_answer_of_invalid_syntax_ends_it_without_a_delete) {
    come_up();
    deafen();
    world.close_child(0, own[0], spi(0, "first"));
    world.close_child(0, own[0], spi(0, "second"));
    Writer error;
    error.notify(NotifyType::invalid_syntax);
    world.inject(0, protected_by(sa(1), ExchangeType::informational, sa(0).outstanding->id, true, error));
    world.run(20'000);
    EXPECT_EQ(state(0), IkeState::gone);
    EXPECT_TRUE(gateway(0).empty());
    EXPECT_EQ(said(0, false).size(), 1U);
    EXPECT_NE(told(0).find("a request of ours is malformed"), std::string::npos);
    expect_gone();
}

// --- one request at a time (2.3) ---

TEST_F(Informational, requests_wait_for_their_turn_and_keep_their_order_and_ids) {
    come_up();
    const std::uint32_t next = sa(0).next_request;
    const Spis spis{spi(0, "second"), spi(0, "first"), spi(0, "third")};
    for (const std::uint32_t one : spis) world.close_child(0, own[0], one);
    EXPECT_EQ(sa(0).turns.size(), 3U);
    EXPECT_EQ(sa(0).next_request, next + 1) << "an id is given when it is used";
    EXPECT_EQ(gateway(0).outbound.size(), 2U) << "those that wait still send";
    world.run(100);
    const std::vector<Spoken> requests = said(0, false), answers = said(1, true);
    ASSERT_EQ(requests.size(), 3U);
    ASSERT_EQ(answers.size(), 3U);
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_EQ(requests[i].header.message_id, next + i);
        EXPECT_EQ(i < 2 ? requests[i].esp : requests[i].ah, Spis{spis[i]});
        EXPECT_TRUE(i == 0 || requests[i].at >= answers[i - 1].at);
    }
    world.run(6000);
    expect_children({});
    EXPECT_EQ(state(0), IkeState::established);
}

TEST_F(Informational, a_request_that_waits_does_not_disturb_the_open_one) {
    come_up();
    unsigned lost = 0;
    judge = [&](const Spoken& said) { return said.header.response && lost++ < 3 ? Fate::lose : Fate::deliver; };
    world.close_child(0, own[0], spi(0, "first"));
    world.run(500);
    world.close_child(0, own[0], spi(0, "second"));
    world.close(0, own[0]);
    world.run(60'000);
    const std::vector<Spoken> requests = said(0, false);
    ASSERT_EQ(requests.size(), 5U);
    for (unsigned i = 1; i < 4; ++i) EXPECT_EQ(requests[i].datagram.octets, requests[0].datagram.octets);
    EXPECT_TRUE(requests[4].ike) << "the second child went with the IKE SA, and needed no D";
    EXPECT_EQ(requests[4].header.message_id, requests[0].header.message_id + 1);
    expect_gone();
}

TEST_F(Informational, what_the_peer_has_deleted_meanwhile_is_not_asked_for) {
    come_up();
    deafen();
    world.close_child(1, own[1], spi(1, "first"));
    world.close_child(1, own[1], spi(1, "second"));
    world.close_child(1, own[1], spi(1, "third"));
    // That one only waits: it is answered with its twin.
    const Spis twin{spi(1, "second")};
    EXPECT_EQ(ask(deletion(ProtocolId::esp, {spi(0, "second")})).esp, twin);
    judge = {};
    world.run(2000);
    std::vector<Spis> asked;
    for (const Spoken& one : said(1, false))
        if (asked.empty() || asked.back() != (one.esp.empty() ? one.ah : one.esp)) asked.push_back(one.esp.empty() ? one.ah : one.esp);
    EXPECT_EQ(asked.size(), 2U);
}

TEST_F(Informational, all_that_wait_go_with_a_peer_that_vanishes) {
    come_up();
    deafen();
    for (const char* name : {"first", "second", "third"}) world.close_child(0, own[0], spi(0, name));
    world.run(200'000);
    EXPECT_EQ(world.side(0).engine.load().flows, 0U);
    EXPECT_TRUE(gateway(0).empty());
    EXPECT_EQ(std::ranges::count(world.side(0).events, Event::Kind::ended, &Event::kind), 1);
    expect_gone();
}

// --- whatever happens, whenever ---

/// Both sides close children and IKE SAs at random moments in bad weather; one may forget all of it.
void stir(std::uint64_t seed, bool forgets) {
    const Weather bad{.loss = 15, .duplicates = 10, .delay = 5, .spread = 100, .computing = 30};
    World world(quick_settings(), with_further_children(), seed, bad);
    for (const std::size_t which : {0U, 1U}) world.side(which).engine.set_connections({shared(three_children(which))});
    const Spi first = world.start(0, world.side(0).engine.connections().front());
    Seeded random(seed);
    const auto any_of = [&](std::size_t which) {
        const IkeSa* there = only_sa(world.side(which));
        return which == 0 ? world.side(0).engine.find(first) : there;
    };
    for (unsigned i = 0; i < 8; ++i) {
        world.run(random.up_to(1500));
        const std::size_t which = random.up_to(1);
        const IkeSa* sa = any_of(which);
        if (sa == nullptr) continue;
        if (!sa->children.empty() && random.chance(70))
            world.close_child(which, sa->own_spi, sa->children[random.up_to(sa->children.size() - 1)].spi_in);
        if (random.chance(10)) world.close(which, sa->own_spi);
    }
    if (const IkeSa* sa = any_of(seed % 2); forgets && sa != nullptr) {
        world.forget(seed % 2, sa->own_spi);
        EXPECT_EQ(world.side(seed % 2).engine.load().flows, 0U) << seed;
    }
    world.run(400'000);
    if (const IkeSa *one = any_of(0), *other = any_of(1); one != nullptr && other != nullptr && one->state == IkeState::established) {
        EXPECT_EQ(other->state, IkeState::established) << seed;
        EXPECT_EQ(one->children.size(), other->children.size()) << seed;
        EXPECT_TRUE(one->children.empty() || passes_both_ways(world.side(0).gateway, world.side(1).gateway)) << seed;
    }
    for (const std::size_t which : {0U, 1U})
        if (const IkeSa* sa = any_of(which)) world.close(which, sa->own_spi);
    world.run(600'000);
    for (const std::size_t which : {0U, 1U}) {
        EXPECT_TRUE(nothing_left(world.side(which))) << seed;
        EXPECT_EQ(world.side(which).gateway.wrong, 0U) << seed;
    }
}

TEST_F(Informational, deletes_at_random_moments_leave_the_same_on_both_sides) {
    for (std::uint64_t seed = 0; seed < 600 && !HasFailure(); ++seed) stir(5000 + seed, false);
}

TEST_F(Informational, an_ike_sa_can_be_forgotten_while_it_deletes_and_waits) {
    for (std::uint64_t seed = 0; seed < 600 && !HasFailure(); ++seed) stir(9000 + seed, true);
}

} // namespace
} // namespace sallyport::ike::simulation
