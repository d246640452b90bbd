// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/icmp.hpp"

#include "gateway/wire/parse.hpp"
#include "gateway/wire/samples.hpp"

#include <algorithm>
#include <vector>

namespace sallyport::wire {
namespace {

using samples::append;
using samples::Octets;

Octets octets32(std::uint32_t value) {
    Octets octets(4);
    store32(octets.data(), value);
    return octets;
}

Octets esp(std::uint32_t spi, std::uint32_t sequence) {
    Octets octets = octets32(spi);
    append(octets, octets32(sequence));
    append(octets, samples::payload(40));
    return octets;
}

const std::string_view ours4 = "192.0.2.1", peer4 = "192.0.2.2", router4 = "203.0.113.9";
const std::string_view ours6 = "2001:db8:ff::1", peer6 = "2001:db8:ff::2", router6 = "2001:db8:9::9";

/// A whole ICMP packet, by the formats, not by write_icmp_error().
Octets icmp4(std::uint8_t type, std::uint8_t code, std::uint32_t rest, const Octets& quote) {
    Octets message{type, code, 0, 0};
    append(message, octets32(rest));
    append(message, quote);
    store_raw(message.data() + 2, checksum_raw(message.data(), static_cast<unsigned>(message.size())));
    return samples::ipv4(router4, ours4, protocol_icmp, message);
}

Octets icmp6(std::uint8_t type, std::uint8_t code, std::uint32_t rest, const Octets& quote) {
    Octets message{type, code, 0, 0};
    append(message, octets32(rest));
    append(message, quote);
    Octets pseudo; // RFC 8200 8.1
    for (const std::string_view address : {router6, ours6}) {
        const Address parsed = *parse_address(address);
        pseudo.insert(pseudo.end(), parsed.octets.begin(), parsed.octets.end());
    }
    append(pseudo, octets32(static_cast<std::uint32_t>(message.size())));
    append(pseudo, octets32(protocol_icmpv6));
    append(pseudo, message);
    store_raw(message.data() + 2, checksum_raw(pseudo.data(), static_cast<unsigned>(pseudo.size())));
    return samples::ipv6(router6, ours6, protocol_icmpv6, message);
}

struct Packet {
    Octets memory;
    Frame frame;

    explicit Packet(const Octets& packet, std::uint8_t family) : memory(frame_headroom) {
        append(memory, packet);
        frame.chunk = memory.data();
        frame.begin = frame.network = frame_headroom;
        frame.end = static_cast<std::uint16_t>(memory.size());
        frame.family = family;
        parse_opened(frame);
    }
    Packet(const Packet&) = delete;
    Packet& operator=(const Packet&) = delete;
};

std::optional<IcmpError> parsed(const Octets& packet) {
    const Packet p(packet, packet[0] >> 4);
    EXPECT_EQ(p.frame.reason, DropReason::none);
    return parse_icmp_error(p.frame);
}

TEST(IcmpError, FragmentationNeeded) {
    const auto error = parsed(icmp4(3, 4, 1400, samples::ipv4(ours4, peer4, protocol_esp, esp(0x1001, 77))));
    ASSERT_TRUE(error);
    EXPECT_TRUE(error->too_big);
    EXPECT_EQ(error->mtu, 1400U);
    EXPECT_EQ(error->source, *parse_address(ours4));
    EXPECT_EQ(error->destination, *parse_address(peer4));
    EXPECT_EQ(error->protocol, protocol_esp);
    ASSERT_TRUE(error->ipsec);
    EXPECT_EQ(error->spi, 0x1001U);
    EXPECT_EQ(error->sequence, 77U);
}

TEST(IcmpError, PacketTooBig) {
    const auto error = parsed(icmp6(2, 0, 0x12345, samples::ipv6(ours6, peer6, protocol_esp, esp(0x1001, 77))));
    ASSERT_TRUE(error);
    EXPECT_TRUE(error->too_big);
    EXPECT_EQ(error->mtu, 0x12345U) << "32 bits";
    EXPECT_EQ(error->source, *parse_address(ours6));
    EXPECT_EQ(error->destination, *parse_address(peer6));
    ASSERT_TRUE(error->ipsec);
    EXPECT_EQ(error->spi, 0x1001U);
    EXPECT_EQ(error->sequence, 77U);
}

TEST(IcmpError, QuotesOfEveryKind) {
    const Octets options{7, 7, 4, 0, 0, 0, 0, 0};
    auto error = parsed(icmp4(3, 4, 1400, samples::ipv4(ours4, peer4, protocol_esp, esp(1, 2), 64, 0, options)));
    ASSERT_TRUE(error && error->ipsec) << "behind options";
    EXPECT_EQ(error->spi, 1U);
    error = parsed(icmp4(3, 4, 1400, samples::ipv4(ours4, peer4, protocol_esp, esp(1, 2), 64, ipv4_more_fragments)));
    EXPECT_TRUE(error && error->ipsec) << "a first fragment";
    error = parsed(icmp4(3, 4, 1400, samples::ipv4(ours4, peer4, protocol_esp, esp(1, 2), 64, 1)));
    EXPECT_TRUE(error && !error->ipsec) << "a later one shows no SPI";
    error = parsed(icmp4(3, 4, 1400, samples::ipv4(ours4, peer4, protocol_udp, samples::udp(4500, 4500, esp(1, 2)))));
    ASSERT_TRUE(error && error->ipsec) << "ESP in UDP";
    EXPECT_EQ(error->spi, 1U);
    error = parsed(icmp4(3, 4, 1400, samples::ipv4(ours4, peer4, protocol_udp, samples::udp(500, 500, esp(1, 2)))));
    EXPECT_TRUE(error && !error->ipsec && error->protocol == protocol_udp);
    error = parsed(icmp4(3, 1, 0, samples::ipv4(ours4, peer4, protocol_esp, esp(1, 2))));
    EXPECT_TRUE(error && !error->too_big && error->ipsec);

    Octets fragment(8);
    fragment[0] = protocol_esp;
    fragment[3] = 1; // M
    append(fragment, esp(1, 2));
    error = parsed(icmp6(2, 0, 1400, samples::ipv6(ours6, peer6, protocol_fragment, fragment)));
    ASSERT_TRUE(error && error->ipsec);
    EXPECT_EQ(error->sequence, 2U);
    fragment[3] = 0x41;
    error = parsed(icmp6(2, 0, 1400, samples::ipv6(ours6, peer6, protocol_fragment, fragment)));
    EXPECT_TRUE(error && !error->ipsec);
    error = parsed(icmp6(3, 0, 0, samples::ipv6(ours6, peer6, protocol_esp, esp(1, 2))));
    EXPECT_TRUE(error && !error->too_big);
}

TEST(IcmpError, OfEspInUdpItWantsToSeeTheNumber) {
    Octets in_udp{0x11, 0x94, 0x11, 0x95, 0, 100, 0, 0}; // 4500 to 4501
    append(in_udp, esp(0x1001, 77));
    for (const unsigned shown : {8U, 15U, 16U}) {
        const auto error = parsed(
            icmp4(3, 4, 1400, samples::ipv4(ours4, peer4, protocol_udp, Octets(in_udp.begin(), in_udp.begin() + shown))));
        ASSERT_TRUE(error.has_value());
        EXPECT_EQ(error->ipsec, shown == 16) << "the ports prove nothing (RFC 4301 6.1.1)";
        EXPECT_EQ(error->spi, shown == 16 ? 0x1001U : 0U);
    }
}

// At every length there is either less to see, or nothing; ASan sees a read too far.
TEST(IcmpError, CutAtEveryOctet) {
    const Octets quote4 = samples::ipv4(ours4, peer4, protocol_esp, esp(0x1001, 77));
    for (std::size_t length = 0; length <= quote4.size(); ++length) {
        const auto error = parsed(icmp4(3, 4, 1400, Octets(quote4.begin(), quote4.begin() + static_cast<long>(length))));
        EXPECT_EQ(error.has_value(), length >= 20) << length;
        EXPECT_EQ(error && error->ipsec, length >= 28) << length;
    }
    Octets fragment(8);
    fragment[0] = protocol_esp;
    append(fragment, esp(0x1001, 77));
    for (const bool fragmented : {false, true}) {
        const Octets quote6 = fragmented ? samples::ipv6(ours6, peer6, protocol_fragment, fragment)
                                         : samples::ipv6(ours6, peer6, protocol_esp, esp(0x1001, 77));
        for (std::size_t length = 0; length <= quote6.size(); ++length) {
            const auto error = parsed(icmp6(2, 0, 1400, Octets(quote6.begin(), quote6.begin() + static_cast<long>(length))));
            EXPECT_EQ(error.has_value(), length >= 40) << length;
            EXPECT_EQ(error && error->ipsec, length >= (fragmented ? 56U : 48U)) << length;
        }
    }
}

TEST(IcmpError, RefusesWhatIsNone) {
    const Octets quote4 = samples::ipv4(ours4, peer4, protocol_esp, esp(1, 2));
    const Octets quote6 = samples::ipv6(ours6, peer6, protocol_esp, esp(1, 2));
    EXPECT_FALSE(parsed(icmp4(8, 0, 0, quote4))) << "an echo request";
    EXPECT_FALSE(parsed(icmp6(128, 0, 0, quote6)));
    EXPECT_FALSE(parsed(icmp4(3, 4, 1400, quote6))) << "the quote is of another family";
    EXPECT_FALSE(parsed(icmp6(2, 0, 1400, quote4)));
    Octets broken = icmp4(3, 4, 1400, quote4);
    broken[20 + 7] ^= 1;
    EXPECT_FALSE(parsed(broken)) << "checksum";
    broken = icmp6(2, 0, 1400, quote6);
    broken[40 + 7] ^= 1;
    EXPECT_FALSE(parsed(broken)) << "checksum";
    Octets long_header = quote4;
    long_header[0] = 0x4f;
    long_header.resize(40);
    EXPECT_FALSE(parsed(icmp4(3, 4, 1400, long_header))) << "IHL past the end";
    long_header[0] = 0x44;
    EXPECT_FALSE(parsed(icmp4(3, 4, 1400, long_header))) << "IHL too small";
}

TEST(MayBeTold, FollowsTheRules) {
    const auto told = [](const Octets& packet) {
        const Packet p(packet, packet[0] >> 4);
        EXPECT_EQ(p.frame.reason, DropReason::none);
        return may_be_told(p.frame);
    };
    const Octets data = samples::payload(16);
    const Octets udp = samples::udp(1, 2, data);
    EXPECT_TRUE(told(samples::ipv4("10.1.0.2", "10.2.0.2", protocol_udp, udp)));
    EXPECT_TRUE(told(samples::ipv4("10.1.0.2", "10.2.0.2", protocol_udp, udp, 64, ipv4_more_fragments))) << "a first fragment";
    EXPECT_FALSE(told(samples::ipv4("10.1.0.2", "10.2.0.2", protocol_udp, udp, 64, 3))) << "a later one";
    EXPECT_FALSE(told(samples::ipv4("10.1.0.2", "224.0.0.5", protocol_udp, udp)));
    EXPECT_FALSE(told(samples::ipv4("10.1.0.2", "255.255.255.255", protocol_udp, udp)));
    for (unsigned type = 0; type < 256; ++type) {
        Octets message = data;
        message[0] = static_cast<std::uint8_t>(type);
        const bool error4 = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
        EXPECT_EQ(told(samples::ipv4("10.1.0.2", "10.2.0.2", protocol_icmp, message)), !error4) << type;
        const bool error6 = type < 128 || type == 137;
        EXPECT_EQ(told(samples::ipv6("2001:db8:1::2", "2001:db8:2::2", protocol_icmpv6, message)), !error6) << type;
    }
    EXPECT_TRUE(told(samples::ipv6("2001:db8:1::2", "2001:db8:2::2", protocol_udp, udp)));
    EXPECT_FALSE(told(samples::ipv6("2001:db8:1::2", "ff0e::1", protocol_udp, udp)));
    Octets fragment(8);
    fragment[0] = protocol_icmpv6;
    fragment[3] = 8;
    append(fragment, data);
    EXPECT_FALSE(told(samples::ipv6("2001:db8:1::2", "2001:db8:2::2", protocol_fragment, fragment))) << "it may be part of an error";
}

struct Made {
    Octets memory = Octets(chunk_size);
    Frame frame;
};

TEST(WriteIcmpError, IsWhatTheFormatsSay) {
    for (const unsigned size : {28U, 100U, 1400U}) {
        const Packet about4(samples::ipv4("10.1.0.2", "10.2.0.2", protocol_udp, samples::udp(1, 2, samples::payload(size - 28))), 4);
        Made made;
        made.frame.chunk = made.memory.data();
        made.frame.network = frame_headroom;
        write_icmp_error(made.frame, about4.frame, *parse_address("10.1.0.1"), IcmpCause::too_big, 1300, 0x1234);
        const Octets packet(made.frame.at(made.frame.network), made.frame.at(made.frame.end));
        EXPECT_EQ(packet.size(), std::min(size + 28, 576U));
        const Packet read(packet, 4);
        ASSERT_EQ(read.frame.reason, DropReason::none) << "header checksum and lengths";
        EXPECT_EQ(source_of(packet.data(), 4), *parse_address("10.1.0.1"));
        EXPECT_EQ(destination_of(packet.data(), 4), *parse_address("10.1.0.2"));
        const auto error = parse_icmp_error(read.frame);
        ASSERT_TRUE(error);
        EXPECT_EQ(error->type, 3);
        EXPECT_EQ(error->code, 4);
        EXPECT_EQ(error->mtu, 1300U);
        EXPECT_EQ(error->destination, *parse_address("10.2.0.2"));

        const Packet about6(samples::ipv6("2001:db8:1::2", "2001:db8:2::2", protocol_udp, samples::udp(1, 2, samples::payload(size))), 6);
        write_icmp_error(made.frame, about6.frame, *parse_address("2001:db8:1::1"), IcmpCause::hop_limit, 0, 0);
        const Octets packet6(made.frame.at(made.frame.network), made.frame.at(made.frame.end));
        EXPECT_EQ(packet6.size(), std::min(size + 48 + 48, 1280U));
        const Packet read6(packet6, 6);
        ASSERT_EQ(read6.frame.reason, DropReason::none);
        EXPECT_EQ(destination_of(packet6.data(), 6), *parse_address("2001:db8:1::2"));
        const auto error6 = parse_icmp_error(read6.frame);
        ASSERT_TRUE(error6) << "the checksum with the pseudo-header";
        EXPECT_EQ(error6->type, 3);
        EXPECT_EQ(error6->code, 0);
        EXPECT_FALSE(may_be_told(read6.frame)) << "no error about an error";
    }
}

} // namespace
} // namespace sallyport::wire
