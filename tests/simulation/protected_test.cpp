// SPDX-License-Identifier: Apache-2.0
// What comes protected: IKE_INTERMEDIATE, IKE_AUTH, INFORMATIONAL, whole and in fragments; from peers that are wrong, slow or hostile.
#include "tests/simulation/protected.hpp"

#include "gateway/wire/octets.hpp"
#include "ike/extension/extensions.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sallyport::ike::simulation {
namespace {

// --- a whole conversation ---

TEST_F(Protected, messages_have_the_ids_and_exchanges_of_the_standard) {
    come_up();
    std::vector<ExchangeType> exchanges;
    std::vector<std::uint32_t> ids;
    for (const Datagram& datagram : passed[0]) {
        const Header header = *parse_header(datagram.octets);
        EXPECT_TRUE(header.initiator);
        EXPECT_FALSE(header.response);
        if (!exchanges.empty() && exchanges.back() == header.exchange && ids.back() == header.message_id) continue; // a fragment
        exchanges.push_back(header.exchange);
        ids.push_back(header.message_id);
    }
    EXPECT_EQ(exchanges, (std::vector{ExchangeType::ike_sa_init, ExchangeType::ike_intermediate, ExchangeType::ike_auth}));
    EXPECT_EQ(ids, (std::vector<std::uint32_t>{0, 1, 2}));
    for (const Datagram& datagram : passed[1]) EXPECT_FALSE(parse_header(datagram.octets)->initiator);
}

TEST_F(Protected, ml_kem_travels_in_fragments_of_the_right_size) {
    come_up();
    unsigned fragments = 0;
    for (const Datagram& datagram : passed[0]) {
        if (exchange_of(datagram) != ExchangeType::ike_intermediate) continue;
        ++fragments;
        EXPECT_EQ(datagram.octets[16], 53);
        EXPECT_LE(datagram.octets.size() + 28, 1000U);
    }
    EXPECT_EQ(fragments, 2U);
}

TEST_F(Protected, no_iv_is_used_twice_under_a_key) {
    world.set_weather({.loss = 20, .duplicates = 20, .delay = 10, .spread = 100});
    start();
    world.run(300'000);
    for (const std::vector<Datagram>& sent : passed) {
        std::map<std::uint64_t, Message> by_iv;
        for (const Datagram& datagram : sent) {
            if (exchange_of(datagram) == ExchangeType::ike_sa_init) continue;
            const std::size_t at = header_size + payload_header_size + (datagram.octets[16] == 53 ? 4 : 0);
            const auto [entry, fresh] = by_iv.emplace(wire::load64(datagram.octets.data() + at), datagram.octets);
            EXPECT_TRUE(fresh || entry->second == datagram.octets) << "one IV for two messages";
        }
    }
}

TEST_F(Protected, secrets_of_the_first_exchanges_are_gone_afterwards) {
    come_up();
    for (const std::size_t which : {0U, 1U}) {
        EXPECT_EQ(sa(which).initial, nullptr);
        EXPECT_TRUE(sa(which).keys.pi().empty());
        EXPECT_FALSE(sa(which).keys.d().empty());
    }
}

TEST_F(Protected, a_peer_that_takes_no_additional_key_exchange_gets_the_second_proposal) {
    Connection theirs = connection(1);
    theirs.proposals.erase(theirs.proposals.begin());
    use(connection(0), std::move(theirs));
    come_up();
    EXPECT_EQ(sa(0).suite.exchanges.count, 0);
    EXPECT_EQ(sa(1).chosen.number, 2);
}

TEST_F(Protected, post_quantum_or_nothing_means_it_on_either_side) {
    for (const std::size_t strict : {0U, 1U}) {
        World other(quick_settings(), product(), 5);
        Connection one = connection(0), two = connection(1);
        (strict == 0 ? one : two).require_post_quantum = true;
        auto& lax = strict == 0 ? two : one;
        lax.proposals.erase(lax.proposals.begin());
        other.side(0).engine.set_connections({shared(std::move(one))});
        other.side(1).engine.set_connections({shared(std::move(two))});
        other.start(0, other.side(0).engine.connections().front());
        other.run(100'000);
        EXPECT_TRUE(other.side(0).engine.sas().empty());
        EXPECT_TRUE(other.side(0).gateway.outbound.empty());
        EXPECT_TRUE(other.side(1).gateway.outbound.empty());
    }
    Connection one = connection(0), two = connection(1);
    one.require_post_quantum = two.require_post_quantum = true;
    use(std::move(one), std::move(two));
    come_up();
    EXPECT_EQ(sa(1).suite.exchanges.count, 1);
}

TEST_F(Protected, every_cipher_prf_and_key_exchange_works_with_itself) {
    for (const EncryptionInfo& cipher : encryptions)
        for (const IntegrityInfo& integrity : integrities)
            for (const PrfInfo& prf : prfs)
                for (const kex::Method& method : kex::methods()) {
                    if (cipher.aead() && integrity.id != integrities.front().id) continue;
                    std::string words = std::string(cipher.name) + " " + std::string(prf.name) + " " + std::string(method.name);
                    if (!cipher.aead()) words += " " + std::string(integrity.name);
                    World other(quick_settings(), product(), 3);
                    Connection one = connection(0), two = connection(1);
                    one.proposals = two.proposals = {ike_proposal(words)};
                    other.side(0).engine.set_connections({shared(std::move(one))});
                    other.side(1).engine.set_connections({shared(std::move(two))});
                    other.start(0, other.side(0).engine.connections().front());
                    other.run(2000);
                    ASSERT_TRUE(passes_both_ways(other.side(0).gateway, other.side(1).gateway)) << words;
                }
}

TEST_F(Protected, seven_additional_key_exchanges_are_done_in_their_order) {
    Connection one = connection(0), two = connection(1);
    one.proposals = two.proposals = {
        ike_proposal("aes-128-gcm prf-hmac-sha2-512 x25519 ml-kem-512 ml-kem-768 ml-kem-1024 ecp-256 ecp-384 ecp-521 modp-2048")};
    use(std::move(one), std::move(two));
    come_up();
    EXPECT_EQ(sa(0).suite.exchanges.count, 7);
    EXPECT_TRUE(passes_both_ways(world.side(0).gateway, world.side(1).gateway));
}

// --- out of order (RFC 9370, RFC 9242; the failure matrix) ---

TEST_F(Protected, ike_auth_before_all_key_exchanges_ends_it) {
    half_open();
    Writer payloads;
    payloads.id(PayloadType::identification_initiator, IdType::fqdn, connection(0).local_id.data);
    payloads.auth(AuthMethod::shared_key_mic, std::vector<std::uint8_t>(32));
    EXPECT_TRUE(has(ask(ExchangeType::ike_auth, 1, payloads), NotifyType::invalid_syntax));
    EXPECT_EQ(state(1), IkeState::gone);
}

TEST_F(Protected, an_additional_exchange_of_another_method_ends_it) {
    half_open();
    Writer payloads;
    payloads.ke(35, std::vector<std::uint8_t>(800));
    EXPECT_TRUE(has(ask(ExchangeType::ike_intermediate, 1, payloads), NotifyType::invalid_syntax));
    EXPECT_EQ(state(1), IkeState::gone);
}

TEST_F(Protected, an_additional_exchange_of_a_wrong_size_or_without_a_value_ends_it) {
    half_open();
    Writer payloads;
    payloads.ke(36, std::vector<std::uint8_t>(1183));
    EXPECT_TRUE(has(ask(ExchangeType::ike_intermediate, 1, payloads), NotifyType::invalid_syntax));
    EXPECT_EQ(state(1), IkeState::gone);
}

TEST_F(Protected, an_empty_intermediate_exchange_while_one_is_due_ends_it) {
    half_open();
    EXPECT_TRUE(has(ask(ExchangeType::ike_intermediate, 1, Writer{}), NotifyType::invalid_syntax));
    EXPECT_EQ(state(1), IkeState::gone);
}

TEST_F(Protected, an_intermediate_exchange_that_is_not_due_ends_it) {
    Connection one = connection(0), two = connection(1);
    one.proposals.erase(one.proposals.begin());
    use(std::move(one), std::move(two));
    half_open();
    EXPECT_TRUE(has(ask(ExchangeType::ike_intermediate, 1, with_notify(NotifyType{50000})), NotifyType::invalid_syntax));
    EXPECT_EQ(state(1), IkeState::gone);
}

TEST_F(Protected, exchanges_that_have_no_place_before_authentication_are_dropped) {
    half_open();
    for (const auto exchange : {ExchangeType::informational, ExchangeType::create_child_sa, ExchangeType{77}}) {
        EXPECT_TRUE(ask(exchange, 1, Writer{}).notifies.empty());
        EXPECT_EQ(state(1), IkeState::half_open);
    }
    EXPECT_EQ(ignored(Ignored::not_expected), 3U);
}

// --- windows (2.2, 2.3) and repetition (2.1) ---

TEST_F(Protected, message_ids_outside_the_window_say_nothing_and_change_nothing) {
    half_open();
    (void)ask(ExchangeType::ike_intermediate, 2, Writer{});
    (void)ask(ExchangeType::ike_intermediate, 0, Writer{});
    EXPECT_EQ(ignored(Ignored::future_message_id), 1U);
    EXPECT_EQ(ignored(Ignored::old_message_id), 1U);
    EXPECT_EQ(state(1), IkeState::half_open);
    EXPECT_EQ(sa(1).expected, 1U);
}

TEST_F(Protected, a_repeated_request_is_answered_with_the_same_octets_after_the_keys_have_changed) {
    come_up();
    const auto count = [&](ExchangeType type) {
        return std::ranges::count_if(passed[1], [&](const Datagram& datagram) { return exchange_of(datagram) == type; });
    };
    std::vector<Datagram> requests = passed[0];
    const std::vector<Datagram> answers = passed[1];
    std::vector<Datagram> last;
    for (Datagram& request : requests) {
        if (exchange_of(request) != ExchangeType::ike_auth) continue;
        std::swap(request.path.local, request.path.remote);
        passed[1].clear();
        world.inject(1, request);
        world.run(20);
        EXPECT_EQ(count(ExchangeType::ike_auth), 1);
        EXPECT_EQ(passed[1].at(0).octets, answers.back().octets);
    }
    EXPECT_EQ(sa(1).children.size(), 1U);
    EXPECT_GE(ignored(Ignored::repeated), 1U);
}

TEST_F(Protected, the_answer_of_an_intermediate_exchange_can_be_had_again_under_the_keys_of_before) {
    unsigned lost = 0;
    judge = [&](std::size_t from, const Datagram& datagram) {
        const bool loses = from == 1 && exchange_of(datagram) == ExchangeType::ike_intermediate && lost < 6;
        lost += loses ? 1 : 0;
        return loses ? Fate::lose : Fate::deliver;
    };
    start();
    world.run(30'000);
    EXPECT_EQ(state(0), IkeState::established) << told(0);
    EXPECT_TRUE(passes_both_ways(world.side(0).gateway, world.side(1).gateway));
}

TEST_F(Protected, requests_are_repeated_bit_by_bit_at_growing_intervals_and_given_up) {
    come_up();
    std::vector<Time> times;
    std::vector<Message> messages;
    judge = [&](std::size_t from, const Datagram& datagram) {
        if (from == 0 && exchange_of(datagram) == ExchangeType::ike_sa_init) {
            times.push_back(world.now());
            messages.push_back(datagram.octets);
        }
        return Fate::lose;
    };
    start();
    world.run(100'000);
    ASSERT_GE(times.size(), 6U);
    for (std::size_t i = 1; i < times.size(); ++i) EXPECT_EQ(messages[i], messages[0]);
    for (std::size_t i = 2; i < times.size() - 1; ++i) EXPECT_GT(times[i] - times[i - 1], times[i - 1] - times[i - 2]);
    EXPECT_EQ(world.side(0).engine.load().sas, 1U) << "only the first one is left";
}

// --- what is not authentic ---

TEST_F(Protected, every_damaged_octet_is_noticed_and_changes_nothing) {
    come_up();
    const Datagram good = protected_by(sa(0), ExchangeType::informational, 3, false, Writer{});
    for (std::size_t at = 0; at < good.octets.size(); ++at) {
        Datagram damaged = good;
        damaged.octets[at] ^= 0x10;
        passed[1].clear();
        world.inject(1, damaged);
        world.run(5);
        // The version's lower half and what is reserved are not looked at, and are authenticated all the same.
        EXPECT_TRUE(passed[1].empty() || parse_header(damaged.octets)->major() != 2) << at;
        EXPECT_EQ(sa(1).expected, 3U) << at;
    }
    EXPECT_FALSE(is_response(good));
    world.inject(1, good);
    world.run(5);
    EXPECT_EQ(sa(1).expected, 4U);
}

TEST_F(Protected, unprotected_messages_of_an_established_ike_sa_change_nothing) {
    come_up();
    for (const auto type : {NotifyType::invalid_ike_spi, NotifyType::authentication_failed, NotifyType::invalid_syntax}) {
        const Writer payloads = with_notify(type);
        Header header{.spi_i = sa(0).spi_i(),
                      .spi_r = sa(0).spi_r(),
                      .first = payloads.first(),
                      .exchange = ExchangeType::informational,
                      .initiator = true,
                      .message_id = 3};
        world.inject(1, {{sa(1).path.local, sa(1).path.remote, wan_vpn}, assemble(header, payloads)});
    }
    EXPECT_EQ(ignored(Ignored::not_protected), 3U);
    EXPECT_EQ(state(1), IkeState::established);
}

TEST_F(Protected, messages_that_are_not_this_peers_change_nothing) {
    come_up();
    Datagram other_peer = protected_by(sa(0), ExchangeType::informational, 3, false, Writer{});
    other_peer.octets[0] ^= 1; // ours is the responder's SPI
    world.inject(1, other_peer);
    Datagram own_role = protected_by(sa(1), ExchangeType::informational, 0, false, Writer{});
    std::swap_ranges(own_role.octets.begin(), own_role.octets.begin() + 8, own_role.octets.begin() + 8); // found, but as the wrong side
    world.inject(1, own_role);
    EXPECT_EQ(ignored(Ignored::other_peer_spi), 2U);
    EXPECT_EQ(sa(1).expected, 3U);
}

TEST_F(Protected, a_response_of_another_exchange_is_none) {
    half_open();
    world.inject(0, protected_by(sa(1), ExchangeType::ike_auth, 1, true, Writer{}));
    EXPECT_EQ(ignored(Ignored::wrong_exchange, 0), 1U);
    EXPECT_EQ(state(0), IkeState::initiating);
}

TEST_F(Protected, responses_that_nobody_waits_for_are_dropped) {
    come_up();
    for (unsigned id = 0; id < 100; ++id) world.inject(1, protected_by(sa(0), ExchangeType::informational, id, true, Writer{}));
    EXPECT_EQ(ignored(Ignored::no_request), 100U);
    EXPECT_EQ(state(1), IkeState::established);
}

// --- errors inside (1.4 of the reactions) ---

TEST_F(Protected, an_empty_request_is_answered_empty) {
    come_up();
    passed[1].clear();
    const Contents answer = ask(ExchangeType::informational, 3, Writer{});
    EXPECT_EQ(passed[1].size(), 1U);
    EXPECT_TRUE(answer.notifies.empty());
}

TEST_F(Protected, a_malformed_request_ends_the_ike_sa_with_invalid_syntax) {
    come_up();
    Writer payloads;
    payloads.raw(PayloadType::notify, std::vector<std::uint8_t>{0, 9, 0});
    EXPECT_TRUE(has(ask(ExchangeType::informational, 3, payloads), NotifyType::invalid_syntax));
    EXPECT_EQ(state(1), IkeState::gone);
    EXPECT_NE(told(1).find("malformed"), std::string::npos);
}

TEST_F(Protected, an_unknown_critical_payload_is_refused_and_an_established_ike_sa_lives) {
    come_up();
    Writer payloads;
    payloads.raw(static_cast<PayloadType>(200), {}, true);
    const Contents answer = ask(ExchangeType::informational, 3, payloads);
    ASSERT_TRUE(has(answer, NotifyType::unsupported_critical_payload));
    EXPECT_EQ(answer.notifies[0].data[0], 200);
    EXPECT_EQ(state(1), IkeState::established);
    EXPECT_EQ(sa(1).expected, 4U);
    Writer skipped;
    skipped.raw(static_cast<PayloadType>(200), {}, false);
    EXPECT_TRUE(ask(ExchangeType::informational, 4, skipped).notifies.empty());
    EXPECT_EQ(sa(1).expected, 5U);
}

TEST_F(Protected, an_unknown_critical_payload_before_authentication_ends_it) {
    half_open();
    Writer payloads;
    payloads.raw(static_cast<PayloadType>(200), {}, true);
    EXPECT_TRUE(has(ask(ExchangeType::ike_intermediate, 1, payloads), NotifyType::unsupported_critical_payload));
    EXPECT_EQ(state(1), IkeState::gone);
}

TEST_F(Protected, an_unknown_exchange_ends_an_established_ike_sa) {
    come_up();
    EXPECT_TRUE(has(ask(ExchangeType{77}, 3, Writer{}), NotifyType::invalid_syntax));
    EXPECT_EQ(state(1), IkeState::gone);
}

TEST_F(Protected, ike_auth_after_it_is_established_is_dropped) {
    come_up();
    EXPECT_TRUE(ask(ExchangeType::ike_auth, 3, Writer{}).notifies.empty());
    EXPECT_EQ(ignored(Ignored::not_expected), 1U);
    EXPECT_EQ(state(1), IkeState::established);
}

TEST_F(Protected, deleting_the_ike_sa_is_answered_empty_also_when_it_is_asked_again) {
    come_up();
    Writer payloads;
    payloads.erase(ProtocolId::ike, 0, {});
    const Datagram request = protected_by(sa(0), ExchangeType::informational, 3, false, payloads);
    for (unsigned i = 0; i < 2; ++i) {
        passed[1].clear();
        world.inject(1, request);
        world.run(10);
        EXPECT_EQ(passed[1].size(), 1U);
    }
    EXPECT_EQ(state(1), IkeState::gone);
    world.run(200'000);
    EXPECT_EQ(world.side(1).engine.load().sas, 0U);
}

// --- fragments (RFC 7383) ---

struct FragmentRow {
    const char* name;
    void (*change)(Message&);
    Ignored reason;
};
const std::array fragment_rows{
    FragmentRow{"number 0", [](Message& m) { wire::store16(m.data() + 32, 0); }, Ignored::bad_fragment},
    FragmentRow{"number above the total", [](Message& m) { wire::store16(m.data() + 32, 3); }, Ignored::bad_fragment},
    FragmentRow{"too many", [](Message& m) { wire::store16(m.data() + 34, 1000); }, Ignored::fragment_limit},
    FragmentRow{"a first type in a later one", [](Message& m) { wire::store16(m.data() + 32, 2), m[28] = 34; }, Ignored::bad_fragment},
    FragmentRow{"an ICV that is wrong", [](Message& m) { m.back() ^= 1; }, Ignored::bad_icv},
};

TEST_F(Protected, fragments_that_cannot_be_are_dropped_and_the_good_ones_still_count) {
    std::vector<Datagram> held;
    judge = [&](std::size_t from, const Datagram& datagram) {
        if (from != 0 || exchange_of(datagram) != ExchangeType::ike_intermediate || held.size() >= 2) return Fate::deliver;
        held.push_back(datagram);
        std::swap(held.back().path.local, held.back().path.remote);
        return Fate::lose;
    };
    start();
    world.run(500);
    ASSERT_EQ(held.size(), 2U);
    for (const FragmentRow& row : fragment_rows) {
        Datagram bad = held[0];
        row.change(bad.octets);
        const std::uint64_t before = ignored(row.reason);
        world.inject(1, bad);
        EXPECT_EQ(ignored(row.reason), before + 1) << row.name;
    }
    // The second before the first, and each twice.
    world.inject(1, held[1]);
    world.inject(1, held[1]);
    EXPECT_EQ(ignored(Ignored::repeated), 1U);
    world.inject(1, held[0]);
    world.run(500);
    EXPECT_EQ(state(0), IkeState::established) << told(0);
}

/// An empty INFORMATIONAL that is one fragment of one.
Datagram lone_fragment(const IkeSa& from, std::uint32_t id) {
    static const Writer payloads = with_notify(NotifyType{50'000});
    return protected_by(from, ExchangeType::informational, id, false, Inside{payloads.first(), payloads.octets(), 1, 1});
}

TEST_F(Protected, fragments_are_taken_only_where_they_were_agreed_upon) {
    come_up();
    world.inject(1, lone_fragment(sa(0), 3));
    world.run(10);
    EXPECT_EQ(sa(1).expected, 4U);
    EXPECT_EQ(ignored(Ignored::bad_fragment), 0U);

    std::vector<const Extension*> without(product().extensions.begin(), product().extensions.end());
    std::erase(without, &extension::fragmentation);
    Registry registry = product();
    registry.extensions = without;
    World other(quick_settings(), registry, 11);
    other.side(0).engine.set_connections({shared(connection(0))});
    other.side(1).engine.set_connections({shared(connection(1))});
    other.start(0, other.side(0).engine.connections().front());
    other.run(3000);
    ASSERT_NE(only_sa(other.side(0)), nullptr);
    other.inject(1, lone_fragment(*only_sa(other.side(0)), 3));
    other.run(10);
    EXPECT_EQ(only_sa(other.side(1))->expected, 3U);
    EXPECT_EQ(other.side(1).engine.counters()[Ignored::bad_fragment], 1U);
}

// --- frames that are destroyed wherever they wait ---

TEST_F(Protected, an_ike_sa_can_be_forgotten_at_any_moment) {
    for (unsigned moment = 0; moment < 400; ++moment) {
        World other(quick_settings(), product(), 900 + moment, {.loss = 5, .delay = 5, .spread = 5, .computing = 10});
        other.side(0).engine.set_connections({shared(connection(0))});
        other.side(1).engine.set_connections({shared(connection(1))});
        const Spi first = other.start(0, other.side(0).engine.connections().front());
        other.run(moment / 4);
        const std::size_t which = moment % 2;
        if (which == 0)
            other.forget(0, first);
        else if (const IkeSa* theirs = only_sa(other.side(1)))
            other.forget(1, theirs->own_spi);
        EXPECT_EQ(other.side(which).engine.load().flows, 0U);
        // Where side 1 had nothing to forget yet, it comes up; else the side that still has it finds out by itself.
        other.run(300'000);
        if (const IkeSa* up = only_sa(other.side(0)); up != nullptr && up->state == IkeState::established) other.close(0, up->own_spi);
        other.run(400'000);
        for (const std::size_t side : {0U, 1U}) {
            EXPECT_TRUE(nothing_left(other.side(side))) << moment;
            EXPECT_EQ(other.side(side).gateway.wrong, 0U) << moment;
        }
    }
}

} // namespace
} // namespace sallyport::ike::simulation
