// SPDX-License-Identifier: Apache-2.0
// IKE_AUTH: who is believed, and what of the first child SA.
#include "tests/simulation/protected.hpp"

#include "ike/crypto/keys.hpp"

#include <gtest/gtest.h>

namespace sallyport::ike::simulation {
namespace {

// --- authentication ---

TEST_F(Protected, another_pre_shared_key_fails_with_one_notify_and_a_sentence) {
    Connection theirs = connection(1);
    theirs.psk = Secret(Octets(std::array<std::uint8_t, 3>{1, 2, 3}));
    use(connection(0), std::move(theirs));
    start();
    world.run(3000);
    EXPECT_NE(told(0).find("AUTHENTICATION_FAILED"), std::string::npos) << told(0);
    EXPECT_NE(told(1).find("same pre-shared key"), std::string::npos) << told(1);
    EXPECT_TRUE(world.side(1).gateway.inbound.empty());
    world.run(200'000);
    EXPECT_EQ(world.side(0).engine.load().sas + world.side(1).engine.load().sas, 0U);
}

TEST_F(Protected, an_unknown_peer_gets_the_same_answer_as_one_with_a_wrong_key) {
    std::array<std::size_t, 2> sizes{};
    for (const std::size_t unknown : {0U, 1U}) {
        World other(quick_settings(), product(), 5);
        Connection theirs = connection(1);
        if (unknown == 1)
            theirs.remote_id.data.back() ^= 1;
        else
            theirs.psk = Secret(Octets(std::array<std::uint8_t, 3>{1, 2, 3}));
        other.side(0).engine.set_connections({shared(connection(0))});
        other.side(1).engine.set_connections({shared(std::move(theirs))});
        other.watch = [&](std::size_t from, const Datagram& datagram) {
            if (from == 1 && exchange_of(datagram) == ExchangeType::ike_auth) sizes[unknown] = datagram.octets.size();
            return Fate::deliver;
        };
        other.start(0, other.side(0).engine.connections().front());
        other.run(3000);
        EXPECT_TRUE(other.side(1).gateway.inbound.empty());
    }
    EXPECT_NE(sizes[0], 0U);
    EXPECT_EQ(sizes[0], sizes[1]);
}

/// What side 1 says in IKE_AUTH is lost, and this comes instead.
class Impostor : public Protected {
protected:
    void SetUp() override {
        judge = [this](std::size_t from, const Datagram& datagram) {
            const bool proof = from == 1 && exchange_of(datagram) == ExchangeType::ike_auth;
            caught = caught || proof;
            return proof ? Fate::lose : Fate::deliver;
        };
        start();
        world.run(500);
        ASSERT_TRUE(caught);
        ASSERT_EQ(state(0), IkeState::initiating);
    }
    /// AUTH by this key for who has this name, as RFC 7296 2.15 makes it.
    void answer(std::string_view name, Octets key) {
        const IkeSa& mine = sa(0);
        const Initial& initial = *mine.initial;
        std::vector<std::uint8_t> intauth = initial.intauth_i;
        intauth.insert(intauth.end(), initial.intauth_r.begin(), initial.intauth_r.end());
        intauth.insert(intauth.end(), {0, 0, 0, 2});
        std::vector<std::uint8_t> body{2, 0, 0, 0};
        body.insert(body.end(), name.begin(), name.end());
        const Secret proof = psk_auth(mine.suite.prf, key, initial.real_r, initial.ni, mine.keys.pr(), body, intauth);
        Writer payloads;
        payloads.id(PayloadType::identification_responder, IdType::fqdn, Octets(body).subspan(4));
        payloads.auth(AuthMethod::shared_key_mic, proof.octets());
        payloads.sa(std::vector{chosen()});
        payloads.ts(PayloadType::traffic_selector_initiator, std::vector{selector("10.1.0.0/16")});
        payloads.ts(PayloadType::traffic_selector_responder, std::vector{selector("10.2.0.0/16")});
        world.inject(0, protected_by(sa(1), ExchangeType::ike_auth, 2, true, payloads));
        world.run(500);
    }
    static Proposal chosen() {
        Proposal proposal = esp_proposal();
        proposal.spi = {0, 0, 0x20, 0};
        proposal.spi_size = 4;
        proposal.transforms.pop_back();
        return proposal;
    }
    /// Nothing came up, and side 1, which has established it, was told.
    void expect_refused() {
        EXPECT_NE(state(0), IkeState::established);
        EXPECT_TRUE(world.side(0).gateway.outbound.empty());
        EXPECT_NE(state(1), IkeState::established);
        EXPECT_NE(told(1).find("AUTHENTICATION_FAILED"), std::string::npos) << told(1);
    }
    bool caught = false;
    static constexpr std::string_view right_key = "sallyport test psk";
    static Octets octets_of(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }
};

TEST_F(Impostor, with_the_right_name_and_key_is_none) {
    answer("b.example.net", octets_of(right_key));
    EXPECT_EQ(state(0), IkeState::established) << told(0);
}

TEST_F(Impostor, with_another_key_is_not_believed_and_the_responder_is_told) {
    answer("b.example.net", octets_of("sallyport test psl"));
    expect_refused();
    EXPECT_NE(told(0).find("same pre-shared key"), std::string::npos) << told(0);
}

TEST_F(Impostor, with_another_name_is_not_believed_and_the_responder_is_told) {
    answer("c.example.net", octets_of(right_key));
    expect_refused();
    EXPECT_NE(told(0).find("c.example.net"), std::string::npos) << told(0);
}

TEST_F(Protected, names_are_compared_without_regard_to_case) {
    Connection mine = connection(0);
    mine.local_id.data[0] = 'A';
    use(std::move(mine), connection(1));
    come_up();
}

TEST_F(Protected, the_connection_that_is_meant_must_take_what_was_chosen_before_it_was_known) {
    // Two connections from the same address; the first takes the proposal, the peer is the second.
    Connection first = connection(1), second = connection(1);
    first.remote_id.data[0] = 'x';
    second.name = "strict";
    second.proposals = {ike_proposal("aes-256-cbc hmac-sha2-512 prf-hmac-sha2-512 ecp-521")};
    world.side(1).engine.set_connections({shared(std::move(first)), shared(std::move(second))});
    start();
    world.run(3000);
    EXPECT_NE(told(0).find("AUTHENTICATION_FAILED"), std::string::npos);
    EXPECT_NE(told(1).find("strict does not take the proposal"), std::string::npos) << told(1);
}

// --- children in IKE_AUTH ---

TEST_F(Protected, selectors_are_narrowed_to_what_both_want) {
    Connection mine = connection(0);
    mine.children[0].local = {selector("10.0.0.0/8")};
    mine.children[0].remote = {selector("10.0.0.0/8")};
    use(std::move(mine), connection(1));
    come_up();
    EXPECT_EQ(sa(0).children.at(0).local, std::vector{selector("10.1.0.0/16")});
    EXPECT_EQ(sa(0).children.at(0).remote, std::vector{selector("10.2.0.0/16")});
    EXPECT_TRUE(passes_both_ways(world.side(0).gateway, world.side(1).gateway));
}

TEST_F(Protected, without_a_child_the_ike_sa_stands_on_both_sides) {
    Connection elsewhere = connection(0);
    elsewhere.children[0].local = {selector("172.16.0.0/12")};
    use(std::move(elsewhere), connection(1));
    come_up();
    EXPECT_NE(told(0).find("TS_UNACCEPTABLE"), std::string::npos) << told(0);
    EXPECT_TRUE(sa(0).children.empty());
    EXPECT_TRUE(world.side(1).gateway.inbound.empty());
    Connection weak = connection(0);
    weak.children[0].proposals = {esp_proposal(Algorithm::aes_128_ccm_8)};
    Protected::use(std::move(weak), connection(1));
    World other(quick_settings(), product(), 6);
    other.side(0).engine.set_connections(world.side(0).engine.connections());
    other.side(1).engine.set_connections(world.side(1).engine.connections());
    other.start(0, other.side(0).engine.connections().front());
    other.run(3000);
    ASSERT_NE(only_sa(other.side(0)), nullptr);
    EXPECT_EQ(only_sa(other.side(0))->state, IkeState::established);
    EXPECT_TRUE(only_sa(other.side(0))->children.empty());
}

TEST_F(Protected, a_gateway_that_refuses_leaves_the_ike_sa_and_gives_its_spi_back) {
    world.side(1).gateway.refuses = true;
    const std::size_t before = world.side(1).engine.load().stock;
    come_up();
    EXPECT_TRUE(sa(1).children.empty());
    EXPECT_TRUE(sa(0).children.empty());
    EXPECT_NE(told(1).find("it refuses everything"), std::string::npos);
    EXPECT_GE(world.side(1).engine.load().stock, before);
}

TEST_F(Protected, every_algorithm_of_the_data_plane_can_be_negotiated) {
    for (const AlgorithmInfo& row : algorithms) {
        World other(quick_settings(), product(), 6);
        Connection one = connection(0), two = connection(1);
        one.children[0].proposals = two.children[0].proposals = {esp_proposal(row.algorithm)};
        other.side(0).engine.set_connections({shared(std::move(one))});
        other.side(1).engine.set_connections({shared(std::move(two))});
        other.start(0, other.side(0).engine.connections().front());
        other.run(3000);
        ASSERT_TRUE(passes_both_ways(other.side(0).gateway, other.side(1).gateway)) << row.name;
        EXPECT_EQ(other.side(0).gateway.outbound.begin()->second.algorithm, row.algorithm);
        EXPECT_EQ(other.side(0).gateway.outbound.begin()->second.sequence, SequenceKind::extended_64);
    }
}

TEST_F(Protected, no_child_is_made_where_the_operator_wants_none) {
    Connection one = connection(0);
    one.childless = true;
    use(std::move(one), connection(1));
    come_up();
    EXPECT_TRUE(sa(0).children.empty());
    EXPECT_TRUE(sa(1).children.empty());
}

} // namespace
} // namespace sallyport::ike::simulation
