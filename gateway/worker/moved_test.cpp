// SPDX-License-Identifier: Apache-2.0
// Peers whose address or UDP port changes (RFC 7296 2.23): who is believed, and who is told.
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/udp.hpp"
#include "gateway/worker/rig.hpp"

#include <gtest/gtest.h>

namespace sallyport::worker {
namespace {

using namespace rig;
using namespace wire::samples;

constexpr std::uint16_t installed_port = 4500;

/// The left one sends in UDP; the right one follows it, or does not.
struct Pair {
    explicit Pair(bool follow = true, unsigned workers = 1, bool ipv6_outside = false)
        : left({.ipv6_outside = ipv6_outside}), right({.left = false, .workers = workers, .ipv6_outside = ipv6_outside}) {
        const auto in_udp = [workers](SaSpec& spec) {
            spec.udp_port = installed_port;
            spec.owner = static_cast<std::int16_t>(workers - 1);
        };
        left.add_pair(1000, left.everything(), wan_vpn, [](SaSpec& spec) { spec.udp_port = installed_port; });
        left.policy(PolicyAction::protect, left.everything(), &left.outbound(0));
        right.add_pair(1000, right.everything(), wan_vpn, in_udp);
        if (follow) right.publish(tables::Following{{{right.inbound(0).number, installed_port}}});
    }

    Octets sealed() {
        const Octets packet = ipv4("10.1.0.5", "10.2.0.5", wire::protocol_udp, udp(1000, 2000, payload(20)));
        return left.send(red, ethernet(packet)).at(0);
    }
    /// What of the right one's events tells of an address; the others are gone.
    std::vector<Event> moves() {
        std::array<Event, 64> all;
        std::vector<Event> result;
        for (const Event& event : std::span(all).first(right.events().pop(all)))
            if (event.kind == EventKind::address_changed) result.push_back(event);
        return result;
    }
    Gateway left, right;
};

/// The frame as it comes from elsewhere (IPv4 outside).
Octets from(Octets frame, std::string_view source, std::uint16_t port) {
    std::uint8_t* header = frame.data() + 14;
    const Address address = *parse_address(source);
    std::copy_n(address.octets.begin(), 4, header + wire::ipv4_source);
    wire::store16(header + wire::ipv4_size + wire::source_port_offset, port);
    wire::write_ipv4_checksum(header, wire::ipv4_size);
    return frame;
}

TEST(Moved, WhoDoesNotFollowTakesNothingFromElsewhere) {
    Pair pair(false);
    EXPECT_TRUE(pair.right.send(black, from(pair.sealed(), "198.51.100.9", 61000)).empty());
    EXPECT_EQ(pair.right.dropped(DropReason::wrong_outer_address), 1U);
    EXPECT_EQ(pair.right.send(black, from(pair.sealed(), "192.0.2.1", 61000)).size(), 1U) << "ports were never compared";
    EXPECT_TRUE(pair.moves().empty());
}

TEST(Moved, AnAuthenticPacketSaysWhereItsPeerIs) {
    Pair pair;
    EXPECT_EQ(pair.right.send(black, pair.sealed()).size(), 1U);
    EXPECT_TRUE(pair.moves().empty()) << "from where it was";
    EXPECT_EQ(pair.right.send(black, from(pair.sealed(), "198.51.100.9", 61000)).size(), 1U);
    const auto moves = pair.moves();
    ASSERT_EQ(moves.size(), 1U);
    EXPECT_EQ(moves[0].sa, pair.right.inbound(0).number);
    EXPECT_EQ(moves[0].spi, 1000U);
    EXPECT_EQ(moves[0].sequence, 2U);
    EXPECT_EQ(to_string(moves[0].flow.source), "198.51.100.9");
    EXPECT_EQ(to_string(moves[0].flow.destination), "192.0.2.2");
    EXPECT_EQ(moves[0].flow.source_port, 61000);
    EXPECT_EQ(pair.right.dropped(), 0U);
    EXPECT_EQ(pair.right.worker().counters().opened, 2U);
}

TEST(Moved, AnotherPortIsSeenToo) {
    Pair pair;
    EXPECT_EQ(pair.right.send(black, from(pair.sealed(), "192.0.2.1", 61000)).size(), 1U);
    const auto moves = pair.moves();
    ASSERT_EQ(moves.size(), 1U);
    EXPECT_EQ(to_string(moves[0].flow.source), "192.0.2.1");
    EXPECT_EQ(moves[0].flow.source_port, 61000);
}

TEST(Moved, CopiesAndForgeriesSayNothing) {
    Pair pair;
    const Octets first = pair.sealed(), late = pair.sealed(), newest = pair.sealed();
    EXPECT_EQ(pair.right.send(black, first).size(), 1U);
    EXPECT_EQ(pair.right.send(black, newest).size(), 1U);
    EXPECT_TRUE(pair.right.send(black, from(newest, "198.51.100.9", 61000)).empty());
    EXPECT_TRUE(pair.right.send(black, from(newest, "192.0.2.1", 61000)).empty());
    EXPECT_EQ(pair.right.dropped(DropReason::replayed), 2U);
    Octets forged = pair.sealed();
    forged.back() ^= 1;
    EXPECT_TRUE(pair.right.send(black, from(forged, "198.51.100.9", 61000)).empty());
    EXPECT_TRUE(pair.right.send(black, from(forged, "192.0.2.1", 61000)).empty());
    EXPECT_EQ(pair.right.dropped(DropReason::bad_icv), 2U);
    EXPECT_EQ(pair.right.send(black, from(late, "198.51.100.9", 61000)).size(), 1U) << "authentic, but somebody may have held it back";
    EXPECT_TRUE(pair.moves().empty());
}

TEST(Moved, OnlyInUdpAndToWhereTheSaIs) {
    Pair pair;
    Octets bare = pair.sealed();
    bare.erase(bare.begin() + 14 + wire::ipv4_size, bare.begin() + 14 + wire::ipv4_size + wire::udp_size);
    std::uint8_t* header = bare.data() + 14;
    header[wire::ipv4_protocol] = wire::protocol_esp;
    wire::store16(header + wire::ipv4_total_length, static_cast<std::uint16_t>(bare.size() - 14));
    header[wire::ipv4_source + 3] = 77;
    wire::write_ipv4_checksum(header, wire::ipv4_size);
    EXPECT_TRUE(pair.right.send(black, bare).empty());
    EXPECT_EQ(pair.right.dropped(DropReason::wrong_outer_address), 1U);
    pair.right.inbound(0).outer_local[3] = 99; // another address of ours
    EXPECT_TRUE(pair.right.send(black, pair.sealed()).empty());
    EXPECT_EQ(pair.right.dropped(DropReason::wrong_outer_address), 2U);
    EXPECT_TRUE(pair.moves().empty());
}

TEST(Moved, TheOwnerOfTheSaSeesToIt) {
    Pair pair(true, 2);
    ASSERT_EQ(pair.right.inbound(0).worker, 1);
    EXPECT_EQ(pair.right.send(black, from(pair.sealed(), "198.51.100.9", 61000)).size(), 1U);
    const auto moves = pair.moves();
    ASSERT_EQ(moves.size(), 1U);
    EXPECT_EQ(moves[0].worker, 1);
}

TEST(Moved, OverIpv6) {
    Pair pair(true, 1, true);
    Octets frame = pair.sealed();
    frame[14 + wire::ipv6_source + 15] = 0x77; // the checksum is wrong now: the ICV is what counts
    EXPECT_EQ(pair.right.send(black, frame).size(), 1U);
    ASSERT_EQ(pair.moves().size(), 1U);
    frame = pair.sealed();
    frame[14 + wire::ipv6_source + 15] = 0x77;
    wire::store16(frame.data() + 14 + wire::ipv6_size + wire::udp_checksum, 0);
    EXPECT_TRUE(pair.right.send(black, frame).empty());
    EXPECT_EQ(pair.right.dropped(DropReason::udp_no_checksum), 1U);
}

} // namespace
} // namespace sallyport::worker
