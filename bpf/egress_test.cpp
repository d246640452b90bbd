// SPDX-License-Identifier: Apache-2.0
// The program on the way out of a black port, by BPF_PROG_TEST_RUN. Needs root (or the capabilities).
#include "bpf/shared.h" // first: the skeleton names its structures

#include "bpf/egress.skel.h"
#include "bpf/fixture.hpp"
#include "bpf/options.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <linux/pkt_cls.h>
#include <memory>
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

constexpr Verdict verdicts[] = {
#define SP_X(symbol, name, action, meaning) {name, action},
    SP_EGRESS_VERDICTS(SP_X)
#undef SP_X
};

struct Destroy {
    void operator()(egress_bpf* skeleton) const { egress_bpf::destroy(skeleton); }
};

constexpr std::uint32_t ifindex = 11;

void add_prefix(bpf_map* map, std::uint32_t vpn, int family, const char* text, unsigned length, std::uint32_t value) {
    sp_prefix_key key{.prefix_bits = SP_PREFIX_KEY_BITS + length,
                      .vpn_be = htonl(vpn),
                      .family_be = htonl(family == AF_INET ? SP_IPV4 : SP_IPV6),
                      .address = {}};
    ASSERT_EQ(inet_pton(family, text, key.address), 1);
    ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(map), &key, &value, 0), 0);
}

// To 10.2.0.0/16, but not 10.2.9.0/24, and 2001:db8:2::/48 all is protected; from 10.3.0.0/16 all to everywhere. VLAN 7 is VPN 7, where
// only 10.7.0.0/16 is protected.
class EgressProgram : public testing::Test {
protected:
    void load(bool untagged) {
        skeleton_.reset(egress_bpf::open());
        ASSERT_NE(skeleton_, nullptr);
        skeleton_->rodata->port.ifindex = ifindex;
        skeleton_->rodata->port.untagged = untagged ? 1 : 0;
        ASSERT_EQ(egress_bpf::load(skeleton_.get()), 0) << std::strerror(errno);
        auto& maps = skeleton_->maps;
        add_prefix(maps.egress_destinations, 0, AF_INET, "10.2.0.0", 16, SP_PROTECTION_PROTECTED);
        add_prefix(maps.egress_destinations, 0, AF_INET, "10.2.9.0", 24, SP_PROTECTION_EXEMPT);
        add_prefix(maps.egress_destinations, 0, AF_INET6, "2001:db8:2::", 48, SP_PROTECTION_PROTECTED);
        add_prefix(maps.egress_destinations, 7, AF_INET, "10.7.0.0", 16, SP_PROTECTION_PROTECTED);
        add_prefix(maps.egress_sources, 0, AF_INET, "10.3.0.0", 16, 1);
        const sp_vlan_key key{.ifindex = ifindex, .outer = 7, .inner = SP_NO_TAG};
        const std::uint32_t vpn = 7;
        ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(maps.vlans), &key, &vpn, 0), 0);
    }

    void SetUp() override { load(true); }

    [[nodiscard]] std::vector<std::uint64_t> counts() const {
        std::vector<std::uint64_t> sums(SP_EGRESS_VERDICT_COUNT);
        std::vector<sp_counter> values(static_cast<std::size_t>(libbpf_num_possible_cpus()));
        for (std::uint32_t i = 0; i < SP_EGRESS_VERDICT_COUNT; i++) {
            EXPECT_EQ(bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.egress_counters), &i, values.data()), 0);
            for (const auto& value : values) sums[i] += value.packets;
        }
        return sums;
    }

    // The verdict's name; exactly one counter goes up, and the action is the verdict's.
    std::string run(const std::string& layers) {
        const auto frame = fixture::make_frame(layers, "02:00:00:00:00:77");
        const auto before = counts();
        bpf_test_run_opts options;
        clear(options);
        options.data_in = frame.data();
        options.data_size_in = static_cast<std::uint32_t>(frame.size());
        options.repeat = 1;
        EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.sallyport_egress), &options), 0) << std::strerror(errno);
        const auto after = counts();
        std::string name;
        for (unsigned i = 0; i < SP_EGRESS_VERDICT_COUNT; i++) {
            if (after[i] == before[i]) continue;
            EXPECT_EQ(after[i], before[i] + 1);
            EXPECT_TRUE(name.empty()) << "a frame ends in one counter";
            name = verdicts[i].name;
            EXPECT_EQ(static_cast<int>(options.retval), verdicts[i].action == SP_DROP ? TC_ACT_SHOT : TC_ACT_UNSPEC) << name;
        }
        return name;
    }

    std::unique_ptr<egress_bpf, Destroy> skeleton_;
};

TEST_F(EgressProgram, DropsWhatMustBeProtectedWhateverItsSource) {
    EXPECT_EQ(run("eth / ip4 10.1.0.1 10.2.0.2 / icmp 8"), "egress_protected");
    EXPECT_EQ(run("eth / ip4 192.0.2.1 10.2.255.255 / udp 1000 2000"), "egress_protected");
    EXPECT_EQ(run("eth / ip6 2001:db8:1::1 2001:db8:2::2 / icmp6 128"), "egress_protected");
    EXPECT_EQ(run("eth / ip4 192.0.2.1 10.2.0.2 offset=64 / octets 40"), "egress_protected");
}

TEST_F(EgressProgram, LetsTheRestGo) {
    EXPECT_EQ(run("eth / ip4 192.0.2.1 198.51.100.2 / udp 1000 53"), "egress_clear");
    EXPECT_EQ(run("eth / ip4 192.0.2.1 10.1.255.255 / icmp 8"), "egress_clear");
    EXPECT_EQ(run("eth / ip4 192.0.2.1 10.2.9.9 / icmp 8"), "egress_clear"); // exempt
    EXPECT_EQ(run("eth / ip6 2001:db8:a::1 2001:db8:3::2 / icmp6 128"), "egress_clear");
}

TEST_F(EgressProgram, WhereAllIsProtectedTheSourceCounts) {
    EXPECT_EQ(run("eth / ip4 10.3.0.1 198.51.100.2 / icmp 8"), "egress_protected");
    EXPECT_EQ(run("eth / ip4 10.3.0.1 10.2.9.9 / icmp 8"), "egress_clear"); // exempt
    EXPECT_EQ(run("eth / ip4 10.4.0.1 198.51.100.2 / icmp 8"), "egress_clear");
}

TEST_F(EgressProgram, IpsecIsNotClear) {
    EXPECT_EQ(run("eth / ip4 192.0.2.1 10.2.0.2 / esp"), "egress_ipsec");
    EXPECT_EQ(run("eth / ip6 2001:db8:a::1 2001:db8:2::2 / ah"), "egress_ipsec");
    EXPECT_EQ(run("eth / ip4 192.0.2.1 10.2.0.2 / udp 500 500 / ike"), "egress_ipsec");
    EXPECT_EQ(run("eth / ip4 192.0.2.1 10.2.0.2 / udp 4500 4500 / marker / ike"), "egress_ipsec");
    EXPECT_EQ(run("eth / ip4 192.0.2.1 10.2.0.2 / udp 500 53"), "egress_protected");
    EXPECT_EQ(run("eth / ip4 192.0.2.1 10.2.0.2 / udp 1000 500"), "egress_protected");
    EXPECT_EQ(run("eth / ip4 192.0.2.1 10.2.0.2 proto=17 offset=64 / octets 40"), "egress_protected");
}

TEST_F(EgressProgram, TheLinksOwnHousekeeping) {
    EXPECT_EQ(run("eth / arp"), "egress_other");
    EXPECT_EQ(run("eth / ip6 fe80::1 ff02::1:ff00:2 / icmp6 135"), "egress_other");
    EXPECT_EQ(run("eth / ip4 192.0.2.1 224.0.0.5 / octets 40"), "egress_other");
    EXPECT_EQ(run("eth / ip4 0.0.0.0 255.255.255.255 / udp 68 67"), "egress_other");
}

TEST_F(EgressProgram, AVlanIsItsVpn) {
    EXPECT_EQ(run("eth / vlan 7 / ip4 10.1.0.1 10.7.0.2 / icmp 8"), "egress_protected");
    EXPECT_EQ(run("eth / vlan 7 / ip4 10.1.0.1 10.2.0.2 / icmp 8"), "egress_clear");
    EXPECT_EQ(run("eth / vlan 0 / ip4 10.1.0.1 10.2.0.2 / icmp 8"), "egress_protected"); // a priority tag is none
    EXPECT_EQ(run("eth / vlan 8 / ip4 10.1.0.1 198.51.100.2 / icmp 8"), "egress_unknown_vlan");
    EXPECT_EQ(run("eth / vlan 7 / vlan 8 / ip4 10.1.0.1 10.7.0.2 / icmp 8"), "egress_unknown_vlan");
    EXPECT_EQ(run("eth / vlan 7 / vlan 8 / vlan 9 / ip4 10.1.0.1 10.7.0.2 / icmp 8"), "egress_bad");
    load(false);
    EXPECT_EQ(run("eth / ip4 10.1.0.1 198.51.100.2 / icmp 8"), "egress_unknown_vlan");
    EXPECT_EQ(run("eth / ip6 fe80::1 ff02::16 / icmp6 143"), "egress_other");
}

TEST_F(EgressProgram, CutShort) {
    // Behind a tag: a test run does not take an IP packet that is cut.
    EXPECT_EQ(run("eth / vlan 7 / ip4 10.1.0.1 10.7.0.2 / icmp 8 / cut 37"), "egress_bad");
    EXPECT_EQ(run("eth / vlan 7 / ip6 2001:db8:1::1 2001:db8:2::2 / icmp6 128 / cut 57"), "egress_bad");
    EXPECT_EQ(run("eth / vlan 7 / ip4 10.1.0.1 10.7.0.2 / icmp 8 / cut 17"), "egress_bad");
    EXPECT_EQ(run("eth / ip4 10.1.0.1 10.2.0.2 version=5 / icmp 8"), "egress_bad");
}

// The daemon has four capabilities, and CAP_PERFMON is none of them: the verifier is stricter then.
TEST(EgressProgramCapabilities, FourAreEnough) {
    fflush(nullptr);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const cap_value_t four[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_IPC_LOCK};
        cap_t caps = cap_init();
        prctl(PR_SET_KEEPCAPS, 1);
        const bool ready = setresuid(1000, 1000, 1000) == 0 && cap_set_flag(caps, CAP_PERMITTED, 4, four, CAP_SET) == 0 &&
                           cap_set_flag(caps, CAP_EFFECTIVE, 4, four, CAP_SET) == 0 && cap_set_proc(caps) == 0;
        if (!ready) _exit(2);
        const std::unique_ptr<egress_bpf, Destroy> skeleton(egress_bpf::open());
        if (!skeleton) _exit(3);
        skeleton->rodata->port.untagged = 1;
        _exit(egress_bpf::load(skeleton.get()) == 0 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

} // namespace
} // namespace sallyport
