// SPDX-License-Identifier: Apache-2.0
// Good configurations and what they mean.
#include "mgmt/config/config.hpp"
#include "mgmt/config/keys.hpp"
#include "mgmt/config/test_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace sallyport::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Desired good(const std::string& text) {
    Outcome outcome = parse_text(text);
    if (!outcome) {
        for (const Problem& problem : outcome.error()) ADD_FAILURE() << to_string(problem);
        return {};
    }
    return outcome->desired;
}

TEST(Config, FewLinesMakeATunnel) {
    const Desired desired = good(ports_text + connection_text("a"));
    ASSERT_EQ(desired.sas.size(), 2U);
    const SaSpec& out = desired.sas[0];
    const SaSpec& in = desired.sas[1];
    EXPECT_EQ(out.name, "a");
    EXPECT_EQ(out.direction, Direction::outbound);
    EXPECT_EQ(in.direction, Direction::inbound);
    EXPECT_EQ(out.spi, 0x1002U);
    EXPECT_EQ(in.spi, 0x1001U);
    EXPECT_EQ(to_string(out.outer_local), "192.0.2.1");
    EXPECT_EQ(to_string(out.outer_remote), "198.51.100.1");
    EXPECT_EQ(out.algorithm, Algorithm::aes_256_cbc_hmac_sha2_256_128);
    EXPECT_EQ(out.sequence, SequenceKind::extended_64);
    EXPECT_EQ(out.window, 1024U);
    EXPECT_EQ(out.hop_limit, 64);
    EXPECT_EQ(out.mtu, 0);
    EXPECT_EQ(out.dscp, DscpRule::copy);
    EXPECT_EQ(out.df, DfRule::copy);
    EXPECT_EQ(out.fragment, FragmentRule::before);
    EXPECT_TRUE(out.manual);
    EXPECT_EQ(out.key.size, 64);
    EXPECT_EQ(out.key.octets[0], 0x22);
    EXPECT_EQ(in.key.octets[0], 0x11);
    ASSERT_EQ(out.selectors.size(), 1U);
    EXPECT_EQ(to_string(out.selectors[0].local), "10.1.0.0/16");
    EXPECT_EQ(to_string(out.selectors[0].remote), "10.2.0.0/16");
    EXPECT_EQ(in.selectors, out.selectors);
    ASSERT_EQ(desired.policies.size(), 1U);
    EXPECT_EQ(desired.policies[0].action, PolicyAction::protect);
    EXPECT_EQ(desired.policies[0].sa, "a");
    EXPECT_EQ(desired.policies[0].priority, 1000U);
    ASSERT_EQ(desired.vpns.size(), 1U);
    EXPECT_EQ(desired.vpns[0].name, "wan");
    EXPECT_EQ(desired.vpns[0].table, 254U);
    ASSERT_EQ(desired.ports.size(), 2U);
    EXPECT_EQ(desired.ports[0].interface, "wan0");
    EXPECT_EQ(desired.ports[0].role, Role::black);
    ASSERT_EQ(desired.ports[0].vlans.size(), 1U);
    EXPECT_EQ(desired.ports[0].vlans[0].id, 0);
    EXPECT_EQ(desired.ports[1].role, Role::red);
    EXPECT_EQ(desired.settings.run_directory, "/run/sallyport");
    EXPECT_EQ(desired.settings.state_directory, "/var/lib/sallyport");
    EXPECT_EQ(desired.settings.frames, 16384U);
    ASSERT_EQ(desired.ike.peers.size(), 1U);
    EXPECT_EQ(to_string(desired.ike.peers[0]), "198.51.100.1");
    EXPECT_EQ(desired.source, "test.toml");
}

TEST(Config, EveryKeyIsHeard) {
    const Desired desired = good(R"(
[gateway]
cores = [2, 3]
queues = 2
spin = true
frames = 4096
run-directory = "/run/x"
state-directory = "/var/x"
[vpn.wan]
table = 10
[vpn.office]
table = 100
number = 7
[vpn.lab]
table = 101
[port.out]
interface = "eth0"
role = "black"
listen = ["192.0.2.1", "2001:db8::1"]
tags-beside-frame = false
[port.in]
interface = "eth1"
role = "red"
vpn = "wan"
vlans = { 7 = "office", 8 = { vpn = "lab", addresses = ["10.8.0.1/24", "2001:db8:8::1/64"] } }
[connection.a]
local = "2001:db8::1"
remote = "2001:db8::2"
vpn = "office"
outer-vpn = "wan"
local-networks = "10.0.0.0-10.0.0.9"
remote-networks = ["10.2.0.0/16", "10.4.0.1"]
protocol = "tcp"
local-ports = "1000-2000"
remote-ports = 443
priority = 7
algorithm = "aes-128-gcm"
unsafe-manual-aead = true
spi-in = 256
spi-out = 0xffffffff
key-in = "0x1111111111111111111111111111111111111111"
key-out = "2222222222222222222222222222222222222222"
esn = false
replay-window = 64
dscp = 46
df = "set"
fragment = "after"
mtu = 1400
hop-limit = 9
dummies = 5
[policy.p]
action = "protect"
connection = "a"
priority = 8
remote-networks = "10.9.0.0/16"
local-networks = "10.0.0.0/8"
[policy.q]
action = "bypass"
vpn = "lab"
protocol = 89
[ike]
peers = ["203.0.113.1"]
peer-rate = 1
peer-burst = 2
prefix-rate = 3
prefix-burst = 4
machine-rate = 5
machine-burst = 6
)");
    const Settings& settings = desired.settings;
    EXPECT_EQ(settings.cores, (std::vector<unsigned>{2, 3}));
    EXPECT_EQ(settings.queues, 2U);
    EXPECT_TRUE(settings.spin);
    EXPECT_EQ(settings.frames, 4096U);
    EXPECT_EQ(settings.run_directory, "/run/x");
    EXPECT_EQ(settings.state_directory, "/var/x");
    ASSERT_EQ(desired.vpns.size(), 3U);
    EXPECT_EQ(desired.vpns[0].table, 10U);
    EXPECT_EQ(desired.vpns[1].number, 7);
    EXPECT_EQ(desired.vpns[2].number, 1) << "the next that is free";
    ASSERT_EQ(desired.ports.size(), 2U);
    EXPECT_EQ(desired.ports[0].interface, "eth0");
    EXPECT_EQ(desired.ports[0].listen.size(), 2U);
    EXPECT_FALSE(desired.ports[0].tags_beside_frame);
    EXPECT_TRUE(desired.ports[1].tags_beside_frame) << "unless it is switched off";
    ASSERT_EQ(desired.ports[1].vlans.size(), 3U);
    EXPECT_EQ(desired.ports[1].vlans[0].id, 0);
    EXPECT_EQ(desired.ports[1].vlans[1].id, 7);
    EXPECT_EQ(desired.ports[1].vlans[1].vpn, 7);
    EXPECT_EQ(desired.ports[1].vlans[2].id, 8);
    EXPECT_EQ(desired.ports[1].vlans[2].vpn, 1);
    EXPECT_TRUE(desired.ports[1].vlans[1].addresses.empty());
    ASSERT_EQ(desired.ports[1].vlans[2].addresses.size(), 2U);
    EXPECT_EQ(to_string(desired.ports[1].vlans[2].addresses[0].address), "10.8.0.1");
    EXPECT_EQ(desired.ports[1].vlans[2].addresses[0].length, 24);
    EXPECT_EQ(to_string(desired.ports[1].vlans[2].addresses[1].network()), "2001:db8:8::/64");
    ASSERT_EQ(desired.sas.size(), 2U);
    const SaSpec& out = desired.sas[0];
    EXPECT_EQ(out.outer_local.family, Family::ipv6);
    EXPECT_EQ(out.red_vpn, 7);
    EXPECT_EQ(out.outer_vpn, wan_vpn);
    EXPECT_EQ(out.algorithm, Algorithm::aes_128_gcm_16);
    EXPECT_EQ(out.key.size, 20);
    EXPECT_EQ(out.sequence, SequenceKind::short_32);
    EXPECT_EQ(out.window, 64U);
    EXPECT_EQ(out.dscp, DscpRule::set);
    EXPECT_EQ(out.dscp_value, 46);
    EXPECT_EQ(out.df, DfRule::set);
    EXPECT_EQ(out.fragment, FragmentRule::after);
    EXPECT_EQ(out.mtu, 1400);
    EXPECT_EQ(out.hop_limit, 9);
    EXPECT_EQ(out.dummies_per_second, 5U);
    EXPECT_EQ(out.spi, 0xffffffffU);
    EXPECT_EQ(desired.sas[1].spi, 256U);
    ASSERT_EQ(out.selectors.size(), 3U) << "two of its own, one of the policy";
    EXPECT_EQ(to_string(out.selectors[0].local), "10.0.0.0-10.0.0.9");
    EXPECT_EQ(out.selectors[1].remote, *parse_range("10.4.0.1"));
    EXPECT_EQ(out.selectors[0].protocol, 6);
    EXPECT_EQ(out.selectors[0].local_ports, (PortRange{1000, 2000}));
    EXPECT_EQ(out.selectors[0].remote_ports, (PortRange{443, 443}));
    EXPECT_EQ(to_string(out.selectors[2].remote), "10.9.0.0/16");
    EXPECT_EQ(desired.sas[1].selectors, out.selectors);
    ASSERT_EQ(desired.policies.size(), 3U);
    EXPECT_EQ(desired.policies[1].vpn, 7) << "that of its connection";
    EXPECT_EQ(desired.policies[1].sa, "a");
    EXPECT_EQ(desired.policies[2].action, PolicyAction::bypass);
    EXPECT_EQ(desired.policies[2].priority, 2000U);
    EXPECT_EQ(desired.policies[2].selectors.size(), 2U) << "everything, of both families";
    EXPECT_EQ(desired.policies[2].selectors[1].protocol, 89);
    EXPECT_EQ(desired.ike.peers.size(), 2U);
    EXPECT_EQ(desired.ike.peer_rate, 1U);
    EXPECT_EQ(desired.ike.peer_burst, 2U);
    EXPECT_EQ(desired.ike.prefix_rate, 3U);
    EXPECT_EQ(desired.ike.prefix_burst, 4U);
    EXPECT_EQ(desired.ike.machine_rate, 5U);
    EXPECT_EQ(desired.ike.machine_burst, 6U);
}

TEST(Config, TypesCodesAndOpaque) {
    const auto of = [](const std::string& keys) {
        const Desired desired = good(ports_text + connection_text("a", keys));
        return desired.sas.empty() ? std::string() : to_string(desired.sas[0].selectors.at(0));
    };
    const std::string nets = "10.1.0.0/16 <-> 10.2.0.0/16";
    EXPECT_EQ(of("protocol = \"icmp\"\n"), nets + " icmp");
    EXPECT_EQ(of("protocol = \"icmp\"\nicmp-type = 8\n"), nets + " icmp type 8");
    EXPECT_EQ(of("protocol = \"icmp\"\nicmp-type = 3\nicmp-code = \"0-4\"\n"), nets + " icmp type 3 code 0-4");
    EXPECT_EQ(of("protocol = \"icmp\"\nicmp-type = \"3-5\"\nicmp-code = 1\n"), nets + " icmp type 3 code 1 to type 5 code 1");
    EXPECT_EQ(of("protocol = \"icmpv6\"\nicmp-type = \"opaque\"\n"), nets + " ipv6-icmp type opaque");
    EXPECT_EQ(of("protocol = \"mobility\"\nmobility-type = \"1-4\"\n"), nets + " mobility type 1-4");
    EXPECT_EQ(of("protocol = \"tcp\"\nlocal-ports = \"opaque\"\nremote-ports = \"opaque\"\n"),
              "10.1.0.0/16 port opaque <-> 10.2.0.0/16 port opaque tcp");
    EXPECT_EQ(of("protocol = \"opaque\"\n"), nets + " protocol opaque");
}

TEST(Config, DirectionsDoNotOverlap) {
    const Desired desired = good(ports_text + "[policy.o]\naction = \"bypass\"\ndirection = \"out\"\n"
                                              "[policy.i]\naction = \"discard\"\ndirection = \"in\"\n");
    ASSERT_EQ(desired.policies.size(), 2U);
    EXPECT_EQ(desired.policies[0].reach, PolicyReach::outbound);
    EXPECT_EQ(desired.policies[1].reach, PolicyReach::inbound);
}

std::vector<std::string> warnings(const std::string& text) {
    const Outcome outcome = parse_text(text);
    std::vector<std::string> result;
    if (!outcome) return {"errors"};
    for (const Problem& problem : outcome->warnings) result.push_back(to_string(problem));
    return result;
}

TEST(Config, WhatNeverMatchesIsSaid) {
    const std::string wide = ports_text +
                             "[policy.wide]\naction = \"discard\"\npriority = 1\nremote-networks = [\"10.0.0.0/8\", \"::/0\"]\n";
    const auto behind = [&](const std::string& keys) {
        return warnings(wide + "[policy.late]\naction = \"bypass\"\npriority = 2\n" + keys);
    };
    EXPECT_THAT(
        behind("remote-networks = \"10.2.0.0/16\"\nprotocol = \"tcp\"\nremote-ports = 80\n"),
        ElementsAre("test.toml:11:9: policy.late: it never matches: policy.wide in test.toml:7, of priority 1, comes first and matches "
                    "the same; give it a lower priority, or remove it"));
    EXPECT_THAT(behind("remote-networks = [\"10.2.0.0/16\", \"11.0.0.0/8\"]\n"), ElementsAre()) << "part of it is free";
    EXPECT_THAT(warnings(ports_text + "[policy.a]\naction = \"bypass\"\npriority = 1\nprotocol = \"tcp\"\nremote-ports = \"80-90\"\n"
                                      "[policy.b]\naction = \"discard\"\npriority = 2\nprotocol = \"tcp\"\nremote-ports = \"80-91\"\n"),
                ElementsAre());
    EXPECT_THAT(warnings(ports_text + "[policy.a]\naction = \"bypass\"\npriority = 1\ndirection = \"out\"\n"
                                      "[policy.b]\naction = \"discard\"\npriority = 2\n"),
                ElementsAre())
        << "the other direction is free";
    EXPECT_THAT(
        warnings(ports_text +
                 "[policy.a]\naction = \"bypass\"\nprotocol = \"icmp\"\nlocal-networks = \"2001:db8::/32\"\nremote-networks = \"::/0\"\n"),
        ElementsAre(HasSubstr("policy.a: nothing matches: it names a protocol of IPv4 and no network of IPv4")));
}

TEST(Config, ClearRepliesForTwoVpnsAreSaid) {
    const std::string vpns = ports_text + "[vpn.x]\ntable = 100\n[port.lan1]\nrole = \"red\"\nvpn = \"x\"\n";
    const auto two = [&](const std::string& keys) {
        return warnings(vpns +
                        "[policy.a]\naction = \"bypass\"\nlocal-networks = \"10.1.0.0/16\"\nremote-networks = \"0.0.0.0/0\"\n"
                        "[policy.b]\naction = \"bypass\"\nvpn = \"x\"\n" +
                        keys + "remote-networks = \"203.0.113.0/24\"\n");
    };
    EXPECT_THAT(two("local-networks = \"10.1.7.0/24\"\n"),
                ElementsAre(HasSubstr("policy.b: clear packets from the black side that it lets in belong to policy.a in test.toml")));
    EXPECT_THAT(two("local-networks = \"10.2.0.0/16\"\n"), ElementsAre());
    EXPECT_THAT(two("direction = \"out\"\n"), ElementsAre());
}

TEST(Config, ManualAeadIsAllowedWithAWarning) {
    const Outcome outcome = parse_text(ports_text + connection_text("a", "algorithm = \"aes-128-gcm\"\nunsafe-manual-aead = true\n", 20));
    ASSERT_TRUE(outcome);
    ASSERT_EQ(outcome->warnings.size(), 1U);
    EXPECT_THAT(outcome->warnings[0].sentence, HasSubstr("a sequence number used twice gives the traffic away"));
    EXPECT_EQ(outcome->warnings[0].key, "connection.a.unsafe-manual-aead");
}

TEST(Config, SeveralFilesAreOne) {
    const std::string tunnel = connection_text("a");
    const std::vector<Text> texts{{"main.toml", ports_text}, {"conf.d/a.toml", tunnel}, {"conf.d/b.toml", "[gateway]\nspin = true\n"}};
    const Outcome outcome = parse(texts, no_key_files);
    ASSERT_TRUE(outcome) << to_string(outcome.error()[0]);
    EXPECT_EQ(outcome->desired.sas.size(), 2U);
    EXPECT_TRUE(outcome->desired.settings.spin);
    EXPECT_EQ(outcome->files.size(), 3U);
}

TEST(Config, EqualNetworksInTwoVpnsAreNoConflict) {
    const Desired desired = good("[vpn.x]\ntable = 100\n[port.lan1]\nrole = \"red\"\nvpn = \"x\"\n" + ports_text + connection_text("a") +
                                 connection_text("b", "vpn = \"x\"\n", 64, 3));
    EXPECT_EQ(desired.sas.size(), 4U);
}

TEST(Config, OverlapIsAllowedWithDifferentPriorities) {
    const Desired desired = good(ports_text + connection_text("a") + connection_text("b", "priority = 999\n", 64, 3) +
                                 "[policy.x]\naction = \"discard\"\n[policy.y]\naction = \"discard\"\n");
    EXPECT_EQ(desired.policies.size(), 4U);
}

TEST(Config, OverlapOfOtherPortsOrProtocolsIsNone) {
    const Desired desired = good(ports_text + connection_text("a", "protocol = \"tcp\"\nlocal-ports = \"0-79\"\n") +
                                 connection_text("b", "protocol = \"tcp\"\nlocal-ports = \"80-443\"\n", 64, 3) +
                                 connection_text("c", "protocol = \"udp\"\n", 64, 5));
    EXPECT_EQ(desired.sas.size(), 6U);
}

TEST(Config, KeysComeFromFilesBesideTheConfiguration) {
    std::vector<std::string> asked;
    const KeyFiles key_files = [&](const std::string& path) -> Result<KeyMaterial> {
        asked.push_back(path);
        KeyMaterial key;
        key.size = 64;
        key.octets.fill(path.ends_with("in") ? 1 : 2);
        return key;
    };
    const std::string text = ports_text +
                             "[connection.a]\nlocal = \"192.0.2.1\"\nremote = \"198.51.100.1\"\nlocal-networks = \"10.1.0.0/16\"\n"
                             "remote-networks = \"10.2.0.0/16\"\nspi-in = 256\nspi-out = 257\n"
                             "key-in-file = \"keys/in\"\nkey-out-file = \"/keys/out\"\n";
    const std::vector<Text> texts{{"/etc/sallyport/sallyport.toml", text}};
    const Outcome outcome = parse(texts, key_files);
    ASSERT_TRUE(outcome) << to_string(outcome.error()[0]);
    EXPECT_THAT(asked, testing::UnorderedElementsAre("/etc/sallyport/keys/in", "/keys/out"));
    EXPECT_EQ(outcome->desired.sas[1].key.octets[63], 1);
}

TEST(Config, TheInstalledExampleIsGood) {
    std::ifstream file(SALLYPORT_SOURCE_DIR "/etc/sallyport.toml");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    ASSERT_FALSE(text.empty());
    const std::vector<Text> texts{{"sallyport.toml", text}};
    const Outcome outcome = parse(texts, [](const std::string& path) -> Result<KeyMaterial> {
        KeyMaterial key;
        key.size = 64;
        key.octets.fill(path.ends_with("in") ? 1 : 2);
        return key;
    });
    ASSERT_TRUE(outcome) << to_string(outcome.error()[0]);
    EXPECT_EQ(outcome->desired.sas.size(), 2U);
    EXPECT_EQ(outcome->desired.sas[0].selectors.size(), 2U) << "IPv4 to IPv4, IPv6 to IPv6";
}

TEST(Keys, EveryDefaultIsAcceptedByItsOwnKey) {
    for (const KeyInfo& key : keys()) {
        EXPECT_FALSE(key.meaning.empty()) << key.name;
        EXPECT_EQ(key.meaning.back(), '.') << key.name;
        EXPECT_FALSE(expected_text(key).empty()) << key.name;
        if (key.fallback.empty()) continue;
        const SectionInfo& section = info(key.section);
        const std::string head = section.named ? std::string("[") + std::string(section.name) + ".x]\n"
                                               : std::string("[") + std::string(section.name) + "]\n";
        const Outcome outcome = parse_text(head + std::string(key.name) + " = " + std::string(key.fallback) + "\n");
        ASSERT_FALSE(outcome) << "there are no ports in it";
        for (const Problem& problem : outcome.error())
            EXPECT_FALSE(problem.line == 2 && problem.sentence.starts_with("expected")) << to_string(problem);
    }
}

/// A folder of the machine with files as `load` reads them.
class Files : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "sallyport-config-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        folder = pattern;
    }

    void TearDown() override { std::filesystem::remove_all(folder); }

    std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) {
        const std::filesystem::path path = folder / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
        EXPECT_EQ(chmod(path.c_str(), mode), 0);
        return path.string();
    }

    static std::string first_error(const Outcome& outcome) { return outcome ? "no error" : to_string(outcome.error()[0]); }

    std::filesystem::path folder;
};

TEST_F(Files, ConfDIsReadInTheOrderOfNames) {
    const std::string path = write("sallyport.toml", ports_text, 0644);
    write("conf.d/20-b.toml", connection_text("b", "priority = 5\n", 64, 3));
    write("conf.d/10-a.toml", connection_text("a"));
    write("conf.d/.hidden.toml", "nonsense");
    write("conf.d/a.txt", "nonsense");
    const Outcome outcome = load(path);
    ASSERT_TRUE(outcome) << first_error(outcome);
    ASSERT_EQ(outcome->desired.sas.size(), 4U);
    EXPECT_EQ(outcome->desired.sas[0].name, "a");
    EXPECT_EQ(outcome->desired.sas[2].name, "b");
    EXPECT_EQ(outcome->desired.source, path);
}

TEST_F(Files, WhatSaysNothingIsNoConfiguration) {
    EXPECT_TRUE(says_nothing((folder / "none.toml").string()));
    std::ifstream installed(SALLYPORT_SOURCE_DIR "/etc/unconfigured.toml");
    const std::string path = write("sallyport.toml", {std::istreambuf_iterator<char>(installed), {}}, 0644);
    EXPECT_TRUE(says_nothing(path));
    EXPECT_THAT(first_error(load(path)), HasSubstr("there is no black port; add [port.NAME]"));
    write("conf.d/port.toml", ports_text, 0644);
    EXPECT_FALSE(says_nothing(path)) << "a file beside it does";
    EXPECT_FALSE(says_nothing(write("broken/sallyport.toml", "[port", 0644)));
    EXPECT_FALSE(says_nothing(write("strange/sallyport.toml", "x = 1", 0644)));
    EXPECT_FALSE(says_nothing(folder.string())) << "it cannot be read";
}

TEST_F(Files, AFileWithKeysMustNotBeOpen) {
    const std::string path = write("sallyport.toml", ports_text + connection_text("a"), 0644);
    EXPECT_EQ(first_error(load(path)), path + ":14:10: the file holds keys and can be read by every user; chmod o-rwx " + path);
    EXPECT_EQ(chmod(path.c_str(), 0640), 0);
    EXPECT_TRUE(load(path));
}

TEST_F(Files, AFileThatAnyoneCanWriteIsRefused) {
    const std::string path = write("sallyport.toml", ports_text, 0666);
    EXPECT_THAT(first_error(load(path)), HasSubstr("can be written by every user; chmod o-w"));
}

TEST_F(Files, AStrangersFileIsRefused) {
    if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
    const std::string path = write("sallyport.toml", ports_text, 0644);
    EXPECT_EQ(chown(path.c_str(), 1234, 1234), 0);
    EXPECT_THAT(first_error(load(path)), HasSubstr("belongs to user 1234, not to root"));
}

TEST_F(Files, WhatIsNoFileIsRefused) {
    EXPECT_THAT(first_error(load((folder / "none.toml").string())),
                testing::EndsWith("/none.toml: cannot be read: No such file or directory"));
    EXPECT_THAT(first_error(load(folder.string())), HasSubstr("is not a regular file"));
    const std::string fifo = (folder / "fifo").string();
    ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_THAT(first_error(load(fifo)), HasSubstr("is not a regular file"));
}

TEST_F(Files, KeyFiles) {
    const auto sentence = [](const Result<KeyMaterial>& result) { return result ? std::string("good") : result.error().sentence; };
    EXPECT_EQ(read_key_file(write("k", "  00112233 \n"))->size, 4);
    EXPECT_EQ(read_key_file(write("k", "0xA1b2\n"))->octets[0], 0xa1);
    EXPECT_THAT(sentence(read_key_file(write("k", "0011", 0604))), HasSubstr("can be read by every user"));
    EXPECT_EQ(sentence(read_key_file(write("k", "0011", 0640))), "good");
    EXPECT_THAT(sentence(read_key_file(write("k", "00112"))), HasSubstr("5 digits are an odd number"));
    EXPECT_THAT(sentence(read_key_file(write("k", "0011 2233"))), HasSubstr("character 5 is none (it is not shown)"));
    EXPECT_THAT(sentence(read_key_file(write("k", ""))), HasSubstr("the key is empty"));
    EXPECT_THAT(sentence(read_key_file(write("k", std::string(194, '1')))),
                HasSubstr("the key has 97 octets; no algorithm takes more than 96"));
    EXPECT_THAT(sentence(read_key_file(write("k", std::string(5000, '1')))), HasSubstr("5000 octets, at most 4096 are read"));
    EXPECT_THAT(sentence(read_key_file("/dev/zero")), HasSubstr("is not a regular file"));
}

} // namespace
} // namespace sallyport::config
