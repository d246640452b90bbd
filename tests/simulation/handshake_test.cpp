// SPDX-License-Identifier: Apache-2.0
// Two engines come together, whatever the network does.
#include "tests/simulation/quick_kex.hpp"
#include "tests/simulation/world.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace sallyport::ike::simulation {
namespace {

std::string told(const Side& side) {
    std::string text;
    for (const Event& event : side.events) text += event.connection + ": " + event.sentence + "\n";
    return text;
}

void both_ready(World& world) {
    world.side(0).engine.set_connections({shared(connection(0))});
    world.side(1).engine.set_connections({shared(connection(1))});
}

bool established(const Side& side) {
    const IkeSa* sa = only_sa(side);
    return sa != nullptr && sa->state == IkeState::established && sa->children.size() == 1;
}

TEST(Handshake, with_real_key_exchanges_gives_both_sides_a_child_with_the_same_keys) {
    World world(Settings{}, product(), 1);
    both_ready(world);
    world.start(0, world.side(0).engine.connections().front());
    world.run(5000);
    ASSERT_TRUE(established(world.side(0))) << told(world.side(0)) << told(world.side(1));
    ASSERT_TRUE(established(world.side(1))) << told(world.side(1));
    EXPECT_TRUE(passes_both_ways(world.side(0).gateway, world.side(1).gateway));
    EXPECT_EQ(only_sa(world.side(0))->suite.exchanges.count, 1);
    EXPECT_TRUE(equal(only_sa(world.side(0))->keys.octets(), only_sa(world.side(1))->keys.octets()));
    EXPECT_EQ(world.side(0).engine.load().flows, 0U);
    EXPECT_EQ(world.side(1).engine.load().flows, 0U);
}

/// What became of many handshakes, each in a world of its own.
struct Tally {
    unsigned established = 0, failed = 0, uneven = 0; // uneven: for a while on one side only
};

/// Whoever gave up says why.
void gave_up_with_a_reason(const Side& side, std::uint64_t seed) {
    ASSERT_FALSE(side.events.empty()) << "seed " << seed;
    const Event& last = side.events.back();
    ASSERT_TRUE(last.kind == Event::Kind::failed || last.kind == Event::Kind::ended) << "seed " << seed;
    ASSERT_FALSE(last.sentence.empty()) << "seed " << seed;
}

void handshake(Tally& tally, const Settings& settings, std::uint64_t seed, Weather weather) {
    World world(settings, product(), seed, weather);
    both_ready(world);
    const Spi own = world.start(0, world.side(0).engine.connections().front());
    world.run(200'000);
    const bool one = established(world.side(0)), other = established(world.side(1));
    const bool responding = !world.side(1).events.empty(); // the peer has heard of it
    if (one && other) {
        ++tally.established;
        ASSERT_TRUE(passes_both_ways(world.side(0).gateway, world.side(1).gateway)) << "seed " << seed;
        ASSERT_TRUE(equal(only_sa(world.side(0))->keys.octets(), only_sa(world.side(1))->keys.octets())) << "seed " << seed;
        const std::size_t closing = seed % 2;
        world.close(closing, closing == 0 ? own : only_sa(world.side(1))->own_spi);
    } else {
        ++tally.failed;
        if (one != other) ++tally.uneven;
    }
    // What one side alone has, it finds out by itself.
    world.run(600'000);
    gave_up_with_a_reason(world.side(0), seed);
    if (responding) gave_up_with_a_reason(world.side(1), seed);
    for (const std::size_t which : {0U, 1U}) {
        ASSERT_TRUE(nothing_left(world.side(which))) << "seed " << seed;
        ASSERT_EQ(world.side(which).gateway.wrong, 0U) << "seed " << seed;
    }
}

unsigned wanted(const char* name, unsigned otherwise) {
    const char* given = std::getenv(name);
    return given != nullptr ? static_cast<unsigned>(std::atoi(given)) : otherwise;
}

void many(const Settings& settings, unsigned count, std::uint64_t seed) {
    const Weather bad{.loss = 20, .duplicates = 10, .delay = 10, .spread = 200, .computing = 20};
    Tally tally;
    for (unsigned i = 0; i < count && !testing::Test::HasFatalFailure(); ++i) handshake(tally, settings, seed + i, bad);
    testing::Test::RecordProperty("established", static_cast<int>(tally.established));
    std::printf("%u established, %u failed, %u of them for a while on one side only\n", tally.established, tally.failed, tally.uneven);
    EXPECT_GE(tally.established * 100, count * 99)
        << tally.established << " established, " << tally.failed << " failed, " << tally.uneven << " of them for a while on one side only";
}

TEST(Handshake, survives_loss_repetition_and_disorder) { many(quick_settings(), wanted("SALLYPORT_HANDSHAKES", 5000), 1000); }

TEST(Handshake, with_real_key_exchanges_survives_loss_repetition_and_disorder) {
    many(Settings{}, wanted("SALLYPORT_REAL_HANDSHAKES", 100), 1'000'000);
}

} // namespace
} // namespace sallyport::ike::simulation
