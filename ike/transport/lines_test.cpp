// SPDX-License-Identifier: Apache-2.0
#include "ike/transport/lines.hpp"

#include "gateway/sa/ike_datagram.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace sallyport::ike::transport {
namespace {

using Octets = std::vector<std::uint8_t>;

/// The gateway's end of a line.
class Server {
public:
    explicit Server(const std::string& path) : door_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        unlink(path.c_str());
        if (bind(door_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(door_, 4) != 0) std::abort();
    }
    ~Server() {
        if (line_ >= 0) close(line_);
        close(door_);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    void accept() { line_ = accept4(door_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }
    void send(const Octets& record) const {
        ASSERT_EQ(::send(line_, record.data(), record.size(), 0), static_cast<ssize_t>(record.size()));
    }
    Octets receive() const {
        Octets record(70'000);
        const ssize_t size = recv(line_, record.data(), record.size(), 0);
        record.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        return record;
    }

private:
    int door_, line_ = -1;
};

class LinesTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = std::filesystem::temp_directory_path() / "lines-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory = name;
        begin();
    }
    void TearDown() override { std::filesystem::remove_all(directory); }
    void begin() {
        known.reset();
        first.reset();
        known.emplace(directory + "/ike-known");
        first.emplace(directory + "/ike-first");
    }
    void come_together(Lines& lines) {
        ASSERT_TRUE(lines.connect());
        known->accept();
        first->accept();
    }

    const ike_datagram::Datagram sample{.local = *parse_address("192.0.2.1"),
                                        .remote = *parse_address("198.51.100.7"),
                                        .local_port = 4500,
                                        .remote_port = 31'000,
                                        .vpn = 3,
                                        .port = 1,
                                        .ecn = 0,
                                        .received = 5,
                                        .message = message};

    static inline const Octets message = Octets(60, 9);
    std::string directory;
    std::optional<Server> known, first;
};

TEST_F(LinesTest, bring_messages_of_either_line) {
    Lines lines(directory);
    come_together(lines);
    EXPECT_FALSE(lines.receive(Line::known));
    first->send(record_of(sample));
    const auto datagram = lines.receive(Line::first);
    ASSERT_TRUE(datagram);
    EXPECT_EQ(datagram->path.local, (Endpoint{sample.local, 4500}));
    EXPECT_EQ(datagram->path.remote, (Endpoint{sample.remote, 31'000}));
    EXPECT_EQ(datagram->path.vpn, 3);
    EXPECT_EQ(datagram->octets, message);
    EXPECT_FALSE(lines.receive(Line::first));
    EXPECT_TRUE(lines.connected());
}

TEST_F(LinesTest, take_messages_to_the_gateway) {
    Lines lines(directory);
    come_together(lines);
    lines.send({{{sample.local, 500}, {sample.remote, 500}, 3}, message});
    const Octets record = known->receive();
    const auto parsed = ike_datagram::parse(record);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->local, sample.local);
    EXPECT_EQ(parsed->remote, sample.remote);
    EXPECT_EQ(parsed->local_port, 500);
    EXPECT_EQ(parsed->vpn, 3);
    EXPECT_TRUE(std::equal(message.begin(), message.end(), parsed->message.begin(), parsed->message.end()));
    EXPECT_EQ(lines.counters().sent, 1U);
}

TEST_F(LinesTest, pass_over_records_that_cannot_be) {
    Lines lines(directory);
    come_together(lines);
    first->send(Octets(10));
    first->send(Octets(200, 0xff));
    first->send(Octets(66'000));
    first->send(record_of(sample));
    EXPECT_TRUE(lines.receive(Line::first));
    EXPECT_EQ(lines.counters().malformed, 3U);
    EXPECT_EQ(lines.counters().received, 1U);
}

TEST_F(LinesTest, find_a_gateway_again_that_has_gone) {
    Lines lines(directory);
    come_together(lines);
    begin();
    EXPECT_FALSE(lines.receive(Line::known));
    EXPECT_FALSE(lines.connected());
    EXPECT_EQ(lines.descriptor(Line::first), -1) << "both or none";
    lines.send({{{sample.local, 500}, {sample.remote, 500}, 0}, message});
    EXPECT_EQ(lines.counters().lost, 1U);
    come_together(lines);
    first->send(record_of(sample));
    EXPECT_TRUE(lines.receive(Line::first));
    known.reset();
    lines.send({{{sample.local, 500}, {sample.remote, 500}, 0}, message});
    EXPECT_FALSE(lines.connected());
    first.reset();
    EXPECT_FALSE(lines.connect());
}

TEST_F(LinesTest, lose_what_a_full_gateway_cannot_take_and_do_not_wait) {
    Lines lines(directory);
    come_together(lines);
    for (unsigned i = 0; i < 100'000 && lines.counters().lost == 0; ++i)
        lines.send({{{sample.local, 500}, {sample.remote, 500}, 0}, message});
    EXPECT_EQ(lines.counters().lost, 1U);
    EXPECT_TRUE(lines.connected());
    EXPECT_FALSE(known->receive().empty());
    lines.send({{{sample.local, 500}, {sample.remote, 500}, 0}, message});
    EXPECT_EQ(lines.counters().lost, 1U);
}

} // namespace
} // namespace sallyport::ike::transport
