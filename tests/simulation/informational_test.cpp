// SPDX-License-Identifier: Apache-2.0
// INFORMATIONAL: children and IKE SAs are deleted, by one side, by both at once, by peers that err (RFC 7296 1.4.1, 2.25). What the
// gateways have is looked at after each.
#include "tests/simulation/informational.hpp"

#include <algorithm>
#include <ranges>

namespace sallyport::ike::simulation {
namespace {

// --- the peer deletes children: the rows of 2.25.1 ---

TEST_F(Informational, a_child_that_the_peer_deletes_goes_and_its_twin_is_named) {
    come_up();
    const std::uint32_t theirs = spi(0, "first"), ours = spi(1, "first");
    const Spoken answer = ask(deletion(ProtocolId::esp, {theirs}));
    EXPECT_EQ(answer.esp, Spis{ours});
    EXPECT_EQ(answer.payloads, 1U);
    EXPECT_EQ(names(1), (std::vector<std::string>{"second", "third"}));
    EXPECT_FALSE(gateway(1).outbound.contains(theirs)) << "nothing is sent any more";
    EXPECT_TRUE(gateway(1).draining.contains(ours)) << "what is on its way is still received";
    EXPECT_FALSE(gateway(1).policies.contains("first"));
    world.run(4000);
    EXPECT_TRUE(gateway(1).draining.contains(ours));
    world.run(1000);
    EXPECT_TRUE(gateway(1).draining.empty());
    EXPECT_EQ(state(1), IkeState::established);
    EXPECT_NE(told(1).find("first: the peer deletes"), std::string::npos);
}

TEST_F(Informational, spis_that_are_unknown_are_left_out) {
    come_up();
    const Spis theirs{spi(0, "first"), spi(0, "second")}, ours{spi(1, "first"), spi(1, "second")};
    // Never heard of, reserved, our own instead of the peer's, and one of another protocol.
    for (const Spis& unknown : {Spis{0x9999}, Spis{0}, Spis{ours[0]}, Spis{spi(0, "third")}, Spis{}}) {
        const Spoken answer = ask(deletion(ProtocolId::esp, unknown));
        EXPECT_EQ(answer.payloads, 0U);
    }
    EXPECT_EQ(ask(deletion(ProtocolId::ah, theirs)).payloads, 0U);
    expect_children({"first", "second", "third"});
    // Among known ones, and each known one once.
    const Spoken answer = ask(deletion(ProtocolId::esp, {0x9999, theirs[1], theirs[1], spi(0, "third"), theirs[0]}));
    EXPECT_EQ(answer.esp, (Spis{ours[1], ours[0]}));
    EXPECT_EQ(answer.payloads, 1U);
    EXPECT_EQ(names(1), std::vector<std::string>{"third"});
    EXPECT_EQ(ask(deletion(ProtocolId::esp, theirs)).payloads, 0U) << "they are gone";
}

TEST_F(Informational, both_protocols_are_deleted_by_a_payload_each) {
    come_up();
    const Spis esp{spi(1, "first")}, ah{spi(1, "third")};
    Writer both = deletion(ProtocolId::ah, {spi(0, "third")});
    both.append(deletion(ProtocolId::esp, {spi(0, "first")}));
    const Spoken answer = ask(both);
    EXPECT_EQ(answer.payloads, 2U);
    EXPECT_EQ(answer.esp, esp);
    EXPECT_EQ(answer.ah, ah);
    EXPECT_EQ(names(1), std::vector<std::string>{"second"});
}

TEST_F(Informational, a_repeated_delete_gets_the_same_octets_and_changes_nothing_more) {
    come_up();
    const Datagram request = protected_by(sa(0), ExchangeType::informational, sa(1).expected, false,
                                          deletion(ProtocolId::esp, {spi(0, "first")}));
    deafen();
    for (unsigned i = 0; i < 3; ++i) {
        world.inject(1, request);
        world.run(2000);
    }
    const std::vector<Spoken> answers = said(1, true);
    ASSERT_EQ(answers.size(), 3U);
    EXPECT_EQ(answers[0].datagram.octets, answers[1].datagram.octets);
    EXPECT_EQ(answers[0].datagram.octets, answers[2].datagram.octets);
    EXPECT_EQ(world.side(1).engine.counters()[Ignored::repeated], 2U);
    EXPECT_EQ(names(1), (std::vector<std::string>{"second", "third"}));
}

TEST_F(Informational, deletes_that_cannot_be_end_the_ike_sa_and_its_children_leave_the_gateway) {
    std::array<Writer, 5> bad;
    bad[0].erase(ProtocolId::esp, 8, std::vector<std::uint8_t>(8));
    bad[1].erase(ProtocolId::ike, 8, std::vector<std::uint8_t>(8));
    bad[2].raw(PayloadType::delete_payload, std::vector<std::uint8_t>{3, 4, 0, 2, 0, 0, 0x10, 0});
    bad[3].erase(ProtocolId{7}, 4, std::vector<std::uint8_t>(4)); // a protocol nobody knows
    bad[4].erase(ProtocolId::ah, 0, {});
    for (const Writer& payloads : bad) {
        World other(quick_settings(), with_further_children(), 43);
        other.side(0).engine.set_connections({shared(three_children(0))});
        other.side(1).engine.set_connections({shared(three_children(1))});
        const Spi first = other.start(0, other.side(0).engine.connections().front());
        other.run(2000);
        const IkeSa& to = *only_sa(other.side(1));
        ASSERT_EQ(to.children.size(), 3U);
        const Datagram request = protected_by(*other.side(0).engine.find(first), ExchangeType::informational, to.expected, false, payloads);
        other.inject(1, request);
        EXPECT_EQ(to.state, IkeState::gone);
        EXPECT_TRUE(other.side(1).gateway.outbound.empty() && other.side(1).gateway.inbound.empty());
        EXPECT_TRUE(other.side(1).gateway.policies.empty());
        other.run(600'000); // the other side finds out
        EXPECT_TRUE(nothing_left(other.side(0)) && nothing_left(other.side(1)));
        EXPECT_EQ(other.side(1).gateway.wrong, 0U);
    }
}

TEST_F(Informational, a_delete_while_another_child_is_made_is_answered_as_ever) {
    // Side 0 asks for its second child, and no answer arrives.
    judge = [](const Spoken& said) { return said.header.exchange == further_child && said.header.response ? Fate::lose : Fate::deliver; };
    own[0] = world.start(0, world.side(0).engine.connections().front());
    world.run(500);
    own[1] = only_sa(world.side(1))->own_spi;
    up = true;
    ASSERT_TRUE(sa(0).outstanding && sa(0).outstanding->exchange == further_child);
    const std::uint32_t theirs = spi(0, "first");
    world.close_child(1, own[1], spi(1, "first"));
    world.run(100);
    ASSERT_EQ(said(0, true).size(), 1U);
    EXPECT_EQ(said(0, true)[0].esp, Spis{theirs});
    judge = {};
    world.run(20'000);
    expect_children({"second", "third"});
}

TEST_F(Informational, while_the_ike_sa_is_deleted_nothing_new_is_begun) {
    come_up();
    const std::uint32_t theirs = spi(0, "first");
    deafen();
    world.close(1, own[1]);
    world.run(100);
    ASSERT_EQ(state(1), IkeState::deleting);
    EXPECT_TRUE(gateway(1).outbound.empty() && gateway(1).inbound.empty() && gateway(1).policies.empty());
    for (const ExchangeType exchange : {further_child, ExchangeType::create_child_sa})
        EXPECT_EQ(ask(Writer{}, exchange).notifies, std::vector{NotifyType::temporary_failure});
    EXPECT_EQ(ask(deletion(ProtocolId::esp, {theirs})).payloads, 0U);
    EXPECT_EQ(ask(Writer{}).payloads, 0U);
    ASSERT_EQ(state(1), IkeState::deleting);
    EXPECT_EQ(ask(deletion(ProtocolId::ike, {})).payloads, 0U);
    EXPECT_EQ(state(1), IkeState::gone);
    EXPECT_FALSE(sa(1).outstanding) << "its own request is forgotten";
    expect_gone();
}

// --- this side deletes ---

TEST_F(Informational, what_is_sent_stops_with_the_request_and_what_is_received_with_the_answer) {
    come_up();
    const std::uint32_t ours = spi(0, "first"), theirs = spi(1, "first");
    deafen();
    world.close_child(0, own[0], ours);
    world.run(100);
    ASSERT_EQ(said(0, false).size(), 1U);
    EXPECT_EQ(said(0, false)[0].esp, Spis{ours});
    EXPECT_FALSE(gateway(0).outbound.contains(theirs));
    EXPECT_TRUE(gateway(0).inbound.contains(ours));
    judge = {};
    world.run(3000);
    EXPECT_TRUE(gateway(0).draining.contains(ours));
    EXPECT_EQ(said(1, true).front().esp, Spis{theirs});
    world.run(6000);
    expect_children({"second", "third"});
    EXPECT_NE(told(0).find("first: this side deletes"), std::string::npos);
    world.close_child(0, own[0], ours); // again, and one that never was
    world.close_child(0, own[0], 0x9999);
    world.close_child(0, 77, ours);
    world.run(100);
    EXPECT_EQ(world.side(0).engine.load().flows, 0U);
    expect_children({"second", "third"});
}

TEST_F(Informational, both_delete_a_child_at_once_whatever_is_lost) {
    for (unsigned lost = 0; lost < 16; ++lost) {
        World other(quick_settings(), with_further_children(), 50 + lost);
        other.side(0).engine.set_connections({shared(three_children(0))});
        other.side(1).engine.set_connections({shared(three_children(1))});
        const Spi one = other.start(0, other.side(0).engine.connections().front());
        other.run(2000);
        const Spi two = only_sa(other.side(1))->own_spi;
        unsigned seen = 0;
        other.watch = [&](std::size_t from, const Datagram& datagram) {
            const Header header = *parse_header(datagram.octets);
            const unsigned bit = 1U << (from * 2 + (header.response ? 1 : 0));
            const bool first = (seen & bit) == 0;
            seen |= bit;
            // Empty, as the other side deletes it itself (2.25.1): header, SK, IV, pad length, ICV.
            EXPECT_TRUE(!header.response || datagram.octets.size() == header_size + payload_header_size + 8 + 1 + 16) << lost;
            return first && (lost & bit) != 0 ? Fate::lose : Fate::deliver;
        };
        const auto close = [&](std::size_t which, Spi sa) {
            const IkeSa& closing = *other.side(which).engine.find(sa);
            other.close_child(which, sa, std::ranges::find(closing.children, "first", &ChildSa::name)->spi_in);
        };
        close(0, one);
        close(1, two);
        other.run(20'000);
        for (const std::size_t which : {0U, 1U}) {
            const Side& side = other.side(which);
            EXPECT_EQ(only_sa(side)->state, IkeState::established) << lost;
            EXPECT_EQ(only_sa(side)->children.size(), 2U) << lost;
            EXPECT_EQ(side.gateway.policies.size(), 2U) << lost;
            EXPECT_TRUE(side.gateway.draining.empty()) << lost;
            EXPECT_EQ(side.engine.load().flows, 0U) << lost;
            EXPECT_EQ(side.gateway.wrong, 0U) << lost;
        }
        EXPECT_TRUE(passes_both_ways(other.side(0).gateway, other.side(1).gateway)) << lost;
    }
}

TEST_F(Informational, both_delete_the_ike_sa_at_once_whatever_is_lost) {
    for (unsigned lost = 0; lost < 16; ++lost) {
        World other(quick_settings(), with_further_children(), 80 + lost);
        other.side(0).engine.set_connections({shared(three_children(0))});
        other.side(1).engine.set_connections({shared(three_children(1))});
        const Spi one = other.start(0, other.side(0).engine.connections().front());
        other.run(2000);
        unsigned seen = 0;
        other.watch = [&](std::size_t from, const Datagram& datagram) {
            const unsigned bit = 1U << (from * 2 + (parse_header(datagram.octets)->response ? 1 : 0));
            const bool first = (seen & bit) == 0;
            seen |= bit;
            return first && (lost & bit) != 0 ? Fate::lose : Fate::deliver;
        };
        const Spi two = only_sa(other.side(1))->own_spi;
        other.close(0, one);
        other.close(1, two);
        other.run(20'000);
        for (const std::size_t which : {0U, 1U}) {
            const Side& side = other.side(which);
            EXPECT_TRUE(side.gateway.empty()) << lost;
            EXPECT_EQ(side.engine.load().flows, 0U) << lost;
            EXPECT_EQ(std::ranges::count(side.events, Event::Kind::ended, &Event::kind), 1) << lost;
        }
        other.run(600'000);
        for (const std::size_t which : {0U, 1U}) {
            EXPECT_TRUE(nothing_left(other.side(which))) << lost;
            EXPECT_EQ(other.side(which).gateway.wrong, 0U) << lost;
        }
    }
}

TEST_F(Informational, the_ike_sa_goes_with_its_children_on_both_sides) {
    come_up();
    world.close(0, own[0]);
    world.run(100);
    ASSERT_EQ(said(0, false).size(), 1U);
    EXPECT_TRUE(said(0, false)[0].ike);
    ASSERT_EQ(said(1, true).size(), 1U);
    EXPECT_EQ(said(1, true)[0].payloads, 0U);
    EXPECT_EQ(state(0), IkeState::gone);
    EXPECT_EQ(state(1), IkeState::gone);
    for (const std::size_t which : {0U, 1U}) EXPECT_TRUE(gateway(which).outbound.empty() && gateway(which).inbound.empty());
    EXPECT_NE(told(0).find("this side deletes the IKE SA"), std::string::npos);
    EXPECT_NE(told(1).find("the peer deletes the IKE SA"), std::string::npos);
    expect_gone();
}

TEST_F(Informational, own_requests_are_dropped_when_the_peer_deletes_the_ike_sa) {
    come_up();
    deafen();
    for (const char* name : {"first", "second", "third"}) world.close_child(1, own[1], spi(1, name));
    world.run(100);
    EXPECT_EQ(world.side(1).engine.load().flows, 3U);
    EXPECT_EQ(ask(deletion(ProtocolId::ike, {})).payloads, 0U);
    EXPECT_EQ(state(1), IkeState::gone);
    EXPECT_EQ(world.side(1).engine.load().flows, 0U);
    EXPECT_TRUE(gateway(1).inbound.empty() && gateway(1).outbound.empty() && gateway(1).policies.empty());
    expect_gone();
}

TEST_F(Informational, a_peer_that_does_not_answer_a_delete_is_given_up) {
    come_up();
    deafen();
    world.close(0, own[0]);
    EXPECT_TRUE(gateway(0).outbound.empty());
    world.run(200'000);
    EXPECT_EQ(state(0), IkeState::gone);
    EXPECT_NE(told(0).find("this side deletes the IKE SA; the peer did not answer 8 requests"), std::string::npos) << told(0);
    expect_gone();
}

TEST_F(Informational, what_is_not_established_ends_when_it_is_closed) {
    own[0] = world.start(0, world.side(0).engine.connections().front());
    world.close(0, own[0]);
    EXPECT_TRUE(nothing_left(world.side(0)));
    world.close(0, own[0]);
    expect_gone();
}

TEST_F(Informational, a_policy_stays_until_the_last_child_of_its_name_goes) {
    for (const std::size_t which : {0U, 1U}) world.side(which).engine.set_connections({shared(connection(which))});
    const ConnectionPointer connection = world.side(0).engine.connections().front();
    const Spi one = world.start(0, connection);
    world.run(2000);
    const Spi two = world.start(0, connection);
    world.run(2000);
    ASSERT_EQ(gateway(0).inbound.size(), 2U);
    ASSERT_EQ(gateway(1).inbound.size(), 2U);
    world.close(0, one);
    world.run(10'000);
    EXPECT_TRUE(passes_both_ways(gateway(0), gateway(1)));
    EXPECT_EQ(gateway(0).policies.size(), 1U);
    EXPECT_EQ(gateway(1).policies.size(), 1U);
    world.close(0, two);
    world.run(10'000);
    EXPECT_TRUE(gateway(0).empty());
    EXPECT_TRUE(gateway(1).empty());
    expect_gone();
}

// --- a child that fails where the peer has made it (1.3.1) ---

TEST_F(Informational, a_child_that_our_gateway_refuses_is_deleted_at_the_peer) {
    gateway(0).refuses = true;
    world.side(0).engine.set_connections({shared(connection(0))});
    world.side(1).engine.set_connections({shared(connection(1))});
    come_up(0);
    EXPECT_EQ(state(0), IkeState::established);
    EXPECT_EQ(state(1), IkeState::established);
    EXPECT_EQ(gateway(1).used.size(), 1U) << "it had one";
    EXPECT_TRUE(sa(1).children.empty());
    EXPECT_TRUE(gateway(1).inbound.empty() && gateway(1).outbound.empty() && gateway(1).policies.empty());
    EXPECT_NE(told(0).find("it refuses everything"), std::string::npos);
    EXPECT_EQ(world.side(0).engine.load().stock, 127U) << "one of 128: the peer has seen it, and it is not used again";
}

class Beyond : public Informational {
protected:
    Beyond() : Informational(quick_settings(), true) {}
};

TEST_F(Beyond, an_answer_beyond_what_was_asked_for_is_deleted_at_the_peer) {
    come_up(1);
    world.run(10'000);
    expect_children({"first"});
    EXPECT_EQ(gateway(1).used.size(), 3U);
    EXPECT_NE(told(0).find("traffic selectors beyond"), std::string::npos) << told(0);
}

TEST_F(Informational, a_delete_may_come_before_our_gateway_has_answered) {
    // The initiator's gateway is slow, and the peer deletes at once what it has just made.
    for (unsigned seed = 0; seed < 50; ++seed) {
        World other(quick_settings(), product(), 300 + seed, {.delay = 1, .computing = 60});
        other.side(0).engine.set_connections({shared(connection(0))});
        other.side(1).engine.set_connections({shared(connection(1))});
        other.start(0, other.side(0).engine.connections().front());
        while (only_sa(other.side(1)) == nullptr || only_sa(other.side(1))->children.empty() ||
               only_sa(other.side(1))->children[0].state == ChildState::created)
            other.run(1);
        const IkeSa& theirs = *only_sa(other.side(1));
        other.close_child(1, theirs.own_spi, theirs.children[0].spi_in);
        other.run(15'000);
        for (const std::size_t which : {0U, 1U}) {
            EXPECT_EQ(only_sa(other.side(which))->state, IkeState::established) << seed;
            EXPECT_TRUE(other.side(which).gateway.empty()) << seed;
            EXPECT_EQ(other.side(which).gateway.wrong, 0U) << seed;
        }
    }
}

} // namespace
} // namespace sallyport::ike::simulation
