// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/fragment.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/wire/samples.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace sallyport::wire {
namespace {

using namespace samples;

struct Laid {
    std::unique_ptr<std::uint8_t[]> memory = std::make_unique<std::uint8_t[]>(chunk_size);
    Frame frame;

    explicit Laid(const Octets& packet) {
        const Octets octets = ethernet(packet);
        frame.chunk = memory.get();
        frame.begin = frame_headroom;
        frame.end = static_cast<std::uint16_t>(frame_headroom + octets.size());
        std::memcpy(frame.data(), octets.data(), octets.size());
        parse(frame);
        EXPECT_EQ(frame.reason, DropReason::none);
    }
    [[nodiscard]] Octets packet() const { return {frame.at(frame.network), frame.at(frame.end)}; }
};

constexpr std::uint16_t more = 0x2000;

Octets six(std::uint8_t next_header, std::uint16_t place, const Octets& data, const Octets& before = {}, std::uint8_t outermost = 44) {
    Octets header = fragment_header(next_header, place);
    store32(&header[4], 0x01020304);
    return ipv6("2001:db8::1", "2001:db8::2", outermost, before + header + data);
}

TEST(Fragment, WhatItSaysOfItself) {
    Octets packet = ipv4("192.0.2.1", "192.0.2.2", protocol_udp, payload(24), 64, more | 5);
    store16(&packet[ipv4_identification], 0xabcd);
    write_ipv4_checksum(packet.data(), 20);
    Fragment fragment = fragment_of(Laid(packet).frame);
    EXPECT_EQ(fragment.offset, 40U);
    EXPECT_EQ(fragment.length, 24U);
    EXPECT_TRUE(fragment.more);
    EXPECT_EQ(fragment.identification, 0xabcdU);
    fragment = fragment_of(Laid(six(protocol_udp, 16, payload(5), extension(44, 1), protocol_hop_by_hop)).frame);
    EXPECT_EQ(fragment.offset, 16U);
    EXPECT_EQ(fragment.length, 5U);
    EXPECT_FALSE(fragment.more);
    EXPECT_EQ(fragment.identification, 0x01020304U);
}

TEST(Fragment, FirstShowsItsPorts) {
    Laid four(ipv4("192.0.2.1", "192.0.2.2", protocol_udp, udp(7, 9, payload(400)) /* longer than what is here */, 64, more));
    EXPECT_EQ(find_first_transport(four.frame), DropReason::none);
    EXPECT_NE(four.frame.flags & frame_ports, 0);
    Laid hidden(six(protocol_destination_options, 1, extension(protocol_routing, 1) + extension(protocol_udp) + udp(7, 9, payload(8))));
    EXPECT_EQ(hidden.frame.protocol, protocol_fragment);
    EXPECT_EQ(find_first_transport(hidden.frame), DropReason::none);
    EXPECT_EQ(hidden.frame.protocol, protocol_udp);
    EXPECT_EQ(load16(hidden.frame.at(hidden.frame.transport)), 7);
    EXPECT_NE(hidden.frame.flags & frame_ports, 0);
}

TEST(Fragment, FirstThatIsTiny) {
    Laid tcp(ipv4("192.0.2.1", "192.0.2.2", protocol_tcp, payload(16), 64, more));
    EXPECT_EQ(find_first_transport(tcp.frame), DropReason::fragment_tiny);
    Laid none(six(protocol_destination_options, 1, extension(protocol_udp)));
    EXPECT_EQ(find_first_transport(none.frame), DropReason::fragment_tiny);
    Octets longer = extension(protocol_udp, 3);
    longer.resize(16);
    Laid cut_short(six(protocol_destination_options, 1, longer));
    EXPECT_EQ(find_first_transport(cut_short.frame), DropReason::fragment_tiny);
    Laid twice(six(protocol_destination_options, 1, extension(protocol_fragment) + fragment_header(17, 8) + payload(16)));
    EXPECT_EQ(find_first_transport(twice.frame), DropReason::malformed_extension);
}

TEST(Fragment, BecomesTheWholePacket) {
    const Octets data = payload(48);
    Octets whole = ipv4("192.0.2.1", "192.0.2.2", protocol_esp, data);
    Laid four(ipv4("192.0.2.1", "192.0.2.2", protocol_esp, Octets(data.begin(), data.begin() + 16), 64, more));
    std::memcpy(four.frame.at(four.frame.end), data.data() + 16, 32);
    four.frame.end += 32;
    make_whole(four.frame);
    EXPECT_EQ(four.packet(), whole);

    for (const bool options : {false, true}) {
        const Octets before = options ? extension(44, 2) : Octets{};
        const Octets plain = options ? extension(protocol_esp, 2) : Octets{};
        const std::uint8_t outermost = options ? protocol_hop_by_hop : protocol_fragment;
        whole = ipv6("2001:db8::1", "2001:db8::2", options ? protocol_hop_by_hop : protocol_esp, plain + data);
        Laid six_first(six(protocol_esp, 1, Octets(data.begin(), data.begin() + 16), before, outermost));
        std::memcpy(six_first.frame.at(six_first.frame.end), data.data() + 16, 32);
        six_first.frame.end += 32;
        make_whole(six_first.frame);
        EXPECT_EQ(six_first.packet(), whole);
        six_first.frame.flags = 0;
        parse(six_first.frame); // the Ethernet header has come along
        EXPECT_EQ(six_first.frame.reason, DropReason::none);
        EXPECT_EQ(six_first.frame.protocol, protocol_esp);
        EXPECT_EQ(six_first.frame.flags & frame_fragment, 0);
    }
}

TEST(Fragment, Ecn) {
    for (const std::uint8_t ecn : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{3}}) {
        Laid four(ipv4("192.0.2.1", "192.0.2.2", protocol_esp, payload(16)));
        set_ecn(four.frame.at(four.frame.network), 4, ecn);
        parse(four.frame);
        EXPECT_EQ(four.frame.reason, DropReason::none) << "the checksum";
        EXPECT_EQ(four.frame.traffic_class, ecn);
        Laid six_whole(ipv6("2001:db8::1", "2001:db8::2", protocol_esp, payload(16)));
        set_ecn(six_whole.frame.at(six_whole.frame.network), 6, ecn);
        parse(six_whole.frame);
        EXPECT_EQ(six_whole.frame.traffic_class, ecn);
    }
}

// RFC 791 3.1: timestamps stay in the first fragment, source routes go with all.
TEST(Fragment, OptionsOfLaterOnes) {
    const Octets none_timestamp_route{1, 0x44, 8, 5, 0, 0, 0, 0, 0, 0x83, 7, 4, 192, 0, 2, 9};
    const Octets packet = ipv4("192.0.2.1", "192.0.2.2", protocol_udp, payload(8), 64, 0, none_timestamp_route);
    std::array<std::uint8_t, most_ipv4_header> header{};
    ASSERT_EQ(later_ipv4_header(packet.data(), header.data()), 28U);
    EXPECT_EQ(header[0], 0x47);
    EXPECT_EQ(Octets(header.begin() + 20, header.begin() + 28), (Octets{0x83, 7, 4, 192, 0, 2, 9, 0}));
    finish_ipv4_fragment(header.data(), 28, 100, 64, true, 0x55aa);
    EXPECT_EQ(checksum_raw(header.data(), 28), 0);
    EXPECT_EQ(load16(header.data() + ipv4_total_length), 128);
    EXPECT_EQ(load16(header.data() + ipv4_fragment), more | 8);
    for (const Octets& wrong : {Octets{0x83, 0, 0, 0}, Octets{0x83, 1, 0, 0}, Octets{0x83, 5, 0, 0}, Octets{1, 1, 1, 0x83}}) {
        const Octets broken = ipv4("192.0.2.1", "192.0.2.2", protocol_udp, payload(8), 64, 0, wrong);
        EXPECT_EQ(later_ipv4_header(broken.data(), header.data()), 20U);
    }
}

} // namespace
} // namespace sallyport::wire
