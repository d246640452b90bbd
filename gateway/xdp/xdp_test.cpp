// SPDX-License-Identifier: Apache-2.0
// Ports on real veth pairs, in namespaces of this process's own.
#include "gateway/xdp/pins.hpp"
#include "gateway/xdp/ports_fixture.hpp"

#include <algorithm>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <net/if.h>
#include <poll.h>
#include <sys/wait.h>

namespace sallyport::xdp {
namespace {

class Namespaces : public testing::Environment {
public:
    void SetUp() override { ASSERT_TRUE(rig::enter()); }
};

[[maybe_unused]] const auto* const namespaces = testing::AddGlobalTestEnvironment(new Namespaces);

TEST_F(XdpPorts, StartNativePinnedAndSayWhatCanComeIn) {
    start();
    EXPECT_TRUE(ports_->program(0).native());
    EXPECT_FALSE(ports_->zero_copy()); // veth has none
    for (const char* pin : {"/black0/link", "/black0/xsks", "/black0/counters", "/red0/link", "/shared-by-all-ports/local_addresses"})
        EXPECT_TRUE(std::filesystem::exists(pins + pin)) << pin;
    EXPECT_THAT(ports_->notes(), testing::Contains(HasSubstr("comes in as if it had no tag, as tags-beside-frame = false wants it")));
    expect_no_chunk_lost();
}

TEST_F(XdpPorts, FramesForTheSocketArriveWhole) {
    start();
    Wire wan("wan0");
    const Octets sent = to_black(esp);
    ASSERT_TRUE(wan.send(sent));
    auto frames = receive(ports_->queue(0, 0));
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(octets_of(frames[0]), sent);
    EXPECT_GE(frames[0].begin, head_room);
    EXPECT_LE(frames[0].end, chunk_size - tail_room);
    EXPECT_EQ(frames[0].chunk, ports_->memory().chunk(frames[0].index));
    EXPECT_EQ(frames[0].reason, DropReason::none);
    EXPECT_EQ(counted(0, SP_ESP), 1U);
    EXPECT_EQ(must(ports_->program(0).counters())[SP_ESP].octets, sent.size());
    EXPECT_EQ(ports_->queue(0, 0).statistics().received, 1U);
    expect_no_chunk_lost(1);
    chunks_->give(frames[0]);
}

TEST_F(XdpPorts, LargestFrameStillHasItsRoom) {
    const std::string mtu = std::to_string(largest_mtu());
    Desired desired = two_ports();
    // Native veth takes no frame over one page with its own overhead; generic mode takes what fits into a buffer.
    ASSERT_TRUE(shell("/bin/ip link set black0 mtu " + mtu + " && /bin/ip link set wan0 mtu " + mtu));
    start(desired);
    Wire wan("wan0");
    const Octets sent = to_black("ip4 198.51.100.7 192.0.2.1 / esp / octets " + std::to_string(largest_mtu() - 20 - 48));
    ASSERT_EQ(sent.size(), largest_mtu() + 14);
    ASSERT_TRUE(wan.send(sent));
    auto frames = receive(ports_->queue(0, 0));
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(octets_of(frames[0]), sent);
    EXPECT_LE(frames[0].end + tail_room, chunk_size);
    chunks_->give(frames[0]);
}

TEST_F(XdpPorts, WhatIsForTheKernelGoesThereAndTheRestIsDropped) {
    start();
    ASSERT_TRUE(shell("/bin/ip addr add 192.0.2.1/24 dev black0"));
    Wire wan("wan0"), kernel("black0");
    ASSERT_TRUE(wan.send(to_black("ip4 203.0.113.1 10.1.0.5 / udp 1 2"))); // clear transit
    const Octets local = to_black("ip4 203.0.113.1 192.0.2.1 proto=6 / octets 20");
    ASSERT_TRUE(wan.send(local));
    EXPECT_EQ(kernel.receive(1000), local) << "the transit before it must not be seen";
    EXPECT_EQ(counted(0, SP_TRANSIT), 1U);
    EXPECT_EQ(counted(0, SP_LOCAL), 1U);
}

TEST_F(XdpPorts, ForwardBothWaysOnOneMemory) {
    start();
    Wire wan("wan0"), lan("lan0");
    constexpr unsigned rounds = 50, burst = 64;
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < burst; i++)
            ASSERT_TRUE(lan.send(to_red("ip4 10.1.0.5 10.2.0.5 / udp 1000 2000 / octets 30 value=" + std::to_string(i))));
        unsigned seen = 0;
        while (seen < burst) {
            auto frames = receive(ports_->queue(1, 0));
            ASSERT_FALSE(frames.empty());
            ASSERT_EQ(ports_->queue(0, 0).transmit(frames), frames.size());
            ports_->queue(0, 0).flush();
            seen += static_cast<unsigned>(frames.size());
        }
        for (unsigned i = 0; i < burst; i++) {
            const Octets got = wan.receive(1000);
            ASSERT_EQ(got, to_red("ip4 10.1.0.5 10.2.0.5 / udp 1000 2000 / octets 30 value=" + std::to_string(i))) << "round " << round;
        }
        ports_->queue(0, 0).complete(*chunks_);
        refill();
        expect_no_chunk_lost();
    }
    EXPECT_EQ(ports_->queue(0, 0).statistics().transmitted, rounds * burst);
    EXPECT_EQ(ports_->queue(0, 0).held(), ports_->queue(1, 0).held()) << "nothing waits for completion";
    EXPECT_EQ(counted(1, SP_POLICY), rounds * burst);
}

TEST_F(XdpPorts, AFullTransmitRingTakesWhatFits) {
    Desired desired = two_ports();
    desired.settings.frames = 8192;
    start(desired);
    const std::uint32_t receive_side = ports_->queue(0, 0).held();
    ASSERT_TRUE(shell("/bin/ip link set wan0 down")); // no carrier: nothing leaves
    std::vector<Frame> frames(ring_entries + 100);
    for (auto& frame : frames) {
        ASSERT_TRUE(chunks_->take(frame.index));
        frame.chunk = ports_->memory().chunk(frame.index);
        frame.begin = frame_headroom;
        frame.end = frame_headroom + 60;
    }
    EXPECT_EQ(ports_->queue(0, 0).transmit(frames), ring_entries);
    expect_no_chunk_lost(100);
    for (std::size_t i = ring_entries; i < frames.size(); i++) chunks_->give(frames[i]);
    ports_->queue(0, 0).flush();
    ASSERT_TRUE(shell("/bin/ip link set wan0 up"));
    for (int i = 0; i < 1000 && ports_->queue(0, 0).held() > receive_side; i++) {
        ports_->queue(0, 0).flush();
        ports_->queue(0, 0).complete(*chunks_);
        usleep(1000);
    }
    EXPECT_EQ(ports_->queue(0, 0).held(), receive_side) << "all have left when the link is up again";
    expect_no_chunk_lost();
}

TEST_F(XdpPorts, TwoQueuesReceiveOnTheirOwn) {
    make_wires(2);
    start(two_ports(2));
    ASSERT_EQ(ports_->queues(), 2U);
    Wire lan("lan0");
    constexpr unsigned flows = 64;
    for (unsigned i = 0; i < flows; i++)
        ASSERT_TRUE(lan.send(to_red("ip4 10.1.0.5 10.2.0.5 / udp " + std::to_string(1000 + i) + " 2000 / octets 30")));
    usleep(10'000); // the other end's softirqs
    std::size_t first = receive(ports_->queue(1, 0)).size();
    std::size_t second = receive(ports_->queue(1, 1)).size();
    EXPECT_EQ(first + second, flows);
    EXPECT_EQ(counted(1, SP_POLICY), flows);
    EXPECT_EQ(counted(1, SP_NO_WORKER), 0U);
    // Either queue transmits on any port.
    std::vector<Frame> frames(2);
    for (auto& frame : frames) {
        ASSERT_TRUE(chunks_->take(frame.index));
        frame.chunk = ports_->memory().chunk(frame.index);
        frame.begin = frame_headroom;
        const Octets octets = to_red(transit);
        std::ranges::copy(octets, frame.data());
        frame.end = static_cast<std::uint16_t>(frame.begin + octets.size());
    }
    Wire wan("wan0");
    for (unsigned k = 0; k < 2; k++) {
        ASSERT_EQ(ports_->queue(0, k).transmit(std::span(frames).subspan(k, 1)), 1U);
        ports_->queue(0, k).flush();
        EXPECT_EQ(wan.receive(1000), to_red(transit));
    }
}

TEST_F(XdpPorts, MoreQueuesThanWorkersAreTakenAway) {
    make_wires(2);
    start(two_ports(1));
    EXPECT_EQ(must(find_device("red0")).receive_queues, 1U);
    Wire lan("lan0");
    for (unsigned i = 0; i < 32; i++)
        ASSERT_TRUE(lan.send(to_red("ip4 10.1.0.5 10.2.0.5 / udp " + std::to_string(1000 + i) + " 2000 / octets 30")));
    usleep(10'000);
    EXPECT_EQ(receive(ports_->queue(1, 0)).size(), 32U);
}

TEST_F(XdpPorts, DropWhileNoWorkerReads) {
    const Desired desired = two_ports();
    SharedMaps maps = filled_maps();
    PortProgram program = must(PortProgram::start(pins, desired.ports[1], must(find_device("red0")), maps, {}));
    Wire lan("lan0"), kernel("red0");
    for (int i = 0; i < 10; i++) ASSERT_TRUE(lan.send(to_red(transit)));
    EXPECT_TRUE(kernel.receive(100).empty()) << "nothing reaches the kernel's stack";
    EXPECT_EQ(must(program.counters())[SP_NO_WORKER].packets, 10U);
}

TEST_F(XdpPorts, FullReceiveRingIsTheKernelsToCount) {
    start();
    Wire lan("lan0");
    for (unsigned i = 0; i < ring_entries + 500; i++) // nobody reads
        ASSERT_TRUE(lan.send(to_red(transit)));
    usleep(20'000);
    const auto statistics = ports_->queue(1, 0).statistics();
    EXPECT_GT(statistics.dropped + statistics.ring_full + statistics.fill_empty, 0U);
    EXPECT_EQ(counted(1, SP_POLICY), ring_entries + 500U) << "the program's verdict was the same";
}

TEST_F(XdpPorts, TheMachineItselfSendsNothingProtected) {
    start();
    Wire out("black0"), wan("wan0");
    EXPECT_FALSE(out.send(to_black(transit))) << "dropped, and who sends is told";
    EXPECT_TRUE(wan.receive(100).empty());
    ASSERT_TRUE(out.send(to_black(to_all)));
    EXPECT_EQ(wan.receive(1000), to_black(to_all));
    const EgressCounters counted = ports_->program(0).egress().counters();
    EXPECT_EQ(counted[SP_EGRESS_PROTECTED].packets, 1U);
    EXPECT_EQ(counted[SP_EGRESS_PROTECTED].octets, to_black(transit).size());
    EXPECT_GE(counted[SP_EGRESS_CLEAR].packets, 1U);
    EXPECT_TRUE(ports_->program(0).egress().stands());
    EXPECT_TRUE(ports_->program(1).egress().stands()) << "a red port has none";
    ASSERT_TRUE(shell("tc qdisc delete dev black0 clsact"));
    EXPECT_FALSE(ports_->program(0).egress().stands());
    ASSERT_TRUE(out.send(to_black(transit)));
    EXPECT_EQ(wan.receive(1000), to_black(transit)) << "opened on purpose";
    EXPECT_TRUE(ports_->program(0).egress().close_again());
    EXPECT_TRUE(ports_->program(0).egress().stands());
    EXPECT_FALSE(out.send(to_black(transit)));
}

// What an AF_XDP socket sends goes round the lock: to the device, not through its queue of the kernel's own.
TEST_F(XdpPorts, WhatTheGatewaySendsPassesBelowTheLock) {
    start();
    Wire wan("wan0");
    Frame frame;
    ASSERT_TRUE(chunks_->take(frame.index));
    frame.chunk = ports_->memory().chunk(frame.index);
    const Octets octets = to_black(transit); // stands for any frame: the socket does not look at it
    frame.begin = frame_headroom;
    frame.end = static_cast<std::uint16_t>(frame_headroom + octets.size());
    std::memcpy(frame.data(), octets.data(), octets.size());
    XskQueue& queue = ports_->queue(0, 0);
    ASSERT_EQ(queue.transmit({&frame, 1}), 1U);
    queue.flush();
    EXPECT_EQ(wan.receive(1000), octets);
    EXPECT_EQ(ports_->program(0).egress().counters()[SP_EGRESS_PROTECTED].packets, 0U);
}

TEST_F(XdpPorts, APortThatIsRedNowHasNoLockOnTheWayOut) {
    start();
    ports_.reset();
    Desired desired = two_ports();
    std::swap(desired.ports[0].interface, desired.ports[1].interface);
    start(desired);
    Wire out("black0"), wan("wan0");
    ASSERT_TRUE(out.send(to_black(transit)));
    EXPECT_EQ(wan.receive(1000), to_black(transit));
}

// Starts in a child, which is then killed in mid-traffic.
class XdpTakeOver : public XdpPorts {
protected:
    void start_in_child_and_kill(bool as_daemon = false) {
        int ready[2];
        ASSERT_EQ(pipe(ready), 0);
        std::fflush(nullptr);
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            if (as_daemon && !rig::become_daemon()) _exit(1);
            try {
                start();
            } catch (const std::exception& error) {
                std::fprintf(stderr, "%s\n", error.what());
                _exit(1);
            }
            (void)!write(ready[1], "r", 1);
            pause();
            _exit(0);
        }
        char octet = 0;
        close(ready[1]);
        const bool started = read(ready[0], &octet, 1) == 1;
        close(ready[0]);
        Wire lan("lan0");
        for (int i = 0; i < 5; i++) EXPECT_TRUE(lan.send(to_red(transit)));
        kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(started);
    }
};

TEST_F(XdpTakeOver, TheDeadProcessLeavesThePortDropping) {
    start_in_child_and_kill();
    Wire lan("lan0"), kernel("red0");
    for (int i = 0; i < 10; i++) ASSERT_TRUE(lan.send(to_red(transit)));
    EXPECT_TRUE(kernel.receive(100).empty());
    Wire out("black0"), wan("wan0");
    EXPECT_FALSE(out.send(to_black(transit))) << "dropped, and who sends is told";
    EXPECT_TRUE(wan.receive(100).empty());
    start();
    EXPECT_EQ(ports_->program(0).egress().counters()[SP_EGRESS_PROTECTED].packets, 1U) << "the counters go on";
    EXPECT_FALSE(out.send(to_black(transit)));
    EXPECT_TRUE(wan.receive(100).empty());
    EXPECT_EQ(ports_->program(0).egress().counters()[SP_EGRESS_PROTECTED].packets, 2U);
}

TEST_F(XdpTakeOver, TheNextGoesOn) {
    start_in_child_and_kill();
    Wire lan("lan0");
    for (int i = 0; i < 10; i++) ASSERT_TRUE(lan.send(to_red(transit)));
    start();
    EXPECT_THAT(ports_->notes(), testing::Contains(HasSubstr("taken over")));
    EXPECT_TRUE(ports_->program(1).native());
    const auto before = counted(1, SP_POLICY) + counted(1, SP_NO_WORKER);
    EXPECT_GE(before, 15U) << "the counters go on";
    ASSERT_TRUE(lan.send(to_red(transit)));
    auto frames = receive(ports_->queue(1, 0));
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(octets_of(frames[0]), to_red(transit));
    chunks_->give(frames[0]);
    EXPECT_EQ(counted(1, SP_POLICY) + counted(1, SP_NO_WORKER), before + 1);
}

TEST_F(XdpTakeOver, AgainAndAgain) {
    for (int i = 0; i < 5; i++) {
        start_in_child_and_kill();
        if (HasFatalFailure()) return;
    }
    start();
    Wire lan("lan0");
    ASSERT_TRUE(lan.send(to_red(transit)));
    EXPECT_EQ(receive(ports_->queue(1, 0)).size(), 1U);
}

// All of it by user 1000 with CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK, and again over what that one left.
TEST_F(XdpTakeOver, FourCapabilitiesAreEnough) {
    for (int i = 0; i < 2; i++) {
        start_in_child_and_kill(true);
        if (HasFatalFailure()) return;
    }
    start();
    EXPECT_THAT(ports_->notes(), testing::Contains(HasSubstr("taken over")));
}

TEST_F(XdpTakeOver, PinsOfADeviceThatIsGone) {
    start_in_child_and_kill();
    make_wires(1); // the same names, other devices
    start();
    EXPECT_THAT(ports_->notes(), testing::Not(testing::Contains(HasSubstr("taken over"))));
    Wire wan("wan0");
    ASSERT_TRUE(wan.send(to_black(esp)));
    EXPECT_EQ(receive(ports_->queue(0, 0)).size(), 1U);
}

TEST_F(XdpTakeOver, MapsOfAnotherLayoutAreThrownAway) {
    start_in_child_and_kill();
    const std::uint32_t zero = 0, future = SP_LAYOUT_VERSION + 1;
    Descriptor layout(bpf_obj_get((pins + "/" + shared_pins + "/layout").c_str()));
    ASSERT_TRUE(layout);
    ASSERT_EQ(bpf_map_update_elem(layout.get(), &zero, &future, BPF_ANY), 0);
    start();
    EXPECT_THAT(ports_->notes(), testing::Contains(HasSubstr("taken over"))) << "the link is";
    EXPECT_EQ(counted(1, SP_POLICY), 0U) << "its counters are not";
    Wire wan("wan0");
    ASSERT_TRUE(wan.send(to_black(esp)));
    EXPECT_EQ(receive(ports_->queue(0, 0)).size(), 1U);
}

TEST_F(XdpTakeOver, AMapOfAnotherShapeIsThrownAway) {
    start_in_child_and_kill();
    const std::string path = pins + "/red0/counters";
    ASSERT_EQ(unlink(path.c_str()), 0);
    Descriptor other(bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "counters", 4, 8, 3, nullptr));
    ASSERT_EQ(bpf_obj_pin(other.get(), path.c_str()), 0);
    start();
    EXPECT_EQ(counted(1, SP_TRANSIT), 0U);
}

TEST_F(XdpPorts, AStrangersProgramIsNotReplaced) {
    const bpf_insn pass[] = {{.code = 0xb7, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 2},
                             {.code = 0x95, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    Descriptor stranger(bpf_prog_load(BPF_PROG_TYPE_XDP, "stranger", "GPL", pass, 2, nullptr));
    ASSERT_TRUE(stranger);
    const int red = static_cast<int>(if_nametoindex("red0"));
    ASSERT_EQ(bpf_xdp_attach(red, stranger.get(), 0, nullptr), 0);
    bpf_prog_info info{};
    std::uint32_t size = sizeof(info);
    ASSERT_EQ(bpf_prog_get_info_by_fd(stranger.get(), &info, &size), 0);

    auto started = Ports::start(two_ports(), filled_maps(), {});
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, ErrorCode::conflict);
    EXPECT_EQ(started.error().place, "red0");
    EXPECT_THAT(started.error().sentence, HasSubstr("\"stranger\" (id " + std::to_string(info.id) + ")"));
    EXPECT_FALSE(std::filesystem::exists(pins + "/black0")) << "the other port is left alone";
    std::uint32_t id = 0;
    ASSERT_EQ(bpf_xdp_query_id(red, 0, &id), 0);
    EXPECT_EQ(id, info.id);
    ASSERT_EQ(bpf_xdp_detach(red, 0, nullptr), 0);
}

TEST_F(XdpPorts, ALinkNotPinnedByUsIsAStrangers) {
    start();
    ASSERT_EQ(unlink((pins + "/red0/link").c_str()), 0); // the living one holds it
    auto second = Ports::start(two_ports(), filled_maps(), {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::conflict);
}

TEST_F(XdpPorts, DetachOpensThePorts) {
    start();
    auto detached = detach(pins);
    ASSERT_TRUE(detached) << to_string(detached.error());
    EXPECT_EQ(*detached, (std::vector<std::string>{"black0", "red0"}));
    for (const auto* folder : {"/black0", "/red0", "/shared-by-all-ports"}) EXPECT_FALSE(std::filesystem::exists(pins + folder)) << folder;
    Wire lan("lan0"), kernel("red0");
    ASSERT_TRUE(lan.send(to_red(transit)));
    EXPECT_EQ(kernel.receive(1000), to_red(transit));
    Wire out("black0"), wan("wan0");
    ASSERT_TRUE(out.send(to_black(transit)));
    EXPECT_EQ(wan.receive(1000), to_black(transit));
}

TEST_F(XdpPorts, GenericWhereTheDriverHasNoNativeMode) {
    ASSERT_TRUE(shell("/bin/ip link add bridge0 type bridge && /bin/ip link set bridge0 up"));
    const PortSpec port{.interface = "bridge0", .role = Role::red, .vlans = {{.id = 0, .vpn = 1}}, .listen = {}};
    SharedMaps maps = filled_maps();
    PortProgram program = must(PortProgram::start(pins, port, must(find_device("bridge0")), maps, {}));
    EXPECT_FALSE(program.native());
    EXPECT_THAT(program.notes(), testing::Contains(HasSubstr("Native XDP does not work on bridge0")));
}

TEST_F(XdpPorts, GenericModeCarriesFramesToo) {
    start(two_ports(), true);
    EXPECT_FALSE(ports_->program(0).native());
    Wire wan("wan0");
    ASSERT_TRUE(wan.send(to_black(esp)));
    auto frames = receive(ports_->queue(0, 0));
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(octets_of(frames[0]), to_black(esp));
    EXPECT_GE(frames[0].begin, head_room);
    chunks_->give(frames[0]);
}

TEST_F(XdpPorts, RefusedDevices) {
    auto none = find_device("nosuch0");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ErrorCode::missing);
    auto loopback = find_device("lo");
    ASSERT_FALSE(loopback);
    EXPECT_THAT(loopback.error().sentence, HasSubstr("no Ethernet"));
    ASSERT_TRUE(shell("/bin/ip link set black0 mtu 9000"));
    auto jumbo = find_device("black0");
    ASSERT_FALSE(jumbo);
    EXPECT_THAT(to_string(jumbo.error()), HasSubstr("9000"));
    EXPECT_THAT(jumbo.error().remedy, HasSubstr(std::to_string(largest_mtu())));
}

TEST_F(XdpPorts, VlansAreRefusedWhereTagsLieBesideTheFrame) {
    Desired desired = two_ports();
    desired.ports[1].vlans.push_back({.id = 7, .vpn = 7});
    auto started = Ports::start(desired, filled_maps(), {});
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().sentence, HasSubstr("keeps VLAN tags beside the frame"));
    EXPECT_EQ(started.error().place, "red0");
}

TEST_F(XdpPorts, OffloadsThatHideTagsAreOff) {
    start();
    EXPECT_TRUE(shell("ethtool -k black0 | grep -q 'rx-vlan-offload: off'"));
    EXPECT_TRUE(shell("ethtool -k black0 | grep -q 'tx-checksumming: on'")) << "what needs no touching is not touched";
}

TEST_F(XdpPorts, ThePinsMustOutliveTheProcess) {
    auto maps = SharedMaps::open("/run");
    ASSERT_FALSE(maps);
    EXPECT_THAT(maps.error().remedy, HasSubstr("mount -t bpf"));
}

// What a map holds, counted.
std::size_t entries_of(const std::string& name, std::size_t key_octets) {
    Descriptor map(bpf_obj_get((pins + "/" + shared_pins + "/" + name).c_str()));
    std::vector<std::uint8_t> key(key_octets);
    std::size_t count = 0;
    for (const void* last = nullptr; bpf_map_get_next_key(map.get(), last, key.data()) == 0; last = key.data()) count++;
    return count;
}

TEST_F(XdpPorts, SetMakesTheMapsHoldWhatIsGiven) {
    SharedMaps maps = must(SharedMaps::open(pins + "/" + shared_pins));
    auto prefix = [](const char* text) { return *parse_prefix(text); };
    must(maps.set_protected_sources({{.vpn = 0, .prefix = prefix("10.2.0.0/16")},
                                     {.vpn = 0, .prefix = prefix("0.0.0.0/0")},
                                     {.vpn = 3, .prefix = prefix("2001:db8::/32")}}));
    EXPECT_EQ(entries_of("protected_sources", sizeof(sp_prefix_key)), 3U);
    must(maps.set_protected_sources(
        {{.vpn = 0, .prefix = prefix("10.3.0.0/16"), .exempt = true}, {.vpn = 0, .prefix = prefix("0.0.0.0/0")}}));
    EXPECT_EQ(entries_of("protected_sources", sizeof(sp_prefix_key)), 2U);
    must(maps.set_bypass({{.vpn = 0, .prefix = prefix("198.51.100.0/24")}},
                         {{.vpn = 0, .prefix = prefix("10.1.0.0/16")}, {.vpn = 0, .prefix = prefix("10.3.0.0/16")}}));
    EXPECT_EQ(entries_of("bypass_sources", sizeof(sp_prefix_key)), 1U);
    EXPECT_EQ(entries_of("bypass_destinations", sizeof(sp_prefix_key)), 2U);
    must(maps.set_bypass({}, {}));
    EXPECT_EQ(entries_of("bypass_destinations", sizeof(sp_prefix_key)), 0U);
    must(maps.set_ike_peers({{.vpn = 0, .address = *parse_address("198.51.100.7")}}));
    Descriptor peers(bpf_obj_get((pins + "/" + shared_pins + "/ike_peers").c_str()));
    sp_source_key key{};
    ASSERT_EQ(bpf_map_get_next_key(peers.get(), nullptr, &key), 0);
    sp_bucket spent{.spent_until_ns = 12345};
    ASSERT_EQ(bpf_map_update_elem(peers.get(), &key, &spent, BPF_ANY), 0);
    must(maps.set_ike_peers({{.vpn = 0, .address = *parse_address("198.51.100.7")}, {.vpn = 0, .address = *parse_address("2001:db8::7")}}));
    EXPECT_EQ(entries_of("ike_peers", sizeof(sp_source_key)), 2U);
    ASSERT_EQ(bpf_map_lookup_elem(peers.get(), &key, &spent), 0);
    EXPECT_EQ(spent.spent_until_ns, 12345U) << "a peer that stays keeps its bucket";
    must(maps.set_local_addresses({}));
    EXPECT_EQ(entries_of("local_addresses", sizeof(sp_local_key)), 0U);
}

TEST_F(XdpPorts, AFullMapIsRefusedWithASentence) {
    SharedMaps maps = must(SharedMaps::open(pins + "/" + shared_pins));
    std::vector<LocalAddress> many(SP_MAX_LOCAL_ADDRESSES + 1);
    for (std::size_t i = 0; i < many.size(); i++) many[i].ifindex = static_cast<std::uint32_t>(i + 1);
    auto set = maps.set_local_addresses(many);
    ASSERT_FALSE(set);
    EXPECT_EQ(set.error().code, ErrorCode::exhausted);
}

} // namespace
} // namespace sallyport::xdp
