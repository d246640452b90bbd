// SPDX-License-Identifier: Apache-2.0
#include "ike/codec/message.hpp"
#include "ike/codec/samples.hpp"

#include <gtest/gtest.h>

namespace sallyport::ike {
namespace {

using namespace samples;
using enum PayloadType;

Parsed<Contents> contents_of(const Writer& writer) {
    const Parsed<Chain> chain = parse_chain(writer.first(), writer.octets());
    return chain ? parse_contents(*chain) : std::unexpected(chain.error());
}

const Bytes public_key = hex("f0b4fd8be480349293ab61f0505ebb5bafccdf8a4127de221e6ef3db20e03d29");

Proposal ike_proposal() {
    Proposal proposal;
    proposal.transforms = {{TransformType::encryption, 20, 256}, {TransformType::prf, 5}, {TransformType::key_exchange, 31}};
    return proposal;
}

TEST(Assemble, gives_the_init_request_octet_by_octet) {
    Bytes nonce_octets;
    for (std::uint8_t value = 0x10; value < 0x30; ++value) nonce_octets.push_back(value);
    Writer writer;
    EXPECT_TRUE(writer.empty());
    EXPECT_EQ(writer.first(), none);
    writer.sa(std::vector{ike_proposal()});
    writer.ke(31, public_key);
    writer.nonce(nonce_octets);
    writer.notify(NotifyType::ikev2_fragmentation_supported);
    EXPECT_FALSE(writer.empty());
    const Header header{.spi_i = 0xa1a2a3a4a5a6a7a8U, .initiator = true};
    EXPECT_EQ(assemble(header, writer), init_request);
}

TEST(Assemble, fills_in_the_length_and_the_first_payload) {
    const Header given{.spi_i = 1, .first = nonce, .exchange = ExchangeType::informational, .response = true, .message_id = 7, .length = 9};
    const auto message = assemble(given, Writer());
    ASSERT_EQ(message.size(), header_size);
    const auto header = parse_header(message);
    EXPECT_EQ(header->first, none);
    EXPECT_EQ(header->length, header_size);
    EXPECT_EQ(header->message_id, 7U);
    EXPECT_TRUE(header->response);
    EXPECT_FALSE(header->initiator);
}

TEST(Store, writes_what_parse_header_reads_and_no_reserved_flag) {
    for (const char* octets : {"a1a2a3a4a5a6a7a8 b1b2b3b4b5b6b7b8 2e 20 23 08 00000001 000000ca",
                               "00000000000000ff 0102030405060708 00 21 25 20 fffffffe ffffffff",
                               "0000000000000001 0000000000000000 ff ff ff 28 80000000 00000000"}) {
        const Bytes wire = hex(octets);
        Bytes stored(header_size, 0xee);
        store(*parse_header(wire), stored.data());
        EXPECT_EQ(stored, wire);
    }
}

TEST(Writer, gives_every_payload_as_the_figures_have_it) {
    Writer writer;
    writer.id(identification_initiator, IdType::fqdn, bytes_of("a.example.net"));
    writer.certificate(CertificateEncoding::x509_signature, fill(20));
    writer.certificate_request(CertificateEncoding::x509_signature, fill(20, 7));
    writer.id(identification_responder, IdType::fqdn, bytes_of("b.example.net"));
    writer.auth(AuthMethod::shared_key_mic, fill(32));
    writer.raw(configuration, hex("01000000"));
    Proposal child{.protocol = ProtocolId::esp, .spi = {0xc0, 0, 0, 1}, .spi_size = 4};
    child.transforms = {{TransformType::encryption, 20, 128}, {TransformType::sequence_numbers, sequence_32_bits}};
    writer.sa(std::vector{child});
    writer.ts(traffic_selector_initiator,
              std::vector<TrafficSelector>{{0, {}, *parse_range("10.1.0.0/16")}, {0, {443, 443}, *parse_range("10.3.0.0")}});
    writer.ts(traffic_selector_responder, std::vector<TrafficSelector>{{58, type_range(128, 128), *parse_range("2001:db8::/32")}});
    writer.notify(NotifyType::use_transport_mode);
    writer.erase(ProtocolId::esp, 4, hex("c0000002c0000003"));
    writer.vendor_id(bytes_of("sallyport"));
    writer.notify(NotifyType::rekey_sa, {}, ProtocolId::esp, hex("c0000009"));
    EXPECT_EQ(writer.first(), identification_initiator);
    EXPECT_EQ(bytes_of(writer.octets()), samples::chain(auth_inside));
}

TEST(Writer, gives_proposals_that_are_read_as_they_were) {
    std::vector<Proposal> proposals(3);
    proposals[0] = ike_proposal();
    proposals[0].spi = {1, 2, 3, 4, 5, 6, 7, 8};
    proposals[0].spi_size = 8;
    proposals[1].number = 2;
    proposals[1].protocol = ProtocolId::ah;
    proposals[1].spi = {0xff, 0xff, 0xff, 0xff};
    proposals[1].spi_size = 4;
    proposals[1].transforms = {{static_cast<TransformType>(12), 65535, 65535}};
    proposals[2].number = 3;
    proposals[2].protocol = static_cast<ProtocolId>(9);
    Writer writer;
    writer.sa(proposals);
    const auto contents = contents_of(writer);
    ASSERT_TRUE(contents) << contents.error().what;
    EXPECT_EQ(contents->sa, proposals);
}

TEST(Writer, gives_as_many_proposals_and_transforms_as_are_read) {
    std::vector<Proposal> proposals(most_proposals);
    for (std::size_t i = 0; i < proposals.size(); ++i) {
        proposals[i].number = static_cast<std::uint8_t>(i + 1);
        proposals[i].transforms.assign(i < 63 ? 3 : 64, {TransformType::encryption, 12, 128});
    }
    Writer writer;
    writer.sa(proposals);
    const auto contents = contents_of(writer);
    ASSERT_TRUE(contents) << contents.error().what;
    EXPECT_EQ(contents->sa, proposals);
}

TEST(Writer, gives_traffic_selectors_that_are_read_as_they_were) {
    std::vector<TrafficSelector> selectors = {
        {0, {}, *parse_range("0.0.0.0/0")},
        {17, {500, 4500}, *parse_range("192.0.2.1-192.0.2.9")},
        {6, opaque_ports, *parse_range("::/0")},
        {135, {0x0500, 0x0500}, *parse_range("2001:db8::1")},
    };
    selectors.resize(255, selectors[1]);
    Writer writer;
    writer.ts(traffic_selector_responder, selectors);
    const auto contents = contents_of(writer);
    ASSERT_TRUE(contents) << contents.error().what;
    ASSERT_TRUE(contents->tsr);
    EXPECT_EQ(contents->tsr->known, selectors);
    EXPECT_EQ(contents->tsr->unknown, 0U);
}

TEST(Writer, gives_deletes_that_are_read_as_they_were) {
    Writer writer;
    writer.erase(ProtocolId::ike, 0, {});
    writer.erase(ProtocolId::ah, 4, hex("c0000001 c0000002 c0000003"));
    const auto contents = contents_of(writer);
    ASSERT_TRUE(contents) << contents.error().what;
    ASSERT_EQ(contents->deletes.size(), 2U);
    EXPECT_EQ(contents->deletes[0].protocol, ProtocolId::ike);
    EXPECT_EQ(contents->deletes[0].spi_size, 0);
    EXPECT_EQ(contents->deletes[1].protocol, ProtocolId::ah);
    EXPECT_EQ(bytes_of(contents->deletes[1].spis), hex("c0000001c0000002c0000003"));
}

TEST(Writer, gives_the_longest_payload) {
    Writer writer;
    writer.vendor_id(fill(65531));
    writer.vendor_id({});
    const auto contents = contents_of(writer);
    ASSERT_TRUE(contents) << contents.error().what;
    EXPECT_EQ(contents->vendor_ids[0].size(), 65531U);
    EXPECT_EQ(contents->vendor_ids[1].size(), 0U);
}

TEST(Writer, sets_the_critical_bit_only_where_it_is_asked_for) {
    Writer writer;
    writer.raw(static_cast<PayloadType>(99), fill(3), true);
    writer.raw(static_cast<PayloadType>(98), fill(2));
    const auto chain = parse_chain(writer.first(), writer.octets());
    ASSERT_TRUE(chain);
    EXPECT_TRUE(chain->payloads[0].critical);
    EXPECT_FALSE(chain->payloads[1].critical);
    EXPECT_EQ(bytes_of(writer.octets()), hex("62 80 0007 5a5a5a 00 00 0006 5a5a"));
    EXPECT_EQ(parse_contents(*chain)->unsupported, 99);
}

TEST(Writer, appends_the_payloads_of_another) {
    Writer first, second, empty;
    first.nonce(fill(16));
    second.vendor_id({});
    second.notify(NotifyType::initial_contact);
    Writer all;
    all.append(empty);
    EXPECT_TRUE(all.empty());
    all.append(first);
    EXPECT_EQ(bytes_of(all.octets()), bytes_of(first.octets()));
    all.append(second);
    all.append(empty);
    all.vendor_id(hex("aa"));
    EXPECT_EQ(all.first(), nonce);
    const Bytes expected = samples::chain({{nonce, fill(16)}, {vendor_id, {}}, {notify, hex("00004000")}, {vendor_id, hex("aa")}});
    EXPECT_EQ(bytes_of(all.octets()), expected);
}

} // namespace
} // namespace sallyport::ike
