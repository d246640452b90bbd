// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/nd.hpp"

#include "gateway/wire/arp.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/octets.hpp"

#include <vector>

namespace sallyport::wire {
namespace {

using Octets = std::vector<std::uint8_t>;

constexpr std::array<std::uint8_t, 6> mac{2, 0, 0, 0, 0, 1};

Octets solicitation(NeighbourMessage message = {}) {
    if (message.source == Address{}) message.source = *parse_address("2001:db8::2");
    if (message.destination == Address{}) message.destination = *parse_address("2001:db8::1");
    if (message.target == Address{}) message.target = *parse_address("2001:db8::1");
    message.mac = mac;
    Octets packet(neighbour_message_size);
    write_neighbour_message(packet.data(), message);
    return packet;
}

// The checksum is put right again, so that only the rule under test is broken.
Octets changed(Octets packet, std::size_t at, std::uint8_t value) {
    packet[at] = value;
    store_raw<std::uint16_t>(&packet[42], 0);
    store_raw(&packet[42], icmpv6_checksum(packet.data(), &packet[40], load16(&packet[4])));
    return packet;
}

bool good(const Octets& packet) { return read_neighbour_message(packet.data(), static_cast<unsigned>(packet.size())).has_value(); }

TEST(NeighbourMessageTest, ReadsWhatItWrites) {
    const Octets packet = solicitation();
    const auto message = read_neighbour_message(packet.data(), static_cast<unsigned>(packet.size()));
    ASSERT_TRUE(message);
    EXPECT_EQ(message->type, nd_solicitation);
    EXPECT_EQ(to_string(message->source), "2001:db8::2");
    EXPECT_EQ(to_string(message->target), "2001:db8::1");
    EXPECT_EQ(message->mac, mac);
}

TEST(NeighbourMessageTest, EveryRuleOfTheRfc) {
    const Octets packet = solicitation();
    EXPECT_TRUE(good(packet));
    EXPECT_FALSE(good(changed(packet, 7, 254))) << "a router has passed it on";
    EXPECT_FALSE(good(changed(packet, 41, 1))) << "code";
    EXPECT_FALSE(good(changed(packet, 40, 134))) << "another message";
    EXPECT_FALSE(good(changed(packet, 48, 0xff))) << "a multicast target";
    EXPECT_FALSE(good(changed(packet, 65, 0))) << "an option without length";
    EXPECT_FALSE(good(changed(packet, 65, 2))) << "an option longer than the message";
    Octets wrong = packet;
    ++wrong[50];
    EXPECT_FALSE(good(wrong)) << "checksum";
    for (std::size_t size = 0; size < packet.size(); ++size)
        EXPECT_FALSE(good(Octets(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size)))) << size;
    Octets advertisement = solicitation({.type = nd_advertisement, .flags = nd_solicited, .destination = *parse_address("ff02::1")});
    EXPECT_FALSE(good(advertisement)) << "solicited, and to all";
}

TEST(NeighbourMessageTest, DuplicateAddressDetection) {
    Octets packet = solicitation({.destination = solicited_node(*parse_address("2001:db8::1"))});
    std::fill_n(packet.begin() + 8, 16, std::uint8_t{0});
    EXPECT_FALSE(good(changed(packet, 8, 0))) << "unspecified source with a link-layer option";
    packet.resize(64);
    packet[5] = 24;
    EXPECT_TRUE(good(changed(packet, 8, 0)));
    EXPECT_FALSE(good(changed(packet, 24, 0x20))) << "not to the solicited-node group";
}

TEST(NeighbourMessageTest, Groups) {
    const Address group = solicited_node(*parse_address("2001:db8::12:3456"));
    EXPECT_EQ(to_string(group), "ff02::1:ff12:3456");
    EXPECT_EQ(multicast_mac(group), (std::array<std::uint8_t, 6>{0x33, 0x33, 0xff, 0x12, 0x34, 0x56}));
}

TEST(ArpTest, ReadsWhatItWritesAndNothingElse) {
    Octets packet(arp_size);
    write_arp(packet.data(), {.operation = arp_reply,
                              .sender_mac = mac,
                              .sender = *parse_address("192.0.2.1"),
                              .target_mac = {2, 0, 0, 0, 0, 2},
                              .target = *parse_address("192.0.2.2")});
    const Octets wire{0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 2, 0, 0, 0, 0, 2, 192, 0, 2, 2};
    EXPECT_EQ(packet, wire);
    const auto arp = read_arp(packet.data(), arp_size);
    ASSERT_TRUE(arp);
    EXPECT_EQ(arp->operation, arp_reply);
    EXPECT_EQ(to_string(arp->sender), "192.0.2.1");
    EXPECT_EQ(to_string(arp->target), "192.0.2.2");
    EXPECT_EQ(arp->sender_mac, mac);
    EXPECT_FALSE(read_arp(packet.data(), arp_size - 1));
    for (const unsigned at : {0U, 1U, 2U, 3U, 4U, 5U}) {
        Octets other = packet;
        other[at] ^= 0x10;
        EXPECT_FALSE(read_arp(other.data(), arp_size)) << at;
    }
}

} // namespace
} // namespace sallyport::wire
