// SPDX-License-Identifier: Apache-2.0
// Two IKE SAs with several children, and what they say to each other, read: for the tests of what happens once they stand.
#pragma once

#include "tests/simulation/quick_kex.hpp"
#include "tests/simulation/world.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::ike::simulation {

/// An exchange that makes further children, of these tests alone.
inline constexpr ExchangeType further_child{240};
/// The product with it; whoever begins makes all children of the connection. `beyond`: who answers it gives more than was asked for.
[[nodiscard]] Registry with_further_children(bool beyond = false);

/// Three children: "first" and "second" of ESP, "third" of AH.
[[nodiscard]] Connection three_children(std::size_t own);

/// A message as whoever has the keys reads it.
struct Spoken {
    std::size_t from = 0;
    Time at = 0;
    Header header;
    std::vector<std::uint32_t> esp, ah; // what it deletes
    bool ike = false;                   // it deletes the IKE SA
    std::size_t payloads = 0;
    std::vector<NotifyType> notifies;
    Datagram datagram;
};

class Informational : public testing::Test {
protected:
    explicit Informational(const Settings& settings = quick_settings(), bool beyond = false);
    void TearDown() override {
        for (const std::size_t which : {0U, 1U}) EXPECT_EQ(world.side(which).gateway.wrong, 0U) << which;
    }
    void come_up(std::size_t children = 3);
    [[nodiscard]] const IkeSa& sa(std::size_t which) { return *world.side(which).engine.find(own[which]); }
    [[nodiscard]] IkeState state(std::size_t which) {
        const IkeSa* there = world.side(which).engine.find(own[which]);
        return there != nullptr ? there->state : IkeState::gone;
    }
    [[nodiscard]] Gateway& gateway(std::size_t which) { return world.side(which).gateway; }
    [[nodiscard]] std::uint32_t spi(std::size_t which, std::string_view name);
    [[nodiscard]] std::vector<std::string> names(std::size_t which);
    [[nodiscard]] std::string told(std::size_t which);
    /// The engine and the gateway of both sides have these children, pair by pair, and their policies; nothing drains any more.
    void expect_children(const std::vector<std::string>& wanted);
    void expect_gone() {
        world.run(600'000);
        for (const std::size_t which : {0U, 1U}) EXPECT_TRUE(nothing_left(world.side(which))) << which << told(which);
    }
    /// Side 1 gets a request as if side 0 had sent it; what it said to that.
    Spoken ask(const Writer& payloads, ExchangeType exchange = ExchangeType::informational);
    [[nodiscard]] std::vector<Spoken> said(std::size_t from, bool response);
    void deafen() {
        judge = [](const Spoken&) { return Fate::lose; };
    }

    World world;
    std::array<Spi, 2> own{};
    bool up = false;
    std::vector<Spoken> spoken; // since it is up
    std::function<Fate(const Spoken&)> judge;

private:
    [[nodiscard]] Spoken understood(std::size_t from, const Datagram& datagram);
};

using Spis = std::vector<std::uint32_t>;
[[nodiscard]] Writer deletion(ProtocolId protocol, const Spis& spis = {});

} // namespace sallyport::ike::simulation
