// SPDX-License-Identifier: Apache-2.0
#include "gateway/tables/event_source.hpp"

#include "gateway/transform/transform.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/wire/samples.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace sallyport::tables {
namespace {

using namespace wire::samples;

class EventSourceTest : public testing::Test {
protected:
    /// A parsed frame with this packet.
    Frame frame(const Octets& packet, DropReason reason) {
        const Octets whole = ethernet(packet);
        std::copy(whole.begin(), whole.end(), chunk.begin() + frame_headroom);
        Frame result;
        result.chunk = chunk.data();
        result.begin = frame_headroom;
        result.end = static_cast<std::uint16_t>(frame_headroom + whole.size());
        wire::parse(result);
        EXPECT_EQ(result.reason, DropReason::none);
        result.reason = reason;
        result.port = 1;
        result.vpn = 9;
        return result;
    }

    std::vector<Event> events() {
        std::vector<Event> all(64);
        all.resize(ring.pop(all));
        return all;
    }

    static constexpr std::uint64_t second = std::uint64_t{1} << 32; // ticks, more than one
    std::vector<std::uint8_t> chunk = std::vector<std::uint8_t>(chunk_size);
    Waker waker;
    EventRing ring{16, waker};
    EventSource source{&ring, 3};
};

TEST_F(EventSourceTest, TellsWhatIsKnown) {
    const Octets esp{0, 0, 0x10, 1, 0, 0, 0, 7, 1, 2, 3, 4};
    source.dropped(frame(ipv4("192.0.2.2", "192.0.2.1", wire::protocol_esp, esp), DropReason::unknown_spi), true, true, second);
    const auto all = events();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].kind, EventKind::dropped);
    EXPECT_EQ(all[0].reason, DropReason::unknown_spi);
    EXPECT_EQ(all[0].worker, 3);
    EXPECT_EQ(all[0].port, 1);
    EXPECT_EQ(all[0].vpn, 9);
    EXPECT_EQ(all[0].direction, Direction::inbound);
    EXPECT_EQ(all[0].spi, 0x1001U);
    EXPECT_EQ(all[0].sequence, 7U);
    EXPECT_EQ(all[0].sa, 0U);
    EXPECT_TRUE(all[0].has_flow);
    EXPECT_EQ(to_string(all[0].flow.source), "192.0.2.2");
    EXPECT_EQ(to_string(all[0].flow.destination), "192.0.2.1");
    EXPECT_EQ(all[0].flow.protocol, wire::protocol_esp);
}

TEST_F(EventSourceTest, NamesTheSaUnlessItMayBeGone) {
    transform::InboundSa sa;
    sa.number = 5;
    sa.spi = 0x2222;
    Frame bad = frame(ipv4("10.2.0.5", "10.1.0.5", wire::protocol_udp, udp(7, 9, payload(4))), DropReason::selector_mismatch);
    bad.inbound = &sa;
    bad.sequence = 1ULL << 33;
    source.dropped(bad, true, true, second);
    source.dropped(bad, true, false, second);
    const auto all = events();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].sa, 5U);
    EXPECT_EQ(all[0].spi, 0x2222U);
    EXPECT_EQ(all[0].sequence, 1ULL << 33);
    EXPECT_EQ(all[0].flow.source_port, 7);
    EXPECT_EQ(all[0].flow.destination_port, 9);
    EXPECT_EQ(all[1].sa, 0U);
    EXPECT_EQ(all[1].spi, 0U);
}

TEST_F(EventSourceTest, AFloodMakesFewEventsAndNoneIsForgotten) {
    const Octets packet = ipv4("192.0.2.2", "192.0.2.1", wire::protocol_esp, Octets(20));
    const Frame bad = frame(packet, DropReason::bad_icv);
    for (unsigned i = 0; i < 1000; ++i) source.dropped(bad, true, true, second + i);
    EXPECT_EQ(events().size(), EventSource::burst);
    EXPECT_EQ(source.left_out(), 1000U - EventSource::burst);
    source.dropped(frame(packet, DropReason::replayed), true, true, second + 1000); // another reason has its own limit
    EXPECT_EQ(events().size(), 1U);
    source.dropped(bad, true, true, 3 * second);
    const auto later = events();
    ASSERT_EQ(later.size(), 1U);
    EXPECT_EQ(later[0].left_out, 1000U - EventSource::burst);
}

TEST_F(EventSourceTest, TicksThatGoBackOpenNoGate) {
    const Frame bad = frame(ipv4("192.0.2.2", "192.0.2.1", wire::protocol_esp, Octets(20)), DropReason::bad_icv);
    for (unsigned i = 0; i < 100; ++i) source.dropped(bad, true, true, i % 2 == 0 ? 2 * second : second);
    EXPECT_EQ(events().size(), EventSource::burst);
}

TEST_F(EventSourceTest, OfOnePeerThatMovesAboutOnceASecond) {
    transform::InboundSa sa;
    sa.number = 5;
    sa.spi = 0x2222;
    sa.red_vpn = 7;
    const Flow outer{*parse_address("198.51.100.9"), *parse_address("192.0.2.1"), 61000, 4500, wire::protocol_udp, true};
    for (unsigned i = 0; i < 100; ++i) source.moved(sa, outer, 40 + i, second + i);
    const auto all = events();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].kind, EventKind::address_changed);
    EXPECT_EQ(all[0].sa, 5U);
    EXPECT_EQ(all[0].spi, 0x2222U);
    EXPECT_EQ(all[0].vpn, 7);
    EXPECT_EQ(all[0].sequence, 40U);
    EXPECT_EQ(to_string(all[0].flow.source), "198.51.100.9");
    EXPECT_EQ(all[0].flow.source_port, 61000);
    source.moved(sa, outer, 200, 2 * second);
    EXPECT_EQ(events().size(), 1U);
    source.moved(sa, outer, 201, second);
    EXPECT_TRUE(events().empty()) << "ticks that go back open no gate";
}

TEST_F(EventSourceTest, ManyPeersThatMoveAreTakenInTurns) {
    const Flow outer{*parse_address("198.51.100.9"), *parse_address("192.0.2.1"), 61000, 4500, wire::protocol_udp, true};
    std::vector<bool> told(1000);
    for (std::uint64_t now = 1; now <= 300; ++now) {
        std::size_t in_a_second = 0;
        for (std::uint32_t i = 0; i < told.size(); ++i) {
            transform::InboundSa sa;
            sa.number = static_cast<std::uint32_t>((i + now * 137) % told.size()); // another one is the first
            source.moved(sa, outer, 1, now * second);
            for (const Event& event : events()) {
                told[event.sa] = true;
                ++in_a_second;
            }
        }
        EXPECT_LE(in_a_second, EventSource::most_moved);
    }
    EXPECT_GT(std::ranges::count(told, true), 990);
}

TEST_F(EventSourceTest, AFullRingLosesAndCounts) {
    const Octets packet = ipv4("192.0.2.2", "192.0.2.1", wire::protocol_esp, Octets(20));
    for (unsigned i = 0; i < 40; ++i) source.dropped(frame(packet, DropReason::bad_icv), true, true, (i + 1) * second);
    EXPECT_EQ(events().size(), 16U);
    EXPECT_EQ(source.left_out(), 24U);
    source.dropped(frame(packet, DropReason::bad_icv), true, true, 50 * second);
    EXPECT_EQ(events().at(0).left_out, 24U);
}

TEST_F(EventSourceTest, RingsOnceARound) {
    waker.prepare();
    source.flush();
    const Frame bad = frame(ipv4("192.0.2.2", "192.0.2.1", wire::protocol_esp, Octets(20)), DropReason::bad_icv);
    source.dropped(bad, true, true, second);
    source.flush();
    waker.woken();
    EXPECT_EQ(events().size(), 1U);
    EventSource deaf(nullptr, 0);
    deaf.dropped(bad, true, true, second);
    deaf.flush();
}

} // namespace
} // namespace sallyport::tables
