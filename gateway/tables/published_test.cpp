// SPDX-License-Identifier: Apache-2.0
#include "gateway/tables/published.hpp"

#include <gtest/gtest.h>

#include <array>
#include <poll.h>
#include <thread>
#include <vector>

namespace sallyport::tables {
namespace {

struct Table {
    explicit Table(int value) { values.fill(value); }
    ~Table() { values.fill(-1); }
    std::array<int, 64> values{};
};

/// Two readers compare all values of a table that is replaced and freed under their eyes.
TEST(Published, NobodyReadsAFreedTable) {
    Audience audience;
    Published<Table> table(std::make_unique<Table>(0));
    std::atomic<bool> stop{false};
    std::array<std::atomic<int>, 2> seen{-1, -1};
    {
        std::vector<std::jthread> readers;
        for (unsigned number = 0; number < 2; ++number)
            readers.emplace_back([&, number] {
                const rcu::Reader registered;
                while (!stop.load(std::memory_order_acquire)) {
                    const Table& now = table.read();
                    for (const int value : now.values) ASSERT_EQ(value, now.values[0]);
                    ASSERT_GE(now.values[0], seen[number].load());
                    seen[number].store(now.values[0]);
                    rcu::quiescent();
                }
            });
        while (seen[0] < 0 || seen[1] < 0) std::this_thread::yield();
        for (int value = 1; value < 300; ++value) {
            auto old = table.swap(std::make_unique<Table>(value));
            audience.settle();
            EXPECT_EQ(old->values[63], value - 1);
        }
        stop.store(true, std::memory_order_release);
    }
    EXPECT_EQ(table.version(), 299U);
    EXPECT_EQ(table.read().values[0], 299);
}

/// A reader asleep holds nobody up, and is woken.
TEST(Audience, SleepersAreWokenAndNotWaitedFor) {
    Audience audience;
    Waker waker;
    audience.join(waker);
    Published<Table> table(std::make_unique<Table>(1));
    std::atomic<bool> asleep{false};
    std::atomic<int> seen{0};
    std::jthread reader([&] {
        const rcu::Reader registered;
        waker.prepare();
        seen = table.read().values[0];
        rcu::offline();
        asleep = true;
        pollfd one{waker.descriptor(), POLLIN, 0};
        const int woken = poll(&one, 1, 20000);
        rcu::online();
        waker.woken();
        seen = woken == 1 ? table.read().values[0] : -1;
    });
    while (!asleep) std::this_thread::yield();
    EXPECT_EQ(seen, 1);
    const auto old = table.swap(std::make_unique<Table>(2));
    audience.settle();
    reader.join();
    EXPECT_EQ(seen, 2);
    audience.leave(waker);
    waker.prepare();
    audience.settle();
    pollfd one{waker.descriptor(), POLLIN, 0};
    EXPECT_EQ(poll(&one, 1, 0), 0);
}

} // namespace
} // namespace sallyport::tables
