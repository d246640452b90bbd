// SPDX-License-Identifier: Apache-2.0
// Workers as threads: asleep and woken, handing over, beside a control thread that replaces tables.
#include "gateway/worker/rig.hpp"
#include "gateway/worker/worker.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <thread>

namespace sallyport::worker {
namespace {

using namespace rig;
using namespace wire::samples;
using namespace std::chrono_literals;

/// All workers of a gateway, each in a thread, until the end of the scope.
class Running {
public:
    explicit Running(Gateway& gateway, unsigned workers) : gateway_(gateway), workers_(workers) {
        for (unsigned number = 0; number < workers; ++number) threads_.emplace_back([this, number] { gateway_.worker(number).run(stop_); });
    }
    ~Running() {
        stop_.store(true, std::memory_order_release);
        for (unsigned number = 0; number < workers_; ++number) gateway_.worker(number).waker().wake();
    }

private:
    Gateway& gateway_;
    unsigned workers_;
    std::atomic<bool> stop_{false};
    std::vector<std::jthread> threads_;
};

template <class Condition>
bool eventually(Condition condition) {
    for (unsigned i = 0; i < 20000; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(1ms);
    }
    return false;
}

Octets datagram(std::uint16_t port) { return ethernet(ipv4("10.1.0.5", "10.2.0.5", 17, udp(1000, port, payload(32)))); }

TEST(Threads, AsleepAndWokenByAFrame) {
    Gateway gateway;
    gateway.protect(1000, gateway.everything());
    const Running running(gateway, 1);
    std::uint64_t seen = 0;
    for (std::uint16_t i = 0; i < 5; ++i) {
        ASSERT_TRUE(eventually([&] { return gateway.worker().counters().sleeps > seen; }));
        seen = gateway.worker().counters().sleeps;
        ASSERT_TRUE(gateway.port(red).inject(datagram(i)));
        ASSERT_TRUE(eventually([&] { return !gateway.port(black).take().empty(); }));
    }
}

/// Both workers get everything, worker 0 owns the one SA, worker 1 sleeps or hands over; nothing is lost, each source stays in order.
TEST(Threads, HandOverBetweenThreads) {
    constexpr unsigned each = 1500;
    Options options;
    options.workers = 2;
    options.chunks = 8192;
    Gateway gateway(options);
    gateway.protect(1000, gateway.everything());
    unsigned sent = 0;
    {
        const Running running(gateway, 2);
        for (unsigned i = 0; i < each; i += 50) {
            for (unsigned k = 0; k < 50; ++k)
                for (unsigned worker = 0; worker < 2; ++worker)
                    ASSERT_TRUE(gateway.port(red, worker).inject(datagram(static_cast<std::uint16_t>(i + k))));
            ASSERT_TRUE(eventually([&] {
                sent += static_cast<unsigned>(gateway.port(black, 0).take().size());
                return sent == 2 * (i + 50);
            })) << sent;
        }
    }
    EXPECT_EQ(gateway.dropped(), 0U);
    EXPECT_EQ(gateway.worker(1).counters().handed_over, each);
    EXPECT_EQ(gateway.worker(0).counters().sealed, 2 * each);
}

/// SPD and SAs are replaced and freed while traffic flows: every frame meets the old or the new table, never a freed SA.
TEST(Threads, TablesReplacedUnderTraffic) {
    Gateway gateway, peer({.left = false});
    peer.protect(1000, peer.everything());
    gateway.protect(1000, gateway.everything());
    const std::vector<Selector> everything = gateway.everything();
    const std::vector<Selector> other{{*parse_range("10.1.0.0/16"), *parse_range("10.2.200.0/24"), 0, {}, {}}};
    std::vector<Octets> sealed;
    for (unsigned i = 0; i < 2000; ++i)
        for (Octets& frame : peer.send(red, ethernet(ipv4("10.2.0.5", "10.1.0.5", 17, udp(1, 2, payload(32))))))
            sealed.push_back(std::move(frame));
    std::atomic<bool> stop{false};
    {
        const Running running(gateway, 1);
        std::jthread traffic([&] {
            for (std::uint16_t i = 0; !stop.load(); ++i) {
                (void)gateway.port(red).inject(datagram(i));
                if (i < sealed.size()) (void)gateway.port(black).inject(sealed[i]);
                (void)gateway.port(red).take();
                if (i % 64 == 0) std::this_thread::sleep_for(100us);
                (void)gateway.port(black).take();
            }
        });
        ASSERT_TRUE(eventually([&] { return gateway.worker().counters().sealed > 0; }));
        for (unsigned round = 0; round < 200; ++round) {
            auto sa = std::make_unique<transform::OutboundSa>(gateway.outbound(0));
            // Another one comes first, so that what is opened meets the order, too; of an SA that the table knows.
            const std::array policies{
                tables::Policy{.action = PolicyAction::discard, .selectors = other},
                tables::Policy{.action = PolicyAction::protect, .selectors = everything, .sa = sa.get(), .connection = 1}};
            const tables::Opening opening{gateway.inbound(0).number, wan_vpn, 1};
            gateway.publish(std::move(tables::Spd::build(policies, {&opening, 1}).value()));
            auto inbound = std::make_unique<transform::InboundSa>(gateway.inbound(0));
            inbound->spi = 5000 + round;
            ASSERT_TRUE(gateway.sad().add(*inbound));
            const tables::Policy back{wan_vpn, PolicyAction::protect, everything, &gateway.outbound(0), 0};
            gateway.publish(std::move(tables::Spd::build({&back, 1}).value()));
            ASSERT_TRUE(gateway.sad().remove(*inbound));
            gateway.audience().settle();
            *sa = {}; // nobody looks at it any more
        }
        stop = true;
    }
    EXPECT_EQ(gateway.dropped(DropReason::no_policy), 0U);
    EXPECT_EQ(gateway.dropped(DropReason::no_sa), 0U);
    EXPECT_EQ(gateway.dropped(DropReason::policy_mismatch), 0U);
    EXPECT_GT(gateway.worker().counters().opened, 0U);
}

/// A worker asleep takes a new list of dummies at once, not when its sleep is over by itself.
TEST(Threads, ASleeperTakesNewTables) {
    Gateway gateway;
    gateway.protect(1000, gateway.everything());
    const Running running(gateway, 1);
    ASSERT_TRUE(eventually([&] { return gateway.worker().counters().sleeps > 0; }));
    gateway.publish(tables::Unasked{.dummies = {{&gateway.outbound(0), 200}}});
    ASSERT_TRUE(eventually([&] { return gateway.worker().counters().dummies >= 5; }));
    gateway.publish(tables::Unasked{});
}

} // namespace
} // namespace sallyport::worker
