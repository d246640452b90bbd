// SPDX-License-Identifier: Apache-2.0
// The whole gateway on real veth pairs, in namespaces of this process's own: wan0 - black0 [gateway] red0 - lan0. The test is the stations
// at wan0 and lan0. What the gateway seals comes back to it as the peer's: outer addresses swapped, under an inbound SA with the same SPI
// and key.
#include "gateway/control/gateway.hpp"

#include "bpf/fixture.hpp"
#include "gateway/state/marks.hpp"
#include "gateway/state/memory_keeper.hpp"
#include "gateway/xdp/rig.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <format>
#include <poll.h>
#include <string>
#include <sys/mman.h>

namespace sallyport::control {
namespace {

using testing::HasSubstr;
using xdp::rig::Octets;
using xdp::rig::shell;
using xdp::rig::Wire;

class Namespaces : public testing::Environment {
public:
    void SetUp() override { ASSERT_TRUE(xdp::rig::enter()); }
};

[[maybe_unused]] const auto* const namespaces = testing::AddGlobalTestEnvironment(new Namespaces);

const char* const black_mac = "02:00:00:00:00:b1";
const char* const red_mac = "02:00:00:00:00:a1";

Selector everything_of_ten() { return {*parse_range("10.0.0.0/8"), *parse_range("10.0.0.0/8"), 0, {}, {}}; }

SaSpec make_sa(Direction direction) {
    SaSpec sa;
    sa.name = "loop";
    sa.direction = direction;
    sa.spi = 0x1000;
    sa.outer_local = *parse_address("192.0.2.1");
    sa.outer_remote = *parse_address("192.0.2.2");
    sa.red_vpn = 1;
    sa.algorithm = Algorithm::aes_128_cbc_hmac_sha2_256_128;
    sa.key.size = static_cast<std::uint8_t>(info(sa.algorithm).material());
    sa.key.octets.fill(7);
    sa.selectors = {everything_of_ten()};
    return sa;
}

Desired loop(unsigned queues = 1) {
    Desired desired;
    desired.settings.queues = queues;
    desired.settings.frames = 4096;
    desired.settings.run_directory = xdp::rig::run_directory();
    desired.settings.state_directory = "/run/marks";
    desired.vpns = {{"wan", 0, 254}, {"lab", 1, 101}};
    desired.ports = {{"black0", Role::black, {{0, 0}}, {}}, {"red0", Role::red, {{0, 1}}, {}}};
    desired.sas = {make_sa(Direction::outbound), make_sa(Direction::inbound)};
    desired.policies = {{"through", 1, 10, PolicyAction::protect, {everything_of_ten()}, "loop"}};
    return desired;
}

struct Notes : Observer {
    void note(const Note& note) override { all.push_back(note); }
    [[nodiscard]] bool has(const std::string& part) const {
        return std::ranges::any_of(all, [&](const Note& n) { return n.sentence.find(part) != std::string::npos; });
    }
    void event(const Told& told) override { events.push_back(told); }
    [[nodiscard]] std::size_t count(EventKind kind) const {
        return static_cast<std::size_t>(std::ranges::count_if(events, [&](const Told& one) { return one.event.kind == kind; }));
    }
    std::vector<Note> all;
    std::vector<Told> events;
};

const std::string packet = "eth / ip4 10.1.0.2 10.9.0.2 / udp 1000 2000 / octets 64 value=7";

// From the fixture language, with the IPv4 header checksum (RFC 791 3.1) that it leaves out.
Octets make(const std::string& layers) {
    Octets frame = fixture::make_frame(layers, red_mac);
    unsigned sum = 0;
    frame[24] = frame[25] = 0;
    for (unsigned i = 14; i < 34; i += 2) sum += static_cast<unsigned>(frame[i] << 8 | frame[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~(sum + (sum >> 16)) & 0xffff;
    frame[24] = static_cast<std::uint8_t>(sum >> 8);
    frame[25] = static_cast<std::uint8_t>(sum);
    return frame;
}

// The outer header's addresses and the Ethernet addresses the other way round; the header checksum stays right.
Octets turned(Octets frame) {
    std::swap_ranges(frame.begin(), frame.begin() + 6, frame.begin() + 6);
    std::swap_ranges(frame.begin() + 26, frame.begin() + 30, frame.begin() + 30);
    return frame;
}

class GatewayTest : public testing::Test {
protected:
    void SetUp() override {
        std::filesystem::remove_all("/run/marks");
        make_wires(1);
    }

    void TearDown() override {
        if (gateway && HasFailure()) show();
        gateway.reset();
        Settings settings;
        settings.run_directory = xdp::rig::run_directory();
        const auto detached = detach(settings);
        EXPECT_TRUE(detached) << to_string(detached.error());
        // The next test begins with the same keys as never used before.
        std::filesystem::remove(settings.run_directory + "/bpf/numbers-and-windows");
        std::filesystem::remove(settings.run_directory + "/bpf/keys-used-for-sealing");
        shell("ip link del black0 2>/dev/null; ip link del red0 2>/dev/null; true");
    }

    static void make_wires(unsigned queues) {
        const std::string many = std::format("numrxqueues {0} numtxqueues {0}", queues);
        for (const auto& [near, far, mac] : {std::tuple{"black0", "wan0", black_mac}, {"red0", "lan0", red_mac}})
            ASSERT_TRUE(shell(std::format("ip link del {0} 2>/dev/null; ip link add {0} {3} address {2} type veth peer name {1} {3} && "
                                          "ip link set {0} up && ip link set {1} up",
                                          near, far, mac, many)));
        ASSERT_TRUE(shell("ip addr add 192.0.2.1/24 dev black0; ip addr add 10.1.0.1/24 dev red0; ip route add 10.9.0.0/16 via "
                          "10.1.0.2 dev red0 table 101"));
    }

    static void make_neighbours() {
        ASSERT_TRUE(shell("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev black0; ip neigh replace 10.1.0.2 lladdr "
                          "02:00:00:00:00:03 dev red0"));
    }

    void start(const Desired& desired, bool with_marks = true) {
        if (with_marks) {
            ASSERT_TRUE(state::create_marks(desired.settings.state_directory, desired.sas));
        }
        auto started = Gateway::start(desired, notes, {.keeper = &keeper});
        ASSERT_TRUE(started) << to_string(started.error());
        gateway = std::move(*started);
    }

    void pump(int milliseconds) {
        timespec begin{}, now{};
        clock_gettime(CLOCK_MONOTONIC, &begin);
        do {
            pollfd wait{gateway->descriptor(), POLLIN, 0};
            if (poll(&wait, 1, 5) == 1) gateway->dispatch();
            clock_gettime(CLOCK_MONOTONIC, &now);
        } while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1'000'000 < milliseconds);
    }

    // What was counted, to be read where a test fails.
    void show() {
        const Counters counters = gateway->counters();
        for (std::size_t i = 0; i < drop_reason_count; ++i)
            if (counters.drops[i] != 0) std::fprintf(stderr, "dropped %s: %lu\n", drop_reasons[i].name.data(), counters.drops[i]);
        for (const PortCounters& port : counters.ports) {
            std::fprintf(stderr, "%s: kernel dropped %lu, ring full %lu, fill empty %lu\n", port.interface.c_str(), port.kernel_dropped,
                         port.kernel_ring_full, port.kernel_fill_empty);
            for (const VerdictCount& verdict : port.verdicts)
                if (verdict.packets != 0)
                    std::fprintf(stderr, "%s %s: %lu\n", port.interface.c_str(), verdict.name.data(), verdict.packets);
        }
        for (const Note& note : notes.all) std::fprintf(stderr, "note: %s (%s)\n", note.sentence.c_str(), note.place.c_str());
    }

    // The next frame with this IP protocol within two seconds, while the control thread works.
    Octets next(Wire& wire, std::uint8_t protocol) {
        for (int i = 0; i < 200; ++i) {
            Octets frame = wire.receive(10);
            if (frame.size() > 34 && frame[12] == 8 && frame[13] == 0 && frame[23] == protocol) return frame;
            pump(0);
        }
        return {};
    }

    std::uint64_t dropped(DropReason reason) { return gateway->counters().drops[static_cast<std::size_t>(reason)]; }

    /// The process dies: another one starts with what the keeper has.
    void start_again(const Desired& desired) {
        gateway.reset();
        notes.all.clear();
        start(desired, false);
    }

    state::MemoryKeeper keeper;
    Notes notes;
    std::unique_ptr<Gateway> gateway;
};

TEST_F(GatewayTest, SealsAndOpens) {
    make_neighbours();
    start(loop());
    Wire wan("wan0"), lan("lan0");
    for (int i = 0; i < 3; ++i) {
        const Octets sent = make(packet);
        ASSERT_TRUE(lan.send(sent));
        const Octets sealed = next(wan, 50);
        ASSERT_FALSE(sealed.empty());
        EXPECT_EQ(sealed[5], 2) << "to the neighbour's MAC";
        ASSERT_TRUE(wan.send(turned(sealed)));
        const Octets opened = next(lan, 17);
        ASSERT_EQ(opened.size(), sent.size());
        EXPECT_EQ(opened[5], 3);
        EXPECT_TRUE(std::equal(opened.begin() + 26, opened.end(), sent.begin() + 26)) << "addresses, ports and data as they were";
        ASSERT_TRUE(wan.send(turned(sealed))) << "a replay";
    }
    pump(50);
    EXPECT_EQ(dropped(DropReason::replayed), 3U);
    const std::vector<SaStatus> sas = gateway->sas();
    ASSERT_EQ(sas.size(), 2U);
    for (const SaStatus& sa : sas) {
        EXPECT_EQ(sa.refused, "");
        EXPECT_EQ(sa.packets, 3U);
        EXPECT_EQ(sa.number, 3U);
        EXPECT_TRUE(sa.marked);
        EXPECT_GE(sa.mark, 3U);
    }
    const Status status = gateway->status();
    EXPECT_EQ(status.sas, 2U);
    EXPECT_EQ(status.generation, 1U);
    ASSERT_EQ(status.workers.size(), 1U);
    EXPECT_EQ(status.workers[0].sealed, 3U);
    EXPECT_EQ(status.workers[0].opened, 3U);
    EXPECT_TRUE(status.ports[0].up);
    const Counters counters = gateway->counters();
    EXPECT_EQ(counters.ports[1].received, 3U);
    EXPECT_EQ(counters.ports[0].transmitted, 3U);
    EXPECT_TRUE(gateway->policies().at(0).sa_usable);
    EXPECT_EQ(notes.count(EventKind::sa_installed), 2U);
    EXPECT_EQ(notes.count(EventKind::committed), 1U);
    ASSERT_EQ(notes.count(EventKind::dropped), 3U);
    const Told& told = notes.events.back();
    EXPECT_EQ(told.event.reason, DropReason::replayed);
    EXPECT_EQ(told.connection, "loop");
    EXPECT_EQ(told.peer, "192.0.2.2");
    EXPECT_EQ(told.port, "black0");
    EXPECT_EQ(told.event.spi, 0x1000U);
    EXPECT_EQ(told.event.sequence, 3U);
    EXPECT_TRUE(gateway->stop());
}

// The stages of an explanation, each with its rule.
std::string stages(const Explanation& explanation) {
    std::string text;
    for (const Decision& one : explanation.decisions)
        text += std::format("{}{}{} ", one.stage, one.rule.empty() ? "" : "=", one.rule.empty() ? "" : one.rule + "@" + one.place);
    return text + name_of(explanation.ending) + (explanation.counter.empty() ? "" : " " + explanation.counter);
}

TEST_F(GatewayTest, ExplainsAsItIs) {
    make_neighbours();
    Desired desired = loop(2);
    make_wires(2);
    make_neighbours();
    for (SaSpec& sa : desired.sas) sa.place = "f.toml:7";
    desired.sas[0].owner = desired.sas[1].owner = 1; // the question is first put to worker 0
    desired.policies[0].place = "f.toml:9";
    start(desired);
    const auto explain = [&](const std::string& port, const Octets& frame, bool opened = false) {
        const auto explanation = gateway->explain({port, frame, opened});
        return explanation ? stages(*explanation) : to_string(explanation.error());
    };
    const std::string through = "program packet policy=through@f.toml:9 seal=loop@f.toml:7 route send sent";
    EXPECT_EQ(explain("red0", make(packet)), through);
    Wire wan("wan0"), lan("lan0");
    ASSERT_TRUE(lan.send(make(packet)));
    const Octets sealed = next(wan, 50);
    ASSERT_FALSE(sealed.empty());
    EXPECT_EQ(explain("red0", make(packet)), through);
    EXPECT_EQ(gateway->sas().at(0).number, 1U) << "only the real packet has a number";

    const std::string opens = "program packet sa=loop@f.toml:7 open=loop@f.toml:7 selectors=loop@f.toml:7 route send sent";
    EXPECT_EQ(explain("black0", turned(sealed)), opens);
    EXPECT_EQ(explain("black0", turned(sealed)), opens);
    Octets bad = turned(sealed);
    bad.back() ^= 1U;
    EXPECT_EQ(explain("black0", bad), "program packet sa=loop@f.toml:7 drop dropped bad_icv");
    ASSERT_TRUE(wan.send(turned(sealed)));
    EXPECT_FALSE(next(lan, 17).empty()) << "asking did not move the window";
    EXPECT_EQ(explain("black0", turned(sealed)), "program packet sa=loop@f.toml:7 drop dropped replayed");

    EXPECT_EQ(explain("black0", make("eth / ip4 10.1.0.2 10.9.0.2 / udp 1 2"), true),
              "sa=loop@f.toml:7 selectors=loop@f.toml:7 route send sent");
    EXPECT_EQ(explain("black0", make("eth / ip4 172.16.0.2 10.9.0.2 / udp 1 2"), true), "sa dropped selector_mismatch");
    EXPECT_EQ(explain("black0", make("eth to=02:00:00:00:00:b1 / ip4 10.1.0.2 10.9.0.2 / udp 1 2")),
              "program dropped black0.protected_source");
    EXPECT_EQ(explain("red0", make("eth / arp")), "program kernel red0.arp");
    EXPECT_EQ(explain("red0", make("eth / ip4 172.16.0.2 10.9.0.2 / udp 1 2")), "program packet policy drop dropped no_policy");
    EXPECT_EQ(explain("lan0", make(packet)), "lan0: lan0 is no port; sallyport status shows the ports");
    EXPECT_THAT(explain("red0", make("eth / ip4 10.1.0.2 10.9.0.2 / udp 1 2 / octets 4500")), HasSubstr("longer than a frame"));
    EXPECT_EQ(dropped(DropReason::bad_icv) + dropped(DropReason::no_policy), 0U);
    for (const VerdictCount& verdict : gateway->counters().ports[0].verdicts)
        EXPECT_TRUE(verdict.name != "protected_source" || verdict.packets == 0) << "its counters stay too";
    ASSERT_TRUE(gateway->stop());
    EXPECT_THAT(explain("red0", make(packet)), HasSubstr("carries nothing"));
}

// Nobody has told the kernel the neighbours: frames wait while it asks, and the stations answer.
TEST_F(GatewayTest, FramesWaitForTheNeighbour) {
    start(loop());
    Wire wan("wan0"), lan("lan0");
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(lan.send(make(packet)));
    bool asked = false;
    for (int i = 0; i < 300 && !asked; ++i) {
        const Octets frame = wan.receive(10);
        asked = frame.size() >= 42 && frame[12] == 8 && frame[13] == 6 && frame[21] == 1;
        pump(0);
        if (!asked) continue;
        Octets answer = frame; // ARP (RFC 826): who asks becomes the target, and we are 02:00:00:00:00:77
        const std::uint8_t mac[] = {2, 0, 0, 0, 0, 0x77};
        std::copy_n(frame.begin() + 6, 6, answer.begin());
        std::copy_n(mac, 6, answer.begin() + 6);
        answer[21] = 2;
        std::copy_n(mac, 6, answer.begin() + 22);
        std::copy_n(frame.begin() + 38, 4, answer.begin() + 28);
        std::copy_n(frame.begin() + 22, 10, answer.begin() + 32);
        ASSERT_TRUE(wan.send(answer));
    }
    EXPECT_TRUE(asked) << "the kernel must ask for 192.0.2.2";
    for (int i = 0; i < 3; ++i) {
        const Octets sealed = next(wan, 50);
        ASSERT_FALSE(sealed.empty()) << i;
        EXPECT_EQ(sealed[5], 0x77);
    }
    EXPECT_EQ(gateway->counters().waited, 3U);
}

TEST_F(GatewayTest, WithoutMarksTheSaIsRefusedAndNothingLeaks) {
    make_neighbours();
    start(loop(), false);
    EXPECT_EQ(gateway->status().sas_refused, 2U);
    for (const SaStatus& sa : gateway->sas()) {
        EXPECT_NE(sa.refused, "");
        EXPECT_NE(sa.remedy, "");
    }
    EXPECT_FALSE(gateway->policies().at(0).sa_usable);
    Wire wan("wan0"), lan("lan0");
    ASSERT_TRUE(lan.send(make(packet)));
    pump(100);
    EXPECT_EQ(dropped(DropReason::no_sa), 1U);
    ASSERT_EQ(notes.count(EventKind::acquire), 1U);
    const Told& asked = *std::ranges::find_if(notes.events, [](const Told& one) { return one.event.kind == EventKind::acquire; });
    EXPECT_EQ(asked.policy, "through");
    EXPECT_EQ(asked.connection, "loop");
    EXPECT_EQ(asked.vpn, "lab");
    EXPECT_EQ(to_string(asked.event.flow.destination), "10.9.0.2");
    EXPECT_EQ(asked.event.flow.source_port, 1000);
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(lan.send(make(packet)));
    pump(100);
    EXPECT_EQ(notes.count(EventKind::acquire), 1U) << "once a second";
    gateway->tick();
    ASSERT_TRUE(lan.send(make(packet)));
    pump(100);
    EXPECT_EQ(notes.count(EventKind::acquire), 2U);
    // Asked again in the same second, of another SPD: it is told with the next.
    Desired other = loop();
    other.policies[0].priority = 11;
    ASSERT_TRUE(gateway->apply(other));
    ASSERT_TRUE(lan.send(make(packet)));
    pump(100);
    EXPECT_EQ(notes.count(EventKind::acquire), 2U);
    gateway->tick();
    EXPECT_EQ(notes.count(EventKind::acquire), 3U);
    gateway->tick();
    EXPECT_EQ(notes.count(EventKind::acquire), 3U);
    for (Octets frame = wan.receive(10); !frame.empty(); frame = wan.receive(10))
        EXPECT_FALSE(frame[12] == 8 && frame[13] == 0) << "an IP packet on the wan";
}

TEST_F(GatewayTest, ApplyBringsAboutTheDifference) {
    make_neighbours();
    Desired desired = loop();
    start(desired);
    Wire wan("wan0"), lan("lan0");
    const auto send = [&] { ASSERT_TRUE(lan.send(make(packet))); };
    send();
    ASSERT_FALSE(next(wan, 50).empty());

    Desired other = desired;
    other.settings.spin = true;
    const auto refused = gateway->apply(other);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::unsupported);

    // A policy before the other one: discard.
    other = desired;
    other.policies.insert(other.policies.begin(), {"stop", 1, 5, PolicyAction::discard, {everything_of_ten()}, ""});
    ASSERT_TRUE(gateway->apply(other));
    send();
    pump(100);
    EXPECT_EQ(dropped(DropReason::policy_discard), 1U);

    // The SA's selectors change under its key: its numbers go on.
    desired.sas[1].selectors.push_back(desired.sas[1].selectors[0]);
    desired.sas[0].hop_limit = 33;
    const auto applied = gateway->apply(desired);
    ASSERT_TRUE(applied) << to_string(applied.error());
    send();
    const Octets sealed = next(wan, 50);
    ASSERT_FALSE(sealed.empty());
    EXPECT_EQ(sealed[22], 33);
    EXPECT_EQ(gateway->sas()[0].number, 2U);
    ASSERT_TRUE(wan.send(turned(sealed)));
    EXPECT_FALSE(next(lan, 17).empty());

    // All gone: nothing goes through, and nothing in clear.
    other = desired;
    other.sas.clear();
    other.policies.clear();
    ASSERT_TRUE(gateway->apply(other));
    send();
    ASSERT_TRUE(wan.send(turned(sealed)));
    pump(100);
    EXPECT_EQ(dropped(DropReason::no_policy), 1U);
    EXPECT_EQ(dropped(DropReason::unknown_spi), 1U);
    EXPECT_EQ(gateway->status().sas, 0U);
    EXPECT_EQ(gateway->status().generation, 4U);

    // An SA that cannot be: all is as before.
    other.sas = {make_sa(Direction::outbound)};
    other.sas[0].spi = 5;
    const auto wrong = gateway->apply(other);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(gateway->status().generation, 4U);
    ASSERT_TRUE(gateway->apply(desired));
    // Nobody waits for the disk: until the new mark is there, frames are dropped with mark_not_durable.
    for (int i = 0; i < 400 && gateway->sas()[0].mark <= gateway->sas()[0].number; ++i) pump(5);
    send();
    EXPECT_FALSE(next(wan, 50).empty());
    EXPECT_EQ(gateway->sas()[0].number, 3U) << "the marks know the key from before";
}

TEST_F(GatewayTest, StoppedItDropsAndTheNextGoesOn) {
    make_neighbours();
    start(loop());
    Wire wan("wan0"), lan("lan0");
    ASSERT_TRUE(lan.send(make(packet)));
    ASSERT_FALSE(next(wan, 50).empty());
    ASSERT_TRUE(gateway->stop());
    gateway.reset();
    ASSERT_TRUE(lan.send(make(packet)));
    for (Octets frame = wan.receive(100); !frame.empty(); frame = wan.receive(10))
        EXPECT_FALSE(frame[12] == 8 && frame[13] == 0) << "an IP packet on the wan, though no gateway lives";
    start_again(loop());
    EXPECT_FALSE(next(wan, 50).empty()) << "the frame that waited";
    EXPECT_EQ(gateway->sas()[0].number, 2U) << "exact, after an orderly stop";
    ASSERT_TRUE(lan.send(make(packet)));
    EXPECT_FALSE(next(wan, 50).empty());
    EXPECT_EQ(gateway->sas()[0].number, 3U);
}

TEST_F(GatewayTest, SasGoOnInTheNextProcess) {
    make_neighbours();
    start(loop());
    EXPECT_FALSE(notes.has("go on"));
    Wire wan("wan0"), lan("lan0");
    std::vector<Octets> sealed;
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(lan.send(make(packet)));
        sealed.push_back(next(wan, 50));
        ASSERT_TRUE(wan.send(turned(sealed.back())));
        ASSERT_FALSE(next(lan, 17).empty());
    }
    start_again(loop());
    EXPECT_TRUE(notes.has("2 SAs of the gateway before this one go on"));
    for (const SaStatus& sa : gateway->sas()) {
        EXPECT_EQ(sa.refused, "");
        EXPECT_EQ(sa.packets, 3U) << "what was counted";
        EXPECT_EQ(sa.number, 3U);
    }
    for (const Octets& frame : sealed) ASSERT_TRUE(wan.send(turned(frame)));
    pump(50);
    EXPECT_EQ(dropped(DropReason::replayed), 3U);
    ASSERT_TRUE(lan.send(make(packet)));
    ASSERT_FALSE(next(wan, 50).empty());
    EXPECT_EQ(gateway->sas()[0].number, 4U);
    // What the configuration says otherwise by now is followed.
    Desired other = loop();
    other.sas[0].hop_limit = 9;
    other.sas.pop_back();
    start_again(other);
    EXPECT_FALSE(notes.has("go on"));
    ASSERT_EQ(gateway->status().sas, 1U);
    EXPECT_EQ(gateway->sas()[0].number, 4U) << "under the same key";
    ASSERT_TRUE(lan.send(make(packet)));
    const Octets last = next(wan, 50);
    ASSERT_FALSE(last.empty());
    EXPECT_EQ(last[22], 9);
    EXPECT_EQ(gateway->sas()[0].packets, 5U);
}

TEST_F(GatewayTest, ADamagedTableIsRefusedAndSaid) {
    make_neighbours();
    start(loop());
    Wire wan("wan0"), lan("lan0");
    ASSERT_TRUE(lan.send(make(packet)));
    ASSERT_FALSE(next(wan, 50).empty());
    void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, keeper.kept.at("sas").get(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    static_cast<std::uint8_t*>(memory)[300] ^= 1;
    start_again(loop());
    EXPECT_TRUE(notes.has("a record of the SA table is damaged"));
    EXPECT_FALSE(notes.has("go on"));
    const auto* words = static_cast<const std::uint8_t*>(memory);
    EXPECT_TRUE(std::all_of(words, words + 4096, [](std::uint8_t octet) { return octet == 0; })) << "wiped";
    munmap(memory, 4096);
    // Those of the configuration go on from their marks.
    EXPECT_EQ(gateway->status().sas, 2U);
    ASSERT_TRUE(lan.send(make(packet)));
    ASSERT_FALSE(next(wan, 50).empty());
    EXPECT_EQ(gateway->sas()[0].number, 2U);
    start_again(loop());
    EXPECT_TRUE(notes.has("2 SAs of the gateway before this one go on")) << "by the table that took its place";
}

TEST_F(GatewayTest, TwoQueuesAndALinkThatGoes) {
    make_wires(2);
    make_neighbours();
    start(loop(2));
    EXPECT_EQ(gateway->status().workers.size(), 2U);
    Wire wan("wan0"), lan("lan0");
    for (int port = 0; port < 20; ++port) {
        ASSERT_TRUE(lan.send(make("eth / ip4 10.1.0.2 10.9.0.2 / udp " + std::to_string(1000 + port) + " 2000 / octets 20")));
        EXPECT_FALSE(next(wan, 50).empty()) << port;
    }
    EXPECT_EQ(gateway->sas()[0].number, 20U);
    ASSERT_TRUE(shell("ip link set wan0 down"));
    pump(100);
    EXPECT_FALSE(gateway->status().ports[0].up);
    EXPECT_TRUE(notes.has("link of the port is down"));
    ASSERT_TRUE(lan.send(make(packet)));
    pump(100);
    EXPECT_EQ(dropped(DropReason::link_down), 1U);
    ASSERT_TRUE(shell("ip link set wan0 up"));
    pump(200);
    ASSERT_TRUE(lan.send(make(packet)));
    EXPECT_FALSE(next(wan, 50).empty());
    ASSERT_TRUE(shell("ip link del black0"));
    pump(200);
    EXPECT_TRUE(notes.has("is gone"));
    EXPECT_FALSE(gateway->status().ports[0].present);
}

/// The kernel forwards, and the new red interface begins without a program of ours.
TEST_F(GatewayTest, AnInterfaceMadeAnewIsClosed) {
    make_neighbours();
    start(loop());
    ASSERT_TRUE(shell("echo 1 >/proc/sys/net/ipv4/ip_forward; ip route replace 10.9.0.0/16 via 192.0.2.2 dev black0"));
    ASSERT_TRUE(shell(std::format("ip link del red0; ip link add red0 address {} type veth peer name lan0 && ip link set red0 up && "
                                  "ip link set lan0 up && ip addr add 10.1.0.1/24 dev red0",
                                  red_mac)));
    pump(200);
    EXPECT_TRUE(notes.has("made anew"));
    Wire wan("wan0"), lan("lan0");
    ASSERT_TRUE(lan.send(make(packet)));
    EXPECT_TRUE(next(wan, 17).empty()) << "UDP on the wan, in clear";
    ASSERT_TRUE(shell("echo 0 >/proc/sys/net/ipv4/ip_forward; ip route del 10.9.0.0/16 dev black0"));
}

TEST_F(GatewayTest, WhatIsNotThereIsNamed) {
    Desired desired = loop();
    desired.ports[0].interface = "nowhere0";
    auto started = Gateway::start(desired, notes);
    ASSERT_FALSE(started);
    EXPECT_THAT(to_string(started.error()), HasSubstr("nowhere0"));
}

} // namespace
} // namespace sallyport::control
