// SPDX-License-Identifier: Apache-2.0
// What the door costs, and that a configuration that is reloaded is the same as one that is started with. On a gateway with real ports that
// carry nothing.
#include "gateway/control/inside.hpp"
#include "gateway/control/keying_inside.hpp"
#include "gateway/state/marks.hpp"
#include "gateway/tables/spd.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/xdp/pins.hpp"
#include "gateway/xdp/rig.hpp"

#include <bpf/bpf.h>
#include <gmock/gmock.h>

#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <format>
#include <random>
#include <sys/mman.h>
#include <unistd.h>

namespace sallyport::control {
namespace {

using testing::HasSubstr;
using xdp::rig::shell;

struct Silent : Observer {
    void note(const Note& note) override { last = note; }
    Note last;
};

SaSpec sa_of(const std::string& name, Direction direction, std::uint32_t child, std::uint32_t spi, std::uint32_t number = 0) {
    SaSpec sa;
    sa.name = name;
    sa.direction = direction;
    sa.child = child;
    sa.spi = spi;
    sa.outer_local = *parse_address("192.0.2.1");
    sa.outer_remote = *parse_address("192.0.2.2");
    sa.red_vpn = 1;
    sa.algorithm = Algorithm::aes_256_gcm_16;
    sa.key.size = static_cast<std::uint8_t>(info(sa.algorithm).material());
    std::memcpy(sa.key.octets.data(), &spi, sizeof spi);
    sa.key.octets[8] = static_cast<std::uint8_t>(direction);
    Selector selector{*parse_range("10.1.0.0/16"), *parse_range("10.200.0.0/24"), 0, {}, {}};
    for (Address* end : {&selector.remote.first, &selector.remote.last}) {
        end->octets[1] = static_cast<std::uint8_t>(100 + number / 256 % 128);
        end->octets[2] = static_cast<std::uint8_t>(number);
    }
    sa.selectors = {selector};
    sa.manual = child == 0;
    return sa;
}

PolicySpec policy_of(const SaSpec& sa, std::uint32_t priority = 100) {
    return {sa.name, sa.red_vpn, priority, PolicyAction::protect, sa.selectors, sa.name};
}

class Records {
public:
    explicit Records(const record::Changes& changes, int seals = F_SEAL_SHRINK | F_SEAL_GROW)
        : count(changes.sas() + changes.policies.size() + changes.remove_policies.size()) {
        std::vector<std::uint8_t> octets(record::encoded_size(changes).value());
        const auto encoded = record::encode(changes, octets);
        EXPECT_TRUE(encoded) << to_string(encoded.error());
        size = octets.size();
        memfd = memfd_create("records", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        EXPECT_EQ(write(memfd, octets.data(), octets.size()), static_cast<ssize_t>(octets.size()));
        EXPECT_EQ(fcntl(memfd, F_ADD_SEALS, seals), 0);
    }
    ~Records() { close(memfd); }
    Records(const Records&) = delete;
    Records& operator=(const Records&) = delete;
    [[nodiscard]] bool wiped() const {
        std::vector<std::uint8_t> octets(size);
        return pread(memfd, octets.data(), size, 0) == static_cast<ssize_t>(size) &&
               std::ranges::all_of(octets, [](std::uint8_t octet) { return octet == 0; });
    }
    int memfd = -1;
    std::size_t size = 0;
    std::uint64_t count;
};

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

class KeyingTest : public testing::Test {
protected:
    void SetUp() override {
        std::filesystem::remove_all("/run/keying");
        ASSERT_TRUE(
            shell("ip link add black0 type veth peer name wan0; ip link add red0 type veth peer name lan0; for i in black0 wan0 red0 "
                  "lan0; do ip link set $i up; done; ip addr add 192.0.2.1/24 dev black0; ip addr add 10.1.0.1/24 dev red0"));
    }

    void TearDown() override {
        gateway.reset();
        EXPECT_TRUE(detach(base().settings));
        // The next test begins with the same keys as never used before.
        for (const char* pin : {"numbers-and-windows", "keys-used-for-sealing"})
            std::filesystem::remove(base().settings.run_directory + "/bpf/" + pin);
        shell("ip link del black0; ip link del red0; true");
    }

    static Desired base() {
        Desired desired;
        desired.settings.queues = 1;
        desired.settings.frames = 4096;
        desired.settings.run_directory = xdp::rig::run_directory();
        desired.settings.state_directory = "/run/keying";
        desired.vpns = {{"wan", 0, 254}, {"lab", 1, 101}};
        desired.ports = {{"black0", Role::black, {{0, 0}}, {}}, {"red0", Role::red, {{0, 1}}, {}}};
        return desired;
    }

    void start(const Desired& desired) {
        ASSERT_TRUE(state::create_marks(desired.settings.state_directory, desired.sas));
        auto started = Gateway::start(desired, notes);
        ASSERT_TRUE(started) << to_string(started.error());
        gateway = std::move(*started);
    }

    Result<void> install(const record::Changes& changes, bool hold = false, const void* caller = nullptr) {
        const Records records(changes);
        const std::uint64_t next = gateway->keying().generation() + 1;
        return gateway->keying().install(caller, {record::version, next, records.count, hold}, records.memfd);
    }

    Silent notes;
    std::unique_ptr<Gateway> gateway;
};

// Times say something of what the compiler has made quick, and no sanitizer slow.
#if !defined(__OPTIMIZE__)
constexpr bool timed = false;
#elif defined(__has_feature)
constexpr bool threads = __has_feature(thread_sanitizer), addresses = __has_feature(address_sanitizer);
constexpr bool timed = !threads && !addresses;
#else
constexpr bool timed = true;
#endif

/// The bar is 0.1 s in a release build; this one is built with -O1, beside others on the same cores.
TEST_F(KeyingTest, TenThousandSas) {
    start(base());
    record::Changes changes;
    for (std::uint32_t i = 0; i < 5000; ++i) {
        const std::string name = std::format("c{}", i);
        changes.install.push_back(sa_of(name, Direction::inbound, 1, 0x10000 + i, i));
        changes.install.push_back(sa_of(name, Direction::outbound, 1, 0x20000 + i, i));
        changes.policies.push_back(policy_of(changes.install.back()));
    }
    const Records records(changes);
    const double before = cpu_seconds();
    const auto done = gateway->keying().install(this, {record::version, 1, records.count, false}, records.memfd);
    const double spent = cpu_seconds() - before;
    ASSERT_TRUE(done) << to_string(done.error());
    EXPECT_TRUE(records.wiped());
    EXPECT_EQ(gateway->sa_count(), 10000U);
    EXPECT_EQ(gateway->sas(9990, 500).size(), 10U);
    std::printf("10000 SAs and 5000 policies in one call: %.3f s of the control thread\n", spent);
    if (timed) {
        EXPECT_LT(spent, 0.3);
    }
    record::Changes next; // new keys for a hundred of them
    for (std::uint32_t i = 0; i < 100; ++i) {
        next.install.push_back(sa_of(std::format("c{}", i), Direction::inbound, 2, 0x30000 + i, i));
        next.install.push_back(sa_of(std::format("c{}", i), Direction::outbound, 2, 0x40000 + i, i));
        next.remove.push_back({std::format("c{}", i), Direction::inbound, 1, 1000});
    }
    const double then = cpu_seconds();
    ASSERT_TRUE(install(next));
    std::printf("new keys for 100 of 5000 connections in one call: %.3f s of the control thread\n", cpu_seconds() - then);
    EXPECT_EQ(gateway->sa_count(), 10100U);
}

TEST_F(KeyingTest, HeldCallsAreOneTransaction) {
    start(base());
    const SaSpec in = sa_of("a", Direction::inbound, 1, 0x1000), out = sa_of("a", Direction::outbound, 1, 0x2000);
    ASSERT_TRUE(install({.install = {in}}, true, this));
    EXPECT_EQ(gateway->sa_count(), 0U);
    ASSERT_TRUE(install({.install = {out}, .policies = {policy_of(out)}}, true, this));
    EXPECT_FALSE(gateway->keying().commit(&notes, 1)) << "of another caller";
    ASSERT_TRUE(gateway->keying().commit(this, 1));
    EXPECT_EQ(gateway->sa_count(), 2U);
    EXPECT_EQ(gateway->keying().generation(), 1U);
    EXPECT_TRUE(gateway->policies().at(0).sa_usable);
    EXPECT_EQ(gateway->sas()[0].state, ChildState::outbound_switched);
    EXPECT_EQ(gateway->sas()[0].generation, 1U);

    // A generation goes with its caller, and with a call that is refused.
    const SaSpec next = sa_of("a", Direction::inbound, 2, 0x1001);
    ASSERT_TRUE(install({.install = {next}}, true, this));
    gateway->keying().leave(this);
    EXPECT_FALSE(gateway->keying().commit(this, 2));
    ASSERT_TRUE(install({.install = {next}}, true, this));
    const auto wrong = install({.install = {in}}, false, this);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().place, "install[1] spi") << "of both calls together";
    EXPECT_FALSE(gateway->keying().commit(this, 2));
    EXPECT_EQ(gateway->sa_count(), 2U);
    const Records old({.install = {next}});
    EXPECT_THAT(gateway->keying().install(this, {record::version, 1, old.count, false}, old.memfd).error().sentence, HasSubstr("in force"));
    EXPECT_TRUE(old.wiped());
    const Records miscounted({.install = {next}});
    EXPECT_EQ(gateway->keying().install(this, {record::version, 2, 7, false}, miscounted.memfd).error().place, "count");
}

TEST_F(KeyingTest, WhatDrainsGoesInTime) {
    start(base());
    const SaSpec out = sa_of("a", Direction::outbound, 1, 0x2000);
    ASSERT_TRUE(install({.install = {sa_of("a", Direction::inbound, 1, 0x1000), out}, .policies = {policy_of(out)}}));
    ASSERT_TRUE(install({.install = {sa_of("a", Direction::inbound, 2, 0x1001), sa_of("a", Direction::outbound, 2, 0x2001)},
                         .remove = {{"a", Direction::inbound, 1, 50}}}));
    EXPECT_EQ(gateway->sa_count(), 3U) << "the old one receives";
    gateway->tick();
    EXPECT_EQ(gateway->sa_count(), 3U);
    usleep(60'000);
    gateway->tick();
    EXPECT_EQ(gateway->sa_count(), 2U);
    const auto again = install({.install = {sa_of("a", Direction::inbound, 3, 0x1000)}});
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().place, "install[0] spi") << "half closed";
    EXPECT_FALSE(install({.remove = {{"a", Direction::inbound, 2, 0}}})) << "it sends";
}

/// The locks stand for a policy whose SAs are not there yet, or no more, in every VPN by which its traffic might come and go.
TEST_F(KeyingTest, APolicyMayStandWithoutItsSas) {
    start(base());
    const SaSpec in = sa_of("a", Direction::inbound, 1, 0x1000), out = sa_of("a", Direction::outbound, 1, 0x2000);
    const auto locked = [&] {
        const Boundary& boundary = gateway->inside().boundary;
        const auto holds = [](const auto& list) {
            return std::ranges::any_of(list, [](const auto& one) { return to_string(one.prefix) == "10.100.0.0/24" && !one.exempt; });
        };
        return holds(boundary.sources) && holds(boundary.egress.destinations);
    };
    EXPECT_FALSE(locked());
    ASSERT_TRUE(install({.policies = {policy_of(out)}}));
    EXPECT_FALSE(gateway->policies().at(0).sa_usable);
    EXPECT_TRUE(locked());
    ASSERT_TRUE(install({.install = {in}})) << "one that only receives";
    EXPECT_FALSE(gateway->policies().at(0).sa_usable);
    EXPECT_TRUE(locked());
    ASSERT_TRUE(install({.install = {out}}));
    EXPECT_TRUE(gateway->policies().at(0).sa_usable);
    EXPECT_TRUE(locked());
    ASSERT_TRUE(install({.remove = {{"a", Direction::outbound, 1, 0}, {"a", Direction::inbound, 1, 0}}}));
    EXPECT_FALSE(gateway->policies().at(0).sa_usable);
    EXPECT_TRUE(locked());
    ASSERT_TRUE(install({.remove_policies = {"a"}}));
    EXPECT_FALSE(locked());
}

/// Behind a NAT (RFC 7296 2.23): for the workers, and for the next process.
TEST_F(KeyingTest, APeerThatHasMovedIsUpdated) {
    start(base());
    SaSpec in = sa_of("a", Direction::inbound, 1, 0x1000), out = sa_of("a", Direction::outbound, 1, 0x2000);
    in.udp_port = out.udp_port = 4500;
    in.follow = true;
    ASSERT_TRUE(install({.install = {in, out}, .policies = {policy_of(out)}}));
    const Gateway::Inside& inside = gateway->inside();
    const store::Sa* sa = inside.store->find("a", Direction::inbound, 1);
    const std::uint32_t number = sa->number;
    ASSERT_NE(inside.following->read().find(number), nullptr);
    EXPECT_EQ(inside.following->read().find(number)->port, 4500);
    sa->space().memory->words[sequence::number_word] = 41;
    inside.store->find("a", Direction::outbound, 1)->space().memory->words[sequence::number_word] = 17;

    in.outer_remote = out.outer_remote = *parse_address("198.51.100.9");
    in.udp_port = out.udp_port = 61000;
    ASSERT_TRUE(install({.update = {in, out}}));
    for (const SaStatus& one : gateway->sas()) {
        EXPECT_EQ(to_string(one.outer_remote), "198.51.100.9");
        EXPECT_EQ(one.udp_port, 61000);
        EXPECT_EQ(one.number, one.direction == Direction::inbound ? 41U : 17U) << "the numbers go on";
    }
    EXPECT_EQ(inside.following->read().find(number)->port, 61000);
    const auto left = store::load_all(*inside.table);
    ASSERT_TRUE(left) << to_string(left.error());
    ASSERT_EQ(left->sas.size(), 2U);
    for (const store::Left& one : left->sas) {
        EXPECT_EQ(to_string(one.spec.outer_remote), "198.51.100.9");
        EXPECT_EQ(one.spec.udp_port, 61000);
        EXPECT_EQ(one.spec.follow, one.spec.direction == Direction::inbound);
    }
    SaSpec other = sa_of("b", Direction::inbound, 1, 0x1001);
    other.udp_port = 7;
    other.follow = true;
    ASSERT_TRUE(install({.install = {other}}));
    ASSERT_EQ(inside.following->read().sas.size(), 2U);
    const store::Sa* second = inside.store->find("b", Direction::inbound, 1);
    EXPECT_EQ(inside.following->read().find(second->number)->port, 7);
    in.follow = false;
    ASSERT_TRUE(install({.update = {in}}));
    EXPECT_EQ(inside.following->read().find(number), nullptr);
    EXPECT_NE(inside.following->read().find(second->number), nullptr);
    ASSERT_TRUE(install({.remove = {{"b", Direction::inbound, 1, 0}}}));
    EXPECT_TRUE(inside.following->read().sas.empty());
}

TEST_F(KeyingTest, AnUpdateKeepsTheKey) {
    start(base());
    SaSpec in = sa_of("a", Direction::inbound, 1, 0x1000), out = sa_of("a", Direction::outbound, 1, 0x2000);
    ASSERT_TRUE(install({.install = {in, out}, .policies = {policy_of(out)}}));
    in.outer_remote = out.outer_remote = *parse_address("192.0.2.77"); // the peer has moved (RFC 4555)
    ASSERT_TRUE(install({.update = {in, out}}));
    for (const SaStatus& sa : gateway->sas()) {
        EXPECT_EQ(to_string(sa.outer_remote), "192.0.2.77");
        EXPECT_EQ(sa.generation, 2U);
        EXPECT_EQ(sa.state, ChildState::outbound_switched);
    }
    out.key.octets[3] ^= 1;
    EXPECT_THAT(install({.update = {out}}).error().place, HasSubstr("update[0] a outbound key"));
    EXPECT_EQ(install({.update = {sa_of("a", Direction::inbound, 2, 0x1001)}}).error().place, "update[0] child");
    EXPECT_EQ(gateway->keying().generation(), 2U);
}

TEST_F(KeyingTest, NamesBelongToOneSide) {
    Desired desired = base();
    desired.sas = {sa_of("mine", Direction::outbound, 0, 0x2000), sa_of("mine", Direction::inbound, 0, 0x1000)};
    desired.policies = {policy_of(desired.sas[0])};
    start(desired);
    EXPECT_EQ(install({.install = {sa_of("mine", Direction::inbound, 1, 0x1001)}}).error().place, "install[0] name");
    EXPECT_EQ(install({.policies = {policy_of(desired.sas[0])}}).error().place, "policy[0] name");
    EXPECT_EQ(install({.install = {sa_of("b", Direction::inbound, 1, 0x1000)}}).error().place, "install[0] spi");
    EXPECT_EQ(install({.install = {sa_of("b", Direction::inbound, 1, 0x80001000)}}).error().place, "install[0] spi");
    ASSERT_TRUE(install({.install = {sa_of("b", Direction::inbound, 1, 0x1001)}}));
    const Desired before = desired;
    desired.sas.push_back(sa_of("b", Direction::outbound, 0, 0x2002));
    ASSERT_TRUE(state::create_marks("/run/other", desired.sas));
    const auto refused = gateway->prepare(desired);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().place, "b");
    // Between prepare and commit nothing else is brought about; what is abandoned was never there.
    desired = before;
    desired.policies[0].priority = 7;
    ASSERT_TRUE(gateway->prepare(desired));
    EXPECT_FALSE(install({.install = {sa_of("c", Direction::inbound, 1, 0x1002)}}));
    EXPECT_FALSE(gateway->prepare(desired));
    gateway->abandon();
    EXPECT_EQ(gateway->policies().at(0).priority, 100U);
    ASSERT_TRUE(gateway->prepare(desired));
    EXPECT_EQ(gateway->commit(), 2U);
    EXPECT_EQ(gateway->policies().at(0).priority, 7U);
    EXPECT_EQ(gateway->sa_count(), 3U);
}

/// Everything of a gateway that packets depend on, as text: SAs, policies, decisions on many packets, the maps of the kernel's program.
class Picture {
public:
    Picture(const Gateway& gateway, const Settings& settings) {
        for (const SaStatus& sa : gateway.sas()) {
            text += std::format("sa {} {} {} {:#x} {} {} {} {} {} {}", sa.name, static_cast<int>(sa.direction), sa.child, sa.spi,
                                to_string(sa.outer_remote), info(sa.algorithm).name, sa.window, static_cast<int>(sa.sequence), sa.refused,
                                sa.red_vpn);
            for (const Selector& selector : sa.selectors) text += " " + to_string(selector);
            text += "\n";
        }
        for (const PolicyStatus& policy : gateway.policies()) {
            text += std::format("policy {} {} {} {} {} {}", policy.name, policy.vpn, policy.priority, static_cast<int>(policy.action),
                                policy.sa, policy.sa_usable);
            for (const Selector& selector : policy.selectors) text += " " + to_string(selector);
            text += "\n";
        }
        add_decisions(gateway);
        for (const char* map : {"protected_sources", "bypass_sources", "bypass_destinations", "ike_peers"})
            add_map(xdp::pin_directory(settings) + "/" + xdp::shared_pins + "/" + map, map);
    }
    std::string text;

private:
    void add_decisions(const Gateway& gateway) {
        const Gateway::Inside& in = gateway.inside();
        std::mt19937 random(7);
        std::array<std::uint8_t, 256> memory{};
        for (unsigned i = 0; i < 500; ++i) {
            std::uint8_t* header = memory.data() + 128;
            const std::array<std::uint8_t, 28> packet{0x45,
                                                      0,
                                                      0,
                                                      28,
                                                      0,
                                                      0,
                                                      0,
                                                      0,
                                                      64,
                                                      static_cast<std::uint8_t>(random() % 2 ? 17 : 6),
                                                      0,
                                                      0,
                                                      10,
                                                      1,
                                                      static_cast<std::uint8_t>(random() % 4),
                                                      2,
                                                      10,
                                                      static_cast<std::uint8_t>(100 + random() % 2),
                                                      static_cast<std::uint8_t>(random() % 8),
                                                      2,
                                                      0,
                                                      80,
                                                      static_cast<std::uint8_t>(random() % 2),
                                                      80,
                                                      0,
                                                      8,
                                                      0,
                                                      0};
            std::ranges::copy(packet, header);
            Frame frame{};
            frame.chunk = memory.data();
            frame.network = 128;
            frame.transport = 148;
            frame.family = 4;
            frame.protocol = packet[9];
            frame.flags = frame_ports;
            frame.vpn = static_cast<VpnNumber>(random() % 2);
            const tables::PolicyVerdict out = in.spd->read().decide_outbound(frame), inbound = in.spd->read().decide_inbound(frame);
            const auto name = [&](const transform::OutboundSa* sa) { return sa != nullptr ? in.store->find(sa->number)->name() : "-"; };
            text += std::format("packet {} {} {} {} {}\n", i, info(out.reason).name, name(out.sa), info(inbound.reason).name, inbound.vpn);
        }
    }
    void add_map(const std::string& path, const char* name) {
        const int map = bpf_obj_get(path.c_str());
        EXPECT_GE(map, 0) << path;
        bpf_map_info about{};
        std::uint32_t size = sizeof about;
        EXPECT_EQ(bpf_map_get_info_by_fd(map, &about, &size), 0);
        std::vector<std::uint8_t> key(about.key_size), value(about.value_size);
        std::set<std::string> lines;
        for (void* last = nullptr; bpf_map_get_next_key(map, last, key.data()) == 0; last = key.data()) {
            EXPECT_EQ(bpf_map_lookup_elem(map, key.data(), value.data()), 0);
            std::string line = std::format("map {}", name);
            for (const std::uint8_t octet : key) line += std::format(" {:02x}", octet);
            if (about.value_size == 4) line += std::format(" = {}", value[0]);
            lines.insert(line);
        }
        for (const std::string& line : lines) text += line + "\n";
        close(map);
    }
};

/// Connections and policies of a few names, so that two of these have much in common.
Desired random_desired(Desired desired, std::mt19937& random) {
    const auto chance = [&](unsigned of) { return random() % of == 0; };
    for (std::uint32_t i = 0; i < 6; ++i) {
        if (chance(3)) continue;
        const std::string name = std::format("c{}", i);
        const std::uint32_t keys = random() % 2 * 0x100; // of two sets
        for (const Direction direction : {Direction::outbound, Direction::inbound}) {
            SaSpec sa = sa_of(name, direction, 0, 0x1000 + i + keys + (direction == Direction::outbound ? 0x1000 : 0), i);
            sa.window = 1024;
            if (chance(3)) sa.red_vpn = 0;
            if (chance(3)) sa.selectors.push_back({*parse_range("10.1.3.0/24"), *parse_range("10.101.0.0/24"), 6, {}, {80, 80}});
            desired.sas.push_back(sa);
        }
        PolicySpec policy = policy_of(desired.sas.back(), static_cast<std::uint32_t>(random() % 4));
        policy.action = PolicyAction::protect;
        if (!chance(4)) desired.policies.push_back(policy);
    }
    for (std::uint32_t i = 0; i < 4; ++i) {
        if (chance(2)) continue;
        Selector selector{
            *parse_range("10.1.0.0/16"), *parse_range(std::format("10.{}.{}.0/{}", 100 + random() % 2, random() % 8, 24)), 0, {}, {}};
        if (chance(2)) selector.protocol = 17;
        desired.policies.push_back({std::format("p{}", i),
                                    static_cast<VpnNumber>(random() % 2),
                                    static_cast<std::uint32_t>(random() % 4),
                                    chance(2) ? PolicyAction::bypass : PolicyAction::discard,
                                    {selector},
                                    ""});
    }
    std::ranges::shuffle(desired.policies, random);
    if (chance(2)) desired.ike.peers.push_back(*parse_address("198.51.100.7"));
    return desired;
}

TEST_F(KeyingTest, ReloadedIsTheSameAsStartedWith) {
    std::mt19937 random(20);
    std::vector<Desired> all;
    std::vector<SaSpec> sas;
    for (int i = 0; i < 12; ++i) {
        all.push_back(random_desired(base(), random));
        sas.insert(sas.end(), all.back().sas.begin(), all.back().sas.end());
    }
    std::ranges::sort(sas, {}, [](const SaSpec& sa) { return std::tuple(sa.spi, sa.direction); });
    const auto [first, last] = std::ranges::unique(sas, {}, [](const SaSpec& sa) { return std::tuple(sa.spi, sa.direction); });
    sas.erase(first, last);
    ASSERT_TRUE(state::create_marks(base().settings.state_directory, sas));
    const auto begin = [&](const Desired& desired) {
        gateway.reset();
        auto started = Gateway::start(desired, notes);
        ASSERT_TRUE(started) << to_string(started.error());
        gateway = std::move(*started);
    };
    begin(all[0]);
    std::vector<std::string> reloaded{Picture(*gateway, base().settings).text};
    for (std::size_t i = 1; i < all.size(); ++i) {
        const auto applied = gateway->apply(all[i]);
        ASSERT_TRUE(applied) << i << " " << to_string(applied.error());
        reloaded.push_back(Picture(*gateway, base().settings).text);
        EXPECT_THAT(reloaded.back(), testing::Not(HasSubstr("mark"))) << "an SA was refused";
    }
    ASSERT_TRUE(gateway->stop());
    for (std::size_t i = 0; i < all.size(); ++i) {
        begin(all[i]);
        EXPECT_EQ(Picture(*gateway, base().settings).text, reloaded[i]) << "configuration " << i;
        ASSERT_TRUE(gateway->stop());
    }
    EXPECT_NE(reloaded[1], reloaded[2]);
}

} // namespace
} // namespace sallyport::control
