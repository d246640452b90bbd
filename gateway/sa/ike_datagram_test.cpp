// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/ike_datagram.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace sallyport::ike_datagram {
namespace {

const std::vector<std::uint8_t> message(40, 7);

Datagram sample(Family family) {
    return {.local = *parse_address(family == Family::ipv4 ? "192.0.2.1" : "2001:db8::1"),
            .remote = *parse_address(family == Family::ipv4 ? "192.0.2.2" : "2001:db8::2"),
            .local_port = 4500,
            .remote_port = 31'000,
            .vpn = 3,
            .port = 1,
            .ecn = 2,
            .received = 77,
            .message = message};
}

/// Also of a header that cannot be.
std::vector<std::uint8_t> record_of(const RecordHeader& header, std::span<const std::uint8_t> behind = message) {
    std::vector<std::uint8_t> record(sizeof header);
    std::memcpy(record.data(), &header, sizeof header);
    record.insert(record.end(), behind.begin(), behind.end());
    return record;
}

TEST(IkeDatagram, comes_out_as_it_went_in) {
    for (const Family family : {Family::ipv4, Family::ipv6}) {
        const Datagram in = sample(family);
        const std::vector<std::uint8_t> record = record_of(in);
        const auto out = parse(record);
        ASSERT_TRUE(out) << out.error();
        EXPECT_EQ(out->local, in.local);
        EXPECT_EQ(out->remote, in.remote);
        EXPECT_EQ(out->local_port, in.local_port);
        EXPECT_EQ(out->remote_port, in.remote_port);
        EXPECT_EQ(out->vpn, in.vpn);
        EXPECT_EQ(out->port, in.port);
        EXPECT_EQ(out->ecn, in.ecn);
        EXPECT_EQ(out->received, in.received);
        EXPECT_EQ(out->message.data(), record.data() + sizeof(RecordHeader));
        EXPECT_EQ(out->message.size(), message.size());
    }
}

struct Row {
    const char* name;
    void (*change)(RecordHeader&);
    std::string_view what;
};
const std::array rows{
    Row{"layout", [](RecordHeader& h) { h.layout = 2; }, "another layout"},
    Row{"no transport", [](RecordHeader& h) { h.transport = 0; }, "a transport that is not known"},
    Row{"TCP", [](RecordHeader& h) { h.transport = 2; }, "a transport that is not known"},
    Row{"a connection of UDP", [](RecordHeader& h) { h.connection = 1; }, "a transport that is not known"},
    Row{"family", [](RecordHeader& h) { h.family = 5; }, "no family of addresses"},
    Row{"ECN", [](RecordHeader& h) { h.ecn = 4; }, "octets that must be zero"},
    Row{"zero", [](RecordHeader& h) { h.zero = 1; }, "octets that must be zero"},
    Row{"more zeros", [](RecordHeader& h) { h.more_zero = 1; }, "octets that must be zero"},
    Row{"behind IPv4", [](RecordHeader& h) { h.local[4] = 1; }, "octets that must be zero"},
    Row{"behind the other IPv4", [](RecordHeader& h) { h.remote[15] = 1; }, "octets that must be zero"},
    Row{"local port", [](RecordHeader& h) { h.local_port = 0; }, "a port that is zero"},
    Row{"remote port", [](RecordHeader& h) { h.remote_port = 0; }, "a port that is zero"},
};

TEST(IkeDatagram, that_cannot_be_is_refused_with_the_reason) {
    for (const Row& row : rows) {
        RecordHeader header = header_of(sample(Family::ipv4));
        row.change(header);
        const auto parsed = parse(record_of(header));
        ASSERT_FALSE(parsed) << row.name;
        EXPECT_EQ(parsed.error(), row.what) << row.name;
    }
}

TEST(IkeDatagram, has_an_ike_header_and_no_more_than_a_datagram) {
    const RecordHeader header = header_of(sample(Family::ipv6));
    const std::vector<std::uint8_t> whole = record_of(header, std::vector<std::uint8_t>(least_message));
    EXPECT_TRUE(parse(whole));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)); // of its own, for ASan
        EXPECT_FALSE(parse(cut)) << size;
    }
    EXPECT_TRUE(parse(record_of(header, std::vector<std::uint8_t>(most_message))));
    EXPECT_FALSE(parse(record_of(header, std::vector<std::uint8_t>(most_message + 1))));
}

} // namespace
} // namespace sallyport::ike_datagram
