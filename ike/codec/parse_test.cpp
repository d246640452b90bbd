// SPDX-License-Identifier: Apache-2.0
#include "ike/codec/message.hpp"
#include "ike/codec/samples.hpp"

#include <gtest/gtest.h>

namespace sallyport::ike {
namespace {

using namespace samples;
using enum PayloadType;

/// A chain's octets, exactly so many, and what they say.
struct Read {
    Exact octets;
    Parsed<Chain> chain;
    Parsed<Contents> contents;
    Read(PayloadType first, const Bytes& bytes)
        : octets(bytes), chain(parse_chain(first, octets.octets())),
          contents(chain ? parse_contents(*chain) : std::unexpected(chain.error())) {}
};

Read read(const Parts& parts, std::uint8_t flags = 0) { return {parts.empty() ? none : parts[0].first, samples::chain(parts, flags)}; }

/// A whole message.
Read read_message(const Bytes& message) { return {parse_header(message)->first, Bytes(message.begin() + header_size, message.end())}; }

std::vector<PayloadType> types_of(const Chain& chain) {
    std::vector<PayloadType> types;
    for (const Payload& payload : chain.payloads) types.push_back(payload.type);
    return types;
}

const Bytes nonce32 = fill(32, 9);

TEST(Reader, takes_from_the_front_and_is_short_for_good_once_it_was) {
    const Exact octets(hex("01 0203 04050607 0809"));
    Reader reader(octets.octets());
    EXPECT_EQ(reader.take8(), 0x01);
    EXPECT_EQ(reader.take16(), 0x0203);
    EXPECT_EQ(reader.take32(), 0x04050607U);
    EXPECT_FALSE(reader.short_of());
    EXPECT_EQ(reader.rest().size(), 2U);
    EXPECT_EQ(reader.take32(), 0U);
    EXPECT_TRUE(reader.short_of());
    EXPECT_TRUE(reader.empty());
    EXPECT_EQ(reader.take8() + reader.take16(), 0);
    EXPECT_TRUE(reader.take(0).empty());
    EXPECT_TRUE(reader.short_of());
}

TEST(Header, has_its_fields_at_their_places) {
    const auto header = parse_header(init_request);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->spi_i, 0xa1a2a3a4a5a6a7a8U);
    EXPECT_EQ(header->spi_r, 0U);
    EXPECT_EQ(header->first, security_association);
    EXPECT_EQ(header->version, version_2);
    EXPECT_EQ(header->major(), 2U);
    EXPECT_EQ(header->exchange, ExchangeType::ike_sa_init);
    EXPECT_TRUE(header->initiator);
    EXPECT_FALSE(header->response);
    EXPECT_EQ(header->message_id, 0U);
    EXPECT_EQ(header->length, init_request.size());

    const auto other = parse_header(hex("0102030405060708 1112131415161718 00 35 4d 20 fffffffe 0000001c"));
    ASSERT_TRUE(other);
    EXPECT_EQ(other->spi_r, 0x1112131415161718U);
    EXPECT_EQ(other->first, none);
    EXPECT_EQ(other->major(), 3U);
    EXPECT_EQ(other->exchange, static_cast<ExchangeType>(77));
    EXPECT_FALSE(other->initiator);
    EXPECT_TRUE(other->response);
    EXPECT_EQ(other->message_id, 0xfffffffeU);
}

TEST(Header, needs_all_its_octets) {
    for (std::size_t size = 0; size < header_size; ++size) {
        const Exact cut(Octets(init_request).first(size));
        EXPECT_FALSE(parse_header(cut.octets())) << size;
    }
    const Exact whole(Octets(init_request).first(header_size));
    EXPECT_TRUE(parse_header(whole.octets()));
}

TEST(Header, ignores_the_version_flag_and_reserved_flags) {
    Bytes message = init_request;
    message[19] = 0xd7 | 0x08; // all but R
    EXPECT_TRUE(parse_header(message)->initiator);
    EXPECT_FALSE(parse_header(message)->response);
    message[19] = 0xd7;
    EXPECT_FALSE(parse_header(message)->initiator);
}

TEST(Chain, of_an_init_request_is_read_field_by_field) {
    const Read message = read_message(init_request);
    ASSERT_TRUE(message.chain && message.contents);
    EXPECT_EQ(types_of(*message.chain), (std::vector{security_association, key_exchange, nonce, notify}));
    EXPECT_EQ(message.chain->inner, none);
    const Contents& contents = *message.contents;
    ASSERT_EQ(contents.sa.size(), 1U);
    const Proposal& proposal = contents.sa[0];
    EXPECT_EQ(proposal.number, 1);
    EXPECT_EQ(proposal.protocol, ProtocolId::ike);
    EXPECT_EQ(proposal.spi_size, 0);
    EXPECT_TRUE(proposal.spi_octets().empty());
    ASSERT_EQ(proposal.transforms.size(), 3U);
    EXPECT_EQ(proposal.transforms[0], (Transform{TransformType::encryption, 20, 256, true}));
    EXPECT_EQ(proposal.transforms[1], (Transform{TransformType::prf, 5, 0, true}));
    EXPECT_EQ(proposal.transforms[2], (Transform{TransformType::key_exchange, 31, 0, true}));
    ASSERT_TRUE(contents.ke);
    EXPECT_EQ(contents.ke->method, 31);
    EXPECT_EQ(bytes_of(contents.ke->data), hex("f0b4fd8be480349293ab61f0505ebb5bafccdf8a4127de221e6ef3db20e03d29"));
    EXPECT_EQ(bytes_of(contents.nonce), hex("101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"));
    ASSERT_EQ(contents.notifies.size(), 1U);
    EXPECT_EQ(contents.notifies[0].type, NotifyType::ikev2_fragmentation_supported);
    EXPECT_EQ(contents.notifies[0].protocol, ProtocolId::none);
    EXPECT_TRUE(contents.notifies[0].spi.empty());
    EXPECT_TRUE(contents.notifies[0].data.empty());
    EXPECT_FALSE(contents.idi || contents.idr || contents.auth || contents.tsi || contents.tsr || contents.unsupported);
    EXPECT_TRUE(contents.certificates.empty() && contents.certificate_requests.empty() && contents.deletes.empty());
    EXPECT_TRUE(contents.vendor_ids.empty() && contents.others.empty());
}

TEST(Chain, ends_with_the_encrypted_payload) {
    const Read message = read_message(auth_request);
    ASSERT_TRUE(message.chain && message.contents);
    EXPECT_EQ(types_of(*message.chain), std::vector{encrypted});
    EXPECT_EQ(message.chain->payloads[0].body.size(), auth_request.size() - header_size - payload_header_size);
    EXPECT_EQ(message.chain->inner, identification_initiator);
    EXPECT_TRUE(message.contents->others.empty());

    const Read fragment = read_message(auth_fragment);
    ASSERT_TRUE(fragment.chain && fragment.contents);
    EXPECT_EQ(types_of(*fragment.chain), std::vector{encrypted_fragment});
    EXPECT_EQ(fragment.chain->inner, none);

    const Read behind_notify(notify, payload(encrypted, hex("00004000")) + payload(nonce, fill(40)));
    ASSERT_TRUE(behind_notify.chain && behind_notify.contents);
    EXPECT_EQ(behind_notify.chain->inner, nonce);
    EXPECT_EQ(behind_notify.contents->nonce.size(), 0U);
}

TEST(Chain, of_nothing_says_nothing) {
    const Read empty = read({});
    ASSERT_TRUE(empty.chain && empty.contents);
    EXPECT_TRUE(empty.chain->payloads.empty());
    EXPECT_EQ(empty.contents->first_error(), nullptr);
}

/// What is in the table of samples, whatever its order.
void expect_auth_inside(const Contents& contents) {
    ASSERT_TRUE(contents.idi && contents.idr && contents.auth && contents.tsi && contents.tsr);
    EXPECT_EQ(contents.idi->type, IdType::fqdn);
    EXPECT_EQ(bytes_of(contents.idi->data), bytes_of("a.example.net"));
    EXPECT_EQ(contents.idi->body.size(), 17U);
    EXPECT_EQ(bytes_of(contents.idr->data), bytes_of("b.example.net"));
    EXPECT_EQ(contents.auth->method, AuthMethod::shared_key_mic);
    EXPECT_EQ(bytes_of(contents.auth->data), fill(32));
    ASSERT_EQ(contents.certificates.size(), 1U);
    EXPECT_EQ(contents.certificates[0].encoding, CertificateEncoding::x509_signature);
    EXPECT_EQ(bytes_of(contents.certificates[0].data), fill(20));
    ASSERT_EQ(contents.certificate_requests.size(), 1U);
    EXPECT_EQ(bytes_of(contents.certificate_requests[0].data), fill(20, 7));
    ASSERT_EQ(contents.deletes.size(), 1U);
    EXPECT_EQ(contents.deletes[0].protocol, ProtocolId::esp);
    EXPECT_EQ(contents.deletes[0].spi_size, 4);
    EXPECT_EQ(bytes_of(contents.deletes[0].spis), hex("c0000002c0000003"));
    ASSERT_EQ(contents.vendor_ids.size(), 1U);
    EXPECT_EQ(bytes_of(contents.vendor_ids[0]), bytes_of("sallyport"));
    EXPECT_FALSE(contents.unsupported);
}

void expect_child(const Contents& contents) {
    ASSERT_EQ(contents.sa.size(), 1U);
    EXPECT_EQ(contents.sa[0].protocol, ProtocolId::esp);
    EXPECT_EQ(bytes_of(contents.sa[0].spi_octets()), hex("c0000001"));
    ASSERT_EQ(contents.sa[0].transforms.size(), 2U);
    EXPECT_EQ(contents.sa[0].transforms[0], (Transform{TransformType::encryption, 20, 128, true}));
    EXPECT_EQ(contents.sa[0].transforms[1], (Transform{TransformType::sequence_numbers, sequence_32_bits, 0, true}));
    ASSERT_EQ(contents.tsi->known.size(), 2U);
    EXPECT_EQ(contents.tsi->known[0], (TrafficSelector{0, {}, *parse_range("10.1.0.0/16")}));
    EXPECT_EQ(contents.tsi->known[1], (TrafficSelector{0, {443, 443}, *parse_range("10.3.0.0")}));
    ASSERT_EQ(contents.tsr->known.size(), 1U);
    EXPECT_EQ(contents.tsr->known[0], (TrafficSelector{58, type_range(128, 128), *parse_range("2001:db8::/32")}));
    EXPECT_EQ(contents.tsi->unknown + contents.tsr->unknown, 0U);
    ASSERT_EQ(contents.notifies.size(), 2U);
    const Notify* rekey = contents.find(NotifyType::rekey_sa);
    ASSERT_TRUE(rekey);
    EXPECT_EQ(rekey->protocol, ProtocolId::esp);
    EXPECT_EQ(bytes_of(rekey->spi), hex("c0000009"));
    EXPECT_TRUE(contents.find(NotifyType::use_transport_mode));
    EXPECT_EQ(contents.find(NotifyType::cookie), nullptr);
    EXPECT_EQ(contents.first_error(), nullptr);
    ASSERT_TRUE(contents.find_other(configuration));
    EXPECT_EQ(contents.find_other(configuration)->body.size(), 4U);
    EXPECT_EQ(contents.find_other(extensible_authentication), nullptr);
}

TEST(Contents, of_every_kind_of_payload) {
    const Read inside = read(auth_inside);
    ASSERT_TRUE(inside.contents) << inside.contents.error().what;
    expect_auth_inside(*inside.contents);
    expect_child(*inside.contents);
}

TEST(Contents, are_the_same_in_any_order_of_the_payloads) {
    Parts all = auth_inside;
    for (std::size_t i = 0; i < all.size(); ++i) {
        std::ranges::rotate(all, all.begin() + 1);
        const Read inside = read(all);
        ASSERT_TRUE(inside.contents) << inside.contents.error().what;
        expect_auth_inside(*inside.contents);
        expect_child(*inside.contents);
    }
    std::ranges::reverse(all);
    const Read reversed = read(all);
    ASSERT_TRUE(reversed.contents);
    expect_auth_inside(*reversed.contents);
    expect_child(*reversed.contents);

    Parts init = {{notify, hex("0000402e")},
                  {nonce, nonce32},
                  {key_exchange, hex("001f0000") + fill(32)},
                  {security_association, proposal_of(1, false, 1, transforms(1))}};
    std::ranges::sort(init);
    do {
        const Read message = read(init);
        ASSERT_TRUE(message.contents);
        EXPECT_TRUE(message.contents->ke && message.contents->sa.size() == 1 && bytes_of(message.contents->nonce) == nonce32 &&
                    message.contents->find(NotifyType::ikev2_fragmentation_supported) != nullptr);
    } while (std::ranges::next_permutation(init).found);
}

TEST(Contents, do_not_depend_on_reserved_bits) {
    Parts parts = auth_inside;
    const auto set = [&parts](PayloadType type, std::initializer_list<std::size_t> places) {
        for (auto& [of, body] : parts)
            if (of == type)
                for (const std::size_t at : places) body[at] = 0xff;
    };
    set(identification_initiator, {1, 2, 3});
    set(identification_responder, {1, 2, 3});
    set(authentication, {1, 2, 3});
    set(traffic_selector_initiator, {1, 2, 3});
    set(traffic_selector_responder, {1, 2, 3});
    set(security_association, {1, 13, 17, 25, 29});            // of the proposal, and two of each transform
    for (const std::uint8_t flags : Bytes{0x7f, 0x80, 0xff}) { // the critical bit says nothing where the type is known
        const Read inside = read(parts, flags);
        ASSERT_TRUE(inside.contents) << inside.contents.error().what;
        expect_auth_inside(*inside.contents);
        expect_child(*inside.contents);
        EXPECT_EQ(inside.chain->payloads[0].critical, (flags & 0x80U) != 0);
    }
    const Read reserved = read(parts);
    EXPECT_EQ(bytes_of(reserved.contents->idi->body), hex("02ffffff") + bytes_of("a.example.net")); // as AUTH covers it
    const Exact ke(hex("001fffff") + fill(32));
    EXPECT_EQ(parse_ke(ke.octets())->method, 31);
}

TEST(Contents, of_unknown_payloads) {
    for (const std::uint8_t type : Bytes{1, 32, 55, 63, 64, 127, 128, 255}) {
        const auto unknown = static_cast<PayloadType>(type);
        const Parts parts = {{unknown, {}}, {nonce, nonce32}, {unknown, fill(3)}, {vendor_id, {}}, {unknown, fill(9)}};
        const Read ignored = read(parts, 0x7f);
        ASSERT_TRUE(ignored.contents);
        EXPECT_EQ(ignored.contents->others.size(), 3U);
        EXPECT_FALSE(ignored.contents->unsupported);
        EXPECT_EQ(bytes_of(ignored.contents->nonce), nonce32);
        const Read refused = read(parts, 0x80);
        ASSERT_TRUE(refused.contents);
        EXPECT_TRUE(refused.contents->others.empty());
        EXPECT_EQ(refused.contents->unsupported, type);
        EXPECT_EQ(bytes_of(refused.contents->nonce), nonce32);
    }
    const Read two = read({{static_cast<PayloadType>(99), {}}, {static_cast<PayloadType>(98), {}}}, 0x80);
    EXPECT_EQ(two.contents->unsupported, 99);
}

TEST(Contents, keep_what_others_read) {
    for (unsigned type = 47; type <= 54; ++type) {
        if (type == 53) continue; // SKF ends a chain
        const Read message = read({{static_cast<PayloadType>(type), fill(5)}, {static_cast<PayloadType>(type), {}}}, 0x80);
        ASSERT_TRUE(message.contents);
        EXPECT_FALSE(message.contents->unsupported) << type;
        ASSERT_EQ(message.contents->others.size(), 2U);
        EXPECT_EQ(bytes_of(message.contents->others[0].body), fill(5));
    }
}

TEST(Contents, have_many_of_what_there_may_be_many) {
    Parts parts(40, {vendor_id, {}});
    parts.insert(parts.end(), 10, {vendor_id, fill(1000)});
    parts.insert(parts.end(), 5, {certificate, hex("04")});
    parts.insert(parts.end(), 5, {certificate_request, hex("04")});
    parts.insert(parts.end(), 5, {notify, hex("00009c40")});
    parts.insert(parts.end(), 5, {delete_payload, hex("02040001c0000001")});
    const Read message = read(parts);
    ASSERT_TRUE(message.contents);
    EXPECT_EQ(message.contents->vendor_ids.size(), 50U);
    EXPECT_EQ(message.contents->certificates.size(), 5U);
    EXPECT_EQ(message.contents->certificate_requests.size(), 5U);
    EXPECT_EQ(message.contents->notifies.size(), 5U);
    EXPECT_EQ(message.contents->deletes.size(), 5U);
}

TEST(Notify, tolerates_odd_protocols_and_spis) {
    const Exact with_spi(hex("00044005 11223344 aabb"));
    const auto parsed = parse_notify(with_spi.octets());
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->type, NotifyType::nat_detection_destination_ip);
    EXPECT_EQ(bytes_of(parsed->spi), hex("11223344"));
    EXPECT_EQ(bytes_of(parsed->data), hex("aabb"));
    const Exact no_spi(hex("01004004 aabb"));
    EXPECT_EQ(bytes_of(parse_notify(no_spi.octets())->data), hex("aabb"));
    const Exact long_spi(hex("ffff9c40") + fill(255));
    EXPECT_EQ(parse_notify(long_spi.octets())->spi.size(), 255U);
    EXPECT_TRUE(parse_notify(long_spi.octets())->data.empty());
}

TEST(Notify, says_whether_it_is_an_error) {
    const Read message = read({{notify, hex("00004000")}, {notify, hex("00003fff")}, {notify, hex("0000000e")}});
    ASSERT_TRUE(message.contents);
    ASSERT_TRUE(message.contents->first_error());
    EXPECT_EQ(static_cast<unsigned>(message.contents->first_error()->type), 16383U);
    EXPECT_TRUE(message.contents->find(NotifyType::no_proposal_chosen));
}

TEST(Delete, of_the_ike_sa_names_no_spi) {
    const Exact ike(hex("01000000"));
    const auto parsed = parse_delete(ike.octets());
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->protocol, ProtocolId::ike);
    EXPECT_EQ(parsed->spi_size, 0);
    EXPECT_TRUE(parsed->spis.empty());
    const Exact none_of_ah(hex("02040000"));
    EXPECT_TRUE(parse_delete(none_of_ah.octets()));
    const Exact unknown(hex("09020003 000102030405"));
    EXPECT_EQ(parse_delete(unknown.octets())->spis.size(), 6U);
}

TEST(TrafficSelectors, of_unknown_types_are_counted) {
    const Exact mixed(hex("04000000 0900000c 0102030405060708") + selector4() + hex("0a060004 ff000007 112233"));
    const auto selectors = parse_ts(mixed.octets());
    ASSERT_TRUE(selectors);
    EXPECT_EQ(selectors->known.size(), 1U);
    EXPECT_EQ(selectors->unknown, 3U);
}

TEST(TrafficSelectors, have_ports_that_run_backwards_only_as_opaque) {
    const Exact opaque(hex("01000000") + selector4("0a010000", "0a010000", "ffff0000"));
    ASSERT_TRUE(parse_ts(opaque.octets()));
    EXPECT_TRUE(parse_ts(opaque.octets())->known[0].ports.opaque());
    for (const char* ports : {"ffff0001", "fffe0000", "00020001"}) {
        const Exact backwards(hex("01000000") + selector4("0a010000", "0a010000", ports));
        EXPECT_FALSE(parse_ts(backwards.octets())) << ports;
    }
}

TEST(Check, counts_what_the_rules_name) {
    const std::vector<PayloadRule> rules = {{security_association, 1, 1}, {nonce, 1, 1}, {certificate, 0, 2}, {delete_payload, 0, 0}};
    const auto of = [&rules](const Parts& parts) {
        const Bytes bytes = samples::chain(parts);
        return check(*parse_chain(parts[0].first, bytes), rules);
    };
    EXPECT_TRUE(of({{security_association, {}}, {nonce, {}}}));
    EXPECT_TRUE(of({{certificate, {}}, {nonce, {}}, {certificate, {}}, {security_association, {}}, {vendor_id, {}}}));
    EXPECT_EQ(of({{security_association, {}}}).error().payload, nonce);
    EXPECT_EQ(of({{security_association, {}}}).error().what, "none of it");
    const Parts three = {{security_association, {}}, {nonce, {}}, {certificate, {}}, {certificate, {}}, {certificate, {}}};
    EXPECT_EQ(of(three).error().payload, certificate);
    EXPECT_EQ(of(three).error().what, "too many of it");
    EXPECT_EQ(of({{security_association, {}}, {nonce, {}}, {delete_payload, {}}}).error().payload, delete_payload);
    EXPECT_TRUE(check(Chain{}, {}));
    EXPECT_FALSE(check(Chain{}, rules));
}

TEST(Check, needs_nothing_else_of_a_response_that_carries_an_error) {
    const std::vector<PayloadRule> rules = {{nonce, 1, 1}, {notify, 0, 3}};
    const auto of = [&rules](const Parts& parts) {
        const Bytes bytes = samples::chain(parts);
        return check_response(*parse_chain(parts[0].first, bytes), rules).has_value();
    };
    EXPECT_TRUE(of({{notify, hex("0000000e")}}));
    EXPECT_TRUE(of({{notify, hex("00004000")}, {notify, hex("00003fff")}}));
    EXPECT_FALSE(of({{notify, hex("00004000")}}));
    EXPECT_FALSE(of({{notify, hex("00000e")}}));      // cut off: it says nothing
    EXPECT_FALSE(of({{vendor_id, hex("0000000e")}})); // not a notify
    EXPECT_FALSE(of({{notify, hex("0000000e")}, {nonce, {}}, {nonce, {}}}));
    // In a request an error says nothing (RFC 7296 3.10.1): whoever answers it relies on the payloads.
    const Bytes request = samples::chain({{notify, hex("0000000e")}});
    EXPECT_FALSE(check(*parse_chain(notify, request), rules));
}

TEST(Names, are_those_of_the_standard) {
    EXPECT_EQ(name_of(ExchangeType::ike_sa_init), "IKE_SA_INIT");
    EXPECT_EQ(name_of(ExchangeType::create_child_sa), "CREATE_CHILD_SA");
    EXPECT_EQ(name_of(static_cast<ExchangeType>(77)), "");
    EXPECT_EQ(name_of(NotifyType::no_proposal_chosen), "NO_PROPOSAL_CHOSEN");
    EXPECT_EQ(name_of(NotifyType::ikev2_fragmentation_supported), "IKEV2_FRAGMENTATION_SUPPORTED");
    EXPECT_EQ(name_of(static_cast<NotifyType>(40000)), "");
    EXPECT_EQ(name_of(security_association), "SA");
    EXPECT_EQ(name_of(identification_initiator), "IDi");
    EXPECT_EQ(name_of(encrypted_fragment), "SKF");
    EXPECT_EQ(name_of(none), "");
    EXPECT_EQ(name_of(static_cast<PayloadType>(200)), "");
    // Every one of them has a name, and no two the same.
    std::vector<std::string_view> names;
    for (unsigned type = 33; type <= 54; ++type) names.push_back(name_of(static_cast<PayloadType>(type)));
    for (unsigned type = 34; type <= 44; ++type) names.push_back(name_of(static_cast<ExchangeType>(type)));
    for (unsigned type = 0; type <= 65535; ++type)
        if (const std::string_view name = name_of(static_cast<NotifyType>(type)); !name.empty()) names.push_back(name);
    EXPECT_EQ(names.size(), 22U + 11U + 38U);
    std::ranges::sort(names);
    EXPECT_FALSE(names.front().empty());
    EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

} // namespace
} // namespace sallyport::ike
