// SPDX-License-Identifier: Apache-2.0
// Engines, a network between them and time, all from one seed: whatever happens in a run happens again with the same number.
#pragma once

#include "ike/engine/engine.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sallyport::ike::simulation {

class Seeded final : public Random {
public:
    explicit Seeded(std::uint64_t seed) : generator_(seed) {}
    void fill(std::span<std::uint8_t> to) override {
        for (std::uint8_t& octet : to) octet = static_cast<std::uint8_t>(generator_());
    }
    [[nodiscard]] bool chance(unsigned percent) { return generator_() % 100 < percent; }
    [[nodiscard]] Time up_to(Time most) { return most == 0 ? 0 : generator_() % (most + 1); }

private:
    std::mt19937_64 generator_;
};

struct Weather {
    unsigned loss = 0, duplicates = 0; // percent of the datagrams
    Time delay = 10, spread = 0;       // milliseconds; what is spread wide is out of order
    Time computing = 1;                // most that a computation takes
};

/// A gateway as far as an engine sees it.
struct Gateway {
    std::map<std::uint32_t, SaSpec> inbound, outbound; // by SPI
    std::map<std::uint32_t, SaSpec> draining;          // inbound ones that were removed and still receive
    std::map<std::string, PolicySpec> policies;
    std::set<std::uint32_t> used; // inbound SPIs
    std::uint32_t next_spi = 256;
    bool refuses = false;
    unsigned wrong = 0; // calls that no gateway would take
    [[nodiscard]] bool empty() const { return inbound.empty() && outbound.empty() && draining.empty() && policies.empty(); }
};

struct Side {
    Side(const Settings& settings, const Registry& registry, std::uint64_t seed) : random(seed), engine(settings, registry, random) {}
    Seeded random;
    Engine engine;
    Gateway gateway;
    std::vector<Event> events;
};

enum class Fate : std::uint8_t { deliver, lose };

class World {
public:
    World(const Settings& settings, const Registry& registry, std::uint64_t seed, Weather weather = {});

    [[nodiscard]] Side& side(std::size_t which) { return *sides_[which]; }
    [[nodiscard]] Time now() const { return now_; }
    void set_weather(Weather weather) { weather_ = weather; }
    /// Sees and may change each datagram before it is sent; after it the weather decides.
    std::function<Fate(std::size_t from, Datagram&)> watch;

    Spi start(std::size_t which, const ConnectionPointer& connection);
    void close(std::size_t which, Spi own_spi);
    void close_child(std::size_t which, Spi own_spi, std::uint32_t spi_in);
    void forget(std::size_t which, Spi own_spi);
    /// As the wire would bring it.
    void inject(std::size_t to, Datagram datagram);
    /// Lets time pass; what is due in it happens.
    void run(Time milliseconds);
    /// Until nothing is left to happen, or so long.
    void settle(Time most);
    [[nodiscard]] bool idle() const { return happenings_.empty(); }

private:
    struct Arrival {
        std::size_t to;
        Datagram datagram;
    };
    struct Computed {
        std::size_t side;
        std::unique_ptr<Job> job;
    };
    struct Installed {
        std::size_t side;
        std::uint64_t id;
        Result<void> result;
    };
    struct Drained {
        std::size_t side;
        std::uint32_t spi;
    };
    using Happening = std::variant<Arrival, Computed, Installed, Drained>;

    void collect(std::size_t which);
    void carry(std::size_t from, Datagram datagram);
    [[nodiscard]] Result<void> apply(std::size_t which, const record::Changes& changes);
    void happen(Happening happening);
    bool step(Time until);
    void later(Time delay, Happening happening) { happenings_.emplace(std::pair{now_ + delay, ++serial_}, std::move(happening)); }

    Seeded random_;
    Weather weather_;
    std::array<std::unique_ptr<Side>, 2> sides_;
    std::map<std::pair<Time, std::uint64_t>, Happening> happenings_;
    std::uint64_t serial_ = 0;
    Time now_ = 1'000'000;
};

inline const Address address_a = *parse_address("192.0.2.1"), address_b = *parse_address("192.0.2.2");

/// The registry of the product.
[[nodiscard]] Registry product();

/// A proposal of an IKE SA by names, as "aes-256-gcm prf-hmac-sha2-256 x25519 ml-kem-768": the second key exchange is an additional one.
[[nodiscard]] Proposal ike_proposal(std::string_view words);
/// ESP by the names of the data plane, both kinds of sequence numbers.
[[nodiscard]] Proposal esp_proposal(Algorithm algorithm = Algorithm::aes_256_gcm_16);
[[nodiscard]] TrafficSelector selector(std::string_view prefix);

/// A connection of side `own` (0 or 1) to the other one, both with the same pre-shared key and one child.
[[nodiscard]] Connection connection(std::size_t own);
[[nodiscard]] ConnectionPointer shared(Connection connection);

/// What is inside a protected message, and which fragment of one it is; total 0: a whole one.
struct Inside {
    PayloadType first = PayloadType::none;
    Octets octets; // payloads, or what is none
    std::uint16_t number = 0, total = 0;
};
/// A message as `from` would send it in its IKE SA, with whatever inside: for peers that do what ours does not.
[[nodiscard]] Datagram protected_by(const IkeSa& from, ExchangeType exchange, std::uint32_t message_id, bool response,
                                    const Inside& inside);
[[nodiscard]] Datagram protected_by(const IkeSa& from, ExchangeType exchange, std::uint32_t message_id, bool response,
                                    const Writer& payloads);

/// Do both gateways have this pair of SAs, one way and back, with equal keys and selectors?
[[nodiscard]] bool passes_both_ways(const Gateway& one, const Gateway& other);
/// Of what a side does or has done for peers: nothing is left in its engine, nor in its gateway.
[[nodiscard]] bool nothing_left(const Side& side);
/// The IKE SA of a side; null: it has none, or more than one.
[[nodiscard]] const IkeSa* only_sa(const Side& side);

} // namespace sallyport::ike::simulation
