// SPDX-License-Identifier: Apache-2.0
#include "mgmt/journal/journal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

namespace sallyport::journal {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Events, TheTableIsWhole) {
    std::set<std::string_view> ids, names;
    for (std::size_t i = 0; i < events.size(); ++i) {
        const EventInfo& event = events[i];
        EXPECT_EQ(static_cast<std::size_t>(event.event), i) << event.name;
        EXPECT_EQ(event.id.size(), 32U) << event.name;
        EXPECT_EQ(event.id.find_first_not_of("0123456789abcdef"), std::string_view::npos) << event.name;
        EXPECT_TRUE(ids.insert(event.id).second) << event.name;
        EXPECT_TRUE(names.insert(event.name).second) << event.name;
        EXPECT_TRUE(event.meaning.ends_with('.')) << event.name;
        EXPECT_TRUE(event.remedy.ends_with('.')) << event.name;
        EXPECT_THAT(catalog(), HasSubstr("\n-- " + std::string(event.id) + "\nSubject: Sallyport: " + std::string(event.name) + "\n"));
    }
}

TEST(Journal, FieldsOfARecord) {
    const auto fields = record(Event::sa_refused, "SA refused",
                               {.connection = "branch",
                                .peer = "198.51.100.1",
                                .spi = 0x1001,
                                .vpn = "office",
                                .port = "eth0",
                                .place = "f.toml:3:4",
                                .remedy = "do this"});
    EXPECT_THAT(fields, Contains("MESSAGE=f.toml:3:4: SA refused; do this"));
    EXPECT_THAT(fields, Contains("PRIORITY=3"));
    EXPECT_THAT(fields, Contains("MESSAGE_ID=" + std::string(info(Event::sa_refused).id)));
    EXPECT_THAT(fields, Contains("EVENT=sa-refused"));
    EXPECT_THAT(fields, Contains("CONNECTION=branch"));
    EXPECT_THAT(fields, Contains("PEER=198.51.100.1"));
    EXPECT_THAT(fields, Contains("SPI=0x00001001"));
    EXPECT_THAT(fields, Contains("VPN=office"));
    EXPECT_THAT(fields, Contains("PORT=eth0"));
    EXPECT_THAT(record(Event::started, "x"), Not(Contains(StartsWith("SPI="))));
    EXPECT_EQ(record(Event::started, "x").size(), 4U);
}

TEST(Journal, FieldsOfADroppedPacket) {
    Fields fields{.spi = 7};
    fields.reason = "bad_icv";
    fields.source = "192.0.2.2";
    fields.destination = "192.0.2.1";
    fields.protocol = 50;
    fields.sequence = 1ULL << 40;
    EXPECT_THAT(record(Event::packet_dropped, "x", fields),
                testing::IsSupersetOf({"REASON=bad_icv", "SOURCE=192.0.2.2", "DESTINATION=192.0.2.1", "PROTOCOL=50",
                                       "SEQUENCE=1099511627776", "SPI=0x00000007", "EVENT=packet-dropped"}));
    fields = {};
    fields.source_port = 0;
    fields.count = 12;
    EXPECT_THAT(record(Event::packet_dropped, "x", fields), testing::IsSupersetOf({"SOURCE_PORT=0", "COUNT=12"}));
}

TEST(Journal, OneEventIsOneLine) {
    EXPECT_EQ(line(Event::port_down, "a\nb\x1b[1m", {}, 1700000000123456), "2023-11-14T22:13:20.123Z warning: a\\x0ab\\x1b[1m\n");
    EXPECT_EQ(line(Event::started, "up", {}, 0), "1970-01-01T00:00:00.000Z up\n");
    EXPECT_THAT(record(Event::started, "a\nMESSAGE_ID=x")[0], "MESSAGE=a\\x0aMESSAGE_ID=x");
}

TEST(Journal, AStrangersStreamIsNotOurStderr) {
    setenv("JOURNAL_STREAM", "1:2", 1);
    EXPECT_FALSE(stderr_is_journal());
    unsetenv("JOURNAL_STREAM");
    EXPECT_FALSE(stderr_is_journal());
}

TEST(Journal, SaysItOnStderrWhereNobodyElseWrites) {
    unsetenv("JOURNAL_STREAM");
    testing::internal::CaptureStderr();
    say(Event::reload_failed, "no");
    EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::MatchesRegex("[-0-9]+T[:0-9]+\\.[0-9]+Z error: no\n"));
}

} // namespace
} // namespace sallyport::journal
