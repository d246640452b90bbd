// SPDX-License-Identifier: Apache-2.0
// What the codec refuses, and the last thing before it that it accepts.
#include "ike/codec/message.hpp"
#include "ike/codec/samples.hpp"

#include <gtest/gtest.h>

namespace sallyport::ike {
namespace {

using namespace samples;
using enum PayloadType;

constexpr std::string_view good = "";

/// What is wrong with a chain or with what it says.
Malformed fault_of(PayloadType first, const Bytes& bytes) {
    const Exact exact(bytes);
    const Parsed<Chain> chain = parse_chain(first, exact.octets());
    if (!chain) return chain.error();
    const Parsed<Contents> contents = parse_contents(*chain);
    return contents ? Malformed{none, good} : contents.error();
}

/// Of one payload.
std::string_view fault_in(PayloadType type, const Bytes& body) {
    const Malformed fault = fault_of(type, payload(none, body));
    EXPECT_EQ(fault.payload, fault.what == good ? none : type);
    return fault.what;
}

std::string_view fault_in_sa(const Bytes& body) { return fault_in(security_association, body); }

struct Case {
    PayloadType type;
    Bytes body;
    std::string_view what;
};

void expect(const std::vector<Case>& cases) {
    for (std::size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(fault_in(cases[i].type, cases[i].body), cases[i].what) << "case " << i;
}

TEST(Malformed, chains) {
    struct Row {
        PayloadType first;
        const char* octets;
        PayloadType seen_in;
        std::string_view what;
    };
    const Row rows[] = {
        {none, "", none, good},
        {none, "00", none, "octets behind the last payload"},
        {vendor_id, "", vendor_id, "a header cut off"},
        {vendor_id, "000000", vendor_id, "a header cut off"},
        {vendor_id, "00000000", vendor_id, "a length below the header's"},
        {vendor_id, "00000001", vendor_id, "a length below the header's"},
        {vendor_id, "00000003", vendor_id, "a length below the header's"},
        {vendor_id, "00000004", none, good},
        {vendor_id, "00000005", vendor_id, "a length beyond the end"},
        {vendor_id, "0000ffff", vendor_id, "a length beyond the end"},
        {vendor_id, "00000005 aa", none, good},
        {vendor_id, "00000005 aabb", vendor_id, "octets behind the last payload"},
        {vendor_id, "2b000004", vendor_id, "a header cut off"},
        {vendor_id, "29000004 00000003", notify, "a length below the header's"},
        {vendor_id, "2f000004 00000004", none, good},
        {encrypted, "23000004", none, good},
        {encrypted, "23000004 00000004", encrypted, "octets behind the last payload"},
        {encrypted_fragment, "00000005 aabb", encrypted_fragment, "octets behind the last payload"},
        {encrypted, "23000003", encrypted, "a length below the header's"},
    };
    for (const Row& row : rows) {
        const Malformed fault = fault_of(row.first, hex(row.octets));
        EXPECT_EQ(fault.what, row.what) << row.octets;
        EXPECT_EQ(fault.payload, row.seen_in) << row.octets;
    }
}

TEST(Malformed, more_payloads_than_a_message_may_have) {
    const auto of = [](std::size_t count) { return samples::chain(Parts(count, {vendor_id, {}})); };
    EXPECT_EQ(fault_of(vendor_id, of(most_payloads)).what, good);
    EXPECT_EQ(fault_of(vendor_id, of(most_payloads + 1)).what, "too many payloads");
    EXPECT_EQ(fault_of(vendor_id, of(5000)).what, "too many payloads");
}

TEST(Malformed, two_of_a_kind_of_which_there_is_one) {
    const Parts one_each = {{security_association, proposal_of(1, false, 1, transforms(1))},
                            {key_exchange, hex("001f0000")},
                            {nonce, fill(16)},
                            {identification_initiator, hex("02000000")},
                            {identification_responder, hex("02000000")},
                            {authentication, hex("02000000")},
                            {traffic_selector_initiator, hex("01000000") + selector4()},
                            {traffic_selector_responder, hex("01000000") + selector4()}};
    EXPECT_EQ(fault_of(security_association, samples::chain(one_each)).what, good);
    for (const auto& part : one_each) {
        Parts parts = one_each;
        parts.insert(parts.begin() + 4, {vendor_id, {}});
        parts.push_back(part);
        const Malformed fault = fault_of(security_association, samples::chain(parts));
        EXPECT_EQ(fault.what, "two of it");
        EXPECT_EQ(fault.payload, part.first);
    }
    for (const PayloadType type :
         {encrypted, encrypted_fragment}) { // of these parse_chain() gives one, but a chain may come from elsewhere
        const Payload one{.type = type};
        EXPECT_TRUE(parse_contents({.payloads = {one}}));
        EXPECT_EQ(parse_contents({.payloads = {one, one}}).error().what, "two of it");
    }
}

TEST(Malformed, short_bodies) {
    const Bytes three(3), four = hex("02000000");
    expect({{key_exchange, {}, "a body too short"},
            {key_exchange, three, "a body too short"},
            {key_exchange, four, good},
            {identification_initiator, three, "a body too short"},
            {identification_initiator, four, good},
            {identification_responder, three, "a body too short"},
            {identification_responder, four, good},
            {authentication, three, "a body too short"},
            {authentication, four, good},
            {certificate, {}, "a body too short"},
            {certificate, hex("04"), good},
            {certificate_request, {}, "a body too short"},
            {certificate_request, hex("04"), good},
            {notify, three, "a body too short"},
            {notify, hex("00004000"), good},
            {delete_payload, three, "a body too short"},
            {delete_payload, hex("01000000"), good},
            {traffic_selector_initiator, three, "a body too short"},
            {traffic_selector_responder, {}, "a body too short"},
            {security_association, {}, "no proposal"},
            {vendor_id, {}, good}});
}

TEST(Malformed, nonces_outside_16_to_256_octets) {
    expect({{nonce, {}, "a nonce too short or too long"},
            {nonce, fill(15), "a nonce too short or too long"},
            {nonce, fill(16), good},
            {nonce, fill(256), good},
            {nonce, fill(257), "a nonce too short or too long"}});
}

TEST(Malformed, notifies) {
    expect({{notify, hex("00014000"), "an SPI beyond the end"},
            {notify, hex("00ff4000") + fill(254), "an SPI beyond the end"},
            {notify, hex("00ff4000") + fill(255), good},
            {notify, hex("00004006"), "a cookie too short or too long"},
            {notify, hex("00044006 11223344"), "a cookie too short or too long"},
            {notify, hex("00004006") + fill(1), good},
            {notify, hex("00004006") + fill(64), good},
            {notify, hex("00004006") + fill(65), "a cookie too short or too long"}});
}

TEST(Malformed, deletes) {
    expect({{delete_payload, hex("03040001"), "a wrong number of SPIs"},
            {delete_payload, hex("03040001 c00000"), "a wrong number of SPIs"},
            {delete_payload, hex("03040001 c0000001"), good},
            {delete_payload, hex("03040001 c0000001 c0"), "a wrong number of SPIs"},
            {delete_payload, hex("03040002 c0000001"), "a wrong number of SPIs"},
            {delete_payload, hex("03ffffff") + fill(100), "a wrong number of SPIs"},
            {delete_payload, hex("01000000 00"), "a wrong number of SPIs"},
            {delete_payload, hex("01000001"), "an SPI size that is not the protocol's"},
            {delete_payload, hex("01080001 0102030405060708"), "an SPI size that is not the protocol's"},
            {delete_payload, hex("01080000"), "an SPI size that is not the protocol's"},
            {delete_payload, hex("03080001 0102030405060708"), "an SPI size that is not the protocol's"},
            {delete_payload, hex("0200ffff"), "an SPI size that is not the protocol's"},
            {delete_payload, hex("0700ffff"), "an SPI size that is not the protocol's"},
            {delete_payload, hex("07000000"), good},
            {delete_payload, hex("07030001 010203"), good}});
}

TEST(Malformed, traffic_selectors) {
    const Bytes one = hex("01000000"), two = hex("02000000"), first6 = hex("20010db8000000000000000000000001");
    Bytes second6 = first6;
    second6[15] = 0;
    const Bytes header6 = hex("08000028 0000ffff");
    const std::vector<std::pair<Bytes, std::string_view>> bodies = {
        {hex("00000000"), "no traffic selector"},
        {hex("00000000") + selector4(), "no traffic selector"},
        {one, "a traffic selector cut off"},
        {one + hex("070000"), "a traffic selector cut off"},
        {one + hex("07000003"), "a traffic selector of a wrong length"},
        {one + hex("09000003"), "a traffic selector of a wrong length"},
        {one + hex("09000000"), "a traffic selector of a wrong length"},
        {one + hex("09000004"), good},
        {one + hex("09000005"), "a length beyond the end"},
        {one + hex("07000010 0000ffff 0a010000 0a01ff"), "a length beyond the end"},
        {one + hex("0700000f 0000ffff 0a010000 0a01ff"), "a traffic selector of a wrong length"},
        {one + hex("07000011 0000ffff 0a010000 0a01ffff 00"), "a traffic selector of a wrong length"},
        {one + hex("07000004"), "a traffic selector of a wrong length"},
        {one + hex("08000010 0000ffff 0a010000 0a01ffff"), "a traffic selector of a wrong length"},
        {one + hex("07000028 0000ffff") + first6 + first6, "a traffic selector of a wrong length"},
        {one + selector4() + hex("00"), "octets behind the last traffic selector"},
        {one + selector4() + selector4(), "octets behind the last traffic selector"},
        {two + selector4(), "a traffic selector cut off"},
        {two + selector4() + selector4(), good},
        {one + selector4("0a010001", "0a010000"), "addresses that end before they begin"},
        {one + selector4("0a010000", "0a010000"), good},
        {one + header6 + first6 + second6, "addresses that end before they begin"},
        {one + header6 + second6 + first6, good},
        {one + selector4("0a010000", "0a01ffff", "00020001"), "ports that end before they begin"},
        {one + selector4("0a010000", "0a01ffff", "ffff0001"), "ports that end before they begin"},
        {one + selector4("0a010000", "0a01ffff", "ffff0000"), good},
    };
    for (std::size_t i = 0; i < bodies.size(); ++i)
        for (const PayloadType type : {traffic_selector_initiator, traffic_selector_responder})
            EXPECT_EQ(fault_in(type, bodies[i].first), bodies[i].second) << "case " << i;
    Bytes most = hex("ff000000");
    for (unsigned i = 0; i < 255; ++i) most = most + selector4();
    EXPECT_EQ(fault_in(traffic_selector_initiator, most), good);
}

TEST(Malformed, proposals) {
    const Bytes one = transforms(1), two = transforms(2);
    EXPECT_EQ(fault_in_sa(proposal_of(1, false, 1, one)), good);
    EXPECT_EQ(fault_in_sa(proposal_of(1, false, 0, {})), good); // of use to nobody, which the chooser sees
    EXPECT_EQ(fault_in_sa(hex("000000")), "a substructure cut off");
    EXPECT_EQ(fault_in_sa(hex("00000003 01010000")), "a substructure shorter than its header");
    EXPECT_EQ(fault_in_sa(hex("00000007 010100")), "a substructure shorter than its header");
    EXPECT_EQ(fault_in_sa(hex("00000008 01010000")), good);
    EXPECT_EQ(fault_in_sa(hex("00000009 01010000")), "a length beyond the end");
    EXPECT_EQ(fault_in_sa(proposal_of(1, true, 1, one)), "a wrong Last Substruc");
    EXPECT_EQ(fault_in_sa(proposal_of(1, false, 1, one) + proposal_of(2, false, 1, one)), "a wrong Last Substruc");
    EXPECT_EQ(fault_in_sa(substructure(3, hex("01010000")) + proposal_of(2, false, 1, one)), "a wrong Last Substruc");
    EXPECT_EQ(fault_in_sa(proposal_of(1, false, 1, one) + hex("00")), "a wrong Last Substruc");
    EXPECT_EQ(fault_in_sa(proposal_of(1, true, 1, one) + hex("00")), "a substructure cut off");
    EXPECT_EQ(fault_in_sa(proposal_of(1, false, 0, one)), "a wrong number of transforms");
    EXPECT_EQ(fault_in_sa(proposal_of(1, false, 1, two)), "a wrong number of transforms");
    EXPECT_EQ(fault_in_sa(proposal_of(1, false, 3, two)), "a wrong number of transforms");
    EXPECT_EQ(fault_in_sa(proposal_of(1, false, 1, {})), "a wrong number of transforms");
}

TEST(Malformed, proposal_numbers) {
    const auto of = [](std::vector<std::uint8_t> numbers) {
        Bytes body;
        for (std::size_t i = 0; i < numbers.size(); ++i)
            body = body +
                   proposal_of(numbers[i], i + 1 < numbers.size(), 1, transforms(1), static_cast<std::uint8_t>(i)); // of any protocol
        return fault_in_sa(body);
    };
    EXPECT_EQ(of({1, 2, 3, 4, 5, 6, 7}), good);
    EXPECT_EQ(of({1}), good);
    EXPECT_EQ(of({2}), good); // the second of a request, in the answer
    EXPECT_EQ(of({255}), good);
    EXPECT_EQ(of({0}), "a wrong proposal number");
    EXPECT_EQ(of({0, 1}), "a wrong proposal number");
    EXPECT_EQ(of({2, 3}), "a wrong proposal number");
    EXPECT_EQ(of({1, 1}), "a wrong proposal number");
    EXPECT_EQ(of({1, 3}), "a wrong proposal number");
    EXPECT_EQ(of({1, 2, 1}), "a wrong proposal number");
}

TEST(Malformed, spis_of_proposals) {
    const auto of = [](std::uint8_t protocol, std::uint8_t size, std::string_view spi) {
        return fault_in_sa(proposal_of(1, false, 1, hex(spi) + transforms(1), protocol, size));
    };
    EXPECT_EQ(of(1, 0, ""), good);
    EXPECT_EQ(of(1, 8, "0000000000000001"), good);
    EXPECT_EQ(of(1, 8, "0000000000000000"), "a reserved SPI");
    EXPECT_EQ(of(3, 4, "00000100"), good);
    EXPECT_EQ(of(3, 4, "000000ff"), "a reserved SPI");
    EXPECT_EQ(of(2, 4, "00000000"), "a reserved SPI");
    EXPECT_EQ(of(2, 4, "00000100"), good);
    EXPECT_EQ(of(4, 4, "00000000"), good); // a protocol of which nothing is known
    EXPECT_EQ(of(250, 8, "0000000000000000"), good);
    for (const std::uint8_t size : Bytes{1, 2, 3, 5, 7, 9, 16, 255}) {
        const Bytes body = proposal_of(1, false, 1, fill(size) + transforms(1), 3, size);
        EXPECT_EQ(fault_in_sa(body), "an SPI size other than 0, 4 and 8") << unsigned{size};
    }
    EXPECT_EQ(fault_in_sa(proposal_of(1, false, 0, fill(3), 3, 4)), "an SPI beyond the end");
    EXPECT_EQ(fault_in_sa(proposal_of(1, false, 0, fill(4), 3, 4)), good);
    EXPECT_EQ(fault_in_sa(proposal_of(1, false, 0, fill(7), 1, 8)), "an SPI beyond the end");
}

TEST(Malformed, transforms_and_their_attributes) {
    const auto of = [](const Bytes& rest, std::uint8_t count = 1) { return fault_in_sa(proposal_of(1, false, count, rest)); };
    EXPECT_EQ(of(hex("000000")), "a substructure cut off");
    EXPECT_EQ(of(hex("00000003 01000014")), "a substructure shorter than its header");
    EXPECT_EQ(of(hex("00000007 010000")), "a substructure shorter than its header");
    EXPECT_EQ(of(hex("00000009 01000014")), "a length beyond the end");
    EXPECT_EQ(of(transform_of(1, 20, true)), "a wrong Last Substruc");
    EXPECT_EQ(of(transform_of(1, 20, false) + transform_of(2, 5, false), 2), "a wrong Last Substruc");
    EXPECT_EQ(of(substructure(2, hex("01000014")) + transform_of(2, 5, false), 2), "a wrong Last Substruc");
    const auto with = [&of](std::string_view attributes) { return of(transform_of(1, 20, false, hex(attributes))); };
    EXPECT_EQ(with("800e0100"), good);
    EXPECT_EQ(with("80"), "an attribute cut off");
    EXPECT_EQ(with("800e01"), "an attribute cut off");
    EXPECT_EQ(with("800e0100 80"), "an attribute cut off");
    EXPECT_EQ(with("000e0002 0100"), "a Key Length with a length");
    EXPECT_EQ(with("000e0000"), "a Key Length with a length");
    EXPECT_EQ(with("000e0003 0100"), "a length beyond the end");
    EXPECT_EQ(with("00110003 0102"), "a length beyond the end");
    EXPECT_EQ(with("0011ffff"), "a length beyond the end");
    EXPECT_EQ(with("00110003 010203"), good);
}

TEST(Malformed, is_no_attribute_that_only_nobody_knows) {
    struct Row {
        const char* attributes;
        std::uint16_t key_length;
        bool usable;
    };
    const Row rows[] = {
        {"", 0, true},
        {"800e0100", 256, true},
        {"800effff", 65535, true},
        {"800e0000", 0, false},            // none is not said by an attribute
        {"800e0080 800e0100", 128, false}, // which of them?
        {"80110100", 0, false},
        {"00110000", 0, false},
        {"00110002 0100 800e0080", 128, false},
        {"800e0080 00110002 0100", 128, false},
    };
    for (const Row& row : rows) {
        const Exact body(proposal_of(1, false, 2, transform_of(1, 20, true, hex(row.attributes)) + transform_of(241, 7, false)));
        const auto proposals = parse_sa(body.octets());
        ASSERT_TRUE(proposals) << row.attributes;
        const Transform expected{TransformType::encryption, 20, row.key_length, row.usable};
        EXPECT_EQ((*proposals)[0].transforms[0], expected) << row.attributes;
        EXPECT_EQ(static_cast<unsigned>((*proposals)[0].transforms[1].type), 241U);
        EXPECT_TRUE((*proposals)[0].transforms[1].usable);
    }
}

TEST(Malformed, more_proposals_or_transforms_than_there_may_be) {
    const auto of = [](const std::vector<std::uint8_t>& counts) {
        Bytes body;
        for (std::size_t i = 0; i < counts.size(); ++i)
            body = body + proposal_of(static_cast<std::uint8_t>(i + 1), i + 1 < counts.size(), counts[i], transforms(counts[i]));
        return fault_in_sa(body);
    };
    EXPECT_EQ(of(Bytes(64, 1)), good);
    EXPECT_EQ(of(Bytes(65, 1)), "too many proposals");
    EXPECT_EQ(of({64}), good);
    EXPECT_EQ(of({65}), "too many transforms");
    EXPECT_EQ(of({255}), "too many transforms");
    EXPECT_EQ(of({64, 64, 64, 63}), good);
    EXPECT_EQ(of({64, 64, 64, 64}), "too many transforms");
    EXPECT_EQ(of(Bytes(30, 255)), "too many transforms");
}

/// Every payload of a chain with each of its octets at its extremes: only ASan and UBSan can object.
TEST(Malformed, octets_of_any_value_are_read_within_bounds) {
    const Bytes whole = samples::chain(auth_inside);
    unsigned accepted = 0;
    for (std::size_t at = 0; at < whole.size(); ++at)
        for (const std::uint8_t value : Bytes{0x00, 0x01, 0x7f, 0x80, 0xff}) {
            Bytes changed = whole;
            changed[at] = value;
            if (fault_of(identification_initiator, changed).what == good) ++accepted;
        }
    EXPECT_GT(accepted, whole.size()); // data is data
    EXPECT_LT(accepted, whole.size() * 5);
}

TEST(Malformed, messages_cut_off_anywhere) {
    const std::vector<std::pair<PayloadType, Bytes>> chains = {
        {security_association, Bytes(init_request.begin() + header_size, init_request.end())},
        {encrypted, Bytes(auth_request.begin() + header_size, auth_request.end())},
        {encrypted_fragment, Bytes(auth_fragment.begin() + header_size, auth_fragment.end())},
        {identification_initiator, samples::chain(auth_inside)},
    };
    for (const auto& [first, bytes] : chains) {
        EXPECT_EQ(fault_of(first, bytes).what, good);
        for (std::size_t size = 0; size < bytes.size(); ++size)
            EXPECT_NE(fault_of(first, Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size))).what, good) << size;
        EXPECT_EQ(fault_of(first, bytes + hex("00")).what, "octets behind the last payload");
    }
}

TEST(Malformed, bodies_cut_off_anywhere) {
    for (const auto& [type, body] : auth_inside) {
        EXPECT_EQ(fault_in(type, body), good);
        for (std::size_t size = 0; size < body.size(); ++size) {
            const Bytes cut(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size));
            const bool structured = type == security_association || type == delete_payload || type == traffic_selector_initiator ||
                                    type == traffic_selector_responder;
            if (structured) // the others are of any length behind their first octets
                EXPECT_NE(fault_in(type, cut), good) << size;
            else
                fault_in(type, cut);
        }
    }
}

} // namespace
} // namespace sallyport::ike
