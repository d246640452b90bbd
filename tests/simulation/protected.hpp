// SPDX-License-Identifier: Apache-2.0
// Two engines of which the second one gets whatever a test likes, protected by the keys of the first.
#pragma once

#include "tests/simulation/quick_kex.hpp"
#include "tests/simulation/world.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::ike::simulation {

inline ExchangeType exchange_of(const Datagram& datagram) { return parse_header(datagram.octets)->exchange; }
inline bool is_response(const Datagram& datagram) { return parse_header(datagram.octets)->response; }

class Protected : public testing::Test {
protected:
    explicit Protected(Settings settings = quick_settings()) : world(settings, product(), 11) {
        world.watch = [this](std::size_t from, Datagram& datagram) {
            passed[from].push_back(datagram);
            if (deaf && from == 1) return Fate::lose;
            return judge ? judge(from, datagram) : Fate::deliver;
        };
        use(connection(0), connection(1));
    }
    void use(Connection one, Connection other) {
        world.side(0).engine.set_connections({shared(std::move(one))});
        world.side(1).engine.set_connections({shared(std::move(other))});
    }
    void start() { own = world.start(0, world.side(0).engine.connections().front()); }
    void come_up() {
        start();
        world.run(3000);
        ASSERT_EQ(state(0), IkeState::established) << told(0) << told(1);
        ASSERT_EQ(state(1), IkeState::established) << told(1);
    }
    [[nodiscard]] const IkeSa& sa(std::size_t which) { return *only_sa(world.side(which)); }
    [[nodiscard]] IkeState state(std::size_t which) { return only_sa(world.side(which)) != nullptr ? sa(which).state : IkeState::gone; }
    [[nodiscard]] std::string told(std::size_t which) {
        std::string text;
        for (const Event& event : world.side(which).events) text += event.sentence + "\n";
        return text;
    }
    [[nodiscard]] std::uint64_t ignored(Ignored reason, std::size_t which = 1) { return world.side(which).engine.counters()[reason]; }
    /// Side 1 gets a request as if side 0 had sent it; what it said to that, opened.
    Contents ask(ExchangeType exchange, std::uint32_t id, const Writer& payloads) {
        passed[1].clear();
        deaf = true; // side 0 would take it for the answer to a request of its own
        world.inject(1, protected_by(sa(0), exchange, id, false, payloads));
        world.run(50);
        deaf = false;
        return passed[1].empty() ? Contents{} : read(passed[1].back());
    }
    Contents read(const Datagram& datagram) {
        opened = datagram.octets;
        const std::optional<Octets> plain = open(sa(0).suite.protection, sa(0).inbound(), opened, header_size + payload_header_size);
        if (!plain) return {};
        inner.assign(plain->begin(), plain->end());
        const Parsed<Chain> chain = parse_chain(static_cast<PayloadType>(datagram.octets[header_size]), inner);
        return chain ? parse_contents(*chain).value_or(Contents{}) : Contents{};
    }
    /// Side 1 is half-open with the keys of IKE_SA_INIT alone, and what side 0 sends does not arrive.
    void half_open() {
        judge = [](std::size_t, const Datagram& datagram) {
            return exchange_of(datagram) == ExchangeType::ike_sa_init ? Fate::deliver : Fate::lose;
        };
        start();
        world.run(200);
        ASSERT_EQ(state(1), IkeState::half_open);
        judge = [](std::size_t from, const Datagram&) { return from == 0 ? Fate::lose : Fate::deliver; };
    }

    World world;
    std::array<std::vector<Datagram>, 2> passed;
    std::function<Fate(std::size_t, const Datagram&)> judge;
    bool deaf = false;
    Spi own = 0;
    Message opened;
    std::vector<std::uint8_t> inner;
};

inline bool has(const Contents& contents, NotifyType type) { return contents.find(type) != nullptr; }

inline Writer with_notify(NotifyType type, Octets data = {}) {
    Writer payloads;
    payloads.notify(type, data);
    return payloads;
}

} // namespace sallyport::ike::simulation
