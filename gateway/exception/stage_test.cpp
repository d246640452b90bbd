// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/neighbours.hpp"
#include "gateway/exception/stage.hpp"

#include "gateway/tables/rcu.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <unistd.h>

namespace sallyport::exception {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint32_t chunk_count = 2048;

struct RecordingAsker : Asker {
    void ask(const Neighbour& neighbour) override {
        ++count;
        last = neighbour;
    }
    std::atomic<unsigned> count{0};
    Neighbour last;
};

// One red link with 10.0.0.0/24 in VPN 1, two workers.
class StageTest : public testing::Test {
protected:
    StageTest()
        : memory(static_cast<std::uint8_t*>(std::aligned_alloc(4096, std::size_t{chunk_count} * chunk_size)), &std::free),
          depot(PacketMemory{memory.get(), chunk_count}), neighbours(std::make_shared<route::NeighbourTable>(10U)), fib(make_fib()),
          handler(fib, asker), stage(std::make_unique<Stage>(depot)), inboxes{FrameRing(1024, wakers[0]), FrameRing(1024, wakers[1])} {
        stage->serve(Errand::neighbour, handler);
        stage->meet({&inboxes[0], &inboxes[1]});
    }

    std::unique_ptr<const route::Fib> make_fib(bool with_route = true) {
        auto table = std::make_shared<route::Table>();
        table->groups = {route::Group{}, route::Group{DropReason::none, 1, 0}};
        table->hops = {{.link = 1}};
        const route::Trie::Entry entry{*parse_prefix("10.0.0.0/24"), 1};
        if (with_route) table->ipv4 = route::Trie({&entry, 1});
        const route::Link red{.interface = 10, .port = 1, .role = Role::red, .up = true, .mtu = 1500, .vpn = 1};
        return std::make_unique<route::Fib>(std::vector<std::shared_ptr<const route::Table>>{nullptr, table},
                                            std::vector<route::Link>{{}, red}, neighbours);
    }

    Frame frame(std::uint8_t host, std::uint8_t worker = 0) {
        Frame result;
        EXPECT_EQ(depot.take(&result.index, 1), 1U);
        result.chunk = depot.memory().chunk(result.index);
        result.begin = 256;
        result.network = 270;
        result.end = 330;
        result.family = 4;
        result.vpn = 1;
        result.flags = frame_to_red;
        result.worker = worker;
        result.reason = DropReason::neighbour_unresolved;
        result.errand = Errand::neighbour;
        const std::array<std::uint8_t, 4> destination{10, 0, 0, host};
        std::memcpy(result.at(270 + 16), destination.data(), 4);
        return result;
    }

    void send(const Frame& f) { ASSERT_EQ(stage->inbox().push({&f, 1}), 1U); }

    void resolve(std::uint8_t host) {
        Address address;
        address.octets = {10, 0, 0, host};
        neighbours->set(neighbours->add(10, address), {true, {2, 0, 0, 0, 0, host}});
    }

    std::vector<Frame> received(unsigned worker) {
        std::vector<Frame> result(64);
        result.resize(inboxes[worker].pop(result));
        return result;
    }

    std::uint64_t dropped(DropReason reason) { return stage->counters().dropped[static_cast<std::size_t>(reason)]; }

    std::unique_ptr<std::uint8_t, void (*)(void*)> memory;
    Depot depot;
    std::shared_ptr<route::NeighbourTable> neighbours;
    tables::Published<route::Fib> fib;
    RecordingAsker asker;
    std::array<Waker, 2> wakers;
    Neighbours handler;
    std::unique_ptr<Stage> stage;
    std::array<FrameRing, 2> inboxes;
};

TEST_F(StageTest, WaitsAndGoesBackToItsWorker) {
    const Frame first = frame(2, 1);
    send(first);
    stage->run_once(0);
    EXPECT_EQ(asker.count, 1U);
    EXPECT_EQ(asker.last.interface, 10U);
    EXPECT_EQ(to_string(asker.last.address), "10.0.0.2");
    EXPECT_EQ(stage->counters().held, 1U);
    stage->run_once(second / 2);
    EXPECT_TRUE(received(1).empty());
    resolve(2);
    stage->run_once(second / 2);
    const std::vector<Frame> back = received(1);
    ASSERT_EQ(back.size(), 1U);
    EXPECT_EQ(back[0].index, first.index);
    EXPECT_EQ(back[0].reason, DropReason::none);
    EXPECT_NE(back[0].flags & frame_waited, 0);
    EXPECT_EQ(stage->counters().held, 0U);
    EXPECT_EQ(stage->counters().returned, 1U);
    depot.give(&back[0].index, 1);
    EXPECT_EQ(depot.size(), chunk_count);
}

TEST_F(StageTest, FoundMeanwhileOrRouteGoneGoesStraightBack) {
    resolve(3);
    send(frame(3));
    stage->run_once(0);
    EXPECT_EQ(received(0).size(), 1U);
    EXPECT_EQ(asker.count, 0U);
    const auto old = fib.swap(make_fib(false));
    send(frame(4));
    stage->run_once(0);
    EXPECT_EQ(received(0).size(), 1U) << "the worker says no_route";
}

TEST_F(StageTest, TimeIsOver) {
    send(frame(2));
    stage->run_once(0);
    stage->run_once(second);
    stage->run_once(2 * second);
    EXPECT_EQ(asker.count, 3U) << "asked again every second";
    EXPECT_EQ(dropped(DropReason::neighbour_unresolved), 0U);
    stage->run_once(3 * second);
    EXPECT_EQ(dropped(DropReason::neighbour_unresolved), 1U);
    EXPECT_EQ(depot.size(), chunk_count);
}

TEST_F(StageTest, LimitsAreCountedAndNoChunkIsLost) {
    for (int i = 0; i < 40; ++i) send(frame(2));
    stage->run_once(0);
    EXPECT_EQ(dropped(DropReason::neighbour_queue_full), 24U);
    EXPECT_EQ(stage->counters().held, 16U);
    Frame other = frame(3);
    other.errand = Errand::none;
    other.reason = DropReason::too_big;
    send(other);
    stage->run_once(0);
    EXPECT_EQ(dropped(DropReason::too_big), 1U);
    send(frame(5)); // still in the inbox
    stage.reset();
    EXPECT_EQ(depot.size(), chunk_count) << "what waited and what lay in the inbox comes back";
}

TEST_F(StageTest, FullInboxOfAWorkerIsTriedAgain) {
    std::vector<Frame> filler(1024);
    ASSERT_EQ(inboxes[0].push(filler), 1024U);
    resolve(2);
    send(frame(2));
    stage->run_once(0);
    EXPECT_EQ(received(0).size(), 64U);
    stage->run_once(1);
    unsigned found = 0;
    for (std::vector<Frame> some = received(0); !some.empty(); some = received(0))
        for (const Frame& f : some) found += f.chunk != nullptr ? 1U : 0U;
    EXPECT_EQ(found, 1U);
}

// The stage's own thread sleeps, wakes for a frame and for a neighbour, and ends.
TEST_F(StageTest, ThreadWakesForFramesAndNeighbours) {
    std::atomic<bool> stop{false};
    std::thread thread([&] { stage->run(stop); });
    const auto wait_for = [](auto&& condition) {
        for (int i = 0; i < 2000; ++i, usleep(1000))
            if (condition()) return true;
        return false;
    };
    for (std::uint8_t host = 10; host < 30; ++host) {
        const unsigned before = asker.count;
        send(frame(host));
        stage->inbox().wake();
        EXPECT_TRUE(wait_for([&] { return asker.count > before; }));
        resolve(host);
        stage->wake();
        std::vector<Frame> back;
        EXPECT_TRUE(wait_for([&] {
            back = received(0);
            return !back.empty();
        }));
        for (const Frame& f : back) depot.give(&f.index, 1);
    }
    stop = true;
    stage->wake();
    thread.join();
    EXPECT_EQ(depot.size(), chunk_count);
}

} // namespace
} // namespace sallyport::exception
