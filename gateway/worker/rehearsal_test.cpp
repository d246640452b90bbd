// SPDX-License-Identifier: Apache-2.0
// A rehearsal against what really happens: it decides the same, and leaves no trace.
#include "gateway/worker/rehearser.hpp"
#include "gateway/worker/rig.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace sallyport::worker {
namespace {

using namespace rig;
using namespace wire::samples;

std::vector<PortOfWorker> ports() {
    const std::vector<VlanSpec> plain{{0, wan_vpn}}, trunk{{0, wan_vpn}, {tag, tagged_vpn}};
    return {{nullptr, Role::black, VlanMap(plain)}, {nullptr, Role::red, VlanMap(trunk)}};
}

Octets datagram(std::size_t size = 20, std::uint8_t ttl = 64, const char* to = "10.2.0.5", const char* from = "10.1.0.5") {
    return ipv4(from, to, wire::protocol_udp, udp(1000, 2000, payload(size)), ttl);
}

struct Pair {
    explicit Pair(Options options = {})
        : left(options), right([&] {
              options.left = false;
              return options;
          }()) {
        left.protect(1000, left.everything());
        right.protect(1000, right.everything());
        const Selector clear{*parse_range("10.1.0.0/16"), *parse_range("10.8.0.0/16"), 0, {}, {}};
        const Selector never{*parse_range("10.1.0.0/16"), *parse_range("10.9.0.0/16"), 0, {}, {}};
        left.policy(PolicyAction::bypass, {clear});
        left.policy(PolicyAction::discard, {never});
    }
    Gateway left, right;
};

struct Outcome {
    bool carried = false; // put on a port
    bool waits = false;   // given to the exception stage
    DropReason reason = DropReason::none;
    bool operator==(const Outcome&) const = default;
};

Outcome rehearsed(Gateway& gateway, unsigned port, const Octets& frame, std::unique_ptr<Rehearser>* kept = nullptr) {
    auto rehearser = std::make_unique<Rehearser>(std::uint8_t{0}, gateway.surroundings(), ports());
    EXPECT_TRUE(rehearser->run(port, frame));
    const Rehearsal& rehearsal = rehearser->rehearsal();
    Outcome outcome;
    outcome.carried = rehearsal.last(StepKind::sent) != nullptr;
    outcome.waits = rehearsal.last(StepKind::excepted) != nullptr;
    if (const Step* step = rehearsal.last(StepKind::dropped)) outcome.reason = step->reason;
    if (kept != nullptr) *kept = std::move(rehearser);
    return outcome;
}

/// What really becomes of it, by the counters. A frame that the exception stage gets to tell its source of the drop does not wait there.
Outcome real(Gateway& gateway, unsigned port, const Octets& frame) {
    std::array<std::uint64_t, drop_reason_count> before{};
    for (std::size_t i = 0; i < drop_reason_count; ++i) before[i] = gateway.dropped(static_cast<DropReason>(i));
    const std::uint64_t excepted = gateway.worker().counters().to_exceptions;
    Outcome outcome;
    outcome.carried = !gateway.send(port, frame).empty();
    for (std::size_t i = 0; i < drop_reason_count; ++i)
        if (gateway.dropped(static_cast<DropReason>(i)) != before[i]) outcome.reason = static_cast<DropReason>(i);
    outcome.waits = gateway.worker().counters().to_exceptions != excepted && outcome.reason == DropReason::none;
    return outcome;
}

void expect_as_real(Gateway& gateway, unsigned port, const Octets& frame, const char* what) {
    const Outcome first = rehearsed(gateway, port, frame);
    EXPECT_EQ(rehearsed(gateway, port, frame), first) << what << ": it changed something";
    const Outcome truth = real(gateway, port, frame);
    EXPECT_EQ(first.carried, truth.carried) << what;
    EXPECT_EQ(first.waits, truth.waits) << what;
    EXPECT_EQ(info(first.reason).name, info(truth.reason).name) << what;
}

TEST(Rehearsal, DecidesAsTheRealThingOnTheRedSide) {
    for (const Algorithm algorithm : {Algorithm::aes_128_gcm_16, Algorithm::aes_256_cbc_hmac_sha2_256_128}) {
        Pair pair({.algorithm = algorithm});
        expect_as_real(pair.left, red, ethernet(datagram()), "protected");
        expect_as_real(pair.left, red, ethernet(datagram(1450)), "too big once it is sealed");
        expect_as_real(pair.left, red, ethernet(datagram(20, 1)), "hop limit");
        expect_as_real(pair.left, red, ethernet(datagram(20, 64, "10.8.0.1")), "bypass");
        expect_as_real(pair.left, red, ethernet(datagram(20, 64, "10.8.0.77")), "bypass to a neighbour nobody knows");
        expect_as_real(pair.left, red, ethernet(datagram(20, 64, "10.9.0.1")), "discard");
        expect_as_real(pair.left, red, ethernet(datagram(20, 64, "10.7.0.1")), "no policy");
        expect_as_real(pair.left, red, ethernet(Octets{0x45, 0, 0}), "malformed");
        Octets tagged = ethernet(datagram());
        tagged.insert(tagged.begin() + 12, {0x81, 0, 0, 31});
        expect_as_real(pair.left, red, tagged, "a VLAN of no VPN");
    }
}

TEST(Rehearsal, DecidesAsTheRealThingOnTheBlackSide) {
    for (const Algorithm algorithm : {Algorithm::aes_128_gcm_16, Algorithm::aes_256_cbc_hmac_sha2_256_128}) {
        Pair pair({.algorithm = algorithm});
        const Octets good = pair.left.send(red, ethernet(datagram())).at(0);
        Octets bad = good;
        bad.back() ^= 1U;
        expect_as_real(pair.right, black, bad, "bad ICV");
        expect_as_real(pair.right, black, good, "good");
        expect_as_real(pair.right, black, good, "replayed");
        Octets unknown = good;
        unknown[14 + 20 + 2] ^= 1U;
        expect_as_real(pair.right, black, unknown, "unknown SPI");
        expect_as_real(pair.right, black, pair.left.send(red, ethernet(datagram(20, 64, "10.2.0.99"))).at(0), "a host nobody knows");
        expect_as_real(pair.right, black, pair.left.send(red, ethernet(datagram(20, 2))).at(0), "its last hop");
        expect_as_real(pair.right, black, ethernet(datagram()), "clear that should be protected");
        expect_as_real(pair.left, black, ethernet(datagram(20, 64, "10.1.0.5", "10.8.0.1")), "a bypass inwards");
        expect_as_real(pair.right, black, ethernet(ipv4("10.3.0.1", "192.0.2.2", wire::protocol_udp, udp(500, 500, payload(30)))), "IKE");
    }
}

TEST(Rehearsal, TakesNoNumberAndMovesNoWindow) {
    Pair pair;
    const auto number = [](const sequence::Space& space) { return space.memory->words[sequence::number_word]; };
    const Octets sealed = pair.left.send(red, ethernet(datagram())).at(0);
    std::unique_ptr<Rehearser> kept;
    EXPECT_TRUE(rehearsed(pair.left, red, ethernet(datagram()), &kept).carried);
    const Step* step = kept->rehearsal().last(StepKind::sealed);
    ASSERT_NE(step, nullptr);
    EXPECT_EQ(step->sequence, 2U);
    EXPECT_EQ(step->length, sealed.size() - 14);
    EXPECT_EQ(to_string(step->flow.source), "192.0.2.1");
    EXPECT_EQ(to_string(step->flow.destination), "192.0.2.2");
    EXPECT_EQ(number(pair.left.outbound(0).space), 1U);
    EXPECT_EQ(pair.left.outbound(0).counters->packets, 1U);

    EXPECT_TRUE(rehearsed(pair.right, black, sealed, &kept).carried);
    EXPECT_EQ(kept->rehearsal().last(StepKind::opened)->sequence, 1U);
    EXPECT_EQ(kept->rehearsal().last(StepKind::found)->highest, 0U);
    EXPECT_EQ(number(pair.right.inbound(0).space), 0U);
    EXPECT_EQ(pair.right.inbound(0).counters->packets, 0U);
    EXPECT_EQ(pair.right.send(black, sealed).size(), 1U) << "the real one is not a replay";
    EXPECT_EQ(rehearsed(pair.right, black, sealed, &kept).reason, DropReason::replayed);
    EXPECT_EQ(kept->rehearsal().last(StepKind::found)->highest, 1U);
    EXPECT_EQ(pair.right.inbound(0).counters->errors, 0U);
}

TEST(Rehearsal, NamesThePolicyAndTheWay) {
    Pair pair;
    std::unique_ptr<Rehearser> kept;
    (void)rehearsed(pair.left, red, ethernet(datagram(20, 64, "10.8.0.1")), &kept);
    EXPECT_EQ(kept->rehearsal().last(StepKind::policy)->policy, 1U);
    const Step* way = kept->rehearsal().last(StepKind::way);
    ASSERT_NE(way, nullptr);
    EXPECT_EQ(way->port, black);
    EXPECT_EQ(way->mtu, 1500U);
    EXPECT_TRUE(way->mac_known);
    EXPECT_EQ(way->mac, peer_mac);
    (void)rehearsed(pair.left, red, ethernet(datagram(20, 64, "10.9.0.1")), &kept);
    EXPECT_EQ(kept->rehearsal().last(StepKind::policy)->policy, 2U);
    EXPECT_EQ(kept->rehearsal().last(StepKind::policy)->reason, DropReason::policy_discard);
    (void)rehearsed(pair.left, red, ethernet(datagram(20, 64, "10.7.0.1")), &kept);
    EXPECT_EQ(kept->rehearsal().last(StepKind::policy)->policy, tables::PolicyVerdict::no_policy_number);
}

TEST(Rehearsal, AnotherWorkersSaIsNamed) {
    Gateway gateway({.workers = 2});
    gateway.add_pair(1000, gateway.everything(), wan_vpn, [](SaSpec& spec) { spec.owner = 1; });
    gateway.policy(PolicyAction::protect, gateway.everything(), &gateway.outbound(0));
    std::unique_ptr<Rehearser> kept;
    (void)rehearsed(gateway, red, ethernet(datagram()), &kept);
    ASSERT_NE(kept->rehearsal().last(StepKind::handed_over), nullptr);
    EXPECT_EQ(kept->rehearsal().last(StepKind::handed_over)->worker, 1U);
    EXPECT_EQ(kept->rehearsal().last(StepKind::sealed), nullptr);
    Rehearser owner(1, gateway.surroundings(), ports());
    EXPECT_TRUE(owner.run(red, ethernet(datagram())));
    EXPECT_NE(owner.rehearsal().last(StepKind::sent), nullptr);
}

TEST(Rehearsal, BeginsBehindTheIcv) {
    Pair pair;
    const auto outcome = [&](const Octets& packet) {
        Rehearser rehearser(0, pair.right.surroundings(), ports());
        EXPECT_TRUE(rehearser.run_opened(pair.right.inbound(0), packet));
        const Step* dropped = rehearser.rehearsal().last(StepKind::dropped);
        return dropped != nullptr                                      ? dropped->reason
               : rehearser.rehearsal().last(StepKind::sent) != nullptr ? DropReason::none
                                                                       : DropReason::no_sa;
    };
    EXPECT_EQ(outcome(datagram()), DropReason::none);
    EXPECT_EQ(outcome(datagram(20, 64, "10.2.0.5", "10.77.0.1")), DropReason::selector_mismatch);
    EXPECT_EQ(outcome(datagram(20, 1)), DropReason::ttl_expired);
    Rehearser rehearser(0, pair.right.surroundings(), ports());
    EXPECT_FALSE(rehearser.run_opened(pair.right.inbound(0), Octets(19)));
    EXPECT_FALSE(rehearser.run(black, Octets(9000)));
}

TEST(Visitors, AreCalledInTheWorkersThread) {
    struct Guest final : Visitor {
        void visit() override { thread = std::this_thread::get_id(); }
        std::thread::id thread;
    };
    Gateway gateway;
    std::atomic<bool> stop = false;
    std::thread runner([&] { gateway.worker().run(stop); });
    for (int i = 0; i < 20; ++i) {
        Guest guest;
        EXPECT_TRUE(gateway.worker().call(guest));
        EXPECT_EQ(guest.thread, runner.get_id());
    }
    stop = true;
    gateway.worker().waker().wake();
    runner.join();
}

TEST(Rehearsal, AsksForNoSa) {
    Gateway gateway;
    gateway.policy(PolicyAction::protect, gateway.everything());
    const Octets packet = ethernet(ipv4("10.1.0.5", "10.2.0.5", wire::protocol_udp, udp(1000, 2000, payload(20))));
    EXPECT_EQ(rehearsed(gateway, red, packet).reason, DropReason::no_sa);
    EXPECT_TRUE(gateway.spd().acquires().take().empty());
    (void)gateway.send(red, packet);
    EXPECT_EQ(gateway.spd().acquires().take().size(), 1U);
}

} // namespace
} // namespace sallyport::worker
