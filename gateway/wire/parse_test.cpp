// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/esp.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/wire/samples.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace sallyport::wire {
namespace {

using namespace samples;

/// The frame lies at the very end of its memory, so that AddressSanitizer sees a read past it.
struct Laid {
    std::unique_ptr<std::uint8_t[]> memory;
    Frame frame;
};

Laid lay(const Octets& octets) {
    Laid laid;
    laid.memory = std::make_unique<std::uint8_t[]>(frame_headroom + octets.size());
    laid.frame.chunk = laid.memory.get();
    laid.frame.begin = frame_headroom;
    laid.frame.end = static_cast<std::uint16_t>(frame_headroom + octets.size());
    if (!octets.empty()) std::memcpy(laid.frame.data(), octets.data(), octets.size());
    return laid;
}

Laid parsed(const Octets& octets) {
    Laid laid = lay(octets);
    parse(laid.frame);
    return laid;
}

DropReason reason_of(const Octets& octets) { return parsed(octets).frame.reason; }

const Octets udp4 = ipv4("192.0.2.1", "198.51.100.2", protocol_udp, udp(1000, 2000, payload(20)));
const Octets udp6 = ipv6("2001:db8::1", "2001:db8:1::2", protocol_udp, udp(1000, 2000, payload(20)));

TEST(Parse, PlainIpv4) {
    const Laid laid = parsed(ethernet(udp4));
    const Frame& frame = laid.frame;
    EXPECT_EQ(frame.reason, DropReason::none);
    EXPECT_EQ(frame.network, frame.begin + 14);
    EXPECT_EQ(frame.transport, frame.begin + 34);
    EXPECT_EQ(frame.family, 4);
    EXPECT_EQ(frame.protocol, protocol_udp);
    EXPECT_EQ(frame.hop_limit, 64);
    EXPECT_EQ(frame.flags, frame_ports);
    const Flow flow = flow_of(frame);
    EXPECT_EQ(to_string(flow.source), "192.0.2.1");
    EXPECT_EQ(to_string(flow.destination), "198.51.100.2");
    EXPECT_EQ(flow.source_port, 1000);
    EXPECT_EQ(flow.destination_port, 2000);
    EXPECT_TRUE(flow.ports_known);
}

TEST(Parse, PlainIpv6) {
    Octets packet = udp6;
    packet[0] = 0x6a;
    packet[1] = 0xb0; // traffic class 0xab
    const Laid laid = parsed(ethernet(packet));
    EXPECT_EQ(laid.frame.reason, DropReason::none);
    EXPECT_EQ(laid.frame.transport, laid.frame.begin + 54);
    EXPECT_EQ(laid.frame.traffic_class, 0xab);
    EXPECT_EQ(to_string(flow_of(laid.frame).destination), "2001:db8:1::2");
    EXPECT_EQ(flow_of(laid.frame).destination_port, 2000);
}

TEST(Parse, Tags) {
    EXPECT_EQ(parsed(tagged(udp4, {0x2007})).frame.vlan, 7); // with a priority
    EXPECT_EQ(parsed(tagged(udp4, {0x2007})).frame.network, frame_headroom + 18);
    EXPECT_EQ(parsed(tagged(udp4, {0x2000})).frame.vlan, 0); // priority only
    const Laid two = parsed(tagged(udp4, {5, 6}));
    EXPECT_EQ(two.frame.reason, DropReason::none);
    EXPECT_EQ(two.frame.vlan, 5);
    EXPECT_NE(two.frame.flags & frame_unclear, 0);
    EXPECT_EQ(reason_of(tagged(udp4, {5, 6, 7})), DropReason::malformed_ethernet);
}

TEST(Parse, PaddingIsCut) {
    const Octets small = ipv4("192.0.2.1", "198.51.100.2", protocol_udp, udp(1, 2, {}));
    const Laid laid = parsed(ethernet(small) + Octets(18, 0));
    EXPECT_EQ(laid.frame.reason, DropReason::none);
    EXPECT_EQ(laid.frame.network_length(), 28U);
    EXPECT_EQ(parsed(ethernet(udp6) + Octets(3, 0xee)).frame.network_length(), udp6.size());
}

TEST(Parse, OptionsAreSkipped) {
    const Laid laid = parsed(ethernet(ipv4("192.0.2.1", "198.51.100.2", protocol_udp, udp(9, 10, {}), 64, 0, Octets(40, 1))));
    EXPECT_EQ(laid.frame.reason, DropReason::none);
    EXPECT_EQ(laid.frame.transport, laid.frame.network + 60);
    EXPECT_EQ(flow_of(laid.frame).destination_port, 10);
}

TEST(Parse, BadIpv4) {
    const auto changed = [](unsigned offset, std::uint8_t value, bool checksum = true) {
        Octets packet = udp4;
        packet[offset] = value;
        if (checksum) write_ipv4_checksum(packet.data(), 20);
        return reason_of(ethernet(packet));
    };
    EXPECT_EQ(changed(0, 0x44), DropReason::malformed_ip);        // IHL 4
    EXPECT_EQ(changed(0, 0x4f, false), DropReason::malformed_ip); // IHL 15 in 48 octets
    EXPECT_EQ(changed(3, 19), DropReason::malformed_ip);          // total length below the header
    EXPECT_EQ(changed(3, 200), DropReason::malformed_ip);         // total length past the frame
    EXPECT_EQ(changed(8, 63, false), DropReason::bad_header_checksum);
    EXPECT_EQ(changed(12, 127), DropReason::martian_source);
    EXPECT_EQ(changed(12, 0), DropReason::martian_source);
    EXPECT_EQ(changed(12, 224), DropReason::martian_source);
    EXPECT_EQ(changed(12, 255), DropReason::martian_source);
    EXPECT_EQ(changed(12, 126), DropReason::none);
    EXPECT_EQ(changed(12, 128), DropReason::none);
    Octets six = ethernet(udp6); // IPv6 under the EtherType of IPv4
    six[12] = 8;
    six[13] = 0;
    EXPECT_EQ(reason_of(six), DropReason::malformed_ip);
    Octets four = ethernet(udp4);
    four[12] = 0x86;
    four[13] = 0xdd;
    EXPECT_EQ(reason_of(four), DropReason::malformed_ip);
    four[12] = 8;
    four[13] = 6; // ARP
    EXPECT_EQ(reason_of(four), DropReason::not_ip);
}

TEST(Parse, BadIpv6Source) {
    for (const char* source : {"::", "::1", "ff02::1"})
        EXPECT_EQ(reason_of(ethernet(ipv6(source, "2001:db8::2", protocol_udp, udp(1, 2, {})))), DropReason::martian_source) << source;
    EXPECT_EQ(reason_of(ethernet(ipv6("::2", "2001:db8::2", protocol_udp, udp(1, 2, {})))), DropReason::none);
}

TEST(Parse, Transport) {
    const auto of = [](std::uint8_t protocol, const Octets& data) {
        return reason_of(ethernet(ipv4("192.0.2.1", "198.51.100.2", protocol, data)));
    };
    EXPECT_EQ(of(protocol_udp, udp(1, 2, {})), DropReason::none);
    EXPECT_EQ(of(protocol_udp, payload(7)), DropReason::malformed_transport);
    Octets datagram = udp(1, 2, payload(4));
    datagram[5] = 7; // length below the header
    EXPECT_EQ(of(protocol_udp, datagram), DropReason::malformed_transport);
    datagram[5] = 13; // one past the packet
    EXPECT_EQ(of(protocol_udp, datagram), DropReason::malformed_transport);
    datagram[5] = 11; // shorter than the packet: allowed
    EXPECT_EQ(of(protocol_udp, datagram), DropReason::none);
    EXPECT_EQ(of(protocol_tcp, payload(19)), DropReason::malformed_transport);
    EXPECT_EQ(of(protocol_tcp, payload(20)), DropReason::none);
    EXPECT_EQ(of(protocol_icmp, payload(7)), DropReason::malformed_transport);
    EXPECT_EQ(of(protocol_mobility, payload(7)), DropReason::malformed_transport);
    EXPECT_EQ(of(89, {}), DropReason::none);
    for (const std::size_t size : {0U, 3U, 7U}) EXPECT_EQ(of(protocol_esp, payload(size)), DropReason::malformed_esp);
    const Laid esp = parsed(ethernet(ipv4("192.0.2.1", "198.51.100.2", protocol_esp, {0, 1, 2, 3, 0, 0, 0, 1})));
    EXPECT_EQ(esp.frame.reason, DropReason::none);
    EXPECT_EQ(esp.frame.spi, 0x00010203U);
    EXPECT_EQ(esp.frame.flags & frame_ports, 0);
}

TEST(Parse, TypesAndCodes) {
    const Laid icmp = parsed(ethernet(ipv4("192.0.2.1", "198.51.100.2", protocol_icmp, {3, 4, 0xff, 0xff, 0, 0, 0, 0})));
    EXPECT_EQ(icmp.frame.flags, frame_type);
    EXPECT_EQ(type_of(icmp.frame), 3 * 256 + 4);
    EXPECT_TRUE(flow_of(icmp.frame).ports_known);
    EXPECT_EQ(flow_of(icmp.frame).source_port, 3 * 256 + 4);
    EXPECT_EQ(flow_of(icmp.frame).destination_port, 0) << "no checksum";
    const auto six = [](std::uint8_t protocol, const Octets& data) {
        return flow_of(parsed(ethernet(ipv6("2001:db8::1", "2001:db8::2", protocol, data))).frame);
    };
    EXPECT_EQ(six(protocol_icmpv6, {128, 0, 0, 0, 0, 0, 0, 0}).source_port, 128 * 256);
    EXPECT_EQ(six(protocol_mobility, {59, 0, 5, 9, 0, 0, 0, 0}).source_port, 5 * 256);
    EXPECT_TRUE(six(protocol_mobility, {59, 0, 5, 9, 0, 0, 0, 0}).ports_known);
    EXPECT_FALSE(six(protocol_esp, payload(8)).ports_known);
    const Laid fragment = parsed(ethernet(ipv4("192.0.2.1", "198.51.100.2", protocol_icmp, payload(8), 64, 0x2000)));
    EXPECT_EQ(fragment.frame.flags, frame_fragment);
    EXPECT_FALSE(flow_of(fragment.frame).ports_known);
}

TEST(Parse, FragmentsOfIpv4) {
    const auto of = [](std::uint16_t fragment, std::size_t size) {
        return parsed(ethernet(ipv4("192.0.2.1", "198.51.100.2", protocol_udp, payload(size), 64, fragment)));
    };
    for (const std::uint16_t place : std::vector<std::uint16_t>{0x2000, 0x0001, 0x2001, 0x1ffc - 3}) {
        const Laid laid = of(place, 24);
        EXPECT_EQ(laid.frame.reason, DropReason::none) << place;
        EXPECT_EQ(laid.frame.flags, frame_fragment) << place;
        EXPECT_FALSE(flow_of(laid.frame).ports_known);
    }
    EXPECT_EQ(of(0x1fff, 24).frame.reason, DropReason::malformed_ip); // would end behind 65535
    EXPECT_EQ(parsed(ethernet(ipv4("192.0.2.1", "198.51.100.2", protocol_udp, udp(1, 2, {}), 64, 0x4000))).frame.flags, frame_ports);
}

Laid parsed_ipv6(std::uint8_t next_header, const Octets& data) {
    return parsed(ethernet(ipv6("2001:db8::1", "2001:db8:1::2", next_header, data)));
}

TEST(Parse, ExtensionHeaders) {
    const Octets end = udp(7, 8, {});
    Laid laid = parsed_ipv6(0, extension(60, 1) + extension(43) + extension(17) + end);
    EXPECT_EQ(laid.frame.reason, DropReason::none);
    EXPECT_EQ(laid.frame.transport, laid.frame.network + 40 + 32);
    EXPECT_EQ(laid.frame.protocol, protocol_udp);
    EXPECT_EQ(flow_of(laid.frame).source_port, 7);

    EXPECT_EQ(parsed_ipv6(60, extension(0) + extension(17) + end).frame.reason, DropReason::malformed_extension); // hop-by-hop second
    Octets longer = extension(17);
    longer[1] = 1;
    EXPECT_EQ(parsed_ipv6(60, longer).frame.reason, DropReason::malformed_extension); // past the end
    EXPECT_EQ(parsed_ipv6(60, payload(7)).frame.reason, DropReason::malformed_extension);

    Octets chain;
    for (unsigned i = 1; i < maximum_extension_headers; ++i) chain = chain + extension(60);
    EXPECT_EQ(parsed_ipv6(60, chain + extension(17) + end).frame.reason, DropReason::none);
    EXPECT_EQ(parsed_ipv6(60, chain + extension(60) + extension(17) + end).frame.reason, DropReason::malformed_extension);
}

TEST(Parse, FragmentsOfIpv6) {
    const Octets end = udp(7, 8, {});
    Laid atomic = parsed_ipv6(44, fragment_header(17, 0) + end);
    EXPECT_EQ(atomic.frame.reason, DropReason::none);
    EXPECT_EQ(atomic.frame.flags, frame_ports);
    for (const std::uint16_t place : std::vector<std::uint16_t>{0x0001, 0x0008, 0x0009}) {
        Laid laid = parsed_ipv6(44, fragment_header(17, place) + end);
        EXPECT_EQ(laid.frame.reason, DropReason::none);
        EXPECT_EQ(laid.frame.flags, frame_fragment);
        EXPECT_EQ(laid.frame.protocol, protocol_udp);
    }
    EXPECT_EQ(parsed_ipv6(44, fragment_header(60, 8) + end).frame.protocol, protocol_fragment); // protocol cannot be known
    EXPECT_EQ(parsed_ipv6(44, fragment_header(17, 0xfff8) + end).frame.reason, DropReason::malformed_ip);
}

TEST(Parse, Opened) {
    Laid laid = lay(udp4 + Octets(60, 0)); // with TFC padding
    laid.frame.network = laid.frame.begin;
    laid.frame.family = 4;
    laid.frame.flags = frame_fragment | frame_to_red;
    parse_opened(laid.frame);
    EXPECT_EQ(laid.frame.reason, DropReason::none);
    EXPECT_EQ(laid.frame.network_length(), udp4.size());
    EXPECT_EQ(laid.frame.flags, frame_ports | frame_to_red);
    laid.frame.family = 6;
    parse_opened(laid.frame);
    EXPECT_EQ(laid.frame.reason, DropReason::malformed_inner);
}

/// Every frame cut at every offset: never a read past the end (ASan), and a reason unless what is left is whole by its own lengths.
TEST(Parse, CutAtEveryOffset) {
    const std::vector<Octets> packets{
        udp4,
        udp6,
        ipv4("192.0.2.1", "198.51.100.2", protocol_tcp, payload(40), 64, 0, Octets(8, 1)),
        ipv4("192.0.2.1", "198.51.100.2", protocol_esp, payload(60)),
        ipv4("192.0.2.1", "198.51.100.2", protocol_udp, payload(30), 64, 0x2000),
        ipv6("2001:db8::1", "2001:db8::2", 0, extension(60, 1) + extension(43) + extension(17) + udp(7, 8, payload(5))),
        ipv6("2001:db8::1", "2001:db8::2", 44, fragment_header(17, 9) + payload(16)),
        ipv6("2001:db8::1", "2001:db8::2", protocol_esp, payload(60)),
    };
    for (const Octets& packet : packets) {
        for (const Octets& whole : {ethernet(packet), tagged(packet, {7}), tagged(packet, {7, 8})}) {
            EXPECT_EQ(reason_of(whole), DropReason::none);
            for (std::size_t size = 0; size < whole.size(); ++size)
                EXPECT_NE(reason_of(Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))), DropReason::none) << size;
        }
        // Cut behind the IP header with lengths that fit: the headers above it are what is cut.
        const bool six = packet[0] >> 4 == 6;
        for (std::size_t size = six ? 40U : (packet[0] & 15U) * 4U; size < packet.size(); ++size) {
            Octets cut(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size));
            if (six) {
                store16(&cut[4], static_cast<std::uint16_t>(size - 40));
            } else {
                store16(&cut[2], static_cast<std::uint16_t>(size));
                write_ipv4_checksum(cut.data(), (cut[0] & 15U) * 4U);
            }
            (void)reason_of(ethernet(cut));
        }
    }
}

TEST(Checksum, UpdateIsTheSameAsAnew) {
    for (unsigned ttl = 1; ttl < 256; ++ttl) {
        for (const std::uint8_t protocol : Octets{0, 1, 17, 255}) {
            Octets packet = ipv4("192.0.2.1", "198.51.100.2", protocol, {}, static_cast<std::uint8_t>(ttl));
            decrement_hop_limit(packet.data(), 4);
            EXPECT_EQ(packet, ipv4("192.0.2.1", "198.51.100.2", protocol, {}, static_cast<std::uint8_t>(ttl - 1)));
        }
    }
    Octets six = ipv6("2001:db8::1", "2001:db8::2", 17, {}, 9);
    decrement_hop_limit(six.data(), 6);
    EXPECT_EQ(six[7], 8);
}

/// RFC 1071 3's example: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2.
TEST(Checksum, ExampleOfRfc1071) {
    const Octets data{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    EXPECT_EQ(swapped(checksum_raw(data.data(), 8)), static_cast<std::uint16_t>(~0xddf2));
    const Octets odd{0x00, 0x01, 0xf2};
    EXPECT_EQ(swapped(checksum_raw(odd.data(), 3)), static_cast<std::uint16_t>(~0xf201));
}

/// RFC 1624 4's example: HC 0xdd2f, a field goes from 0x5555 to 0x3285, HC' is 0x0000.
TEST(Checksum, ExampleOfRfc1624) { EXPECT_EQ(update_checksum(0xdd2f, 0x5555, 0x3285), 0x0000); }

TEST(Ethernet, Written) {
    Octets room(18 + 1, 0xee);
    EXPECT_EQ(write_ethernet(room.data() + 18, {1, 2, 3, 4, 5, 6}, {7, 8, 9, 10, 11, 12}, 0x123, ethertype_ipv6), 18U);
    EXPECT_EQ(room, (Octets{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x81, 0, 0x01, 0x23, 0x86, 0xdd, 0xee}));
    EXPECT_EQ(write_ethernet(room.data() + 18, {1, 2, 3, 4, 5, 6}, {7, 8, 9, 10, 11, 12}, 0, ethertype_ipv4), 14U);
    EXPECT_EQ(room, (Octets{1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0, 0xee}));
}

} // namespace
} // namespace sallyport::wire
