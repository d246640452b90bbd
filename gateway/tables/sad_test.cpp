// SPDX-License-Identifier: Apache-2.0
#include "gateway/tables/sad.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <thread>

namespace sallyport::tables {
namespace {

transform::InboundSa sa_of(std::uint32_t spi, VpnNumber vpn = wan_vpn, Family family = Family::ipv4) {
    transform::InboundSa sa;
    sa.spi = spi;
    sa.outer_vpn = vpn;
    sa.outer_family = family;
    return sa;
}

Frame frame_of(std::uint32_t spi, VpnNumber vpn = wan_vpn, std::uint8_t family = 4) {
    Frame frame;
    frame.spi = spi;
    frame.vpn = vpn;
    frame.family = family;
    return frame;
}

TEST(Sad, KeyIsVpnFamilyAndSpi) {
    Audience audience;
    Sad sad(audience);
    const transform::InboundSa a = sa_of(1000), b = sa_of(1000, 1), c = sa_of(1000, 0, Family::ipv6), again = sa_of(1000);
    EXPECT_TRUE(sad.add(a));
    EXPECT_TRUE(sad.add(b));
    EXPECT_TRUE(sad.add(c));
    EXPECT_FALSE(sad.add(again));
    EXPECT_EQ(sad.size(), 3U);
    EXPECT_EQ(sad.find(0, 4, 1000), &a);
    EXPECT_EQ(sad.find(1, 4, 1000), &b);
    EXPECT_EQ(sad.find(0, 6, 1000), &c);
    EXPECT_EQ(sad.find(1, 6, 1000), nullptr);
    EXPECT_EQ(sad.find(0, 4, 1001), nullptr);
    EXPECT_EQ(sad.find(0, 4, 0), nullptr);
    EXPECT_FALSE(sad.remove(again)); // not this one
    EXPECT_TRUE(sad.remove(a));
    EXPECT_FALSE(sad.remove(a));
    EXPECT_EQ(sad.find(0, 4, 1000), nullptr);
    EXPECT_TRUE(sad.add(again));
    EXPECT_EQ(sad.find(0, 4, 1000), &again);
}

TEST(Sad, BatchSetsSaOrReason) {
    Audience audience;
    Sad sad(audience);
    const transform::InboundSa a = sa_of(300), b = sa_of(301);
    ASSERT_TRUE(sad.add(a) && sad.add(b));
    std::array<Frame, 5> frames{frame_of(300), frame_of(300), frame_of(999), frame_of(301), frame_of(300, 7)};
    std::array<Frame*, 5> at;
    for (unsigned i = 0; i < 5; ++i) at[i] = &frames[i];
    sad.find(at);
    EXPECT_EQ(frames[0].inbound, &a);
    EXPECT_EQ(frames[1].inbound, &a);
    EXPECT_EQ(frames[2].reason, DropReason::unknown_spi);
    EXPECT_EQ(frames[3].inbound, &b);
    EXPECT_EQ(frames[3].reason, DropReason::none);
    EXPECT_EQ(frames[4].reason, DropReason::unknown_spi);
    sad.find(std::span<Frame* const>{});
}

/// A hundred thousand come, half of them go, others come: against what is expected of each.
TEST(Sad, Many) {
    Audience audience;
    Sad sad(audience);
    std::deque<transform::InboundSa> all;
    for (std::uint32_t i = 0; i < 100000; ++i) ASSERT_TRUE(sad.add(all.emplace_back(sa_of(256 + i))));
    for (std::uint32_t i = 0; i < 100000; i += 2) ASSERT_TRUE(sad.remove(all[i]));
    for (std::uint32_t i = 0; i < 100000; ++i) ASSERT_TRUE(sad.add(all.emplace_back(sa_of(0x80000000U + i * 64))));
    EXPECT_EQ(sad.size(), 150000U);
    for (std::uint32_t i = 0; i < 100000; ++i) {
        ASSERT_EQ(sad.find(0, 4, 256 + i), i % 2 == 0 ? nullptr : &all[i]);
        ASSERT_EQ(sad.find(0, 4, 0x80000000U + i * 64), &all[100000 + i]);
    }
}

/// A reader looks while SAs come, go and are freed: what it finds is always whole and of the key it asked for.
TEST(Sad, ReaderBesideWriter) {
    Audience audience;
    Sad sad(audience);
    std::atomic<bool> stop{false};
    std::atomic<unsigned> rounds{0};
    std::jthread reader([&] {
        const rcu::Reader registered;
        std::array<Frame, 64> frames;
        std::array<Frame*, 64> at;
        while (!stop.load(std::memory_order_acquire)) {
            rcu::quiescent();
            for (std::uint32_t i = 0; i < 64; ++i) {
                frames[i] = frame_of(256 + (i * 37 + rounds) % 512);
                at[i] = &frames[i];
            }
            sad.find(at);
            for (std::uint32_t spi = 0; spi < 64; ++spi) {
                const DropReason why = sad.why_missing(0x10000 + spi);
                EXPECT_TRUE(why == DropReason::unknown_spi || why == DropReason::reserved_spi);
            }
            for (const Frame& frame : frames) {
                if (frame.reason == DropReason::none) {
                    EXPECT_EQ(frame.inbound->spi, frame.spi);
                }
            }
            rounds.fetch_add(1, std::memory_order_relaxed);
        }
    });
    while (rounds == 0) std::this_thread::yield();
    for (unsigned round = 0; round < 20; ++round) {
        std::deque<std::unique_ptr<transform::InboundSa>> some;
        for (std::uint32_t i = 0; i < 512; ++i) {
            some.push_back(std::make_unique<transform::InboundSa>(sa_of(256 + i)));
            EXPECT_TRUE(sad.add(*some.back()));
        }
        for (const auto& sa : some) EXPECT_TRUE(sad.remove(*sa));
        for (std::uint32_t spi = 0x10000; spi < 0x10040; ++spi) EXPECT_TRUE(sad.reserved().put(spi));
        audience.settle();
        (void)sad.reserved().take_met();
        for (std::uint32_t spi = 0x10000; spi < 0x10040; ++spi) sad.reserved().take_out(spi);
    }
    stop.store(true, std::memory_order_release);
    EXPECT_GT(rounds.load(), 20U);
}

} // namespace
} // namespace sallyport::tables
