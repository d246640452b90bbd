// SPDX-License-Identifier: Apache-2.0
// Every mistake with its place, what was expected, and what to do.
#include "mgmt/config/config.hpp"
#include "mgmt/config/item.hpp"
#include "mgmt/config/test_text.hpp"

#include <format>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string_view>

namespace sallyport::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> errors(const std::string& text) {
    const Outcome outcome = parse_text(text);
    std::vector<std::string> result;
    if (!outcome)
        for (const Problem& problem : outcome.error()) result.push_back(to_string(problem));
    return result;
}

/// The one error of a connection to which `line` was added as line 8, after the ports and its heading.
std::string with(const std::string& line, unsigned octets = 64) {
    const auto all = errors(ports_text + connection_text("a", line + "\n", octets));
    if (all.size() == 1) return all[0];
    std::string text = std::to_string(all.size()) + " errors";
    for (const std::string& one : all) text += "\n" + one;
    return text;
}

/// The one error of a connection where a line is replaced.
std::string replaced(const std::string& from, const std::string& to) {
    std::string text = ports_text + connection_text("a");
    const std::size_t at = text.find(from);
    if (at == std::string::npos) return "nothing to replace";
    text.replace(at, text.find('\n', at) - at, to);
    const auto all = errors(text);
    std::string result;
    for (const std::string& one : all) result += (result.empty() ? "" : "\n") + one;
    return result;
}

TEST(Errors, SyntaxHasItsPlace) {
    const auto all = errors("[port.wan0]\nrole = \n");
    ASSERT_EQ(all.size(), 1U);
    EXPECT_THAT(all[0], testing::StartsWith("test.toml:2:"));
    EXPECT_THAT(errors("a = 1\na = 2\n")[0],
                testing::StartsWith("test.toml:2:5: while parsing key-value pair: cannot redefine existing integer 'a'"));
}

TEST(Errors, WhatTomlPlusPlusOnlyAsserts) {
    EXPECT_THAT(errors(ports_text + "[.lan0]\nrole = \"red\"\n"),
                ElementsAre("test.toml:7:1: this line is malformed; expected a name after [ or ."));
    EXPECT_THAT(errors("[[.a]]"), ElementsAre("test.toml:1:1: this line is malformed; expected a name after [ or ."));
}

TEST(Errors, LettersOutsideAscii) {
    const std::string good = "# \u00e9 \"\n" + ports_text +
                             "[gateway]\nrun-directory = \"/\u00e9\\\"\" # \u00e9\nstate-directory = \"\"\"/\\\n  \u00e9\"\"\"\n";
    EXPECT_THAT(errors(good), ElementsAre());
    EXPECT_THAT(errors(good + "spin\u00e9 = true\n"), ElementsAre(HasSubstr("test.toml:12:5: ")));
    EXPECT_THAT(errors("\u00e9\n"), ElementsAre(HasSubstr("test.toml:1:1: ")));
    EXPECT_THAT(errors("a\u00a0= 1\n"), ElementsAre(HasSubstr("test.toml:1:2: ")));
    EXPECT_THAT(errors("a = \"\"\"\\\u00e9\"\"\"\n"), ElementsAre(HasSubstr("test.toml:1:")));
}

TEST(Errors, UnknownSections) {
    EXPECT_THAT(errors(ports_text + "[conection.a]\n"),
                ElementsAre("test.toml:7:2: conection: no section has this name; did you mean [connection]?"));
    EXPECT_THAT(errors(ports_text + "[zebra]\n"),
                ElementsAre("test.toml:7:2: zebra: no section has this name; the sections are [gateway], [port.NAME], [vpn.NAME], "
                            "[connection.NAME], [policy.NAME], [ike]"));
    EXPECT_THAT(errors("spin = true\n" + ports_text),
                ElementsAre("test.toml:1:1: spin: a key outside every section; this key stands in [gateway]"));
    EXPECT_THAT(errors("gateway = 1\n" + ports_text),
                ElementsAre("test.toml:1:1: gateway: expected a section [gateway], found an integer"));
    EXPECT_THAT(
        errors(ports_text + "[connection]\nlocal = \"192.0.2.1\"\n"),
        ElementsAre("test.toml:8:1: connection.local: [connection] has no name; write [connection.NAME] with a name of your choice"));
    EXPECT_THAT(errors("[[port]]\nrole = \"red\"\n")[2],
                "test.toml:1:3: port: expected sections [port.NAME], found a list; write [port.NAME] with a name of your choice");
    EXPECT_THAT(
        errors(ports_text + "[vpn.\"a/b\"]\ntable = 1\n")[0],
        "test.toml:7:6: vpn.a/b: a name begins with a letter or digit and has at most 63 letters, digits, dots, hyphens and underscores");
    EXPECT_THAT(errors(ports_text + "[vpn.\"\\u001b[1m\"]\ntable = 1\n")[0], HasSubstr("vpn.\\x1b[1m:"));
}

TEST(Errors, UnknownKeys) {
    EXPECT_EQ(with("replay-windw = 64"),
              "test.toml:8:1: connection.a.replay-windw: [connection.NAME] has no such key; did you mean replay-window?");
    EXPECT_EQ(with("spin = true"), "test.toml:8:1: connection.a.spin: [connection.NAME] has no such key; this key stands in [gateway]");
    EXPECT_EQ(with("state-directory = \"/x\""),
              "test.toml:8:1: connection.a.state-directory: [connection.NAME] has no such key; this key stands in [gateway]");
    EXPECT_THAT(with("zzzzzzzzzzzz = 1"), HasSubstr("has no such key; its keys are local, remote, vpn, outer-vpn"));
}

TEST(Errors, TypesAndRanges) {
    EXPECT_EQ(with("hop-limit = 0"), "test.toml:8:13: connection.a.hop-limit: expected an integer from 1 to 255, found 0");
    EXPECT_EQ(with("hop-limit = 256"), "test.toml:8:13: connection.a.hop-limit: expected an integer from 1 to 255, found 256");
    EXPECT_EQ(with("hop-limit = \"64\""), "test.toml:8:13: connection.a.hop-limit: expected an integer from 1 to 255, found \"64\"");
    EXPECT_EQ(with("hop-limit = 6.4"),
              "test.toml:8:13: connection.a.hop-limit: expected an integer from 1 to 255, found a number with a fraction");
    EXPECT_EQ(with("esn = 1"), "test.toml:8:7: connection.a.esn: expected true or false, found 1");
    EXPECT_EQ(with("esn = \"yes\""), "test.toml:8:7: connection.a.esn: expected true or false, found \"yes\"");
    EXPECT_EQ(with("replay-window = 31"), "test.toml:8:17: connection.a.replay-window: expected an integer from 32 to 65536, found 31");
    EXPECT_EQ(with("replay-window = 1000"),
              "test.toml:8:17: connection.a.replay-window: expected a power of two from 32 to 65536, found 1000; 1024 is the next");
    EXPECT_EQ(with("dscp = 64"), "test.toml:8:8: connection.a.dscp: expected \"copy\" or a number from 0 to 63, found 64");
    EXPECT_EQ(with("df = \"st\""),
              "test.toml:8:6: connection.a.df: expected one of \"copy\", \"set\", \"clear\", found \"st\"; did you mean \"set\"?");
    EXPECT_EQ(with("mtu = 500"), "test.toml:8:7: connection.a.mtu: expected an integer from 576 to 65535, found 500");
    EXPECT_EQ(with("dummies = -1"), "test.toml:8:11: connection.a.dummies: expected an integer from 0 to 10000, found -1");
    EXPECT_EQ(with("priority = 4294967296"),
              "test.toml:8:12: connection.a.priority: expected an integer from 0 to 4294967295, found 4294967296");
    EXPECT_THAT(with("algorithm = \"aes-256-gmc\"", 36), HasSubstr("found \"aes-256-gmc\"; did you mean \"aes-256-gcm\"?"));
    EXPECT_THAT(with("protocol = \"tpc\""), HasSubstr("test.toml:8:12: connection.a.protocol: expected \"any\", \"tcp\""));
    EXPECT_EQ(errors(ports_text + "[gateway]\ncores = [1, 2000]\n"),
              std::vector<std::string>{"test.toml:8:13: gateway.cores: expected a list of integers from 0 to 1023, found 2000"});
    EXPECT_EQ(errors(ports_text + "[gateway]\ncores = [1, 1]\n"),
              std::vector<std::string>{"test.toml:8:13: gateway.cores: 1 stands in the list twice; remove one"});
    EXPECT_EQ(errors(ports_text + "[gateway]\ncores = []\n")[0],
              "test.toml:8:9: gateway.cores: expected a list of integers from 0 to 1023, found an empty list; leave the key out");
    EXPECT_EQ(errors(ports_text + "[gateway]\nrun-directory = \"run\"\n")[0],
              "test.toml:8:17: gateway.run-directory: expected an absolute path in quotes, found \"run\"");
    EXPECT_THAT(errors(ports_text + "[gateway]\nrun-directory = \"/" + std::string(90, 'x') + "\"\n")[0],
                HasSubstr("the path has 91 octets, at most 90"));
}

TEST(Errors, Addresses) {
    EXPECT_EQ(replaced("local = ", "local = \"192.0.2\""),
              "test.toml:8:9: connection.a.local: expected an IPv4 or IPv6 address in quotes, found \"192.0.2\"");
    EXPECT_EQ(
        replaced("remote = ", "remote = \"2001:db8::1\""),
        "test.toml:9:10: connection.a.remote: 2001:db8::1 is IPv6, but local is IPv4; both outer addresses are of one family; the networks "
        "inside may be of any");
    EXPECT_EQ(replaced("remote = ", "remote = \"192.0.2.1\""), "test.toml:9:10: connection.a.remote: 192.0.2.1 is also the local address");
    EXPECT_EQ(replaced("remote = ", "remote = \"224.0.0.1\""),
              "test.toml:9:10: connection.a.remote: 224.0.0.1 is a multicast or reserved address");
    EXPECT_EQ(replaced("local = ", "local = \"127.0.0.1\""), "test.toml:8:9: connection.a.local: 127.0.0.1 is a loopback address");
    EXPECT_THAT(replaced("local = ", "local = \"::\""), HasSubstr(":: is the unspecified address"));
    EXPECT_THAT(replaced("local-networks", "local-networks = [\"10.1.0.1/16\"]"),
                HasSubstr("test.toml:10:19: connection.a.local-networks: expected a list of networks in quotes, each \"192.0.2.0/24\", "
                          "\"192.0.2.1-192.0.2.9\" or one address, found \"10.1.0.1/16\"; the address before the / must be the first"));
    EXPECT_THAT(replaced("local-networks", "local-networks = [\"10.1.0.0/33\"]"), HasSubstr("test.toml:10:19: "));
    EXPECT_THAT(replaced("local-networks", "local-networks = \"10.2.0.0-10.1.0.0\""), HasSubstr("test.toml:10:18: "));
    EXPECT_EQ(replaced("local-networks", "local-networks = [\"10.1.0.0/16\", \"2001:db8::/32\"]"),
              "test.toml:10:34: connection.a.local-networks: 2001:db8::/32 has no network of IPv6 on the other side");
    EXPECT_EQ(replaced("local-networks", "local-networks = [\"10.1.0.0/16\", \"10.1.0.0/16\"]"),
              "test.toml:10:34: connection.a.local-networks: \"10.1.0.0/16\" stands in the list twice; remove one");
}

TEST(Errors, OverIpv6TheMtuIsLarger) {
    const std::string text = ports_text + "[connection.a]\nmtu = 1279\nlocal = \"2001:db8::1\"\nremote = \"2001:db8::2\"\n" +
                             connection_text("a").substr(connection_text("a").find("local-networks"));
    EXPECT_THAT(errors(text),
                ElementsAre("test.toml:8:7: connection.a.mtu: expected at least 1280 over IPv6 (RFC 8200 section 5), found 1279"));
}

TEST(Errors, Ports) {
    EXPECT_EQ(with("local-ports = 80"), "test.toml:8:15: connection.a.local-ports: ports go with a protocol that has them; set protocol to "
                                        "\"tcp\", \"udp\", \"sctp\", \"dccp\" or \"udplite\"");
    for (const std::string bad : {"\"80-\"", "\"-80\"", "\"90-80\"", "\"0x50\"", "\"80-90-100\"", "65536", "-1", "\"\"", "true", "[80]"})
        EXPECT_THAT(
            with("protocol = \"tcp\"\nremote-ports = " + bad),
            HasSubstr(
                "test.toml:9:16: connection.a.remote-ports: expected a port number, or a range as \"1000-2000\", or \"opaque\", found"))
            << bad;
}

TEST(Errors, TypesAndCodes) {
    const std::string set_icmp = "types go with a protocol that has them; set protocol to \"icmp\" or \"icmpv6\"";
    EXPECT_EQ(with("icmp-type = 8"), "test.toml:8:13: connection.a.icmp-type: " + set_icmp);
    EXPECT_EQ(with("icmp-type = 8\nprotocol = \"tcp\""), "test.toml:8:13: connection.a.icmp-type: " + set_icmp);
    EXPECT_EQ(
        with("protocol = \"icmp\"\nlocal-ports = 8"),
        "test.toml:9:15: connection.a.local-ports: ports go with a protocol that has them; set protocol to \"tcp\", \"udp\", \"sctp\", "
        "\"dccp\" or \"udplite\"");
    EXPECT_EQ(with("protocol = \"icmp\"\nicmp-code = 1"),
              "test.toml:9:13: connection.a.icmp-code: a code goes with a type; set icmp-type to a number");
    EXPECT_EQ(with("protocol = \"icmp\"\nicmp-type = \"opaque\"\nicmp-code = 1"),
              "test.toml:10:13: connection.a.icmp-code: a code goes with a type; set icmp-type to a number");
    EXPECT_EQ(with("mobility-type = 8"),
              "test.toml:8:17: connection.a.mobility-type: types of Mobility Headers go with a protocol that has "
              "them; set protocol to \"mobility\"");
    for (const std::string bad : {"256", "-1", "\"3-256\"", "\"5-3\"", "\"echo\"", "true"})
        EXPECT_THAT(
            with("protocol = \"icmp\"\nicmp-type = " + bad),
            HasSubstr(
                "test.toml:9:13: connection.a.icmp-type: expected a number from 0 to 255, or a range as \"3-5\", or \"opaque\", found"))
            << bad;
    EXPECT_THAT(with("protocol = \"icmp\"\nicmp-type = 3\nicmp-code = \"opaque\""),
                HasSubstr("test.toml:10:13: connection.a.icmp-code: expected a number from 0 to 255, or a range as \"3-5\", found"));
    EXPECT_EQ(with("protocol = \"tcp\"\nlocal-ports = \"opaque\"\nremote-ports = 80"),
              "test.toml:9:15: connection.a.local-ports: a packet shows the ports of both sides or of none: nothing would match; make both "
              "\"opaque\", or neither");
}

TEST(Errors, DirectionOfAPolicy) {
    EXPECT_THAT(errors(ports_text + connection_text("a") +
                       "[policy.p]\naction = \"protect\"\nconnection = \"a\"\npriority = 1\ndirection = \"in\"\n"),
                ElementsAre(HasSubstr("policy.p.direction: a connection carries both directions; leave the key out")));
    EXPECT_THAT(errors(ports_text + "[policy.p]\naction = \"bypass\"\ndirection = \"inbound\"\n"),
                ElementsAre(HasSubstr("expected one of \"both\", \"out\", \"in\", found \"inbound\"")));
}

TEST(Errors, MissingKeys) {
    EXPECT_EQ(replaced("spi-in", ""),
              "test.toml:7:13: connection.a.spi-in: this key is missing; expected an integer from 256 to 4294967295");
    EXPECT_EQ(replaced("local = ", ""),
              "test.toml:7:13: connection.a.local: this key is missing; expected an IPv4 or IPv6 address in quotes");
    EXPECT_EQ(replaced("key-out", ""),
              "test.toml:7:13: connection.a.key-out: this key is missing; expected key-out or key-out-file; make one "
              "by: openssl rand -hex 64");
    EXPECT_THAT(errors("[port.b]\nrole = \"red\"\n"),
                ElementsAre("test.toml: port: there is no black port; add [port.NAME] with role = \"black\""));
    EXPECT_THAT(errors("[port.a]\n[port.b]\nrole = \"red\"\n"),
                ElementsAre("test.toml:1:7: port.a.role: this key is missing; expected one of \"black\", \"red\""));
}

TEST(Errors, Spis) {
    EXPECT_EQ(replaced("spi-in", "spi-in = 255"),
              "test.toml:12:10: connection.a.spi-in: expected an integer from 256 to 4294967295, found 255");
    EXPECT_EQ(replaced("spi-in", "spi-in = 0x100000000"),
              "test.toml:12:10: connection.a.spi-in: expected an integer from 256 to 4294967295, found 4294967296");
    std::string second = connection_text("b", "priority = 5\n", 64, 3);
    second.replace(second.find("spi-in = 0x1003"), 15, "spi-in = 0x1001");
    EXPECT_THAT(
        errors(ports_text + connection_text("a") + second),
        ElementsAre("test.toml:22:10: connection.b.spi-in: SPI 0x1001 is already that of connection.a in test.toml:12; every connection "
                    "of an outer VPN receives on an SPI of its own"));
    EXPECT_THAT(errors(ports_text + "[vpn.x]\ntable = 100\n[port.wan1]\nrole = \"black\"\nvpn = \"x\"\n" +
                       connection_text("a", "outer-vpn = \"x\"\n") + second),
                testing::IsEmpty());
    second = connection_text("b", "priority = 5\n", 64, 3);
    second.replace(second.find("spi-out = 0x1004"), 16, "spi-out = 0x1002");
    EXPECT_THAT(errors(ports_text + connection_text("a") + second)[0], HasSubstr("connection.b.spi-out: SPI 0x1002 is already that of"));
}

TEST(Errors, KeysAreNeverShown) {
    const std::string secret = "5ec2e7";
    const std::string key = "5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e7";
    EXPECT_EQ(
        replaced("key-in = ", "key-in = \"" + key + "\""),
        "test.toml:14:10: connection.a.key-in: the key has 18 octets, aes-256-cbc-hmac-sha2-256 takes exactly 64 (cipher key 32, then "
        "integrity key 32), that is 128 hexadecimal digits; make one by: openssl rand -hex 64");
    for (const std::string_view form : {R"("{0}x")", R"("{0}1")", "0x{0}", "{0}", R"(["{0}"])", R"("{0}"{0})", "'{0}\n", R"({{a = "{0}"}})",
                                        "1{0}", R"("{0}{0}{0}{0}")", "1.5e{0}"}) {
        const std::string bad = std::vformat(form, std::make_format_args(key));
        for (const std::string& one : {replaced("key-in = ", "key-in = " + bad), replaced("key-in = ", "kex-in = " + bad)}) {
            EXPECT_THAT(one, HasSubstr("test.toml:1")) << bad;
            EXPECT_THAT(one, Not(HasSubstr(secret))) << bad;
        }
    }
    EXPECT_EQ(replaced("key-in = ", "key-in = \"" + key + "g\""),
              "test.toml:14:10: connection.a.key-in: a key is written in hexadecimal digits only; character 37 is none (it is not shown)");
}

TEST(Errors, KeyLengthsOfEveryAlgorithm) {
    for (const AlgorithmInfo& algorithm : algorithms) {
        const std::string lines = std::format("algorithm = \"{}\"\n{}", algorithm.name,
                                              algorithm.unique_nonce() ? "unsafe-manual-aead = true\n" : "");
        EXPECT_TRUE(errors(ports_text + connection_text("a", lines, algorithm.material())).empty()) << algorithm.name;
        for (const unsigned octets :
             {algorithm.material() - 1, algorithm.material() == maximum_key_material ? 20U : algorithm.material() + 1}) {
            const auto all = errors(ports_text + connection_text("a", lines, octets));
            ASSERT_EQ(all.size(), 2U) << algorithm.name;
            EXPECT_THAT(all[0], HasSubstr(std::format("the key has {} octets, {} takes exactly {} (", octets, algorithm.name,
                                                      algorithm.material())));
        }
    }
}

TEST(Errors, KeepalivesWithoutUdp) {
    EXPECT_EQ(with("nat-keepalive = 20"),
              "test.toml:8:17: connection.a.nat-keepalive: without udp-port nothing goes in UDP that a NAT could forget; set udp-port, or "
              "leave the key out");
    EXPECT_THAT(with("udp-port = 70000"), HasSubstr("connection.a.udp-port"));
}

TEST(Errors, EqualKeys) {
    EXPECT_EQ(replaced("key-out = ", "key-out = \"" + std::string(128, '1') + "\""),
              "test.toml:14:10: connection.a.key-in: the key is the same as connection.a.key-out in test.toml:15; every direction of every "
              "connection "
              "needs a key of its own, made at random");
}

TEST(Errors, KeyTwice) {
    EXPECT_EQ(with("key-in-file = \"/x\""),
              "test.toml:8:15: connection.a.key-in-file: key-in is given as well, in test.toml:15; remove one");
    EXPECT_EQ(replaced("key-in = ", "key-in-file = \"k\""), "test.toml:14:15: connection.a.key-in-file: k cannot be read: none here");
}

TEST(Errors, ManualAead) {
    EXPECT_EQ(with("algorithm = \"aes-256-gcm\"", 36),
              "test.toml:8:13: connection.a.algorithm: aes-256-gcm must not be used with keys given by hand (RFC 8221 section 3); use "
              "aes-256-cbc-hmac-sha2-256, or for a test set unsafe-manual-aead = true");
    EXPECT_EQ(with("algorithm = \"chacha20-poly1305\"\nunsafe-manual-aead = false", 36).substr(0, 16), "test.toml:8:13: ");
    EXPECT_EQ(with("unsafe-manual-aead = true"),
              "test.toml:8:22: connection.a.unsafe-manual-aead: aes-256-cbc-hmac-sha2-256 needs no such permission; leave the key out");
}

TEST(Errors, Vpns) {
    EXPECT_EQ(with("vpn = \"offce\""), "test.toml:8:7: connection.a.vpn: there is no VPN \"offce\"; define [vpn.offce]");
    EXPECT_THAT(errors("[vpn.office]\ntable = 100\n[port.x]\nrole = \"red\"\nvpn = \"offce\"\n" + ports_text),
                ElementsAre("test.toml:5:7: port.x.vpn: there is no VPN \"offce\"; did you mean \"office\"?"));
    EXPECT_THAT(
        errors("[vpn.x]\ntable = 100\n" + ports_text + connection_text("a", "vpn = \"x\"\n")),
        ElementsAre("test.toml:10:7: connection.a.vpn: no red port carries the VPN \"x\"; name it at a [port.NAME] with role = \"red\""));
    EXPECT_THAT(errors("[vpn.x]\ntable = 100\n" + ports_text + connection_text("a", "outer-vpn = \"x\"\n"))[0],
                HasSubstr("test.toml:10:13: connection.a.outer-vpn: no black port carries the VPN \"x\""));
    EXPECT_THAT(errors("[vpn.x]\n" + ports_text),
                ElementsAre("test.toml:1:6: vpn.x.table: this key is missing; expected an integer from 1 to 4294967295"));
    EXPECT_THAT(errors("[vpn.x]\ntable = 255\n" + ports_text)[0], HasSubstr("test.toml:2:9: vpn.x.table: 255 is the kernel's table"));
    EXPECT_THAT(errors("[vpn.x]\ntable = 1\nnumber = 4\n[vpn.y]\ntable = 2\nnumber = 4\n" + ports_text),
                ElementsAre("test.toml:6:10: vpn.y.number: 4 is already the number of vpn.x in test.toml:3; choose another"));
    EXPECT_THAT(errors("[vpn.x]\ntable = 1\nnumber = 0\n" + ports_text)[0], HasSubstr("number 0 is that of the VPN \"wan\""));
    EXPECT_THAT(errors("[vpn.wan]\nnumber = 1\n" + ports_text)[0],
                HasSubstr("test.toml:2:10: vpn.wan.number: the VPN \"wan\" has number 0"));
}

TEST(Errors, PortsOfTheMachine) {
    EXPECT_THAT(
        errors(ports_text + "[port.x]\nrole = \"red\"\ninterface = \"lan0\"\n"),
        ElementsAre("test.toml:9:13: port.x: interface \"lan0\" is already that of port.lan0 in test.toml:4; one port an interface; use "
                    "vlans for several VPNs"));
    EXPECT_THAT(errors(ports_text + "[port.x]\nrole = \"green\"\n"),
                ElementsAre("test.toml:8:8: port.x.role: expected one of \"black\", \"red\", found \"green\""));
    EXPECT_THAT(errors(ports_text + "[port.abcdefghijklmnop]\nrole = \"red\"\n")[0], HasSubstr("at most 15 characters; add interface"));
    EXPECT_THAT(errors(ports_text + "[port.x]\nrole = \"red\"\nlisten = \"192.0.2.1\"\n"),
                ElementsAre("test.toml:9:10: port.x.listen: a red port takes no ESP and no IKE; leave the key out"));
    EXPECT_THAT(
        errors(ports_text + "[port.x]\nrole = \"red\"\nvlans = { 0 = \"wan\", 4095 = \"wan\", 7 = \"nowhere\", 07 = \"wan\", 8 = 8 }\n"),
        ElementsAre("test.toml:9:11: port.x.vlans: expected a VLAN id from 1 to 4094, found \"0\"",
                    "test.toml:9:22: port.x.vlans: expected a VLAN id from 1 to 4094, found \"4095\"",
                    "test.toml:9:51: port.x.vlans: expected a VLAN id from 1 to 4094, found \"07\"",
                    "test.toml:9:67: port.x.vlans: expected the name of a VPN in quotes for VLAN 8, found 8"));
    EXPECT_THAT(
        errors(
            ports_text +
            "[port.x]\nrole = \"red\"\nvlans = { 1 = { vpn = \"wan\", adresses = [] }, 2 = { addresses = [\"10.0.0.1/24\"] }, 3 = { vpn = "
            "\"wan\", addresses = [\"10.0.0.1/33\"] }, 4 = { vpn = \"wan\", addresses = [] } }\n"),
        ElementsAre(HasSubstr("expected vpn or addresses for VLAN 1, found \"adresses\""),
                    HasSubstr("expected the name of a VPN in quotes for VLAN 2, found none"),
                    HasSubstr("for VLAN 3, such as [\"192.0.2.1/24\"], found \"10.0.0.1/33\""), HasSubstr("for VLAN 4, such as")));
    EXPECT_THAT(errors(ports_text + "[port.x]\nrole = \"red\"\nvlans = { 7 = \"nowhere\" }\n"),
                ElementsAre("test.toml:9:15: port.x.vlans: there is no VPN \"nowhere\"; define [vpn.nowhere]"));
    EXPECT_THAT(errors(ports_text + "[port.x]\nrole = \"red\"\ninterface = \"a/b\"\n")[0],
                HasSubstr("test.toml:9:13: port.x.interface: expected the name"));
    EXPECT_THAT(
        errors("[port.wan0]\nrole = \"black\"\nlisten = \"192.0.2.9\"\n" + ports_text.substr(ports_text.find("[port.lan0]")) +
               connection_text("a")),
        ElementsAre(
            "test.toml:8:9: connection.a.local: no black port listens at 192.0.2.1; add it to listen of the port, or leave listen out"));
}

TEST(Errors, Overlaps) {
    EXPECT_THAT(
        errors(ports_text + connection_text("a") + connection_text("b", "", 64, 3)),
        ElementsAre("test.toml:16:13: connection.b: it speaks of the same packets as connection.a in test.toml:7, with the same priority "
                    "1000: 10.1.0.0/16 to 10.2.0.0/16; give one a priority of its own, other networks or another VPN"));
    EXPECT_THAT(
        errors(ports_text + "[policy.x]\naction = \"bypass\"\nremote-networks = [\"192.0.2.0/24\", \"10.0.0.0-10.0.0.9\"]\n"
                            "[policy.y]\naction = \"discard\"\nremote-networks = [\"10.0.0.4-10.0.0.200\"]\n"),
        ElementsAre("test.toml:10:9: policy.y: it speaks of the same packets as policy.x in test.toml:7, with the same priority 2000: "
                    "0.0.0.0/0 to 10.0.0.4-10.0.0.9; give one a priority of its own, other networks or another VPN"));
}

TEST(Errors, Policies) {
    const std::string base = ports_text + connection_text("a");
    EXPECT_THAT(
        errors(base + "[policy.p]\naction = \"protect\"\n"),
        ElementsAre("test.toml:16:9: policy.p.connection: this key is missing; protect needs the connection that carries the traffic"));
    EXPECT_THAT(errors(base + "[policy.p]\naction = \"protect\"\nconnection = \"aa\"\n"),
                ElementsAre("test.toml:18:14: policy.p.connection: there is no connection \"aa\"; did you mean \"a\"?"));
    EXPECT_THAT(errors(base + "[policy.p]\naction = \"bypass\"\nconnection = \"a\"\n"),
                ElementsAre("test.toml:18:14: policy.p.connection: only protect goes with a connection; leave the key out"));
    EXPECT_THAT(errors(base + "[policy.a]\naction = \"discard\"\n"),
                ElementsAre("test.toml:16:9: policy.a: a connection has this name, and its policy bears it; choose another name"));
    EXPECT_THAT(errors("[vpn.x]\ntable = 1\n" + base + "[policy.p]\naction = \"protect\"\nconnection = \"a\"\nvpn = \"x\"\n"),
                ElementsAre("test.toml:21:7: policy.p.vpn: connection.a is of the VPN \"wan\"; leave the key out"));
}

TEST(Errors, AllAreReportedInOrder) {
    const auto all = errors("[port.wan0]\nrole = \"blak\"\n[gateway]\nspin = 1\nqueues = 0\n[port.lan0]\nrole = \"red\"\n[vpn.x]\n");
    ASSERT_EQ(all.size(), 4U);
    EXPECT_THAT(all[0], HasSubstr("test.toml:2:8: port.wan0.role: "));
    EXPECT_THAT(all[1], HasSubstr("test.toml:4:8: gateway.spin: "));
    EXPECT_THAT(all[2], HasSubstr("test.toml:5:10: gateway.queues: "));
    EXPECT_THAT(all[3], HasSubstr("test.toml:8:6: vpn.x.table: "));
}

TEST(Errors, TooManyAreCounted) {
    std::string text = ports_text + "[gateway]\n";
    for (int i = 0; i < 150; ++i) text += std::format("no-such-key-{} = 1\n", i);
    const auto all = errors(text);
    ASSERT_EQ(all.size(), 101U);
    EXPECT_EQ(all[100], "50 more errors are not shown; correct those above first");
}

TEST(Errors, AcrossFiles) {
    const std::string a = connection_text("a");
    const std::string main_text = ports_text + "[gateway]\nspin = true\n";
    const std::string b = a + "[gateway]\nspin = false\n";
    const std::vector<Text> texts{{"m.toml", main_text}, {"conf.d/a.toml", a}, {"conf.d/b.toml", b}};
    const Outcome outcome = parse(texts, no_key_files);
    ASSERT_FALSE(outcome);
    ASSERT_EQ(outcome.error().size(), 2U);
    EXPECT_EQ(to_string(outcome.error()[0]),
              "conf.d/b.toml:1:13: connection.a: this section is already in conf.d/a.toml:1; give it another name or remove one");
    EXPECT_EQ(to_string(outcome.error()[1]), "conf.d/b.toml:11:1: gateway.spin: this key is already in m.toml:8; remove one");
}

TEST(Errors, SelectorsAreBounded) {
    std::string local, remote;
    for (int i = 0; i < 40; ++i) {
        local += std::format("\"10.1.{}.0/24\", ", i);
        remote += std::format("\"10.2.{}.0/24\", ", i);
    }
    std::string text = ports_text + connection_text("a");
    text.replace(text.find("[\"10.1.0.0/16\"]"), 15, "[" + local + "]");
    text.replace(text.find("[\"10.2.0.0/16\"]"), 15, "[" + remote + "]");
    EXPECT_THAT(errors(text), ElementsAre(HasSubstr("connection.a: local and remote networks make more than 1024 pairs")));
}

TEST(Errors, Nearest) {
    EXPECT_EQ(nearest("localnetworks", {"local-networks", "remote-networks"}), "local-networks");
    EXPECT_EQ(nearest("zebra", {"local", "remote"}), "");
    EXPECT_EQ(nearest(std::string(1000, 'a'), {"local"}), "");
}

} // namespace
} // namespace sallyport::config
