// SPDX-License-Identifier: Apache-2.0
#include "gateway/tables/acquires.hpp"

#include "gateway/wire/parse.hpp"
#include "gateway/wire/samples.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sallyport::tables {
namespace {

using namespace wire::samples;

/// A parsed frame from this port.
class Asking {
public:
    explicit Asking(std::uint16_t port, bool six = false) : chunk_(chunk_size) {
        const Octets datagram = udp(port, 53, payload(4));
        const Octets packet = six ? ipv6("2001:db8:1::5", "2001:db8:2::5", wire::protocol_udp, datagram)
                                  : ipv4("10.1.0.5", "10.2.0.5", wire::protocol_udp, datagram);
        const Octets whole = ethernet(packet);
        std::copy(whole.begin(), whole.end(), chunk_.begin() + frame_headroom);
        frame.chunk = chunk_.data();
        frame.begin = frame_headroom;
        frame.end = static_cast<std::uint16_t>(frame_headroom + whole.size());
        wire::parse(frame);
        EXPECT_EQ(frame.reason, DropReason::none);
    }
    Frame frame;

private:
    std::vector<std::uint8_t> chunk_;
};

TEST(Acquires, TheFirstOfEachPolicyIsKept) {
    const Acquires acquires({9, 4});
    const Asking one(1000), two(2000, true);
    EXPECT_TRUE(acquires.take().empty());
    EXPECT_TRUE(acquires.ask(9, one.frame));
    EXPECT_FALSE(acquires.ask(9, two.frame)) << "one is there";
    EXPECT_TRUE(acquires.ask(4, two.frame));
    EXPECT_FALSE(acquires.ask(5, one.frame)) << "no policy without an SA";
    const auto taken = acquires.take();
    ASSERT_EQ(taken.size(), 2U);
    EXPECT_EQ(taken[0].policy, 4U);
    EXPECT_EQ(to_string(taken[0].flow.destination), "2001:db8:2::5");
    EXPECT_EQ(taken[1].policy, 9U);
    EXPECT_EQ(to_string(taken[1].flow.source), "10.1.0.5");
    EXPECT_EQ(taken[1].flow.protocol, wire::protocol_udp);
    EXPECT_EQ(taken[1].flow.source_port, 1000);
    EXPECT_EQ(taken[1].flow.destination_port, 53);

    EXPECT_FALSE(acquires.ask(9, two.frame)) << "not before it is opened";
    EXPECT_TRUE(acquires.take().empty());
    acquires.open();
    EXPECT_TRUE(acquires.ask(9, two.frame));
    acquires.open();
    EXPECT_EQ(acquires.take().size(), 1U) << "what was not taken yet stays";
}

TEST(Acquires, OfNobody) {
    const Acquires acquires;
    EXPECT_FALSE(acquires.ask(0, Asking(1).frame));
    EXPECT_TRUE(acquires.take().empty());
    acquires.open();
}

TEST(Acquires, ManyThreadsAskAtOnce) {
    const Acquires acquires({1, 2, 3});
    std::atomic<unsigned> first{0}, taken{0};
    std::atomic<bool> stop{false};
    std::vector<std::thread> workers;
    for (std::uint16_t number = 1; number <= 3; ++number)
        workers.emplace_back([&, number] {
            const Asking mine(number);
            while (!stop)
                for (std::uint32_t policy = 1; policy <= 3; ++policy) first += acquires.ask(policy, mine.frame) ? 1 : 0;
        });
    while (taken < 3000) {
        for (const Acquire& packet : acquires.take()) {
            ++taken;
            EXPECT_TRUE(packet.flow.source_port >= 1 && packet.flow.source_port <= 3);
            EXPECT_EQ(to_string(packet.flow.destination), "10.2.0.5") << "whole";
        }
        acquires.open();
    }
    stop = true;
    for (std::thread& worker : workers) worker.join();
    taken += static_cast<unsigned>(acquires.take().size());
    EXPECT_EQ(taken, first);
}

} // namespace
} // namespace sallyport::tables
