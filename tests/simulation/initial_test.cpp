// SPDX-License-Identifier: Apache-2.0
// IKE_SA_INIT: what anybody can send, and what becomes of it (RFC 7296 2.5, 2.6, 2.7, 2.21.1; RFC 6989 2.5).
#include "tests/simulation/quick_kex.hpp"
#include "tests/simulation/world.hpp"

#include "ike/codec/message.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace sallyport::ike::simulation {
namespace {

/// A world whose first side has sent a request that has not arrived.
class Initial : public testing::Test {
protected:
    explicit Initial(Settings settings = quick_settings()) : world(settings, product(), 7) {
        world.watch = [this](std::size_t from, Datagram& datagram) {
            sent[from].push_back(datagram);
            return Fate::lose;
        };
        world.side(0).engine.set_connections({shared(connection(0))});
        world.side(1).engine.set_connections({shared(connection(1))});
    }

    void begin() {
        world.start(0, world.side(0).engine.connections().front());
        world.settle(100);
        ASSERT_EQ(sent[0].size(), 1U);
        request = sent[0].front();
        std::swap(request.path.local, request.path.remote);
        sent[0].clear();
    }
    /// Side 1 gets it; what it said to that.
    std::vector<Datagram> give(Datagram datagram) {
        sent[1].clear();
        world.inject(1, std::move(datagram));
        world.settle(100);
        return sent[1];
    }
    /// Side 0 gets what side 1 said.
    std::vector<Datagram> give_back(Datagram datagram) {
        std::swap(datagram.path.local, datagram.path.remote);
        sent[0].clear();
        world.inject(0, std::move(datagram));
        world.settle(100);
        return sent[0];
    }
    [[nodiscard]] Datagram with(const std::function<void(Message&)>& change) const {
        Datagram changed = request;
        change(changed.octets);
        return changed;
    }
    /// The same header before other payloads.
    [[nodiscard]] Datagram with_payloads(const Writer& payloads) const {
        Datagram changed = request;
        Header header = *parse_header(request.octets);
        header.first = payloads.first();
        changed.octets = assemble(header, payloads);
        return changed;
    }
    [[nodiscard]] std::uint64_t ignored(Ignored reason, std::size_t which = 1) { return world.side(which).engine.counters()[reason]; }

    World world;
    std::array<std::vector<Datagram>, 2> sent;
    Datagram request;
};

NotifyType only_notify(const std::vector<Datagram>& answers) {
    if (answers.size() != 1) return NotifyType{};
    const Parsed<Chain> chain = parse_chain(parse_header(answers[0].octets)->first, Octets(answers[0].octets).subspan(header_size));
    if (!chain || chain->payloads.size() != 1) return NotifyType{};
    const Parsed<Notify> notify = parse_notify(chain->payloads[0].body);
    return notify ? notify->type : NotifyType{};
}

Contents contents_of(const Datagram& datagram) {
    const Parsed<Chain> chain = parse_chain(parse_header(datagram.octets)->first, Octets(datagram.octets).subspan(header_size));
    return chain ? parse_contents(*chain).value_or(Contents{}) : Contents{};
}

TEST_F(Initial, request_and_answer_have_the_header_that_they_must_have) {
    begin();
    const Header asked = *parse_header(request.octets);
    EXPECT_NE(asked.spi_i, 0U);
    EXPECT_EQ(asked.spi_r, 0U);
    EXPECT_EQ(asked.version, 0x20);
    EXPECT_EQ(asked.exchange, ExchangeType::ike_sa_init);
    EXPECT_EQ(request.octets[19], 0x08);
    EXPECT_EQ(asked.message_id, 0U);
    EXPECT_EQ(asked.length, request.octets.size());
    const std::vector<Datagram> answers = give(request);
    ASSERT_EQ(answers.size(), 1U);
    const Header answered = *parse_header(answers[0].octets);
    EXPECT_EQ(answered.spi_i, asked.spi_i);
    EXPECT_NE(answered.spi_r, 0U);
    EXPECT_EQ(answers[0].octets[19], 0x20);
    const Contents contents = contents_of(answers[0]);
    ASSERT_EQ(contents.sa.size(), 1U);
    EXPECT_EQ(contents.sa[0].number, 1);
    EXPECT_EQ(contents.sa[0].transforms.size(), 4U);
}

/// What the header says, and what becomes of it: the rows of the checks before any cryptography.
struct HeaderRow {
    const char* name;
    void (*change)(Message&);
    Ignored reason;
    NotifyType answer; // 0: silence
};
const std::array header_rows{
    HeaderRow{"shorter than a header", [](Message& m) { m.resize(27); }, Ignored::too_short, {}},
    HeaderRow{"empty", [](Message& m) { m.clear(); }, Ignored::too_short, {}},
    HeaderRow{"length above the datagram", [](Message& m) { m[27] += 1; }, Ignored::wrong_length, {}},
    HeaderRow{"length below the datagram", [](Message& m) { m.push_back(0); }, Ignored::wrong_length, {}},
    HeaderRow{"version 3", [](Message& m) { m[17] = 0x30; }, Ignored::major_version, NotifyType::invalid_major_version},
    HeaderRow{"version 3, a response", [](Message& m) { m[17] = 0x30, m[19] = 0x20; }, Ignored::major_version, {}},
    HeaderRow{"version 1", [](Message& m) { m[17] = 0x10; }, Ignored::ikev1, {}},
    HeaderRow{"no SPI of the initiator", [](Message& m) { std::fill_n(m.begin(), 8, 0); }, Ignored::no_initiator_spi, {}},
    HeaderRow{"a message id", [](Message& m) { m[23] = 1; }, Ignored::bad_init_header, {}},
    HeaderRow{"an SPI of the responder", [](Message& m) { m[15] = 1; }, Ignored::bad_init_header, {}},
    HeaderRow{"without the I flag", [](Message& m) { m[19] = 0; }, Ignored::bad_init_header, {}},
    HeaderRow{"a response to nothing", [](Message& m) { m[19] = 0x20; }, Ignored::unknown_spi, {}},
    HeaderRow{"IKE_AUTH without an SPI", [](Message& m) { m[18] = 35; }, Ignored::no_responder_spi, {}},
    HeaderRow{"IKE_AUTH with an unknown SPI", [](Message& m) { m[18] = 35, m[15] = 9; }, Ignored::unknown_spi, {}},
    HeaderRow{"a payload beyond the end", [](Message& m) { m[31] = 0xff; }, Ignored::malformed, {}},
    HeaderRow{"a payload of no length", [](Message& m) { m[30] = 0, m[31] = 3; }, Ignored::malformed, {}},
    HeaderRow{"a payload type nobody knows, critical", [](Message& m) { m[16] = 200, m[29] = 0x80; }, Ignored::unsupported_critical,
              NotifyType::unsupported_critical_payload},
    HeaderRow{"no SA, as its type is unknown", [](Message& m) { m[16] = 200; }, Ignored::invalid_payloads, {}},
};

TEST_F(Initial, header_by_header_gives_its_reason_and_keeps_nothing) {
    begin();
    for (const HeaderRow& row : header_rows) {
        const std::uint64_t before = ignored(row.reason);
        world.run(2000); // answers to strange versions are rare
        const std::vector<Datagram> answers = give(with(row.change));
        EXPECT_EQ(ignored(row.reason), before + 1) << row.name;
        EXPECT_EQ(only_notify(answers), row.answer) << row.name;
        EXPECT_EQ(world.side(1).engine.load().sas, 0U) << row.name;
    }
}

TEST_F(Initial, strange_bits_and_versions_of_today_are_taken) {
    begin();
    EXPECT_EQ(give(with([](Message& m) { m[17] = 0x25, m[19] |= 0xc7 & ~0x20, m[29] = 0x80; })).size(), 1U);
    EXPECT_EQ(world.side(1).engine.load().half_open, 1U);
}

TEST_F(Initial, answers_to_strange_versions_are_few) {
    begin();
    unsigned answers = 0;
    world.run(2000);
    for (unsigned i = 0; i < 100; ++i) answers += static_cast<unsigned>(give(with([](Message& m) { m[17] = 0x30; })).size());
    EXPECT_EQ(answers, 1U);
}

TEST_F(Initial, an_error_notify_in_a_request_replaces_no_payload) {
    begin();
    Writer payloads;
    payloads.nonce(contents_of(request).nonce);
    payloads.notify(NotifyType::no_proposal_chosen);
    EXPECT_TRUE(give(with_payloads(payloads)).empty());
    EXPECT_EQ(ignored(Ignored::invalid_payloads), 1U);
}

TEST_F(Initial, nonces_of_a_length_that_none_has_are_dropped) {
    begin();
    for (const std::size_t size : {std::size_t{15}, std::size_t{257}, std::size_t{16}, std::size_t{256}}) {
        const Contents good = contents_of(request);
        Writer payloads;
        payloads.sa(good.sa);
        payloads.ke(good.ke->method, good.ke->data);
        payloads.nonce(std::vector<std::uint8_t>(size, 7));
        const bool answered = !give(with_payloads(payloads)).empty();
        EXPECT_EQ(answered, size == 16 || size == 256) << size;
    }
}

TEST_F(Initial, a_value_of_the_wrong_size_is_dropped_and_nothing_is_kept) {
    begin();
    const Contents good = contents_of(request);
    Writer payloads;
    payloads.sa(good.sa);
    payloads.ke(good.ke->method, good.ke->data.first(31));
    payloads.nonce(good.nonce);
    EXPECT_TRUE(give(with_payloads(payloads)).empty());
    EXPECT_EQ(ignored(Ignored::bad_key_exchange), 1U);
    EXPECT_EQ(world.side(1).engine.load().sas, 0U);
}

TEST_F(Initial, a_proposal_that_nobody_takes_is_told) {
    begin();
    const Contents good = contents_of(request);
    Writer payloads;
    const Proposal other = ike_proposal("aes-128-cbc hmac-sha2-256 prf-hmac-sha2-512 x25519");
    payloads.sa({&other, 1});
    payloads.ke(31, good.ke->data);
    payloads.nonce(good.nonce);
    EXPECT_EQ(only_notify(give(with_payloads(payloads))), NotifyType::no_proposal_chosen);
    EXPECT_EQ(ignored(Ignored::no_proposal), 1U);
    EXPECT_EQ(world.side(1).engine.load().sas, 0U);
}

TEST_F(Initial, a_peer_that_no_connection_is_for_is_told) {
    begin();
    Datagram elsewhere = request;
    elsewhere.path.remote.address = *parse_address("198.51.100.9");
    EXPECT_EQ(only_notify(give(elsewhere)), NotifyType::no_proposal_chosen);
    EXPECT_EQ(ignored(Ignored::no_connection), 1U);
}

TEST_F(Initial, a_repeated_request_gets_the_same_answer) {
    begin();
    const std::vector<Datagram> first = give(request), second = give(request);
    ASSERT_EQ(first.size(), 1U);
    ASSERT_EQ(second.size(), 1U);
    EXPECT_EQ(first[0].octets, second[0].octets);
    EXPECT_EQ(world.side(1).engine.load().sas, 1U);
    EXPECT_EQ(ignored(Ignored::repeated), 1U);
}

TEST_F(Initial, the_same_spi_from_another_port_is_another_peer) {
    begin();
    Datagram other = request;
    other.path.remote.port = 1024;
    EXPECT_EQ(give(request).size(), 1U);
    EXPECT_EQ(give(other).size(), 1U);
    EXPECT_EQ(world.side(1).engine.load().sas, 2U);
}

TEST_F(Initial, forged_errors_do_not_end_an_attempt) {
    begin();
    for (const NotifyType type : {NotifyType::no_proposal_chosen, NotifyType::invalid_syntax, NotifyType::authentication_failed,
                                  NotifyType::unsupported_critical_payload, NotifyType::invalid_major_version, NotifyType{8000}}) {
        Writer payloads;
        payloads.notify(type);
        Header header = *parse_header(request.octets);
        header.first = payloads.first();
        header.initiator = false;
        header.response = true;
        EXPECT_TRUE(give_back({request.path, assemble(header, payloads)}).empty());
    }
    const std::vector<Datagram> answer = give(request);
    ASSERT_EQ(answer.size(), 1U);
    EXPECT_FALSE(give_back(answer[0]).empty()) << "it did not go on with the good answer";
}

TEST_F(Initial, what_a_forged_answer_said_is_told_when_the_attempt_is_over) {
    begin();
    Writer payloads;
    payloads.notify(NotifyType::no_proposal_chosen);
    Header header = *parse_header(request.octets);
    header.first = payloads.first();
    header.initiator = false;
    header.response = true;
    give_back({request.path, assemble(header, payloads)});
    world.run(200'000);
    ASSERT_EQ(world.side(0).events.size(), 1U);
    EXPECT_NE(world.side(0).events[0].sentence.find("NO_PROPOSAL_CHOSEN"), std::string::npos) << world.side(0).events[0].sentence;
    EXPECT_EQ(world.side(0).engine.load().sas, 0U);
}

// --- cookies (2.6) ---

class Cookies : public Initial {
protected:
    static Settings pressed() {
        Settings settings = quick_settings();
        settings.cookies_from = 0;
        return settings;
    }
    Cookies() : Initial(pressed()) {}
};

TEST_F(Cookies, are_asked_for_before_anything_is_kept_and_returned_first_with_all_else_unchanged) {
    begin();
    const std::vector<Datagram> asked = give(request);
    EXPECT_EQ(only_notify(asked), NotifyType::cookie);
    EXPECT_EQ(parse_header(asked[0].octets)->spi_r, 0U);
    EXPECT_LE(asked[0].octets.size(), request.octets.size());
    EXPECT_EQ(world.side(1).engine.load().sas, 0U);
    const std::vector<Datagram> again = give_back(asked[0]);
    ASSERT_EQ(again.size(), 1U);
    const Octets cookie = contents_of(asked[0]).notifies[0].data;
    const std::size_t longer = 8 + cookie.size();
    ASSERT_EQ(again[0].octets.size(), request.octets.size() + longer);
    EXPECT_EQ(contents_of(again[0]).notifies[0].type, NotifyType::cookie);
    EXPECT_TRUE(
        std::equal(request.octets.begin() + header_size, request.octets.end(), again[0].octets.begin() + header_size + 8 + cookie.size()));
    Datagram second = again[0];
    std::swap(second.path.local, second.path.remote);
    const std::vector<Datagram> answer = give(second);
    ASSERT_EQ(answer.size(), 1U);
    EXPECT_FALSE(contents_of(answer[0]).sa.empty());
}

TEST_F(Cookies, of_others_are_worth_nothing) {
    begin();
    Datagram second = give_back(give(request)[0])[0];
    std::swap(second.path.local, second.path.remote);
    const auto refused = [&](Datagram changed) { return only_notify(give(std::move(changed))) == NotifyType::cookie; };
    Datagram moved = second;
    moved.path.remote.address = *parse_address("192.0.2.3");
    EXPECT_TRUE(refused(moved));
    Datagram other_spi = second;
    other_spi.octets[0] ^= 1;
    EXPECT_TRUE(refused(other_spi));
    Datagram damaged = second;
    damaged.octets[header_size + 8 + 5] ^= 1;
    EXPECT_TRUE(refused(damaged));
    Datagram other_port = second; // a NAT may do that
    other_port.path.remote.port = 1024;
    EXPECT_FALSE(refused(other_port));
    EXPECT_FALSE(refused(second));
}

TEST_F(Cookies, grow_old) {
    begin();
    Datagram second = give_back(give(request)[0])[0];
    std::swap(second.path.local, second.path.remote);
    world.run(89'000);
    EXPECT_NE(only_notify(give(second)), NotifyType::cookie);
    world.run(181'000);
    Datagram late = second;
    late.path.remote.port = 77; // the request itself is known, and needs no cookie any more
    EXPECT_EQ(only_notify(give(late)), NotifyType::cookie);
}

TEST_F(Initial, cookies_beyond_three_rounds_end_in_waiting) {
    begin();
    unsigned rounds = 0;
    for (unsigned i = 1; i <= 10; ++i) {
        Writer payloads;
        payloads.notify(NotifyType::cookie, std::vector<std::uint8_t>(i, 7));
        Header header = *parse_header(request.octets);
        header.first = payloads.first();
        header.initiator = false;
        header.response = true;
        rounds += static_cast<unsigned>(give_back({request.path, assemble(header, payloads)}).size());
    }
    EXPECT_EQ(rounds, 3U);
}

// --- another key exchange (1.2, 2.6.1) ---

TEST_F(Initial, the_responders_key_exchange_is_taken_and_the_whole_proposal_offered_again) {
    Connection mine = connection(0), theirs = connection(1);
    mine.proposals = {ike_proposal("aes-256-gcm prf-hmac-sha2-256 x25519")};
    mine.proposals[0].transforms.push_back({TransformType::key_exchange, 19});
    theirs.proposals = {ike_proposal("aes-256-gcm prf-hmac-sha2-256 ecp-256")};
    world.side(0).engine.set_connections({shared(std::move(mine))});
    world.side(1).engine.set_connections({shared(std::move(theirs))});
    begin();
    const std::vector<Datagram> told = give(request);
    EXPECT_EQ(only_notify(told), NotifyType::invalid_ke_payload);
    EXPECT_EQ(world.side(1).engine.load().sas, 0U);
    const std::vector<Datagram> again = give_back(told[0]);
    ASSERT_EQ(again.size(), 1U);
    const Contents first = contents_of(request), second = contents_of(again[0]);
    EXPECT_EQ(second.ke->method, 19);
    EXPECT_EQ(second.sa, first.sa);
    EXPECT_EQ(parse_header(again[0].octets)->spi_i, parse_header(request.octets)->spi_i);
    // Once more the same, or one that was never offered: forged.
    EXPECT_TRUE(give_back(told[0]).empty());
}

TEST_F(Initial, a_wish_for_a_key_exchange_that_cannot_be_is_ignored) {
    begin();
    for (const std::vector<std::uint8_t>& data : {std::vector<std::uint8_t>{0, 31}, {0, 19}, {0}, {0, 31, 0}, {}}) {
        Writer payloads;
        payloads.notify(NotifyType::invalid_ke_payload, data);
        Header header = *parse_header(request.octets);
        header.first = payloads.first();
        header.initiator = false;
        header.response = true;
        EXPECT_TRUE(give_back({request.path, assemble(header, payloads)}).empty());
    }
    EXPECT_FALSE(give_back(give(request)[0]).empty());
}

/// Answers that no proposal of ours allows.
TEST_F(Initial, a_choice_that_was_not_offered_is_no_answer) {
    begin();
    const Datagram good = give(request)[0];
    const Contents contents = contents_of(good);
    const auto answer = [&](const std::vector<Proposal>& chosen, Octets nonce) {
        Writer payloads;
        if (!chosen.empty()) payloads.sa(chosen);
        payloads.ke(contents.ke->method, contents.ke->data);
        payloads.nonce(nonce);
        payloads.notify(NotifyType::intermediate_exchange_supported);
        Header header = *parse_header(good.octets);
        header.first = payloads.first();
        return give_back({good.path, assemble(header, payloads)});
    };
    Proposal chosen = contents.sa[0];
    EXPECT_TRUE(answer({}, contents.nonce).empty());
    EXPECT_TRUE(answer({chosen, chosen}, contents.nonce).empty());
    Proposal numbered = chosen;
    numbered.number = 7;
    EXPECT_TRUE(answer({numbered}, contents.nonce).empty());
    Proposal twice = chosen;
    twice.transforms.push_back(twice.transforms[0]);
    EXPECT_TRUE(answer({twice}, contents.nonce).empty());
    Proposal changed = chosen;
    changed.transforms[0].key_length = 128;
    EXPECT_TRUE(answer({changed}, contents.nonce).empty());
    Proposal less = chosen;
    less.transforms.pop_back();
    EXPECT_TRUE(answer({less}, contents.nonce).empty());
    EXPECT_FALSE(answer({chosen}, contents.nonce).empty());
}

// --- the door of the responder (2.6, 9.1 of the limits) ---

TEST_F(Initial, half_open_ones_are_bounded_and_vanish) {
    begin();
    for (unsigned i = 0; i < 200; ++i) {
        Datagram another = request;
        another.octets[0] = static_cast<std::uint8_t>(i + 1);
        another.octets[1] = 0xaa;
        give(another);
    }
    const Settings settings;
    EXPECT_EQ(world.side(1).engine.load().sas, settings.cookies_from_prefix);
    EXPECT_EQ(ignored(Ignored::cookie_wanted), 200 - settings.cookies_from_prefix);
    world.run(130'000);
    EXPECT_EQ(world.side(1).engine.load().sas, 0U);
    EXPECT_EQ(world.side(1).engine.load().timers, 0U);
}

class Crowded : public Initial {
protected:
    static Settings small() {
        Settings settings = quick_settings();
        settings.cookies_from = settings.cookies_from_prefix = 1000;
        settings.half_open_most_prefix = 2;
        settings.half_open_most = 3;
        return settings;
    }
    Crowded() : Initial(small()) {}
};

TEST_F(Crowded, half_open_ones_have_room_for_so_many_of_a_prefix_and_of_all) {
    Connection anybody = connection(1);
    anybody.remote.reset();
    world.side(1).engine.set_connections({shared(std::move(anybody))});
    begin();
    const auto let_in = [&](const char* from, std::uint8_t spi) {
        Datagram another = request;
        another.path.remote.address = *parse_address(from);
        another.octets[0] = spi;
        return !give(std::move(another)).empty();
    };
    EXPECT_TRUE(let_in("192.0.2.1", 1));
    EXPECT_TRUE(let_in("192.0.2.1", 2));
    EXPECT_FALSE(let_in("192.0.2.1", 3)) << "two of one address";
    EXPECT_TRUE(let_in("192.0.2.9", 4));
    EXPECT_FALSE(let_in("198.51.100.1", 5)) << "three in all";
    EXPECT_EQ(ignored(Ignored::half_open_limit), 2U);
}

TEST_F(Initial, a_request_that_is_being_worked_on_is_not_begun_again) {
    begin();
    world.inject(1, request);
    world.inject(1, request);
    EXPECT_EQ(ignored(Ignored::in_work), 1U);
    world.settle(100);
    EXPECT_EQ(sent[1].size(), 1U);
    EXPECT_EQ(world.side(1).engine.load().sas, 1U);
}

} // namespace
} // namespace sallyport::ike::simulation
