// SPDX-License-Identifier: Apache-2.0
// The program that is bound to its device (Linux 6.8). What changes the whole machine, or could hurt its kernel if our care with the
// program's room were in vain, is left to the emulated machines of tests/kernels.
#include "bpf/fixture.hpp"
#include "bpf/options.hpp"
#include "gateway/xdp/bound.hpp"
#include "gateway/xdp/ports.hpp"
#include "gateway/xdp/rig.hpp"
#include "gateway/xdp/skeleton.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sallyport::xdp {
namespace {

using rig::Octets;
using rig::shell;
using rig::Wire;
using testing::Contains;
using testing::HasSubstr;

bool in_a_guest() { return std::getenv("SALLYPORT_GUEST") != nullptr; } // NOLINT(concurrency-mt-unsafe): nobody sets it

class Namespaces : public testing::Environment {
public:
    void SetUp() override { ASSERT_TRUE(rig::enter()); }
};

[[maybe_unused]] const auto* const namespaces = testing::AddGlobalTestEnvironment(new Namespaces);

const std::string pins = rig::run_directory() + "/bpf";
const std::string packet = "ip4 10.1.0.5 10.2.0.5 / udp 1000 2000 / octets 30 value=7";

template <class T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(to_string(result.error()));
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

Octets frame_to(const std::string& device, const std::string& layers) {
    std::string mac;
    for (std::uint8_t octet : must(find_device(device)).mac) {
        char two[4];
        std::snprintf(two, sizeof(two), "%02x:", octet);
        mac += two;
    }
    mac.pop_back();
    return fixture::make_frame("eth / " + layers, mac);
}

Octets octets_of(const Frame& frame) { return {frame.data(), frame.data() + frame.length()}; }

// While it lives, what leaves the device gets a VLAN tag, which veth then keeps beside the frame.
class TagBeside {
public:
    TagBeside(const std::string& device, std::uint16_t tci, std::uint16_t type = 0x8100) {
        const bpf_insn push[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .src_reg = 0, .off = 0, .imm = htons(type)},
                                 {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .src_reg = 0, .off = 0, .imm = tci},
                                 {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_skb_vlan_push},
                                 {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}, // TC_ACT_OK
                                 {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
        const auto failed = [&](const char* what) {
            return std::runtime_error(std::string("no tag can be pushed on ") + device + ": " + what + ": " + std::strerror(errno));
        };
        program_ = Descriptor(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "push", "GPL", push, std::size(push), nullptr));
        if (!program_) throw failed("the program is refused");
        clear(hook_);
        hook_.ifindex = static_cast<int>(if_nametoindex(device.c_str()));
        hook_.attach_point = BPF_TC_EGRESS;
        bpf_tc_opts options;
        clear(options);
        options.prog_fd = program_.get();
        if (bpf_tc_hook_create(&hook_) != 0) throw failed("there is no place for the program");
        if (bpf_tc_attach(&hook_, &options) != 0) throw failed("the program cannot be put there");
    }

    ~TagBeside() {
        // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): libbpf takes both at once
        hook_.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_EGRESS | BPF_TC_INGRESS);
        bpf_tc_hook_destroy(&hook_);
    }

    TagBeside(const TagBeside&) = delete;
    TagBeside& operator=(const TagBeside&) = delete;

private:
    Descriptor program_;
    bpf_tc_hook hook_;
};

void make_wires() {
    ASSERT_TRUE(
        shell("for pair in black0:wan0 red0:lan0; do /bin/ip link del ${pair%:*} 2>/dev/null; /bin/ip link add ${pair%:*} type veth "
              "peer name ${pair#*:} && /bin/ip link set ${pair%:*} up && /bin/ip link set ${pair#*:} up || exit 1; done"));
}

// What the kernel logs while it lives must not say that the kernel has been hurt.
class KernelLog {
public:
    KernelLog() : log_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
        EXPECT_TRUE(log_);
        char record[8192];
        EXPECT_TRUE(read(log_.get(), record, sizeof(record)) > 0 || errno == EPIPE) << "what has been logged can be read";
        EXPECT_EQ(lseek(log_.get(), 0, SEEK_END), 0);
    }
    void expect_a_sound_kernel() {
        char record[8192];
        for (ssize_t octets = 0; (octets = read(log_.get(), record, sizeof(record))) > 0 || (octets < 0 && errno == EPIPE);) {
            const std::string text(record, octets > 0 ? static_cast<std::size_t>(octets) : 0);
            for (const char* bad : {"BUG:", "WARNING:", "Oops", "general protection", "refcount", "use-after-free", "hung_task", "stall",
                                    "blocked for more", "soft lockup", "Call Trace"})
                EXPECT_EQ(text.find(bad), std::string::npos) << text;
        }
    }

private:
    Descriptor log_;
};

class XdpBound : public testing::Test {
protected:
    void SetUp() override { make_wires(); }
    void TearDown() override {
        ports_.reset();
        auto detached = detach(pins);
        EXPECT_TRUE(detached) << to_string(detached.error());
        shell("for device in black0 red0 bridge0; do /bin/ip link del $device 2>/dev/null; done; true");
        log_.expect_a_sound_kernel();
    }

    // Both ports have the VPN of their frames without a tag; `vlan` adds VLAN 7, which is VPN 7.
    static Desired two_ports(bool vlan) {
        Desired desired;
        desired.settings.queues = 1;
        desired.settings.frames = 4096;
        desired.settings.run_directory = rig::run_directory();
        desired.ports = {{.interface = "black0", .role = Role::black, .vlans = {{.id = 0, .vpn = 0}}},
                         {.interface = "red0", .role = Role::red, .vlans = {{.id = 0, .vpn = 1}}}};
        if (vlan)
            for (auto& port : desired.ports) port.vlans.push_back({.id = 7, .vpn = 7});
        return desired;
    }

    // 192.0.2.1 is ours on the black port in VPN 7 only.
    static SharedMaps filled_maps() {
        SharedMaps maps = must(SharedMaps::open(pins + "/" + shared_pins));
        must(maps.set_local_addresses(
            {{.ifindex = if_nametoindex("black0"), .vpn = 7, .address = *parse_address("192.0.2.1"), .ipsec = true}}));
        return maps;
    }

    void start(const Desired& desired, bool generic = false) {
        ports_ = must(Ports::start(desired, filled_maps(), {.generic = generic}));
        chunks_.reset(); // gives its chunks to the depot that is about to go
        depot_ = std::make_unique<Depot>(ports_->memory());
        chunks_ = std::make_unique<Chunks>(*depot_, 256);
        for (std::size_t port = 0; port < ports_->count(); port++) {
            ports_->queue(port, 0).refill(*chunks_);
            ports_->queue(port, 0).flush();
        }
    }

    // The next frame at the port's socket; empty: none came.
    Octets received(std::size_t port) {
        XskQueue& queue = ports_->queue(port, 0);
        pollfd wait{.fd = queue.descriptor(), .events = POLLIN, .revents = 0};
        poll(&wait, 1, 1000);
        std::vector<Frame> frames(1);
        if (queue.receive(frames) != 1) return {};
        Octets octets = octets_of(frames[0]);
        chunks_->give(frames[0]);
        return octets;
    }

    [[nodiscard]] std::uint64_t counted(std::size_t port, sp_verdict verdict) {
        return must(ports_->program(port).counters())[verdict].packets;
    }

    void expect_counted(std::size_t port, sp_verdict verdict, std::uint64_t want) {
        for (int i = 0; i < 100 && counted(port, verdict) < want; i++) usleep(10'000); // the softirq of the other end
        EXPECT_EQ(counted(port, verdict), want) << verdicts[verdict].name;
    }

    // A child starts the ports and is killed.
    void start_in_child_and_kill(bool vlan, bool generic, bool as_daemon) {
        int ready[2];
        ASSERT_EQ(pipe(ready), 0);
        std::fflush(nullptr);
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            if (as_daemon && !rig::become_daemon()) _exit(1);
            try {
                start(two_ports(vlan), generic);
                if (!generic && (!ports_->program(0).bound() || !ports_->program(1).bound())) throw std::runtime_error("not bound");
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
        kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(started);
    }

    KernelLog log_;
    std::unique_ptr<Ports> ports_;
    std::unique_ptr<Depot> depot_;
    std::unique_ptr<Chunks> chunks_;
};

TEST_F(XdpBound, SaysSo) {
    start(two_ports(false));
    for (std::size_t port = 0; port < 2; port++) {
        EXPECT_TRUE(ports_->program(port).native());
        EXPECT_TRUE(ports_->program(port).bound());
    }
    EXPECT_THAT(ports_->notes(), Contains(HasSubstr("beside the frame are seen")));
    EXPECT_THAT(ports_->notes(), testing::Not(Contains(HasSubstr("as if it had no tag"))));
}

TEST_F(XdpBound, NotWhereItIsSwitchedOff) {
    Desired desired = two_ports(false);
    desired.ports[0].tags_beside_frame = false;
    start(desired);
    EXPECT_FALSE(ports_->program(0).bound());
    EXPECT_TRUE(ports_->program(1).bound());
    EXPECT_THAT(ports_->notes(), Contains(HasSubstr("as if it had no tag")));
}

TEST_F(XdpBound, AnyTagOnAPortWithoutVlansIsDropped) {
    start(two_ports(false));
    Wire lan("lan0"), kernel("red0");
    {
        const TagBeside tag("lan0", 7);
        ASSERT_TRUE(lan.send(frame_to("red0", packet)));
        expect_counted(1, SP_UNKNOWN_VLAN, 1);
    }
    {
        const TagBeside tag("lan0", 7, 0x88a8);
        ASSERT_TRUE(lan.send(frame_to("red0", "arp")));
        expect_counted(1, SP_UNKNOWN_VLAN, 2);
    }
    ASSERT_TRUE(lan.send(frame_to("red0", packet)));
    EXPECT_EQ(received(1), frame_to("red0", packet)) << "without a tag it comes, and the others did not come before it";
    EXPECT_TRUE(kernel.receive(100).empty());
    EXPECT_EQ(counted(1, SP_POLICY), 1U);
}

TEST_F(XdpBound, AConfiguredTagArrivesInTheFrame) {
    start(two_ports(true));
    Wire lan("lan0");
    {
        const TagBeside tag("lan0", 0xe007);
        ASSERT_TRUE(lan.send(frame_to("red0", packet)));
        EXPECT_EQ(received(1), frame_to("red0", "vlan 0xe007 / " + packet)) << "as on the wire, its priority too";
    }
    {
        const TagBeside tag("lan0", 7, 0x88a8);
        ASSERT_TRUE(lan.send(frame_to("red0", packet)));
        EXPECT_EQ(received(1), frame_to("red0", "vlan 7 tpid=0x88a8 / " + packet));
    }
    {
        const TagBeside tag("lan0", 8);
        ASSERT_TRUE(lan.send(frame_to("red0", packet)));
        expect_counted(1, SP_UNKNOWN_VLAN, 1);
    }
    ASSERT_TRUE(lan.send(frame_to("red0", packet)));
    EXPECT_EQ(received(1), frame_to("red0", packet));
    ASSERT_TRUE(lan.send(frame_to("red0", "vlan 7 / " + packet)));
    EXPECT_EQ(received(1), frame_to("red0", "vlan 7 / " + packet)) << "a tag in the frame counts as before";
    EXPECT_EQ(counted(1, SP_POLICY), 4U);
    const auto octets = must(ports_->program(1).counters())[SP_POLICY].octets;
    EXPECT_EQ(octets, 4 * frame_to("red0", packet).size() + 3 * 4) << "with their tags";
}

TEST_F(XdpBound, TheTagSaysTheVpn) {
    start(two_ports(true));
    Wire wan("wan0");
    const std::string esp = "ip4 198.51.100.7 192.0.2.1 / esp";
    ASSERT_TRUE(wan.send(frame_to("black0", esp)));
    expect_counted(0, SP_TRANSIT, 1); // in VPN 0 the address is not ours
    const TagBeside tag("wan0", 7);
    ASSERT_TRUE(wan.send(frame_to("black0", esp)));
    EXPECT_EQ(received(0), frame_to("black0", "vlan 7 / " + esp));
    EXPECT_EQ(counted(0, SP_ESP), 1U);
}

TEST_F(XdpBound, OneBesideAndOneInTheFrameAreTwo) {
    start(two_ports(true));
    Wire lan("lan0");
    const TagBeside tag("lan0", 7);
    ASSERT_TRUE(lan.send(frame_to("red0", "vlan 9 / " + packet)));
    ASSERT_TRUE(lan.send(frame_to("red0", "vlan 7 / " + packet)));
    ASSERT_TRUE(lan.send(frame_to("red0", "vlan 7 / vlan 9 / " + packet)));
    expect_counted(1, SP_UNKNOWN_VLAN, 3);
}

TEST_F(XdpBound, APriorityTagIsNoVlan) {
    start(two_ports(false));
    Wire lan("lan0");
    const TagBeside tag("lan0", 0xe000);
    ASSERT_TRUE(lan.send(frame_to("red0", packet)));
    EXPECT_EQ(received(1), frame_to("red0", "vlan 0xe000 / " + packet));
}

TEST_F(XdpBound, TheKernelsStackGetsFramesAsTheyWere) {
    start(two_ports(true));
    Wire lan("lan0"), kernel("red0");
    const TagBeside tag("lan0", 7);
    ASSERT_TRUE(lan.send(frame_to("red0", "arp")));
    EXPECT_EQ(kernel.receive(1000), frame_to("red0", "arp")) << "its tag is beside it still";
    EXPECT_EQ(counted(1, SP_ARP), 1U);
}

TEST_F(XdpBound, TakenOverAndGivenTheOtherEntry) {
    start_in_child_and_kill(true, false, false);
    if (HasFatalFailure()) return;
    start(two_ports(true));
    EXPECT_THAT(ports_->notes(), Contains(HasSubstr("taken over")));
    EXPECT_TRUE(ports_->program(1).bound());
    Wire lan("lan0");
    {
        const TagBeside tag("lan0", 7);
        ASSERT_TRUE(lan.send(frame_to("red0", packet)));
        EXPECT_EQ(received(1), frame_to("red0", "vlan 7 / " + packet));
    }
    ports_.reset();
    Desired plain = two_ports(false);
    for (auto& port : plain.ports) port.tags_beside_frame = false;
    start(plain);
    EXPECT_FALSE(ports_->program(1).bound());
    ASSERT_TRUE(lan.send(frame_to("red0", packet)));
    EXPECT_EQ(received(1), frame_to("red0", packet));
}

// The kernel lets a bound program replace another under a link in generic mode, where the driver's answer comes from foreign memory.
TEST_F(XdpBound, NeverUnderAGenericLink) {
    start_in_child_and_kill(false, true, false);
    if (HasFatalFailure()) return;
    start(two_ports(false));
    EXPECT_FALSE(ports_->program(1).native());
    EXPECT_FALSE(ports_->program(1).bound());
    EXPECT_THAT(ports_->notes(), Contains(HasSubstr("runs in generic mode")));
    ports_.reset();
    auto refused = Ports::start(two_ports(true), filled_maps(), {});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().sentence, HasSubstr("runs in generic mode"));
}

TEST_F(XdpBound, FourCapabilitiesAreEnough) {
    for (int i = 0; i < 2; i++) {
        start_in_child_and_kill(true, false, true);
        if (HasFatalFailure()) return;
    }
}

TEST_F(XdpBound, ADriverThatDoesNotTell) {
    ASSERT_TRUE(shell("/bin/ip link add bridge0 type bridge && /bin/ip link set bridge0 up"));
    PortSpec port{.interface = "bridge0", .role = Role::red, .vlans = {{.id = 0, .vpn = 1}}};
    const Device device = must(find_device("bridge0"));
    SharedMaps maps = filled_maps();
    {
        PortProgram program = must(PortProgram::start(pins, port, device, maps, {}));
        EXPECT_FALSE(program.bound());
        EXPECT_THAT(program.notes(), Contains(HasSubstr("(bridge) does not tell")));
    }
    port.vlans.push_back({.id = 7, .vpn = 7});
    auto checked = PortProgram::check(pins, port, device);
    ASSERT_FALSE(checked);
    EXPECT_THAT(checked.error().sentence, HasSubstr("(bridge) does not tell"));
}

// The setting of the whole machine, which only its first network namespace shows.
bool harden(int level) { return shell("nsenter -t 1 -n sh -c 'echo " + std::to_string(level) + " >/proc/sys/net/core/bpf_jit_harden'"); }

TEST_F(XdpBound, NotWhereConstantsAreBlinded) {
    ASSERT_TRUE(harden(1)); // only of users without CAP_BPF
    EXPECT_EQ(why_not_bound(must(find_device("red0"))), "");
    ASSERT_TRUE(harden(2));
    auto refused = Ports::start(two_ports(true), filled_maps(), {});
    EXPECT_TRUE(!refused && refused.error().sentence.find("bpf_jit_harden") != std::string::npos);
    start(two_ports(false));
    EXPECT_FALSE(ports_->program(1).bound());
    EXPECT_THAT(ports_->notes(), Contains(HasSubstr("bpf_jit_harden")));
    ASSERT_TRUE(harden(0));
}

TEST_F(XdpBound, OneThatBecameLongerIsGivenUp) {
    const Device device = must(find_device("red0"));
    {
        Skeleton skeleton(port_bpf::open());
        ASSERT_TRUE(skeleton);
        auto& port = skeleton->rodata->port; // with everything that a black port can do: what is dead would leave room
        port.untagged = port.tagged = port.ike_served = 1;
        skeleton->rodata->room_is_used = 1;
        auto loaded = load_bound(*skeleton, device);
        ASSERT_FALSE(loaded);
        EXPECT_THAT(loaded.error().sentence, HasSubstr("longer"));
        std::printf("%s\n", loaded.error().sentence.c_str());
    }
    sleep(2); // it goes in the kernel's own time; until then the device must stay
    start(two_ports(false));
    EXPECT_TRUE(ports_->program(1).bound());
}

// As the daemon loads it, since without CAP_PERFMON the verifier adds more, and with everything that the program can do.
TEST_F(XdpBound, TheRoomIsNotTight) {
    const Desired desired = two_ports(true);
    for (std::size_t i = 0; i < desired.ports.size(); i++) {
        std::fflush(nullptr);
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            if (!rig::become_daemon()) _exit(1);
            auto maps = SharedMaps::open(pins + "/" + shared_pins);
            const auto device = find_device(desired.ports[i].interface);
            if (!maps || !device) _exit(2);
            auto program = PortProgram::start(pins, desired.ports[i], *device, *maps, {.ike_served = true, .limits = desired.ike});
            if (!program || !program->bound()) _exit(3);
            std::printf("%s: %zu octets left\n", device->name.c_str(), program->room());
            std::fflush(nullptr);
            _exit(program->room() > 300 * sizeof(bpf_insn) ? 0 : 4);
        }
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0) << desired.ports[i].interface;
    }
}

// Its own namespace with a port under traffic, and then, by turns: detached and the device removed; the device removed under the
// program; the namespace removed under the program, whose link stays pinned. Its exit status: what went wrong.
int live_and_die(int turn) {
    if (unshare(CLONE_NEWNET) != 0 || !shell("printf 'link set lo up\nlink add red0 type veth peer name lan0\nlink set red0 up\n"
                                             "link set lan0 up\n' | /bin/ip -batch -"))
        return 1;
    try {
        const PortSpec port{.interface = "red0",
                            .role = Role::red,
                            .vlans = {{.id = 0, .vpn = 1}, {.id = static_cast<std::uint16_t>(7 + turn % 2), .vpn = 7}}};
        SharedMaps maps = must(SharedMaps::open(pins + "/" + shared_pins));
        must(maps.set_vlans({{.ifindex = if_nametoindex("red0"), .id = port.vlans[1].id, .vpn = 7}}));
        const PortProgram program = must(PortProgram::start(pins, port, must(find_device("red0")), maps, {}));
        if (!program.bound()) return 2;
        const TagBeside tag("lan0", 7); // every other turn it is configured
        const Octets frame = frame_to("red0", packet);
        Wire lan("lan0");
        const pid_t sender = fork();
        if (sender == 0)
            for (;; usleep(500)) lan.send(frame); // steady, and leaves the emulated processors to the others
        const sp_verdict expected = turn % 2 == 0 ? SP_NO_WORKER : SP_UNKNOWN_VLAN;
        std::uint64_t seen = 0;
        const std::uint64_t before = must(program.counters())[expected].packets;
        for (int i = 0; i < 500 && seen < 20; i++) {
            usleep(2'000);
            seen = must(program.counters())[expected].packets - before;
        }
        if (turn % 3 == 0) must(detach(pins));
        if (turn % 3 != 2 && !shell("/bin/ip link del red0")) return 3;
        kill(sender, SIGKILL);
        waitpid(sender, nullptr, 0);
        return seen < 20 ? 4 : 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 5;
    }
}

TEST_F(XdpBound, DevicesAndNamespacesComeAndGo) {
    const int turns = in_a_guest() ? 200 : 20;
    for (int turn = 0; turn < turns; turn++) {
        if (turn % 50 == 0) std::printf("turn %d\n", turn);
        std::fflush(nullptr);
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) _exit(live_and_die(turn));
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFEXITED(status)) << "turn " << turn;
        ASSERT_EQ(WEXITSTATUS(status), 0) << "turn " << turn;
    }
    // Namespaces go one after another, in the kernel's own time: the last is gone when one made after it is.
    for (int i = 0; i < 20; i++) {
        const pid_t child = fork();
        if (child == 0) _exit(unshare(CLONE_NEWNET) == 0 && shell("/bin/ip link add a0 type veth peer name b0") ? 0 : 1);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    sleep(3);
    ASSERT_TRUE(shell("/bin/ip link add a0 type veth peer name b0 && /bin/ip link del a0"));
}

} // namespace
} // namespace sallyport::xdp

int main(int count, char** arguments) {
    if (!sallyport::xdp::in_a_guest()) GTEST_FLAG_SET(filter, "-*.NotWhereConstantsAreBlinded:*.OneThatBecameLongerIsGivenUp");
    testing::InitGoogleTest(&count, arguments);
    return RUN_ALL_TESTS();
}
