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
    unsigned established = 0, failed = 0, uneven = 0;
};

void handshake(Tally& tally, const Settings& settings, std::uint64_t seed, Weather weather) {
    World world(settings, product(), seed, weather);
    both_ready(world);
    world.start(0, world.side(0).engine.connections().front());
    world.run(200'000);
    const bool one = established(world.side(0)), other = established(world.side(1));
    if (one && other) {
        ++tally.established;
        ASSERT_TRUE(passes_both_ways(world.side(0).gateway, world.side(1).gateway)) << "seed " << seed;
        ASSERT_TRUE(equal(only_sa(world.side(0))->keys.octets(), only_sa(world.side(1))->keys.octets())) << "seed " << seed;
    } else {
        ++(one != other ? tally.uneven : tally.failed);
        // Whoever gave up says why.
        if (!one) {
            ASSERT_FALSE(world.side(0).events.empty()) << "seed " << seed;
            ASSERT_FALSE(world.side(0).events.back().sentence.empty()) << "seed " << seed;
        }
    }
    world.run(400'000);
    const Engine::Load left = world.side(0).engine.load();
    ASSERT_EQ(left.sas, one ? 1U : 0U) << "seed " << seed;
    ASSERT_EQ(left.flows + left.timers + left.half_open + left.keying, 0U) << "seed " << seed;
    const Engine::Load responder = world.side(1).engine.load();
    ASSERT_EQ(responder.sas, other ? 1U : 0U) << "seed " << seed;
    ASSERT_EQ(responder.flows + responder.timers + responder.half_open + responder.keying, 0U) << "seed " << seed;
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
    std::printf("%u established, %u failed, %u on one side only\n", tally.established, tally.failed, tally.uneven);
    EXPECT_GE(tally.established * 100, count * 99)
        << tally.established << " established, " << tally.failed << " failed, " << tally.uneven << " on one side only";
}

TEST(Handshake, survives_loss_repetition_and_disorder) { many(quick_settings(), wanted("SALLYPORT_HANDSHAKES", 5000), 1000); }

TEST(Handshake, with_real_key_exchanges_survives_loss_repetition_and_disorder) {
    many(Settings{}, wanted("SALLYPORT_REAL_HANDSHAKES", 100), 1'000'000);
}

} // namespace
} // namespace sallyport::ike::simulation
