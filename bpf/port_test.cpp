// SPDX-License-Identifier: Apache-2.0
// The program of a port over the frames of fixtures/ by BPF_PROG_TEST_RUN, and the rates of IKE. Needs root (or the capabilities).
#include "bpf/shared.h" // first: the skeleton names its structures

#include "bpf/fixture.hpp"
#include "bpf/options.hpp"
#include "bpf/port.skel.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <array>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <net/if.h>
#include <set>
#include <string>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sallyport {
namespace {

struct Verdict {
    const char* name;
    sp_action action;
};

constexpr std::array<Verdict, SP_VERDICT_COUNT> verdicts{{
#define SP_X(symbol, name, action, meaning) {name, action},
    SP_VERDICTS(SP_X)
#undef SP_X
}};

struct Destroy {
    void operator()(port_bpf* skeleton) const { port_bpf::destroy(skeleton); }
};

constexpr std::uint32_t black_ifindex = 11, red_ifindex = 12, trunk_ifindex = 13;

// One loaded program with maps of its own, filled as fixtures/README.md says.
class Port {
public:
    explicit Port(const sp_port& settings, bool with_worker) : skeleton_(port_bpf::open()) {
        if (!skeleton_) return;
        std::memcpy(const_cast<sp_port*>(&skeleton_->rodata->port), &settings, sizeof(settings));
        if (port_bpf::load(skeleton_.get()) != 0) {
            skeleton_.reset();
            return;
        }
        if (!with_worker) return;
        socket_ = socket(AF_XDP, SOCK_RAW, 0);
        std::uint32_t queue = 0;
        EXPECT_EQ(bpf_map_update_elem(bpf_map__fd(skeleton_->maps.xsks), &queue, &socket_, 0), 0);
    }

    ~Port() {
        if (socket_ >= 0) close(socket_);
    }

    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    [[nodiscard]] bool loaded() const { return skeleton_ != nullptr; }

    [[nodiscard]] port_bpf& skeleton() { return *skeleton_; }

    void set_mac(std::uint64_t mac) { skeleton_->bss->port_macs[0] = mac; }

    void add_local(std::uint32_t vpn, int family, const char* text, std::uint32_t flags) {
        sp_local_key key{
            .ifindex = skeleton_->rodata->port.ifindex, .vpn = vpn, .family = family == AF_INET ? SP_IPV4 : SP_IPV6, .address = {}};
        ASSERT_EQ(inet_pton(family, text, key.address), 1);
        ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(skeleton_->maps.local_addresses), &key, &flags, 0), 0);
    }

    static void add_prefix(bpf_map* map, std::uint32_t vpn, int family, const char* text, unsigned length, std::uint32_t value) {
        sp_prefix_key key{.prefix_bits = SP_PREFIX_KEY_BITS + length,
                          .vpn_be = htonl(vpn),
                          .family_be = htonl(family == AF_INET ? SP_IPV4 : SP_IPV6),
                          .address = {}};
        ASSERT_EQ(inet_pton(family, text, key.address), 1);
        ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(map), &key, &value, 0), 0);
    }

    void add_vlan(std::uint16_t outer, std::uint16_t inner, std::uint32_t vpn) {
        sp_vlan_key key{.ifindex = skeleton_->rodata->port.ifindex, .outer = outer, .inner = inner};
        ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(skeleton_->maps.vlans), &key, &vpn, 0), 0);
    }

    void add_peer(const char* text) {
        sp_source_key key{.vpn = 0, .family = SP_IPV4, .address = {}};
        sp_bucket bucket{};
        ASSERT_EQ(inet_pton(AF_INET, text, key.address), 1);
        ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(skeleton_->maps.ike_peers), &key, &bucket, 0), 0);
    }

    // Packets counted under each verdict so far.
    [[nodiscard]] std::array<std::uint64_t, SP_VERDICT_COUNT> counts() const {
        std::array<std::uint64_t, SP_VERDICT_COUNT> sums{};
        std::vector<sp_counter> values(static_cast<std::size_t>(libbpf_num_possible_cpus()));
        for (std::uint32_t i = 0; i < SP_VERDICT_COUNT; i++) {
            EXPECT_EQ(bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.counters), &i, values.data()), 0);
            for (const auto& value : values) sums[i] += value.packets;
        }
        return sums;
    }

    struct Answer {
        sp_verdict verdict;
        std::uint32_t action;
    };

    // Runs the program once; exactly one counter must go up.
    Answer run(const std::vector<std::uint8_t>& frame) {
        auto before = counts();
        bpf_test_run_opts options;
        clear(options);
        options.data_in = frame.data();
        options.data_size_in = static_cast<std::uint32_t>(frame.size());
        options.repeat = 1;
        EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.sallyport_port), &options), 0) << std::strerror(errno);
        auto after = counts();
        Answer answer{SP_VERDICT_COUNT, options.retval};
        unsigned changed = 0;
        for (unsigned i = 0; i < SP_VERDICT_COUNT; i++) {
            if (after[i] == before[i]) continue;
            EXPECT_EQ(after[i], before[i] + 1);
            answer.verdict = static_cast<sp_verdict>(i);
            changed++;
        }
        EXPECT_EQ(changed, 1U) << "a frame ends in one counter";
        return answer;
    }

private:
    std::unique_ptr<port_bpf, Destroy> skeleton_;
    int socket_ = -1;
};

sp_port settings_of(sp_role role, std::uint32_t ifindex) {
    sp_port settings{};
    settings.ifindex = ifindex;
    settings.role = role;
    settings.untagged_vpn = role == SP_ROLE_RED ? 1 : 0;
    settings.untagged = 1;
    settings.ike_served = 1;
    return settings;
}

void fill_black(Port& port) {
    port.set_mac(0x0b0000000002);
    port.add_local(0, AF_INET, "192.0.2.1", SP_LOCAL_HOST | SP_LOCAL_IPSEC);
    port.add_local(0, AF_INET, "192.0.2.9", SP_LOCAL_HOST);
    port.add_local(0, AF_INET, "192.0.2.255", SP_LOCAL_HOST);
    port.add_local(0, AF_INET6, "2001:db8::1", SP_LOCAL_HOST | SP_LOCAL_IPSEC);
    port.add_local(0, AF_INET6, "fe80::b", SP_LOCAL_HOST);
    port.add_local(7, AF_INET, "192.0.2.1", SP_LOCAL_HOST | SP_LOCAL_IPSEC);
    port.add_local(89, AF_INET, "192.0.2.1", SP_LOCAL_HOST | SP_LOCAL_IPSEC);
    auto& maps = port.skeleton().maps;
    Port::add_prefix(maps.protected_sources, 0, AF_INET, "10.2.0.0", 16, SP_PROTECTION_PROTECTED);
    Port::add_prefix(maps.protected_sources, 0, AF_INET, "10.2.9.0", 24, SP_PROTECTION_EXEMPT);
    Port::add_prefix(maps.protected_sources, 0, AF_INET6, "2001:db8:2::", 48, SP_PROTECTION_PROTECTED);
    Port::add_prefix(maps.bypass_sources, 0, AF_INET, "198.51.100.0", 24, 1);
    Port::add_prefix(maps.bypass_destinations, 0, AF_INET, "10.1.0.0", 16, 1);
}

std::unique_ptr<Port> make_port(const std::string& name) {
    if (name.ends_with("red")) {
        auto port = std::make_unique<Port>(settings_of(SP_ROLE_RED, red_ifindex), name == "red");
        if (!port->loaded()) return nullptr;
        port->set_mac(0x0c0000000002);
        port->add_local(1, AF_INET, "10.1.0.1", SP_LOCAL_HOST);
        port->add_local(1, AF_INET6, "2001:db8:1::1", SP_LOCAL_HOST);
        return port;
    }
    sp_port settings = settings_of(SP_ROLE_BLACK, name == "trunk" ? trunk_ifindex : black_ifindex);
    if (name == "quiet") settings.ike_served = 0;
    if (name == "trunk") {
        settings.untagged = 0;
        settings.tagged = 1;
    }
    auto port = std::make_unique<Port>(settings, name != "idle");
    if (!port->loaded()) return nullptr;
    fill_black(*port);
    if (name == "trunk") {
        port->add_vlan(7, SP_NO_TAG, 7);
        port->add_vlan(8, 9, 89);
        port->add_vlan(10, SP_NO_TAG, 7 | SP_VLAN_OWN);
    }
    return port;
}

Port* port_named(const std::string& name) {
    static std::map<std::string, std::unique_ptr<Port>> ports;
    if (!ports.contains(name)) ports[name] = make_port(name);
    return ports[name].get();
}

const std::vector<fixture::Fixture>& fixtures() {
    static const auto all = fixture::read_folder(SALLYPORT_SOURCE_DIR "/bpf/fixtures");
    return all;
}

std::vector<std::uint8_t> black_frame(const std::string& layers) { return fixture::make_frame(layers, fixture::mac_of("black")); }

class PortProgram : public testing::TestWithParam<fixture::Fixture> {};

TEST_P(PortProgram, GivesTheVerdict) {
    const auto& want = GetParam();
    Port* port = port_named(want.port);
    ASSERT_NE(port, nullptr) << "the program of port " << want.port << " does not load";
    auto got = port->run(want.frame);
    ASSERT_NE(got.verdict, SP_VERDICT_COUNT);
    EXPECT_STREQ(verdicts[got.verdict].name, want.verdict.c_str()) << want.place << ": " << want.what;
    EXPECT_EQ(got.action, static_cast<std::uint32_t>(verdicts[got.verdict].action));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, PortProgram, testing::ValuesIn(fixtures()), [](const auto& one) {
    std::string name = one.param.place;
    for (char& c : name)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    return name;
});

// Cut anywhere, a frame still ends in one verdict with its action, and nothing that its IP header calls longer than it is gets through.
TEST(PortProgramCut, EveryFrameAtEveryOctet) {
    unsigned runs = 0;
    for (const auto& whole : fixtures()) {
        Port* port = port_named(whole.port);
        ASSERT_NE(port, nullptr);
        for (std::size_t length = 14; length < whole.frame.size(); length++) { // the kernel runs no frame shorter than an Ethernet header
            auto got = port->run({whole.frame.begin(), whole.frame.begin() + static_cast<std::ptrdiff_t>(length)});
            ASSERT_NE(got.verdict, SP_VERDICT_COUNT) << whole.place << " cut at " << length;
            ASSERT_EQ(got.action, static_cast<std::uint32_t>(verdicts[got.verdict].action)) << whole.place << " cut at " << length;
            runs++;
        }
    }
    EXPECT_GT(runs, 1000U);
}

// The verdicts that need several frames are in PortProgramRates below.
TEST(PortProgramFixtures, ReachEveryVerdict) {
    std::set<std::string> reached{"ike_peer_limit", "ike_prefix_limit", "ike_machine_limit", "ike_other_limit"};
    for (const auto& one : fixtures()) reached.insert(one.verdict);
    for (const auto& verdict : verdicts) EXPECT_TRUE(reached.contains(verdict.name)) << "no fixture ends in " << verdict.name;
}

constexpr std::uint64_t hour_ns = 3'600'000'000'000;

sp_rate an_hour(std::uint64_t burst) { return {.interval_ns = hour_ns, .window_ns = (burst - 1) * hour_ns}; }

class PortProgramRates : public testing::Test {
protected:
    void make(const sp_ike_rates& rates) {
        sp_port settings = settings_of(SP_ROLE_BLACK, black_ifindex);
        settings.rates = rates;
        port_ = std::make_unique<Port>(settings, true);
        ASSERT_TRUE(port_->loaded());
        fill_black(*port_);
    }

    sp_verdict request(const std::string& from) {
        return port_->run(black_frame("eth / ip4 " + from + " 192.0.2.1 / udp 500 500 / ike")).verdict;
    }

    sp_verdict response(const std::string& from) {
        return port_->run(black_frame("eth / ip4 " + from + " 192.0.2.1 / udp 500 500 / ike flags=0x20")).verdict;
    }

    sp_verdict established(const std::string& from) {
        return port_->run(black_frame("eth / ip4 " + from + " 192.0.2.1 / udp 500 500 / ike responder=5")).verdict;
    }

    std::unique_ptr<Port> port_;
};

TEST_F(PortProgramRates, ConfiguredPeerHasABucketOfItsOwn) {
    make({.peer = an_hour(2), .prefix = an_hour(1), .machine = an_hour(1), .other = {}});
    port_->add_peer("198.51.100.7");
    EXPECT_EQ(request("198.51.100.8"), SP_IKE); // empties the prefix's and the machine's
    EXPECT_EQ(request("198.51.100.9"), SP_IKE_PREFIX_LIMIT);
    EXPECT_EQ(request("198.51.100.7"), SP_IKE);
    EXPECT_EQ(request("198.51.100.7"), SP_IKE);
    EXPECT_EQ(request("198.51.100.7"), SP_IKE_PEER_LIMIT);
}

TEST_F(PortProgramRates, AnEmptyBucketTakesNothingFromTheOthers) {
    make({.peer = an_hour(1), .prefix = an_hour(2), .machine = an_hour(4), .other = {}});
    port_->add_peer("203.0.113.1");
    EXPECT_EQ(request("203.0.113.1"), SP_IKE);
    for (int i = 0; i < 10; i++) EXPECT_EQ(request("203.0.113.1"), SP_IKE_PEER_LIMIT); // nothing from its prefix
    EXPECT_EQ(request("203.0.113.2"), SP_IKE);
    EXPECT_EQ(request("203.0.113.3"), SP_IKE);
    for (int i = 0; i < 10; i++) EXPECT_EQ(request("203.0.113.4"), SP_IKE_PREFIX_LIMIT); // nothing from the machine
    EXPECT_EQ(request("198.51.100.1"), SP_IKE);
    EXPECT_EQ(request("198.51.101.1"), SP_IKE);
    EXPECT_EQ(request("198.51.102.1"), SP_IKE_MACHINE_LIMIT);
}

TEST_F(PortProgramRates, OtherMessagesHaveBucketsOfTheirOwn) {
    make({.peer = {}, .prefix = an_hour(1), .machine = an_hour(100), .other = an_hour(3)});
    EXPECT_EQ(request("198.51.100.7"), SP_IKE);
    EXPECT_EQ(request("198.51.100.7"), SP_IKE_PREFIX_LIMIT);
    EXPECT_EQ(established("198.51.100.7"), SP_IKE);
    EXPECT_EQ(response("198.51.100.7"), SP_IKE);
    EXPECT_EQ(established("198.51.100.200"), SP_IKE); // the same /24
    EXPECT_EQ(response("198.51.100.8"), SP_IKE_OTHER_LIMIT);
    EXPECT_EQ(established("198.51.101.8"), SP_IKE);
    EXPECT_EQ(request("198.51.102.8"), SP_IKE);
}

TEST_F(PortProgramRates, Ipv6PrefixesHave48Bits) {
    make({.peer = {}, .prefix = an_hour(1), .machine = {}, .other = {}});
    auto from = [&](const std::string& source) {
        return port_->run(black_frame("eth / ip6 " + source + " 2001:db8::1 / udp 500 500 / ike")).verdict;
    };
    EXPECT_EQ(from("2001:db8:7::7"), SP_IKE);
    EXPECT_EQ(from("2001:db8:7:ffff::8"), SP_IKE_PREFIX_LIMIT);
    EXPECT_EQ(from("2001:db8:8::8"), SP_IKE);
}

TEST_F(PortProgramRates, TokensComeBack) {
    sp_rate quick{.interval_ns = 500'000'000, .window_ns = 0}; // an emulated machine beside others is slow
    make({.peer = {}, .prefix = quick, .machine = {}, .other = {}});
    EXPECT_EQ(request("198.51.100.7"), SP_IKE);
    EXPECT_EQ(request("198.51.100.7"), SP_IKE_PREFIX_LIMIT);
    usleep(510'000);
    EXPECT_EQ(request("198.51.100.7"), SP_IKE);
}

// RFC 4301 5.2: what is dropped since it came in clear is told of, a burst of each kind and not more.
TEST(PortProgramAudits, ClearPacketsFromTheBlackSide) {
    sp_port settings = settings_of(SP_ROLE_BLACK, black_ifindex);
    Port port(settings, true);
    ASSERT_TRUE(port.loaded());
    fill_black(port);
    std::vector<sp_audit> told;
    const auto take = [](void* to, void* data, std::size_t size) {
        if (size == sizeof(sp_audit)) std::memcpy(&static_cast<std::vector<sp_audit>*>(to)->emplace_back(), data, size);
        return 0;
    };
    ring_buffer* ring = ring_buffer__new(bpf_map__fd(port.skeleton().maps.audits), take, &told, nullptr);
    ASSERT_NE(ring, nullptr);
    for (int i = 0; i < 30; i++)
        EXPECT_EQ(port.run(black_frame("eth / ip4 10.2.0.5 192.0.2.1 / udp 1000 53")).verdict, SP_PROTECTED_SOURCE);
    for (int i = 0; i < 30; i++)
        EXPECT_EQ(port.run(black_frame("eth / ip6 2001:db8:77::7 2001:db8:78::8 / udp 1000 53")).verdict, SP_TRANSIT);
    EXPECT_EQ(port.run(black_frame("eth / ip4 198.51.100.7 192.0.2.1 / esp")).verdict, SP_ESP);
    EXPECT_GT(ring_buffer__consume(ring), 0);
    ring_buffer__free(ring);
    const auto of = [&](sp_verdict verdict) { return std::ranges::count(told, static_cast<__u32>(verdict), &sp_audit::verdict); };
    EXPECT_GE(of(SP_PROTECTED_SOURCE), SP_AUDIT_BURST);
    EXPECT_LT(of(SP_PROTECTED_SOURCE), 30);
    EXPECT_GE(of(SP_TRANSIT), SP_AUDIT_BURST);
    ASSERT_EQ(of(SP_PROTECTED_SOURCE) + of(SP_TRANSIT), static_cast<std::ptrdiff_t>(told.size()));
    const sp_audit& first = told.front();
    EXPECT_EQ(first.ifindex, black_ifindex);
    EXPECT_EQ(first.vpn, 0U);
    EXPECT_EQ(first.family, static_cast<__u32>(SP_IPV4));
    EXPECT_EQ(first.protocol, 17);
    EXPECT_EQ(first.source[1], 2);
    EXPECT_EQ(first.destination[0], 192);
    EXPECT_EQ(first.upper_present, 1);
    EXPECT_EQ(first.upper[3], 53);
    EXPECT_GT(first.time_ns, 0U);
    EXPECT_EQ(told.back().family, static_cast<__u32>(SP_IPV6));
    EXPECT_EQ(told.back().source[5], 0x77);
}

TEST(PortProgramMacs, AllFourAreOurs) {
    Port port(settings_of(SP_ROLE_BLACK, black_ifindex), true);
    ASSERT_TRUE(port.loaded());
    fill_black(port);
    auto to = [&](const std::string& mac) {
        return port.run(black_frame("eth to=" + mac + " / ip4 198.51.100.7 192.0.2.1 / esp")).verdict;
    };
    EXPECT_EQ(to("02:00:00:00:00:99"), SP_OTHER_HOST);
    port.skeleton().bss->port_macs[3] = 0x990000000002;
    EXPECT_EQ(to("02:00:00:00:00:99"), SP_ESP);
    EXPECT_EQ(to("02:00:00:00:00:0b"), SP_ESP);
    EXPECT_EQ(to("02:00:00:00:00:98"), SP_OTHER_HOST);
    port.set_mac(0);
    EXPECT_EQ(to("02:00:00:00:00:98"), SP_ESP) << "no MAC known: all are taken";
}

// The daemon has four capabilities, and CAP_PERFMON is none of them: the verifier is stricter then.
TEST(PortProgramCapabilities, FourAreEnough) {
    fflush(nullptr);
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const cap_value_t four[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_IPC_LOCK};
        cap_t caps = cap_init();
        prctl(PR_SET_KEEPCAPS, 1);
        bool ready = setresuid(1000, 1000, 1000) == 0 && cap_set_flag(caps, CAP_PERMITTED, 4, four, CAP_SET) == 0 &&
                     cap_set_flag(caps, CAP_EFFECTIVE, 4, four, CAP_SET) == 0 && cap_set_proc(caps) == 0;
        if (!ready) _exit(2);
        std::unique_ptr<port_bpf, Destroy> skeleton(port_bpf::open());
        if (!skeleton) _exit(3);
        skeleton->rodata->port.tagged = 1;
        skeleton->rodata->port.ike_served = 1;
        _exit(port_bpf::load(skeleton.get()) == 0 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

} // namespace
} // namespace sallyport
