// SPDX-License-Identifier: Apache-2.0
#include "mgmt/control/client.hpp"
#include "mgmt/control/definitions.h"
#include "mgmt/control/fake_handlers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <systemd/sd-varlink.h>

namespace sallyport::varlink {
namespace {

using testing::HasSubstr;

using Control = ServedHandlers;

Json call(Client& client, const std::string& method, const Json& parameters = {}) {
    auto answer = client.call(method, parameters);
    if (!answer) {
        ADD_FAILURE() << answer.error().error.sentence;
        return {};
    }
    return *answer;
}

std::string error_of(Client& client, const std::string& method, const Json& parameters = {}) {
    const auto answer = client.call(method, parameters);
    return answer ? "no error" : to_string(answer.error().error);
}

TEST(Json, ValuesComeBack) {
    const Json json = Json::object(
        {{"a", 1U}, {"b", -1}, {"c", true}, {"d", "x\n\"y"}, {"e", Json{}}, {"f", Json::array({1, 2})}, {"g", ~std::uint64_t{0}}});
    EXPECT_EQ(json["a"].number(), 1U);
    EXPECT_EQ(json["b"].integer(), -1);
    EXPECT_TRUE(json["c"].flag());
    EXPECT_EQ(json["d"].text(), "x\n\"y");
    EXPECT_FALSE(json["e"].has_value());
    EXPECT_EQ(json["f"].items().size(), 2U);
    EXPECT_EQ(json["g"].number(), ~std::uint64_t{0});
    EXPECT_EQ(Json::parse(json.print())["d"].text(), "x\n\"y");
    EXPECT_EQ(Json("a\xff").text(), "a?");
    EXPECT_FALSE(Json::parse("{").has_value());
    EXPECT_EQ(Json::parse("[1]")["a"].text(), "");
}

TEST_F(Control, StatusIsWhole) {
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    const Json status = call(*client, "Status");
    EXPECT_EQ(status["version"].text(), "9.9");
    EXPECT_EQ(status["pid"].number(), 77U);
    EXPECT_EQ(status["workers"].items()[0]["core"].number(), 2U);
    EXPECT_FALSE(status["workers"].items()[1]["core"].has_value());
    EXPECT_EQ(status["ports"].items()[1]["vlans"].items()[0]["vpn"].text(), "office");
    EXPECT_EQ(status["connections"].items()[1]["reason"].text(), "the link of lan0 is down");
}

TEST_F(Control, ListsComeInParts) {
    handlers.sa_count = 1203;
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    EXPECT_EQ(call(*client, "Sas")["sas"].items().size(), 500U);
    EXPECT_EQ(call(*client, "Sas")["total"].number(), 1203U);
    EXPECT_EQ(call(*client, "Sas", Json::object({{"first", 1200}}))["sas"].items().size(), 3U);
    EXPECT_EQ(call(*client, "Sas", Json::object({{"first", ~std::uint64_t{0}}}))["sas"].items().size(), 0U);
    const auto all = client->call_all("Sas", "sas");
    ASSERT_TRUE(all);
    ASSERT_EQ((*all)["sas"].items().size(), 1203U);
    EXPECT_EQ((*all)["sas"].items()[1202]["spi"].number(), 0x1000U + 1202);
    EXPECT_EQ((*all)["sas"].items()[0]["sequence"].number(), 1ULL << 40);
}

TEST_F(Control, PoliciesAndCounters) {
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    const Json policies = call(*client, "Policies");
    EXPECT_EQ(policies["policies"].items()[0]["sa"].text(), "branch");
    EXPECT_FALSE(policies["policies"].items()[1]["sa"].has_value());
    const Json counters = call(*client, "Counters");
    ASSERT_EQ(counters["counters"].items().size(), 4U);
    EXPECT_EQ(counters["counters"].items()[2]["port"].text(), "wan0");
}

TEST_F(Control, ReloadAndDetach) {
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    EXPECT_EQ(call(*client, "Reload")["generation"].number(), 2U);
    EXPECT_EQ(handlers.asked, std::nullopt);
    EXPECT_EQ(call(*client, "Reload", Json::object({{"file", "/x"}}))["generation"].number(), 3U);
    EXPECT_EQ(handlers.asked, "/x");
    call(*client, "Detach");
    EXPECT_TRUE(handlers.detached);
}

TEST_F(Control, Explanations) {
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    const Json answer = call(
        *client, "Explain",
        Json::object({{"port", "wan0"}, {"octets", "4500fF"}, {"from", "10.1.0.1"}, {"protocol", 6}, {"vlan", 30}, {"length", 1400}}));
    EXPECT_EQ(handlers.question.port, "wan0");
    EXPECT_EQ(handlers.question.octets, (std::vector<std::uint8_t>{0x45, 0, 0xff}));
    EXPECT_EQ(handlers.question.from, "10.1.0.1");
    EXPECT_EQ(handlers.question.to, "");
    EXPECT_EQ(handlers.question.protocol, 6);
    EXPECT_EQ(handlers.question.vlan, 30);
    EXPECT_EQ(handlers.question.length, 1400);
    EXPECT_EQ(handlers.question.hop_limit, 64);
    ASSERT_EQ(answer["explanations"].items().size(), 2U);
    EXPECT_EQ(answer["explanations"].items()[0]["decisions"].items()[1]["place"].text(), "f.toml:7");
    EXPECT_EQ(answer["explanations"].items()[1]["port"].text(), "lan0");
    for (const char* bad : {"4", "4x", "45 00", "+4"})
        EXPECT_THAT(error_of(*client, "Explain", Json::object({{"port", "wan0"}, {"octets", bad}})), HasSubstr("octets")) << bad;
    EXPECT_THAT(error_of(*client, "Explain", Json::object({{"octets", "45"}})), HasSubstr("port"));
    EXPECT_THAT(error_of(*client, "Explain", Json::object({{"port", "wan0"}, {"protocol", 256}})), HasSubstr("protocol"));
    handlers.broken = true;
    EXPECT_EQ(error_of(*client, "Explain", Json::object({{"port", "wan7"}})), "wan7: wan7 is no port; look at the ports");
}

EventView dropped_event(std::string connection = "branch") {
    EventView event{.time = 1700000000123456, .kind = "dropped", .meaning = "a packet was dropped for a reason that is audited"};
    event.connection = std::move(connection);
    event.vpn = "office";
    event.spi = 0x1001;
    event.reason = "bad_icv";
    event.left_out = 3;
    return event;
}

TEST_F(Control, WatchersGetWhatTheyAskFor) {
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    std::vector<Json> seen;
    const auto take = [&](const Json& event) {
        seen.push_back(event);
        if (seen.size() == 1) { // from here on it is watching
            post({.kind = "committed", .generation = 4});
            post(dropped_event("other"));
            post(dropped_event());
        }
        return seen.size() < 2;
    };
    ASSERT_TRUE(client->watch(Json::object({{"kinds", Json::array({"dropped", "port_up"})}, {"connection", "branch"}}), take));
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_EQ(seen[0]["kind"].text(), "watching");
    EXPECT_EQ(seen[1]["kind"].text(), "dropped");
    EXPECT_EQ(seen[1]["connection"].text(), "branch");
    EXPECT_EQ(seen[1]["spi"].number(), 0x1001U);
    EXPECT_EQ(seen[1]["leftOut"].number(), 3U);
    EXPECT_EQ(seen[1]["time"].number(), 1700000000123456U);
    EXPECT_FALSE(seen[1]["lost"].has_value());
    EXPECT_FALSE(seen[1]["generation"].has_value());
}

TEST_F(Control, ASlowReaderLosesEventsAndIsTold) {
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    const unsigned many = 3 * Watchers::most_ahead;
    std::uint64_t seen = 0, lost = 0;
    const auto take = [&](const Json& event) {
        if (event["kind"].text() == "watching") {
            post(dropped_event(), many);
            return true;
        }
        ++seen;
        lost += event["lost"].number();
        if (seen == Watchers::most_ahead) post(dropped_event()); // says what was lost
        return lost == 0;
    };
    ASSERT_TRUE(client->watch({}, take));
    EXPECT_EQ(seen, Watchers::most_ahead + 1U);
    EXPECT_EQ(lost, many - Watchers::most_ahead);
}

TEST_F(Control, BadWatchesAreAnsweredClearly) {
    const auto refused = [&](const Json& parameters) {
        auto client = Client::connect(path);
        const auto done = client->watch(parameters, [](const Json&) { return false; });
        return done ? "no error" : to_string(done.error().error);
    };
    EXPECT_THAT(refused(Json::object({{"kinds", Json::array({"nonsense"})}})), HasSubstr("the gateway does not take the parameter kinds"));
    EXPECT_THAT(refused(Json::object({{"kinds", 7}})), HasSubstr("the gateway does not take the parameter kinds"));
    EXPECT_THAT(refused(Json::object({{"vpn", 7}})), HasSubstr("the gateway does not take the parameter vpn"));
    auto client = Client::connect(path);
    EXPECT_THAT(error_of(*client, "Watch"), HasSubstr("ExpectedMore"));
    EXPECT_EQ(call(*client, "Status")["pid"].number(), 77U) << "the connection lives on";
}

TEST_F(Control, WatchersAreLimitedAndForgottenWhenTheyGo) {
    // Each watches while the next one tries.
    std::string refusal;
    std::function<unsigned()> watch = [&]() -> unsigned {
        auto client = Client::connect(path);
        unsigned deeper = 0;
        const auto done = client->watch({}, [&](const Json&) {
            deeper = 1 + watch();
            return false;
        });
        if (!done) refusal = done.error().error.sentence;
        return deeper;
    };
    EXPECT_EQ(watch(), Watchers::most);
    EXPECT_EQ(refusal, "16 already watch");
    unsigned again = 0;
    for (int tries = 0; tries < 100 && again != Watchers::most; ++tries) { // the server may not have seen all of them go
        usleep(10000);
        again = watch();
    }
    EXPECT_EQ(again, Watchers::most);
}

TEST_F(Control, FailuresSaySo) {
    handlers.broken = true;
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    EXPECT_EQ(error_of(*client, "Detach"), "wan0: the link cannot be removed; do it by hand");
    EXPECT_THAT(error_of(*client, "Counters"), HasSubstr("the call failed: no memory"));
    const auto reload = client->call("Reload");
    ASSERT_FALSE(reload);
    EXPECT_EQ(reload.error().problems, (std::vector<std::string>{"f:1:2: one", "f:3:4: two"}));
    handlers.broken = false;
    EXPECT_EQ(call(*client, "Reload")["generation"].number(), 2U) << "the connection lives on";
}

TEST_F(Control, BadInputIsAnsweredClearly) {
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    EXPECT_THAT(error_of(*client, "Sas", Json::object({{"first", "x"}})), HasSubstr("the gateway does not take the parameter first"));
    EXPECT_THAT(error_of(*client, "Sas", Json::object({{"first", -1}})), HasSubstr("first"));
    EXPECT_THAT(error_of(*client, "Status", Json::object({{"y", 1}})), HasSubstr("the gateway does not take the parameter y"));
    EXPECT_THAT(error_of(*client, "Reload", Json::object({{"file", "relative"}})),
                HasSubstr("the gateway does not take the parameter file"));
    EXPECT_THAT(error_of(*client, "Reload", Json::object({{"file", 7}})), HasSubstr("the gateway does not take the parameter file"));
    EXPECT_THAT(error_of(*client, "Nonsense"), HasSubstr("the gateway does not know this call"));
    EXPECT_EQ(call(*client, "Status")["pid"].number(), 77U) << "the connection lives on";
}

TEST_F(Control, NonsenseOnTheSocketClosesOnlyThatConnection) {
    for (const std::string& text :
         {std::string("GET / HTTP/1.0\r\n\r\n\0", 19), std::string("{\"method\":\0", 11), std::string(1, '\0'), std::string("[]\0", 3),
          std::string("{\"method\":\"io.sallyport.Gateway.Status\",\"parameters\":[1]}\0", 58),
          std::string(100000, '[') + std::string(1, '\0')}) {
        const int raw = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(connect(raw, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(send(raw, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
        timeval patience{2, 0};
        setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        char octet = 0;
        while (recv(raw, &octet, 1, 0) == 1)
            if (octet == '\0') break;
        close(raw);
    }
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    EXPECT_EQ(call(*client, "Status")["pid"].number(), 77U);
}

TEST_F(Control, TheSocketIsForItsGroupOnly) {
    struct stat status{};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0660U);
}

TEST_F(Control, ConnectionsAreLimited) {
    std::vector<Client> clients;
    unsigned refused = 0;
    for (int i = 0; i < 80; ++i) {
        auto client = Client::connect(path);
        if (client && client->call("Status"))
            clients.push_back(std::move(*client));
        else
            ++refused;
    }
    EXPECT_LE(clients.size(), 64U);
    EXPECT_GE(clients.size(), 16U);
    EXPECT_GE(refused, 16U);
    clients.clear();
    bool again = false;
    for (int i = 0; i < 50 && !again; ++i) {
        usleep(20000);
        auto client = Client::connect(path);
        again = client && client->call("Status");
    }
    EXPECT_TRUE(again);
}

TEST(Connecting, NobodyThere) {
    const auto client = Client::connect("/nonexistent/gateway.varlink");
    ASSERT_FALSE(client);
    EXPECT_TRUE(client.error().not_running);
    EXPECT_EQ(client.error().error.sentence, "no gateway listens at /nonexistent/gateway.varlink");
    EXPECT_FALSE(Client::connect("relative"));
    EXPECT_FALSE(Client::connect("/" + std::string(200, 'x')));
}

TEST(Definitions, TheInterfaceIsValidAndCommented) {
    char* text = nullptr;
    ASSERT_GE(sd_varlink_idl_format(&vl_interface_sallyport_gateway, &text), 0);
    const std::string idl = text;
    free(text);
    EXPECT_THAT(idl, HasSubstr("interface io.sallyport.Gateway"));
    for (const char* name : {"method Status", "method Sas", "method Policies", "method Counters", "method Explain", "method Watch",
                             "method Detach", "method Reload"})
        EXPECT_THAT(idl, HasSubstr(name));
    EXPECT_THAT(idl, HasSubstr("# Everything that is counted, of the gateway and of the kernel\nmethod Counters"));
}

int memfd_of(const std::string& octets) {
    const int memfd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    EXPECT_EQ(write(memfd, octets.data(), octets.size()), static_cast<ssize_t>(octets.size()));
    return memfd;
}

Json install_call(unsigned generation, bool hold) {
    return Json::object({{"version", 1U}, {"generation", generation}, {"count", 2U}, {"hold", hold}});
}

TEST_F(Control, RecordsComeInAMemfdBesideTheCall) {
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    const int memfd = memfd_of("records");
    EXPECT_THAT(error_of(*client, "Install", install_call(5, true)), HasSubstr("no memfd was passed"));
    auto done = client->call("Install", install_call(5, true), memfd);
    ASSERT_TRUE(done) << done.error().error.sentence;
    EXPECT_EQ((*done)["generation"].number(), 5U);
    done = client->call("Commit", Json::object({{"generation", 5U}}));
    ASSERT_TRUE(done);
    EXPECT_THAT(handlers.installed, testing::ElementsAre("1 5 2 true records", "commit 5"));
    auto other = Client::connect(path);
    ASSERT_TRUE(other);
    EXPECT_THAT(error_of(*other, "Commit", Json::object({{"generation", 5U}})), HasSubstr("nothing is held")) << "another connection";
    handlers.broken = true;
    done = client->call("Install", install_call(6, false), memfd);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().error.place, "install[3] spi");
    EXPECT_THAT(error_of(*client, "Install", Json::object({{"version", 1U}})), HasSubstr("generation"));
    close(memfd);
}

/// Descriptors stay with their calls when these are sent without waiting; what a connection held is told to be gone with it.
TEST_F(Control, CallsWithDescriptorsMayBePipelined) {
    sd_varlink* link = nullptr;
    ASSERT_GE(sd_varlink_connect_address(&link, path.c_str()), 0);
    ASSERT_GE(sd_varlink_set_allow_fd_passing_output(link, 1), 0);
    static unsigned answers;
    answers = 0;
    sd_varlink_bind_reply(link, [](sd_varlink*, sd_json_variant*, const char* error, sd_varlink_reply_flags_t, void*) {
        EXPECT_EQ(error, nullptr);
        ++answers;
        return 0;
    });
    for (unsigned i = 0; i < 20; ++i) {
        const int memfd = memfd_of("records " + std::to_string(i));
        ASSERT_GE(sd_varlink_push_fd(link, memfd), 0);
        ASSERT_GE(sd_varlink_invoke(link, "io.sallyport.Gateway.Install", install_call(i + 1, false).get()), 0);
    }
    while (answers < 20) {
        const int result = sd_varlink_process(link);
        ASSERT_GE(result, 0);
        if (result == 0) {
            ASSERT_GE(sd_varlink_wait(link, 5'000'000), 0);
        }
    }
    ASSERT_EQ(handlers.installed.size(), 20U);
    for (unsigned i = 0; i < 20; ++i) EXPECT_EQ(handlers.installed[i], std::format("1 {} 2 false records {}", i + 1, i));
    EXPECT_EQ(handlers.callers_gone, 0U);
    sd_varlink_close_unref(link);
    for (int i = 0; i < 500 && handlers.callers_gone == 0; ++i) usleep(10'000);
    EXPECT_EQ(handlers.callers_gone, 1U);
}

TEST_F(Control, SpisAreTakenAndIkeSpisAreListed) {
    auto client = Client::connect(path);
    ASSERT_TRUE(client);
    EXPECT_EQ(call(*client, "ReserveSpis")["spis"].items().size(), 1U);
    const Json spis = call(*client, "ReserveSpis", Json::object({{"count", 3U}, {"block", 16U}}))["spis"];
    EXPECT_EQ(spis.items()[2].number(), 0x1020U);
    EXPECT_THAT(error_of(*client, "ReserveSpis", Json::object({{"block", 3U}})), HasSubstr("a block has"));
    EXPECT_EQ(call(*client, "ReleaseSpis", Json::object({{"spis", spis}}))["released"].number(), 3U);
    EXPECT_THAT(error_of(*client, "ReleaseSpis", Json::object({{"spis", Json::array({std::uint64_t{1} << 32})}})), HasSubstr("spis"));
    const Json ike = Json::array({"00000000000000ff", "ffffffffffffffff"});
    (void)call(*client, "AddIkeSpis", Json::object({{"spis", ike}, {"generation", 9U}}));
    const Json listed = call(*client, "IkeSpis");
    ASSERT_EQ(listed["spis"].items().size(), 2U);
    EXPECT_EQ(listed["spis"].items()[1]["spi"].text(), "ffffffffffffffff");
    EXPECT_EQ(listed["spis"].items()[0]["generation"].number(), 9U);
    EXPECT_EQ(call(*client, "RemoveIkeSpis", Json::object({{"spis", ike}}))["removed"].number(), 2U);
    for (const char* wrong : {"ff", "00000000000000fg", "+0000000000000ff", "00000000000000ff0"})
        EXPECT_THAT(error_of(*client, "RemoveIkeSpis", Json::object({{"spis", Json::array({wrong})}})), HasSubstr("spis")) << wrong;
}

} // namespace
} // namespace sallyport::varlink
