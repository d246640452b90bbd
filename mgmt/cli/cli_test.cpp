// SPDX-License-Identifier: Apache-2.0
// What an operator types and reads, against a gateway that is none.
#include "gateway/sa/drop_reason.hpp"
#include "gateway/sa/event.hpp"
#include "gateway/sa/features.hpp"
#include "mgmt/cli/arguments.hpp"
#include "mgmt/cli/commands.hpp"
#include "mgmt/cli/table.hpp"
#include "mgmt/config/test_text.hpp"
#include "mgmt/control/fake_handlers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <format>
#include <fstream>
#include <iterator>
#include <thread>
#include <unistd.h>

namespace sallyport::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using varlink::Json;

struct Said {
    int status = 0;
    std::string out, err;
};

Said type(std::vector<std::string> words) {
    words.insert(words.begin(), "sallyport");
    std::vector<const char*> argv;
    for (const std::string& word : words) argv.push_back(word.c_str());
    Said said;
    Printed printed;
    if (const auto arguments = parse(static_cast<int>(argv.size()), argv.data(), said.out, said.err, said.status))
        said.status = run(*arguments, printed);
    said.out += printed.out;
    said.err += printed.err;
    return said;
}

class Commands : public varlink::ServedHandlers {
protected:
    Said ask(std::vector<std::string> words) {
        words.insert(words.end(), {"--socket", path});
        return type(words);
    }

    Json json(std::vector<std::string> words) {
        words.emplace_back("--json");
        const Said said = ask(words);
        EXPECT_EQ(said.status, done) << said.err;
        const Json parsed = Json::parse(said.out);
        EXPECT_TRUE(parsed.has_value()) << said.out;
        return parsed;
    }

    std::atomic<bool> stop_posting = false;

    std::string write(const std::string& name, const std::string& text) {
        const std::filesystem::path file = std::filesystem::path(folder) / name;
        std::ofstream(file) << text;
        std::filesystem::permissions(file, std::filesystem::perms(0600));
        return file.string();
    }
};

TEST_F(Commands, Status) {
    const Said said = ask({"status"});
    EXPECT_EQ(said.status, done) << said.err;
    EXPECT_THAT(said.out, HasSubstr("sallyport-gateway 9.9, process 77, running for"));
    EXPECT_THAT(said.out, HasSubstr("Configuration  /etc/sallyport/sallyport.toml, generation 1"));
    EXPECT_THAT(said.out, HasSubstr("12000 of 16384 chunks free"));
    EXPECT_THAT(said.out, HasSubstr("lan0  red    down  generic  1500  7 = office"));
    EXPECT_THAT(said.out, HasSubstr("lab         198.51.100.2  wan     down: the link of lan0 is down"));
    EXPECT_EQ(json({"status"})["pid"].number(), 77U);
}

TEST_F(Commands, Sa) {
    const Said said = ask({"sa"});
    EXPECT_THAT(said.out,
                HasSubstr("c0          outbound   0x00001000  198.51.100.1:4500  office  tunnel  aes-256-gcm  yes  1099511627776"));
    EXPECT_THAT(said.out, HasSubstr("c0 inbound is refused: there is no durable mark; sallyport marks --create"));
    handlers.sa_count = 1201;
    EXPECT_EQ(json({"sa"})["sas"].items().size(), 1201U);
    EXPECT_EQ(json({"sa", "c7"})["sas"].items().size(), 2U);
    const Said none = ask({"sa", "nobody"});
    EXPECT_EQ(none.status, failed);
    EXPECT_EQ(none.err, "sallyport: nothing is named nobody; leave the name out to see all\n");
    handlers.sa_count = 0;
    EXPECT_EQ(ask({"sa"}).out, "There are no security associations.\n");
}

TEST_F(Commands, Policy) {
    const Said said = ask({"policy"});
    EXPECT_THAT(said.out, HasSubstr("branch   office      1000  protect          branch (no SA in use)  10.1.0.0/16 - 10.2.0.0/16"));
    EXPECT_THAT(said.out, HasSubstr("printer  wan         2000  bypass outbound"));
    EXPECT_EQ(json({"policy", "printer"})["policies"].items()[0]["action"].text(), "bypass");
}

TEST_F(Commands, CountersShowWhatIsNotZero) {
    const Said said = ask({"counters"});
    EXPECT_THAT(said.out, HasSubstr("Dropped by the gateway\n"));
    EXPECT_THAT(said.out, HasSubstr("bad_icv      3  the integrity check failed  compare the keys"));
    EXPECT_THAT(said.out, HasSubstr("wan0  pass        12  to the kernel"));
    EXPECT_THAT(said.out, Not(HasSubstr("replayed")));
    EXPECT_THAT(ask({"counters", "--all"}).out, HasSubstr("replayed"));
    EXPECT_EQ(json({"counters"})["counters"].items().size(), 4U);
}

TEST_F(Commands, Reload) {
    EXPECT_EQ(ask({"reload"}).out, "The configuration is in force, generation 2\n");
    EXPECT_EQ(json({"reload", "x.toml"})["generation"].number(), 3U);
    EXPECT_EQ(handlers.asked, std::filesystem::current_path().string() + "/x.toml");
    handlers.broken = true;
    const Said said = ask({"reload"});
    EXPECT_EQ(said.status, failed);
    EXPECT_EQ(said.err, "f:1:2: one\nf:3:4: two\nsallyport: the configuration has 2 mistakes\n");
    EXPECT_EQ(said.out, "");
}

TEST_F(Commands, Detach) {
    EXPECT_THAT(ask({"detach"}).out, HasSubstr("its ports are open"));
    EXPECT_TRUE(handlers.detached);
    EXPECT_THAT(ask({"detach"}).out, AllOf(HasSubstr("port wan0: "), HasSubstr("device sp-wan: "), HasSubstr("guard: ")));
    EXPECT_TRUE(json({"detach"})["gatewayRan"].flag());
    EXPECT_TRUE(json({"detach"})["guard"].flag());
    EXPECT_EQ(json({"detach"})["devices"].items().size(), 1U);
    handlers.broken = true;
    EXPECT_EQ(ask({"detach"}).err, "sallyport: wan0: the link cannot be removed; do it by hand\n");
}

TEST_F(Commands, CheckSaysEveryMistake) {
    const std::string good = write("good.toml", config::ports_text + config::connection_text("a"));
    EXPECT_EQ(type({"check", good}).out, good + " is good: 2 ports, 1 VPNs, 1 connections, 1 policies\n");
    EXPECT_EQ(type({"check", good}).status, done);
    const std::string bad = write("bad.toml", config::ports_text + "[gateway]\nspin = 1\nqueues = 0\n");
    const Said said = type({"check", bad});
    EXPECT_EQ(said.status, failed);
    EXPECT_EQ(said.err, bad + ":8:8: gateway.spin: expected true or false, found 1\n" + bad +
                            ":9:10: gateway.queues: expected an integer from 1 to 64, found 0\n"
                            "sallyport: the configuration has 2 mistakes; correct them and try again\n");
    const Json parsed = Json::parse(type({"check", bad, "--json"}).out);
    EXPECT_FALSE(parsed["ok"].flag());
    EXPECT_EQ(parsed["errors"].items()[1]["line"].number(), 9U);
    EXPECT_EQ(parsed["errors"].items()[1]["key"].text(), "gateway.queues");
    EXPECT_TRUE(Json::parse(type({"check", good, "--json"}).out)["ok"].flag());
    EXPECT_THAT(type({"check", folder + "/none"}).err, HasSubstr("cannot be read: No such file or directory"));
}

TEST_F(Commands, CheckWarns) {
    const std::string file = write(
        "w.toml", config::ports_text + config::connection_text("a", "algorithm = \"aes-128-gcm\"\nunsafe-manual-aead = true\n", 20));
    EXPECT_THAT(type({"check", file}).out, testing::StartsWith("warning: " + file + ":9:22: connection.a.unsafe-manual-aead: "));
}

TEST_F(Commands, MarksBeginOnce) {
    const std::string file = write("m.toml", config::ports_text + "[gateway]\nstate-directory = \"" + folder + "/state\"\n" +
                                                 config::connection_text("a"));
    const Said first = type({"marks", "--create", file});
    EXPECT_EQ(first.status, done) << first.err;
    EXPECT_THAT(first.out, HasSubstr("a outbound: begins at 0\na inbound: begins at 0\n"));
    EXPECT_THAT(type({"marks", "--create", file}).out, HasSubstr("a outbound: has a mark already, which stays\n"));
    EXPECT_EQ(Json::parse(type({"marks", "--create", file, "--json"}).out)["kept"].items().size(), 2U);
    EXPECT_EQ(type({"marks", "--create", folder + "/none"}).status, failed);
}

TEST(Words, NoGateway) {
    for (const char* command : {"status", "sa", "policy", "counters", "reload"}) {
        const Said said = type({command, "--socket", "/nonexistent/socket"});
        EXPECT_EQ(said.status, no_gateway) << command;
        EXPECT_EQ(said.err,
                  "sallyport: no gateway listens at /nonexistent/socket; start it: systemctl start sallyport-gateway; or name its socket: "
                  "--socket PATH\n");
    }
}

TEST(Words, ThatMakeNoSense) {
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{}, {"stauts"}, {"status", "--x"}, {"check"}, {"marks"}, {"status", "extra"}, {"check", "a", "b"}}) {
        const Said said = type(words);
        EXPECT_EQ(said.status, bad_words);
        EXPECT_FALSE(said.err.empty());
    }
}

TEST(Words, ReadmeShowsTheFeatures) {
    std::string table = "| feature | source | state |\n| --- | --- | --- |\n";
    for (const Feature& one : features)
        table += std::format("| {} | {} | {}{}{} |\n", one.name, one.source, one.state == FeatureState::complete ? "complete" : "partial",
                             one.note.empty() ? "" : "; ", one.note);
    std::ifstream file(SALLYPORT_SOURCE_DIR "/README.md");
    const std::string readme(std::istreambuf_iterator<char>(file), {});
    EXPECT_THAT(readme, HasSubstr(table + "\n"));
}

varlink::EventView bad_icv() {
    varlink::EventView event{.time = 1700000000123456, .kind = "dropped", .meaning = "the integrity check failed"};
    event.connection = "branch";
    event.peer = "198.51.100.1";
    event.port = "wan0";
    event.vpn = "office";
    event.spi = 0x1001;
    event.sequence = 7;
    event.reason = "bad_icv";
    event.source = "2001:db8::1";
    event.source_port = 53;
    event.destination = "10.1.0.2";
    event.protocol = 17;
    event.left_out = 3;
    return event;
}

TEST(WatchText, OfWhatAKeyExchangeWaitsFor) {
    varlink::EventView moved{.time = 1700000000123456, .kind = "address_changed", .meaning = "it has moved"};
    moved.connection = "branch";
    moved.peer = "198.51.100.1";
    moved.udp_port = 4500;
    moved.new_peer = "203.0.113.9";
    moved.new_udp_port = 61000;
    moved.spi = 0x1001;
    moved.sequence = 7;
    EXPECT_EQ(event_text(json_of(moved)), "2023-11-14T22:13:20.123Z address_changed connection branch peer 198.51.100.1 UDP port 4500 now "
                                          "203.0.113.9 UDP port 61000 SPI 0x00001001 sequence 7\n");
    varlink::EventView narrow{.time = 1700000000123456, .kind = "path_mtu", .meaning = "it is narrow"};
    narrow.connection = "branch";
    narrow.old_path_mtu = 1500;
    narrow.path_mtu = 1400;
    narrow.largest_inner = 1346;
    EXPECT_EQ(event_text(json_of(narrow)), "2023-11-14T22:13:20.123Z path_mtu connection branch path MTU 1500 now 1400 inside 1346\n");
    varlink::EventView asked{.time = 1700000000123456, .kind = "acquire", .meaning = "keys are wanted"};
    asked.policy = "to-branch";
    asked.connection = "branch";
    asked.vpn = "office";
    asked.source = "10.1.0.2";
    asked.destination = "10.2.0.2";
    asked.protocol = 1;
    EXPECT_EQ(event_text(json_of(asked)),
              "2023-11-14T22:13:20.123Z acquire: 10.1.0.2 > 10.2.0.2, protocol 1 policy to-branch connection branch VPN office\n");
}

TEST_F(Commands, WatchPrintsALineAnEvent) {
    std::thread poster([&] {
        for (int i = 0; i < 200 && !stop_posting; ++i, usleep(10000)) post(bad_icv());
    });
    testing::internal::CaptureStdout();
    const Said said = ask({"watch", "--count", "2", "--kind", "dropped,port_up", "--connection", "branch"});
    const std::string text = testing::internal::GetCapturedStdout();
    testing::internal::CaptureStdout();
    const Said as_json = ask({"watch", "--count", "1", "--json"});
    const std::string line = testing::internal::GetCapturedStdout();
    stop_posting = true;
    poster.join();
    EXPECT_EQ(said.status, done) << said.err;
    const std::string wanted =
        "2023-11-14T22:13:20.123Z dropped bad_icv port wan0: [2001:db8::1]:53 > 10.1.0.2, protocol 17 connection branch "
        "peer 198.51.100.1 VPN office SPI 0x00001001 sequence 7, 3 more before\n";
    EXPECT_EQ(text, wanted + wanted);
    EXPECT_EQ(as_json.status, done);
    EXPECT_EQ(Json::parse(line)["reason"].text(), "bad_icv");
    EXPECT_EQ(std::ranges::count(line, '\n'), 1);
}

TEST_F(Commands, ExplainShowsEachDecision) {
    const Said said = ask(
        {"explain", "wan0", "--from", "10.1.0.1", "--to", "10.2.0.1", "--protocol", "tcp", "--destination-port", "80", "--vlan", "7"});
    EXPECT_EQ(said.status, done) << said.err;
    EXPECT_EQ(handlers.question.protocol, 6);
    EXPECT_EQ(handlers.question.destination_port, 80);
    EXPECT_EQ(handlers.question.vlan, 7);
    EXPECT_TRUE(handlers.question.octets.empty());
    EXPECT_EQ(said.out, "Taken as a clear packet:\n"
                        "  STAGE    DECISION        RULE    PLACE\n"
                        "  program  to the gateway\n"
                        "  policy   protect         branch  f.toml:7\n"
                        "It would be dropped and counted as bad_icv; what to do: compare the keys.\n"
                        "\nTaken out of a tunnel:\n"
                        "  STAGE  DECISION\n"
                        "  send   98 octets\n"
                        "It would be sent by lan0.\n");
    EXPECT_EQ(json({"explain", "wan0", "0x45:00 ff"})["explanations"].items().size(), 2U);
    EXPECT_EQ(handlers.question.octets, (std::vector<std::uint8_t>{0x45, 0, 0xff}));
}

TEST_F(Commands, ExplainSaysWhatIsWrong) {
    EXPECT_EQ(ask({"explain"}).status, bad_words);
    EXPECT_THAT(ask({"explain", "wan0"}).err, HasSubstr("give either the octets of a packet or --from and --to"));
    EXPECT_EQ(ask({"explain", "wan0", "45", "--from", "10.1.0.1", "--to", "10.2.0.1"}).status, bad_words);
    EXPECT_EQ(ask({"explain", "wan0", "--from", "10.1.0.1"}).status, bad_words);
    EXPECT_EQ(ask({"explain", "wan0", "--from", "10.1.0.1", "--to", "10.2.0.1", "--protocol", "xyz"}).status, bad_words);
    EXPECT_EQ(ask({"explain", "wan0", "--from", "10.1.0.1", "--to", "10.2.0.1", "--source-port", "70000"}).status, bad_words);
    EXPECT_THAT(ask({"explain", "wan0", "4x"}).err, HasSubstr("octets"));
    handlers.broken = true;
    EXPECT_EQ(ask({"explain", "wan7", "45"}).err, "sallyport: wan7: wan7 is no port; look at the ports\n");
}

TEST(Words, DropsNamesEveryReason) {
    const Said said = type({"drops"});
    EXPECT_EQ(said.status, done);
    for (std::size_t i = 1; i < drop_reasons.size(); ++i) EXPECT_THAT(said.out, HasSubstr("\n" + std::string(drop_reasons[i].name) + " "));
    EXPECT_EQ(Json::parse(type({"drops", "--json"}).out)["drops"].items().size(), drop_reasons.size() - 1);
    const Said one = type({"drops", "bad_icv"});
    EXPECT_THAT(one.out, HasSubstr("bad_icv  yes    the integrity check failed"));
    EXPECT_EQ(std::ranges::count(one.out, '\n'), 2);
    EXPECT_EQ(type({"drops", "nonsense"}).status, failed);
}

TEST_F(Commands, WatchSaysWhatIsWrong) {
    EXPECT_EQ(ask({"watch", "--kind", "nonsense"}).status, bad_words);
    EXPECT_EQ(ask({"watch", "--count", "0"}).status, bad_words);
    EXPECT_EQ(type({"watch", "--socket", "/nonexistent/x"}).status, no_gateway);
}

TEST(Words, UnknownCommandIsNamed) {
    EXPECT_EQ(type({"stauts"}).err,
              "sallyport: there is no command \"stauts\"; did you mean \"status\"?\nRun with --help for more information.\n");
    EXPECT_EQ(type({"\x1b[2J"}).err, "sallyport: there is no command \"\\x1b[2J\"\nRun with --help for more information.\n");
}

TEST(Words, HelpNamesEveryCommand) {
    const Said said = type({"--help"});
    EXPECT_EQ(said.status, done);
    for (const char* command :
         {"check", "status", "sa", "policy", "counters", "explain", "watch", "drops", "reload", "marks", "detach", "features"}) {
        EXPECT_THAT(said.out, HasSubstr(std::string("  ") + command + " "));
        const Said own = type({command, "--help"});
        EXPECT_EQ(own.status, done) << command;
        EXPECT_THAT(own.out, HasSubstr("--json"));
    }
    EXPECT_THAT(type({"--version"}).out, HasSubstr("sallyport 0."));
}

TEST(Words, CompletionKnowsEveryCommand) {
    std::ifstream file(SALLYPORT_SOURCE_DIR "/mgmt/cli/completion.bash");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_THAT(text, HasSubstr("local commands=\"check status sa policy counters explain watch drops reload marks detach features\"\n"));
    for (const char* option :
         {"--json", "--socket", "--all", "--create", "--run-directory", "--kind", "--count", "--from", "--vlan", "--help", "--version"})
        EXPECT_THAT(text, HasSubstr(option));
    std::string kinds;
    for (const EventKindInfo& kind : event_kinds) kinds += (kinds.empty() ? "" : " ") + std::string(kind.name);
    EXPECT_THAT(text, HasSubstr("compgen -W \"" + kinds + "\""));
}

TEST(Words, Features) {
    const Said said = type({"features"});
    EXPECT_THAT(said.out, HasSubstr("RFC 4303"));
    EXPECT_EQ(Json::parse(type({"features", "--json"}).out)["features"].items().size(), features.size());
}

TEST(Tables, ColumnsStandUnderEachOther) {
    Table table({"NAME", ">COUNT", "EMPTY", "NOTE"});
    table.add({"a", "1", "", "x"});
    table.add({"b\u00e9c", "1000", "", ""});
    EXPECT_EQ(table.text(1), " NAME  COUNT  NOTE\n a         1  x\n b\u00e9c    1000\n");
    EXPECT_EQ(duration(5), "5 s");
    EXPECT_EQ(duration(125), "2 min 5 s");
    EXPECT_EQ(duration(7300), "2 h 1 min");
    EXPECT_EQ(duration(90000), "1 d 1 h");
}

} // namespace
} // namespace sallyport::cli
