// SPDX-License-Identifier: Apache-2.0
// Every kind of SA, each with every algorithm, engine and outer family: what was sealed comes out again, whole or not at all.
#include "gateway/mode/beet.hpp"
#include "gateway/transform/testing.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/wire/samples.hpp"

#include <gtest/gtest.h>

namespace sallyport::transform {
namespace {

using namespace wire::samples; // NOLINT(google-build-using-namespace): packets are written with its words
using testing::OwnedFrame;
using testing::Pair;

constexpr const char *local4 = "192.0.2.1", *remote4 = "192.0.2.2", *local6 = "2001:db8::1", *remote6 = "2001:db8::2";
constexpr const char *inner_local4 = "10.1.0.1", *inner_remote4 = "10.2.0.1";
constexpr const char *inner_local6 = "2001:db8:1::1", *inner_remote6 = "2001:db8:2::1";

Selector between(const char* local, const char* remote) { return {.local = *parse_range(local), .remote = *parse_range(remote)}; }

struct Ends {
    bool outer_ipv6 = false, inner_ipv6 = false;
};

SaSpec spec_of(const Kind& kind, Ends ends) {
    SaSpec spec = testing::plain_spec(kind.algorithm);
    spec.protocol = kind.protocol;
    spec.mode = kind.mode;
    spec.outer_local = *parse_address(ends.outer_ipv6 ? local6 : local4);
    spec.outer_remote = *parse_address(ends.outer_ipv6 ? remote6 : remote4);
    if (kind.mode == SaMode::transport)
        spec.selectors = {ends.outer_ipv6 ? between(local6, remote6) : between(local4, remote4)};
    else
        spec.selectors = {ends.inner_ipv6 ? between(inner_local6, inner_remote6) : between(inner_local4, inner_remote4)};
    return spec;
}

std::vector<Ends> ends_of(SaMode mode) {
    if (mode == SaMode::transport) return {{false, false}, {true, true}};
    return {{false, false}, {false, true}, {true, false}, {true, true}};
}

/// A packet that this SA carries, with as many octets of data; `extras`: IPv4 options, or extension headers.
Octets packet_for(const SaSpec& spec, std::size_t data, bool extras = false) {
    const bool transport = spec.mode == SaMode::transport;
    const bool six = spec.selectors[0].local.first.family == Family::ipv6;
    const Octets upper = udp(7, 9, payload(data));
    if (six) {
        const Octets options = extension(wire::protocol_destination_options) + extension(wire::protocol_udp, 1);
        return ipv6(transport ? local6 : inner_local6, transport ? remote6 : inner_remote6,
                    extras ? wire::protocol_hop_by_hop : wire::protocol_udp, extras ? options + upper : upper);
    }
    const Octets options = extras ? Octets{148, 4, 0, 0, 1, 1, 1, 0} : Octets{}; // Router Alert, NOPs
    return ipv4(transport ? local4 : inner_local4, transport ? remote4 : inner_remote4, wire::protocol_udp, upper, 64,
                wire::ipv4_dont_fragment, options);
}

void put(OwnedFrame& owned, const Octets& packet) {
    owned.put_packet(packet, packet[0] >> 4);
    wire::parse_opened(owned.frame); // as the parser leaves it
}

/// The flow label is the one thing that BEET does not bring over: on the way it is the SA's own, and tells nothing of flows.
Octets without_flow_label(Octets packet) {
    if (packet[0] >> 4 == 6) wire::store32(packet.data(), wire::load32(packet.data()) & 0xfff0'0000U);
    return packet;
}

Octets with_hop_taken(Octets packet) {
    wire::decrement_hop_limit(packet.data(), packet[0] >> 4);
    return packet;
}

std::string name_of_kind(const Kind& kind) {
    std::string name = std::string(name_of(kind.protocol)) + "_" + std::string(name_of(kind.mode));
    name += kind.engine == crypto::Engine::openssl ? "_openssl_" : "_ipsec_mb_";
    for (const char c : info(kind.algorithm).name) name += c == '-' ? '_' : c;
    return name;
}

class Kinds : public ::testing::TestWithParam<unsigned> {
protected:
    const Kind kind_ = kind_of(static_cast<std::uint8_t>(GetParam()));

    /// Seals and opens; gives the sealed packet.
    Octets there_and_back(const SaSpec& spec, const Octets& packet, std::uint64_t sent = 0) {
        Pair pair(spec, kind_.engine, sent, sent);
        OwnedFrame owned;
        put(owned, packet);
        EXPECT_EQ(pair.seal(owned), DropReason::none);
        const Octets sealed = owned.packet();
        owned.frame.traffic_class = 0;
        EXPECT_EQ(pair.open(owned), DropReason::none);
        EXPECT_EQ(without_flow_label(owned.packet()), with_hop_taken(packet));
        EXPECT_EQ(pair.opened.octets, packet.size());
        return sealed;
    }
};

/// The packet says of itself how long it is and what it is, with a right checksum.
void check_outer(const SaSpec& spec, const Octets& sealed) {
    OwnedFrame owned;
    put(owned, sealed);
    EXPECT_EQ(owned.frame.reason, DropReason::none);
    EXPECT_EQ(owned.packet().size(), sealed.size());
    EXPECT_EQ(owned.frame.protocol, spec.protocol == SaProtocol::ah ? wire::protocol_ah
                                    : spec.udp_port != 0            ? wire::protocol_udp
                                                                    : wire::protocol_esp);
    EXPECT_EQ(owned.frame.spi, spec.udp_port == 0 ? spec.spi : 0U);
    EXPECT_EQ(wire::flow_of(owned.frame).source, spec.outer_local);
    EXPECT_EQ(wire::flow_of(owned.frame).destination, spec.outer_remote);
}

TEST_P(Kinds, GiveBackWhatTheyTook) {
    for (const Ends ends : ends_of(kind_.mode))
        for (const bool extras : {false, true})
            for (const std::size_t data : {0U, 1U, 2U, 3U, 36U, 1200U}) {
                SCOPED_TRACE(::testing::Message() << ends.outer_ipv6 << ends.inner_ipv6 << extras << " " << data);
                const SaSpec spec = spec_of(kind_, ends);
                check_outer(spec, there_and_back(spec, packet_for(spec, data, extras)));
            }
}

TEST_P(Kinds, GoInUdp) {
    if (kind_.protocol == SaProtocol::ah) return; // where fault() says no
    for (const Ends ends : ends_of(kind_.mode)) {
        SaSpec spec = spec_of(kind_, ends);
        spec.udp_port = 4500;
        Pair pair(spec, kind_.engine);
        OwnedFrame owned;
        const Octets packet = packet_for(spec, 100, true);
        put(owned, packet);
        ASSERT_EQ(pair.seal(owned), DropReason::none);
        check_outer(spec, owned.packet());
        put(owned, owned.packet());
        ASSERT_TRUE(wire::enter_udp(owned.frame));
        EXPECT_EQ(pair.open(owned), DropReason::none);
        EXPECT_EQ(without_flow_label(owned.packet()), with_hop_taken(packet));
    }
}

TEST_P(Kinds, CountOnAcrossTheLowHalf) {
    const SaSpec spec = spec_of(kind_, {});
    const Octets before = there_and_back(spec, packet_for(spec, 64), 0xffff'fffeU);
    const Octets after = there_and_back(spec, packet_for(spec, 64), 0xffff'ffffU);
    EXPECT_NE(before, after);
}

TEST_P(Kinds, RefuseWhatWasChanged) {
    for (const Ends ends : ends_of(kind_.mode)) {
        const SaSpec spec = spec_of(kind_, ends);
        Pair pair(spec, kind_.engine);
        OwnedFrame owned;
        put(owned, packet_for(spec, 40, true));
        ASSERT_EQ(pair.seal(owned), DropReason::none);
        const Octets sealed = owned.packet();
        const unsigned ipsec = owned.frame.transport - owned.frame.network;
        const bool ah = kind_.protocol == SaProtocol::ah;
        const unsigned first = ah ? ipsec + 2 : ipsec + 8; // what decides the length and the SA is another matter
        for (unsigned at = first; at < sealed.size(); at += at < ipsec + 48 ? 1 : 7) {
            if (ah && at >= ipsec + 4 && at < ipsec + 12) continue;
            SCOPED_TRACE(at);
            Octets wrong = sealed;
            wrong[at] ^= 0x10;
            put(owned, wrong);
            EXPECT_EQ(pair.open(owned), DropReason::bad_icv);
        }
        put(owned, sealed);
        EXPECT_EQ(pair.open(owned), DropReason::none) << "nothing of it has moved the window";
        put(owned, sealed);
        EXPECT_EQ(pair.open(owned), DropReason::replayed);
    }
}

TEST_P(Kinds, RefuseWhatIsCut) {
    const SaSpec spec = spec_of(kind_, {});
    Pair pair(spec, kind_.engine);
    OwnedFrame owned;
    put(owned, packet_for(spec, 40));
    ASSERT_EQ(pair.seal(owned), DropReason::none);
    const Octets sealed = owned.packet();
    const unsigned ipsec = owned.frame.transport - owned.frame.network;
    const unsigned least = ipsec + (kind_.protocol == SaProtocol::ah ? 12 : 8);
    for (std::size_t size = least; size < sealed.size(); ++size) {
        Octets cut(sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(size));
        wire::store16(&cut[wire::ipv4_total_length], static_cast<std::uint16_t>(size));
        wire::write_ipv4_checksum(cut.data(), wire::ipv4_size);
        put(owned, cut);
        const DropReason reason = pair.open(owned);
        EXPECT_TRUE(reason == DropReason::bad_icv || reason == DropReason::malformed_esp || reason == DropReason::malformed_ah) << size;
    }
}

/// What a router may change does not touch the ICV of AH, what it may not does.
TEST_P(Kinds, LetRoutersDoTheirWork) {
    if (kind_.protocol != SaProtocol::ah) return;
    for (const bool six : {false, true}) {
        const SaSpec spec = spec_of(kind_, {six, six});
        const auto after = [&](auto change) {
            Pair pair(spec, kind_.engine);
            OwnedFrame owned;
            put(owned, packet_for(spec, 40, true));
            EXPECT_EQ(pair.seal(owned), DropReason::none);
            change(owned.frame.at(owned.frame.network));
            if (!six) wire::write_ipv4_checksum(owned.frame.at(owned.frame.network), (*owned.frame.at(owned.frame.network) & 0xfU) * 4U);
            return pair.open(owned);
        };
        if (six) {
            EXPECT_EQ(after([](std::uint8_t* header) { header[1] = 0x3a, header[7] = 3; }), DropReason::none) << "flow label, hop limit";
            EXPECT_EQ(after([](std::uint8_t* header) { header[wire::ipv6_source + 15] ^= 1; }), DropReason::bad_icv);
            EXPECT_EQ(after([](std::uint8_t* header) { header[wire::ipv6_destination + 15] ^= 1; }), DropReason::bad_icv);
        } else {
            EXPECT_EQ(after([](std::uint8_t* header) { header[1] = 0x28, header[6] = 0, header[8] = 3; }), DropReason::none) << "TOS, DF";
            EXPECT_EQ(after([](std::uint8_t* header) { header[4] ^= 1; }), DropReason::bad_icv) << "identification";
            EXPECT_EQ(after([](std::uint8_t* header) { header[wire::ipv4_source] ^= 1; }), DropReason::bad_icv);
            EXPECT_EQ(after([](std::uint8_t* header) { header[wire::ipv4_destination] ^= 1; }), DropReason::bad_icv);
        }
    }
}

/// Against what sealing really adds, octet by octet.
TEST_P(Kinds, FillWhatFits) {
    for (const Ends ends : ends_of(kind_.mode)) {
        SaSpec spec = spec_of(kind_, ends);
        spec.mtu = 1300;
        for (const bool extras : {false, true}) {
            const auto largest = [&] {
                Pair pair(spec, kind_.engine);
                const unsigned headers = static_cast<unsigned>(packet_for(spec, 0, extras).size());
                const unsigned fits = fit_of(pair.outbound).inner;
                const unsigned plain = static_cast<unsigned>(packet_for(spec, 0).size());
                // What options add is reckoned as octets of the packet; BEET's pseudo header takes 8 more at most.
                const unsigned excess = kind_.mode == SaMode::tunnel ? 0 : kind_.mode == SaMode::transport ? headers - plain : 8;
                return fits - headers - (extras ? excess : 0);
            }();
            if (ends.inner_ipv6 && kind_.mode == SaMode::beet && extras) continue; // its extension headers are payload
            Pair pair(spec, kind_.engine);
            OwnedFrame owned;
            put(owned, packet_for(spec, largest, extras));
            ASSERT_EQ(pair.seal(owned), DropReason::none);
            EXPECT_LE(owned.packet().size(), 1300U);
            if (extras) continue;
            EXPECT_GT(owned.packet().size() + info(kind_.algorithm).block, 1300U - 4);
            put(owned, packet_for(spec, largest + 1));
            owned.frame.flags = 0;
            EXPECT_EQ(pair.seal(owned), DropReason::too_big);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Transform, Kinds, ::testing::Range(0U, row_count), [](const ::testing::TestParamInfo<unsigned>& param) {
    return name_of_kind(kind_of(static_cast<std::uint8_t>(param.param)));
});

Pair plain_pair(SaMode mode, Ends ends = {}) { return Pair(spec_of({.mode = mode, .algorithm = Algorithm::aes_128_gcm_16}, ends)); }

TEST(Transport, LeavesTheHeaderAsItIs) {
    Pair pair = plain_pair(SaMode::transport);
    OwnedFrame owned;
    Octets packet = ipv4(local4, remote4, wire::protocol_udp, udp(7, 9, payload(20)), 64, wire::ipv4_dont_fragment);
    packet[wire::ipv4_tos] = 0xb9;
    wire::store16(&packet[wire::ipv4_identification], 0x1234);
    wire::write_ipv4_checksum(packet.data(), wire::ipv4_size);
    put(owned, packet);
    ASSERT_EQ(pair.seal(owned), DropReason::none);
    const Octets sealed = owned.packet();
    EXPECT_EQ(sealed[wire::ipv4_tos], 0xb9);
    EXPECT_EQ(wire::load16(&sealed[wire::ipv4_identification]), 0x1234);
    EXPECT_EQ(sealed[wire::ipv4_fragment], 0x40);
    EXPECT_EQ(sealed[wire::ipv4_ttl], 63);
}

TEST(Transport, GoesBeforeTheOptionsForTheDestination) { // RFC 4303 3.1.1
    Pair pair = plain_pair(SaMode::transport, {true, true});
    OwnedFrame owned;
    const Octets routing = [] {
        Octets octets = extension(wire::protocol_destination_options);
        octets[2] = 2;
        return octets;
    }();
    const Octets packet = ipv6(local6, remote6, wire::protocol_hop_by_hop,
                               extension(wire::protocol_destination_options) + extension(wire::protocol_routing) + routing +
                                   extension(wire::protocol_udp) + udp(7, 9, payload(20)));
    put(owned, packet);
    ASSERT_EQ(owned.frame.reason, DropReason::none);
    ASSERT_EQ(pair.seal(owned), DropReason::none);
    EXPECT_EQ(owned.frame.transport - owned.frame.network, 40 + 8 + 8 + 8) << "hop-by-hop, destination options and the routing header";
    const Octets sealed = owned.packet();
    EXPECT_EQ(sealed[56], wire::protocol_esp);
    EXPECT_EQ(pair.open(owned), DropReason::none);
    EXPECT_EQ(owned.packet(), with_hop_taken(packet));
}

TEST(Transport, CarriesNoFragments) {
    for (const SaMode mode : {SaMode::transport, SaMode::beet}) {
        Pair pair = plain_pair(mode);
        OwnedFrame owned;
        const bool transport = mode == SaMode::transport;
        put(owned, ipv4(transport ? local4 : inner_local4, transport ? remote4 : inner_remote4, wire::protocol_udp, payload(80), 64,
                        wire::ipv4_more_fragments));
        EXPECT_EQ(pair.seal(owned), DropReason::fragment_transport);
    }
    Pair six = plain_pair(SaMode::transport, {true, true});
    OwnedFrame owned;
    put(owned, ipv6(local6, remote6, wire::protocol_fragment, fragment_header(wire::protocol_udp, 1) + payload(80)));
    EXPECT_EQ(six.seal(owned), DropReason::fragment_transport);
}

TEST(Transport, CarriesAnotherTunnelWhereASelectorNamesIt) {
    const Octets tunnelled = ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, payload(9)));
    const Octets options = extension(wire::protocol_destination_options) + extension(wire::protocol_ipv4, 1);
    const Octets packets[] = {ipv4(local4, remote4, wire::protocol_ipv4, tunnelled), ipv6(local6, remote6, wire::protocol_ipv4, tunnelled),
                              ipv6(local6, remote6, wire::protocol_hop_by_hop, options + tunnelled)};
    for (const std::uint8_t protocol : {std::uint8_t{0}, wire::protocol_ipv4})
        for (const Octets& packet : packets) {
            const bool six = packet[0] >> 4 == 6;
            SaSpec spec = spec_of({.mode = SaMode::transport, .algorithm = Algorithm::aes_128_gcm_16}, {six, six});
            spec.selectors[0].protocol = protocol;
            Pair pair(spec);
            OwnedFrame owned;
            put(owned, packet);
            ASSERT_EQ(pair.seal(owned), DropReason::none);
            EXPECT_EQ(pair.open(owned), protocol == 0 ? DropReason::bad_next_header : DropReason::none) << packet.size();
        }
}

TEST(Transport, CarriesNothingWithoutANextHeader) { // AH has no dummy packets
    Pair pair(spec_of({.protocol = SaProtocol::ah, .mode = SaMode::transport, .algorithm = Algorithm::null_hmac_sha2_256_128}, {}));
    OwnedFrame owned;
    put(owned, ipv4(local4, remote4, wire::protocol_no_next_header, payload(40)));
    ASSERT_EQ(pair.seal(owned), DropReason::none);
    EXPECT_EQ(pair.open(owned), DropReason::bad_next_header);
}

TEST(Transport, SealsDummiesBetweenTheSameEnds) {
    for (const SaMode mode : {SaMode::transport, SaMode::beet}) {
        Pair pair = plain_pair(mode);
        OwnedFrame owned;
        mode::make_dummy(owned.frame, 100);
        ASSERT_EQ(pair.seal(owned), DropReason::none);
        check_outer(spec_of({.mode = mode, .algorithm = Algorithm::aes_128_gcm_16}, {}), owned.packet());
        EXPECT_EQ(pair.open(owned), DropReason::dummy);
    }
}

/// RFC 3948 3.1.2: the peer has made its checksums over the addresses that it knows.
TEST(Transport, MendsChecksumsBehindANat) {
    const auto with_checksum = [](const char* from, const char* to, std::uint8_t protocol, Octets upper, unsigned place) {
        const bool six = parse_address(from)->family == Family::ipv6;
        std::uint64_t sum = 0;
        for (const char* end : {from, to}) sum += static_cast<std::uint16_t>(~wire::checksum_raw(parse_address(end)->octets.data(), 16));
        sum += wire::swapped(static_cast<std::uint16_t>(upper.size())) + wire::swapped(std::uint16_t{protocol});
        sum += static_cast<std::uint16_t>(~wire::checksum_raw(upper.data(), static_cast<unsigned>(upper.size())));
        wire::store_raw(&upper[place], static_cast<std::uint16_t>(~wire::fold(sum)));
        return six ? ipv6(from, to, protocol, upper) : ipv4(from, to, protocol, upper);
    };
    struct Upper {
        std::uint8_t protocol;
        unsigned place;
        Octets octets;
    };
    Octets tcp(40);
    tcp[12] = 0x50;
    const std::vector<Upper> uppers{{6, 16, tcp}, {17, 6, udp(7, 9, payload(33))}, {136, 6, udp(7, 9, payload(12))}};
    for (const Upper& upper : uppers) {
        SaSpec spec = spec_of({.mode = SaMode::transport, .algorithm = Algorithm::aes_128_gcm_16}, {});
        spec.udp_port = 4500;
        spec.direction = Direction::inbound;
        // We are 192.0.2.1; the peer, 10.9.9.9 behind a NAT, reaches us as 203.0.113.7.
        spec.original_remote = *parse_address("10.9.9.9");
        spec.original_local = *parse_address("203.0.113.7");
        Pair pair(spec);
        OwnedFrame owned;
        const Octets packet = with_checksum("10.9.9.9", "203.0.113.7", upper.protocol, upper.octets, upper.place);
        put(owned, packet);
        ASSERT_EQ(pair.seal(owned), DropReason::none);
        std::uint8_t* header = owned.frame.at(owned.frame.network); // what the NATs do
        std::memcpy(header + wire::ipv4_source, parse_address(remote4)->octets.data(), 4);
        std::memcpy(header + wire::ipv4_destination, parse_address(local4)->octets.data(), 4);
        wire::write_ipv4_checksum(header, wire::ipv4_size);
        put(owned, owned.packet());
        ASSERT_TRUE(wire::enter_udp(owned.frame));
        ASSERT_EQ(pair.open(owned), DropReason::none);
        const Octets expected = with_checksum(remote4, local4, upper.protocol, upper.octets, upper.place);
        const Octets got = owned.packet();
        EXPECT_EQ(Octets(got.begin() + 20, got.end()), Octets(expected.begin() + 20, expected.end())) << int{upper.protocol};
    }
}

TEST(Beet, RestoresWhatTheOuterHeaderSays) {
    Pair pair = plain_pair(SaMode::beet);
    OwnedFrame owned;
    Octets packet = packet_for(spec_of({.mode = SaMode::beet, .algorithm = Algorithm::aes_128_gcm_16}, {}), 50);
    packet[wire::ipv4_tos] = 0x02; // ECT(0)
    wire::store16(&packet[wire::ipv4_identification], 0x4321);
    wire::write_ipv4_checksum(packet.data(), wire::ipv4_size);
    put(owned, packet);
    ASSERT_EQ(pair.seal(owned), DropReason::none);
    std::uint8_t* outer = owned.frame.at(owned.frame.network);
    EXPECT_EQ(owned.frame.network_length(), 20 + 8 + 8 + 60 + 16) << "no inner header: UDP of 58 octets and the trailer";
    EXPECT_EQ(outer[wire::ipv4_ttl], 63);
    outer[wire::ipv4_tos] = 0x03; // congestion on the way
    outer[wire::ipv4_ttl] = 50;
    wire::write_ipv4_checksum(outer, wire::ipv4_size);
    ASSERT_EQ(pair.open(owned), DropReason::none);
    const Octets opened = owned.packet();
    EXPECT_EQ(opened[wire::ipv4_tos], 0x03);
    EXPECT_EQ(opened[wire::ipv4_ttl], 50);
    EXPECT_EQ(wire::load16(&opened[wire::ipv4_identification]), 0x4321);
    EXPECT_EQ(wire::checksum_raw(opened.data(), 20), 0);
}

TEST(Beet, WritesThePseudoHeaderAsLinuxReadsIt) {
    // RFC 7402 B: next header, length in eights less one, octets of padding; padded by NOPs before the options.
    for (const unsigned octets : {4U, 8U, 12U, 40U}) {
        SaSpec spec = spec_of({.mode = SaMode::beet, .algorithm = Algorithm::null_hmac_sha2_256_128}, {});
        Pair pair(spec);
        OwnedFrame owned;
        const Octets options(octets, 1);
        const Octets packet = ipv4(inner_local4, inner_remote4, 17, udp(1, 2, payload(8)), 64, wire::ipv4_dont_fragment, options);
        put(owned, packet);
        ASSERT_EQ(pair.seal(owned), DropReason::none);
        const std::uint8_t* pseudo = owned.frame.at(owned.frame.transport + 8);
        EXPECT_EQ(pseudo[0], 17);
        EXPECT_EQ(pseudo[1], octets / 8);
        EXPECT_EQ(pseudo[2], 4 - (octets & 4));
        EXPECT_EQ(pseudo[3], 0);
        EXPECT_EQ((4 + pseudo[2] + octets) % 8, 0U);
        EXPECT_EQ(pair.open(owned), DropReason::none);
        EXPECT_EQ(owned.packet(), with_hop_taken(packet));
    }
}

TEST(Beet, RefusesAPseudoHeaderThatLies) {
    Pair pair = plain_pair(SaMode::beet);
    std::uint64_t number = 0;
    const auto open = [&](Octets plain) {
        while ((plain.size() + 2) % 4 != 0) plain.push_back(static_cast<std::uint8_t>(plain.size() % 4 + 1));
        OwnedFrame owned;
        plain = Octets(plain.begin(), plain.end());
        plain.push_back(0);
        plain.push_back(mode::protocol_beet);
        owned.put_esp(pair.seal_raw(plain, ++number));
        return pair.open(owned);
    };
    const Octets rest = payload(22);
    EXPECT_EQ(open(Octets{17, 0, 0, 0, 1, 1, 1, 1} + rest), DropReason::none);
    EXPECT_EQ(open(Octets{17, 0, 2, 0, 1, 1, 1, 1} + rest), DropReason::malformed_inner) << "padding of two octets";
    EXPECT_EQ(open(Octets{17, 0, 8, 0, 1, 1, 1, 1} + rest), DropReason::malformed_inner);
    EXPECT_EQ(open(Octets{17, 9, 0, 0, 1, 1, 1, 1} + rest), DropReason::malformed_inner) << "more than there is";
    EXPECT_EQ(open(Octets{17, 255, 4, 0, 1, 1, 1, 1} + rest), DropReason::malformed_inner);
    EXPECT_EQ(open({17, 0}), DropReason::malformed_inner);
}

TEST(Beet, CarriesAnotherTunnelWhereASelectorNamesIt) {
    const Octets tunnelled = ipv4("10.0.0.1", "10.0.0.2", 17, udp(1, 2, payload(9)));
    for (const std::uint8_t protocol : {std::uint8_t{0}, wire::protocol_ipv4})
        for (const Octets& options : {Octets{}, Octets{148, 4, 0, 0}}) { // with options it stands in the pseudo header
            SaSpec spec = spec_of({.mode = SaMode::beet, .algorithm = Algorithm::aes_128_gcm_16}, {});
            spec.selectors[0].protocol = protocol;
            Pair pair(spec);
            OwnedFrame owned;
            put(owned, ipv4(inner_local4, inner_remote4, wire::protocol_ipv4, tunnelled, 64, wire::ipv4_dont_fragment, options));
            ASSERT_EQ(pair.seal(owned), DropReason::none);
            EXPECT_EQ(pair.open(owned), protocol == 0 ? DropReason::bad_next_header : DropReason::none) << options.size();
        }
}

/// Made with Scapy and a library's HMAC and GMAC: 192.0.2.10 -> 198.51.100.20, SPI 0x1234, number 9, high half 5.
struct AhVector {
    const char* name;
    Algorithm algorithm;
    bool esn;
    const char* header;
    const char* ah;
};

constexpr AhVector ah_vectors[]{
    {"plain", Algorithm::null_hmac_sha2_256_128, false, "45b8003c123440003d333e51c000020ac6336414",
     "110500000000123400000009140da18580b55350e7a207027f5fda08"},
    {"esn", Algorithm::null_hmac_sha2_256_128, true, "45b8003c123440003d333e51c000020ac6336414",
     "1105000000001234000000096358f6314437ecf1eadde4dab09df0c2"},
    {"options", Algorithm::null_hmac_sha2_256_128, true, "48b80048123440003d339c39c000020ac6336414070704000000000094040000",
     "110500000000123400000009ec16753a770e68b73eac704d6fe58836"},
    {"gmac", Algorithm::null_aes_128_gmac, false, "45b80044123440003d333e49c000020ac6336414",
     "1107000000001234000000090001020304050607182bf6b19e92681aa5cde4ec1503bf4a"},
    {"gmac_esn", Algorithm::null_aes_128_gmac, true, "45b80044123440003d333e49c000020ac6336414",
     "11070000000012340000000900010203040506074e78c542240c3030a1755f53b2262dad"},
};

Octets octets_of(std::string_view hex) {
    Octets octets;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        octets.push_back(static_cast<std::uint8_t>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
    return octets;
}

TEST(AuthenticationHeader, IsThatOfOthers) {
    const Octets datagram = octets_of("13881389000c000052495341");
    for (const crypto::Engine engine : crypto::engines)
        for (const AhVector& vector : ah_vectors) {
            SCOPED_TRACE(vector.name);
            SaSpec spec = testing::plain_spec(vector.algorithm);
            spec.protocol = SaProtocol::ah;
            spec.mode = SaMode::transport;
            spec.sequence = vector.esn ? SequenceKind::extended_64 : SequenceKind::short_32;
            spec.outer_local = *parse_address("192.0.2.10");
            spec.outer_remote = *parse_address("198.51.100.20");
            spec.selectors = {between("192.0.2.10", "198.51.100.20")};
            const std::uint64_t before = (vector.esn ? std::uint64_t{5} << 32 : 0) | 8;
            const Octets header = octets_of(vector.header), whole = header + octets_of(vector.ah) + datagram;

            Pair pair(spec, engine, before, before);
            OwnedFrame owned;
            put(owned, whole);
            EXPECT_EQ(pair.open(owned), DropReason::none);
            Octets inner = header + datagram;
            wire::store16(&inner[wire::ipv4_total_length], static_cast<std::uint16_t>(inner.size()));
            inner[wire::ipv4_protocol] = wire::protocol_udp;
            wire::write_ipv4_checksum(inner.data(), static_cast<unsigned>(header.size()));
            EXPECT_EQ(owned.packet(), inner);

            if (info(vector.algorithm).unique_nonce()) continue; // our IV is another one
            put(owned, inner);
            owned.frame.flags |= frame_ours; // its hop limit stays
            EXPECT_EQ(pair.seal(owned), DropReason::none);
            EXPECT_EQ(owned.packet(), whole);
        }
}

TEST(AuthenticationHeader, RefusesWhatItCannotCover) {
    Pair pair(spec_of({.protocol = SaProtocol::ah, .mode = SaMode::transport, .algorithm = Algorithm::null_hmac_sha2_256_128}, {}));
    OwnedFrame owned;
    put(owned, ipv4(local4, remote4, 17, udp(1, 2, payload(8)), 64, 0, {131, 7, 4, 10, 0, 0, 1, 0}));
    EXPECT_EQ(pair.seal(owned), DropReason::header_before_ah) << "a source route";
    EXPECT_EQ(pair.sealed.errors, 1U);

    put(owned, ipv4(local4, remote4, 17, udp(1, 2, payload(8)), 64, 0, {148, 7, 4, 10, 0, 0, 1, 0}));
    ASSERT_EQ(pair.seal(owned), DropReason::none);
    Octets sealed = owned.packet();
    sealed[20] = 131; // a loose source route comes
    wire::write_ipv4_checksum(sealed.data(), 28);
    put(owned, sealed);
    EXPECT_EQ(pair.open(owned), DropReason::header_before_ah);
    EXPECT_EQ(owned.packet(), sealed) << "the header is as it came";
}

TEST(AuthenticationHeader, WantsItsLengthToTheOctet) {
    Pair pair(spec_of({.protocol = SaProtocol::ah, .mode = SaMode::transport, .algorithm = Algorithm::null_hmac_sha2_256_128}, {}));
    OwnedFrame owned;
    put(owned, ipv4(local4, remote4, 17, udp(1, 2, payload(8))));
    ASSERT_EQ(pair.seal(owned), DropReason::none);
    const Octets sealed = owned.packet();
    for (unsigned length = 0; length < 256; ++length) {
        if (length == 5) continue;
        Octets wrong = sealed;
        wrong[21] = static_cast<std::uint8_t>(length);
        put(owned, wrong);
        EXPECT_EQ(pair.open(owned), DropReason::malformed_ah) << length;
    }
}

} // namespace
} // namespace sallyport::transform
