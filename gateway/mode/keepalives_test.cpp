// SPDX-License-Identifier: Apache-2.0
#include "gateway/mode/keepalives.hpp"

#include <chrono>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace sallyport::mode {
namespace {

constexpr std::uint64_t second = 1'000'000'000;

class KeepalivesTest : public testing::Test {
protected:
    static SaSpec spec(const char* local, const char* remote, std::uint16_t port) {
        SaSpec sa;
        sa.outer_local = *parse_address(local);
        sa.outer_remote = *parse_address(remote);
        sa.udp_port = port;
        return sa;
    }
    Silence silence(const char* remote = "192.0.2.2", std::uint64_t seconds = 20) {
        const bool ipv6 = std::string_view(remote).contains(':');
        return {.sa = nullptr,
                .outer = make_outer(spec(ipv6 ? "2001:db8::1" : "192.0.2.1", remote, 4501)),
                .outer_vpn = 3,
                .sent = {&packets[0], &packets[1]},
                .seconds = seconds};
    }
    // What came out, from the IP header on; the chunks go back.
    std::vector<std::vector<std::uint8_t>> tick(std::uint64_t now) {
        Batch batch;
        mode.tick(now, batch, chunks);
        std::vector<std::vector<std::uint8_t>> result;
        for (const Frame* frame : batch.span()) {
            EXPECT_EQ(frame->vpn, 3);
            result.emplace_back(frame->at(frame->network), frame->at(frame->end));
            chunks.give(*frame);
        }
        return result;
    }

    std::array<std::uint64_t, 2> packets{};
    static constexpr std::uint32_t chunk_count = 256;
    std::unique_ptr<std::uint8_t, void (*)(void*)> memory{
        static_cast<std::uint8_t*>(std::aligned_alloc(4096, std::size_t{chunk_count} * chunk_size)), &std::free};
    Depot depot{PacketMemory{memory.get(), chunk_count}};
    Chunks chunks{depot, 256};
    Keepalives mode;
};

TEST_F(KeepalivesTest, NobodyWantsThem) {
    EXPECT_EQ(mode.next(), Mode::never);
    mode.plan({}, 5);
    EXPECT_EQ(mode.next(), Mode::never);
}

TEST_F(KeepalivesTest, OneGoesAfterEachTimeOfSilence) {
    mode.plan({silence()}, 100 * second);
    EXPECT_EQ(mode.next(), 120 * second);
    const auto sent = tick(120 * second);
    ASSERT_EQ(sent.size(), 1U);
    const std::uint8_t* header = sent[0].data();
    EXPECT_EQ(sent[0].size(), 29U);
    EXPECT_EQ(wire::load16(header + wire::ipv4_total_length), 29);
    EXPECT_EQ(wire::checksum_raw(header, 20), 0);
    EXPECT_EQ(header[wire::ipv4_protocol], wire::protocol_udp);
    EXPECT_EQ(wire::load32(header + wire::ipv4_destination), 0xc0000202U);
    EXPECT_EQ(wire::load16(header + 20), 4500);
    EXPECT_EQ(wire::load16(header + 22), 4501);
    EXPECT_EQ(wire::load16(header + 24), 9);
    EXPECT_EQ(wire::load16(header + 26), 0) << "no checksum over IPv4";
    EXPECT_EQ(header[28], 0xff);
    EXPECT_EQ(mode.next(), 140 * second);
    EXPECT_EQ(tick(140 * second).size(), 1U);
}

TEST_F(KeepalivesTest, WhatGoesToThePeerIsEnough) {
    mode.plan({silence()}, 0);
    packets[1] = 1; // of another SA between the same ends
    EXPECT_EQ(tick(20 * second).size(), 0U);
    EXPECT_EQ(tick(40 * second).size(), 1U);
}

TEST_F(KeepalivesTest, AnotherPlanDoesNotBeginFromAnew) {
    mode.plan({silence()}, 0);
    mode.plan({silence(), silence("192.0.2.3", 7)}, 10 * second);
    EXPECT_EQ(mode.next(), 17 * second);
    EXPECT_EQ(tick(20 * second).size(), 2U);
    mode.plan({}, 21 * second);
    EXPECT_EQ(mode.next(), Mode::never);
}

TEST_F(KeepalivesTest, EqualEndsAreJoined) {
    Silence other_port = silence(), other_vpn = silence();
    other_port.outer.octets[23] ^= 1;
    other_vpn.outer_vpn = 4;
    const auto all = joined({silence("192.0.2.2", 20), other_port, silence("192.0.2.3"), silence("192.0.2.2", 7), other_vpn});
    ASSERT_EQ(all.size(), 4U);
    unsigned met = 0;
    for (const Silence& one : all) {
        if (one.sent.size() != 4) continue;
        EXPECT_EQ(one.seconds, 7U);
        ++met;
    }
    EXPECT_EQ(met, 1U);
}

/// A gateway for many hosts behind NATs must not stand still whenever one of them gets new keys.
TEST_F(KeepalivesTest, Many) {
    std::vector<Silence> silences;
    for (unsigned i = 0; i < 20000; ++i)
        silences.push_back(silence(("10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".1").c_str()));
    const auto begin = std::chrono::steady_clock::now();
    const auto all = joined(std::move(silences));
    ASSERT_EQ(all.size(), 20000U);
    mode.plan(all, 0);
    mode.plan(all, second);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1)) << "a second is ten times what it takes";
    EXPECT_EQ(mode.next(), 20 * second) << "those that were there go on where they are";
    EXPECT_EQ(tick(20 * second).size(), std::size_t{batch_size}) << "a batch at a time";
    EXPECT_EQ(mode.next(), 20 * second);
}

TEST_F(KeepalivesTest, OverIpv6WithAChecksum) {
    mode.plan({silence("2001:db8::2")}, 0);
    const auto sent = tick(20 * second);
    ASSERT_EQ(sent.size(), 1U);
    ASSERT_EQ(sent[0].size(), 49U);
    EXPECT_NE(wire::load16(sent[0].data() + 46), 0);
    EXPECT_EQ(wire::ipv6_upper_checksum_raw(sent[0].data(), wire::protocol_udp, sent[0].data() + 40, 9), 0);
}

} // namespace
} // namespace sallyport::mode
