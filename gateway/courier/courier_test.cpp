// SPDX-License-Identifier: Apache-2.0
#include "gateway/courier/courier.hpp"

#include "gateway/courier/packet.hpp"
#include "gateway/exception/testing.hpp"
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/udp.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace sallyport::courier {
namespace {

using exception::testing::Bench;
using Octets = std::vector<std::uint8_t>;
constexpr std::uint64_t second = 1'000'000'000;

const Address ours = *parse_address("192.0.2.1"), theirs = *parse_address("198.51.100.7");
const Address ours6 = *parse_address("2001:db8::1"), theirs6 = *parse_address("2001:db8:7::1");

Octets ike_message(std::uint64_t spi_i, std::uint64_t spi_r, bool initiator = true, std::size_t size = 60) {
    Octets message(size, 0x5a);
    wire::store64(message.data(), spi_i);
    wire::store64(message.data() + 8, spi_r);
    message[19] = initiator ? 0x08 : 0x20;
    return message;
}

/// An end of sallyport-ike.
class Client {
public:
    explicit Client(const std::string& path) : descriptor_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        if (descriptor_ < 0) std::abort();
        connected = connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    ~Client() { close(descriptor_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    bool send(const Octets& record) const {
        return ::send(descriptor_, record.data(), record.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(record.size());
    }
    std::optional<Octets> receive() const {
        Octets record(70'000);
        const ssize_t size = recv(descriptor_, record.data(), record.size(), 0);
        if (size <= 0) return std::nullopt;
        record.resize(static_cast<std::size_t>(size));
        return record;
    }
    bool connected = false;

private:
    int descriptor_;
};

class CourierTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = std::filesystem::temp_directory_path() / "courier-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory = name;
        open(getuid());
    }
    void TearDown() override {
        courier.reset();
        sockets.reset();
        EXPECT_TRUE(std::filesystem::is_empty(directory)) << "the sockets are taken away";
        std::filesystem::remove_all(directory);
    }
    void open(uid_t user, CourierLimits limits = {}) {
        courier.reset();
        sockets.reset();
        auto opened = Sockets::open(directory, user);
        ASSERT_TRUE(opened) << to_string(opened.error());
        sockets = std::move(*opened);
        courier = std::make_unique<Courier>(*sockets, bench.depot(), std::vector{&inbox}, limits);
        courier->set_sources({{wan_vpn, ours}, {wan_vpn, ours6}});
    }

    /// A frame from the wire, as a worker sends it here.
    Frame arrive(const Octets& message, std::uint16_t port = 500, const Address& from = theirs) {
        Frame sent;
        if (!bench.make(sent)) throw std::runtime_error("no chunk");
        const bool ipv4 = from.family == Family::ipv4;
        write_packet(sent, {.local = from, .remote = ipv4 ? ours : ours6, .local_port = port, .remote_port = port, .message = message});
        Frame frame = bench.receive(exception::testing::packet_in(sent));
        bench.depot().give(&sent.index, 1);
        frame.port = 2;
        return frame;
    }
    void take(const Frame& frame, std::uint64_t now = 5 * second) { courier->take(frame, now, bench); }
    std::vector<Frame> sent() {
        std::array<Frame, 64> frames;
        return {frames.begin(), frames.begin() + inbox.pop(frames)};
    }
    std::uint64_t refused(Refused why) { return courier->counters().refused[static_cast<std::size_t>(why)]; }

    std::string directory;
    Bench bench{64};
    Waker waker;
    FrameRing inbox{64, waker};
    std::unique_ptr<Sockets> sockets;
    std::unique_ptr<Courier> courier;
};

TEST_F(CourierTest, brings_messages_with_all_that_is_known_about_them) {
    const Client first(path_of(directory, Line::first)), known(path_of(directory, Line::known));
    ASSERT_TRUE(first.connected && known.connected);
    courier->run_once(0);
    const Octets message = ike_message(1, 0);
    for (const std::uint16_t port : {std::uint16_t{500}, std::uint16_t{4500}}) {
        for (const Address& from : {theirs, theirs6}) {
            Frame frame = arrive(message, port, from);
            frame.traffic_class = 3;
            take(frame);
            const auto record = first.receive();
            ASSERT_TRUE(record);
            const auto datagram = ike_datagram::parse(*record);
            ASSERT_TRUE(datagram) << datagram.error();
            EXPECT_EQ(datagram->remote, from);
            EXPECT_EQ(datagram->local, from.family == Family::ipv4 ? ours : ours6);
            EXPECT_EQ(datagram->local_port, port);
            EXPECT_EQ(datagram->remote_port, port);
            EXPECT_EQ(datagram->port, 2);
            EXPECT_EQ(datagram->ecn, 3);
            EXPECT_NE(datagram->received, 0U);
            EXPECT_TRUE(std::equal(message.begin(), message.end(), datagram->message.begin(), datagram->message.end()))
                << "without the marker";
        }
    }
    EXPECT_EQ(bench.out(), 0U);
    EXPECT_FALSE(known.receive());
}

TEST_F(CourierTest, has_a_line_for_the_ike_sas_that_are_known) {
    const Client first(path_of(directory, Line::first)), known(path_of(directory, Line::known));
    courier->run_once(0);
    courier->know(std::array<std::uint64_t, 2>{77, 78});
    take(arrive(ike_message(9, 77, true)));  // ours is the responder's
    take(arrive(ike_message(78, 9, false))); // ours is the initiator's
    EXPECT_TRUE(known.receive());
    EXPECT_TRUE(known.receive());
    EXPECT_FALSE(first.receive());
    courier->forget(std::array<std::uint64_t, 1>{77});
    take(arrive(ike_message(9, 77, true)));
    EXPECT_FALSE(known.receive());
    EXPECT_TRUE(first.receive());
}

TEST_F(CourierTest, brings_one_message_with_an_unknown_spi_a_second_and_prefix) {
    const Client first(path_of(directory, Line::first));
    courier->run_once(0);
    for (unsigned i = 0; i < 10; ++i) take(arrive(ike_message(9, 1000 + i)), 5 * second + i);
    take(arrive(ike_message(9, 5), 500, *parse_address("198.51.100.99")), 5 * second);
    EXPECT_EQ(bench.dropped[DropReason::ike_unknown_spi], 10U) << "that of the same /24 too";
    take(arrive(ike_message(9, 5), 500, *parse_address("203.0.113.1")), 5 * second);
    take(arrive(ike_message(9, 5)), 6 * second);
    unsigned brought = 0;
    while (first.receive()) ++brought;
    EXPECT_EQ(brought, 3U);
    EXPECT_EQ(courier->counters().brought[1], 3U);
}

TEST_F(CourierTest, forgets_prefixes_before_they_are_too_many) {
    open(getuid(), {.unknown_prefixes = 4});
    const Client first(path_of(directory, Line::first));
    courier->run_once(0);
    for (unsigned i = 0; i < 40; ++i) {
        Address from = theirs;
        from.octets[1] = static_cast<std::uint8_t>(i);
        take(arrive(ike_message(9, 5), 500, from));
    }
    unsigned brought = 0;
    while (first.receive()) ++brought;
    EXPECT_EQ(brought, 40U);
}

TEST_F(CourierTest, drops_what_nobody_takes_and_what_is_no_message) {
    take(arrive(ike_message(1, 0)));
    EXPECT_EQ(bench.dropped[DropReason::ike_nobody_listening], 1U);
    const Client first(path_of(directory, Line::first));
    courier->run_once(0);
    Frame cut = arrive(ike_message(1, 0));
    cut.end = static_cast<std::uint16_t>(cut.end - 1);
    take(cut);
    Frame short_one = arrive(Octets(28));
    wire::store16(short_one.at(short_one.transport) + wire::udp_length, 8 + 27);
    take(short_one);
    Frame bare = arrive(Octets(28));
    bare.end = static_cast<std::uint16_t>(bare.transport + 7);
    take(bare);
    EXPECT_EQ(bench.dropped[DropReason::ike_malformed], 3U);
    EXPECT_FALSE(first.receive());
}

TEST_F(CourierTest, never_waits_for_a_slow_reader) {
    const Client first(path_of(directory, Line::first));
    courier->run_once(0);
    unsigned given = 0;
    while (bench.dropped[DropReason::ike_full] == 0 && given < 200'000) {
        take(arrive(ike_message(1, 0, true, 1400)));
        ++given;
    }
    EXPECT_EQ(bench.dropped[DropReason::ike_full], 1U);
    EXPECT_GT(given, 100U);
    EXPECT_TRUE(first.receive());
    take(arrive(ike_message(1, 0)));
    EXPECT_EQ(bench.dropped[DropReason::ike_full], 1U) << "there is room again";
}

TEST_F(CourierTest, lets_its_user_in_and_nobody_else) {
    open(getuid() + 1);
    const Client stranger(path_of(directory, Line::first));
    courier->run_once(0);
    EXPECT_EQ(courier->counters().turned_away, 1U);
    take(arrive(ike_message(1, 0)));
    EXPECT_EQ(bench.dropped[DropReason::ike_nobody_listening], 1U);
}

TEST_F(CourierTest, hears_the_last_one_who_came) {
    const Client before(path_of(directory, Line::first));
    courier->run_once(0);
    const auto after = std::make_unique<Client>(path_of(directory, Line::first));
    courier->run_once(0);
    take(arrive(ike_message(1, 0)));
    EXPECT_TRUE(after->receive());
    EXPECT_FALSE(before.receive());
    (void)before.send(
        ike_datagram::record_of({.local = ours, .remote = theirs, .local_port = 500, .remote_port = 500, .message = Octets(28)}));
    courier->run_once(0);
    EXPECT_EQ(courier->counters().sent, 0U);
}

TEST_F(CourierTest, sends_packets_that_are_whole_and_right) {
    const Client known(path_of(directory, Line::known));
    courier->run_once(0);
    const Octets message = ike_message(3, 4);
    for (const std::uint16_t port : {std::uint16_t{500}, std::uint16_t{4500}}) {
        for (const Address& to : {theirs, theirs6}) {
            const bool ipv4 = to.family == Family::ipv4;
            ASSERT_TRUE(known.send(ike_datagram::record_of(
                {.local = ipv4 ? ours : ours6, .remote = to, .local_port = port, .remote_port = 31'000, .message = message})));
            courier->run_once(0);
            const std::vector<Frame> frames = sent();
            ASSERT_EQ(frames.size(), 1U);
            const Frame& frame = frames[0];
            EXPECT_EQ(frame.flags, frame_ours | frame_onward);
            EXPECT_EQ(frame.vpn, wan_vpn);
            EXPECT_GE(frame.begin, head_room);
            Frame received = bench.receive(exception::testing::packet_in(frame));
            EXPECT_EQ(received.reason, DropReason::none) << "lengths and checksums hold";
            const auto again = read_packet(received);
            ASSERT_TRUE(again);
            EXPECT_EQ(again->local, to);
            EXPECT_EQ(again->remote, ipv4 ? ours : ours6);
            EXPECT_EQ(wire::load16(received.at(received.transport)), port);
            const std::uint8_t* udp = received.at(received.transport);
            EXPECT_NE(wire::load16(udp + wire::udp_checksum), 0);
            if (!ipv4) {
                EXPECT_EQ(wire::ipv6_upper_checksum_raw(received.at(received.network), wire::protocol_udp, udp,
                                                        wire::load16(udp + wire::udp_length)),
                          0);
            }
            if (port == 4500) {
                EXPECT_EQ(wire::load32(udp + wire::udp_size), 0U) << "the marker";
            }
            bench.depot().give(&frame.index, 1);
            bench.depot().give(&received.index, 1);
        }
    }
    EXPECT_EQ(courier->counters().sent, 4U);
    EXPECT_EQ(bench.out(), 0U);
}

TEST_F(CourierTest, sends_only_from_our_addresses_and_ports) {
    const Client known(path_of(directory, Line::known));
    courier->run_once(0);
    const Octets message = ike_message(3, 4);
    const auto give = [&](ike_datagram::Datagram datagram) {
        datagram.message = message;
        ASSERT_TRUE(known.send(record_of(datagram)));
        courier->run_once(0);
    };
    give({.local = theirs, .remote = ours, .local_port = 500, .remote_port = 500});
    give({.local = ours, .remote = theirs, .local_port = 53, .remote_port = 500});
    give({.local = ours, .remote = theirs, .local_port = 500, .remote_port = 500, .vpn = 4});
    EXPECT_EQ(refused(Refused::source), 3U);
    give({.local = ours, .remote = theirs, .local_port = 500, .remote_port = 500});
    EXPECT_EQ(courier->counters().sent, 1U);
    for (const Frame& frame : sent()) bench.depot().give(&frame.index, 1);
}

TEST_F(CourierTest, counts_records_that_cannot_be_and_goes_on) {
    const Client known(path_of(directory, Line::known));
    courier->run_once(0);
    ASSERT_TRUE(known.send(Octets(10)));
    ASSERT_TRUE(known.send(Octets(200, 0xff)));
    ASSERT_TRUE(known.send(
        ike_datagram::record_of({.local = ours, .remote = theirs, .local_port = 500, .remote_port = 500, .message = Octets(5000)})));
    ASSERT_TRUE(known.send(Octets(67'000)));
    courier->run_once(0);
    EXPECT_EQ(refused(Refused::malformed), 4U);
    const Octets largest(room_for_message(Family::ipv4));
    ASSERT_TRUE(
        known.send(ike_datagram::record_of({.local = ours, .remote = theirs, .local_port = 500, .remote_port = 500, .message = largest})));
    courier->run_once(0);
    const std::vector<Frame> frames = sent();
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_LE(frames[0].end + tail_room, chunk_size);
    bench.depot().give(&frames[0].index, 1);
}

TEST_F(CourierTest, keeps_to_its_rate_and_to_its_memory) {
    open(getuid(), {.sent_a_second = 10, .sent_at_once = 5});
    const Client known(path_of(directory, Line::known));
    courier->run_once(0);
    const Octets message = ike_message(3, 4);
    const Octets good = ike_datagram::record_of(
        {.local = ours, .remote = theirs, .local_port = 500, .remote_port = 500, .message = message});
    for (unsigned i = 0; i < 8; ++i) ASSERT_TRUE(known.send(good));
    courier->run_once(second);
    EXPECT_EQ(courier->counters().sent, 5U);
    EXPECT_EQ(refused(Refused::rate), 3U);
    for (const Frame& frame : sent()) bench.depot().give(&frame.index, 1);
    std::vector<std::uint32_t> all(64);
    all.resize(bench.depot().take(all.data(), 64));
    ASSERT_TRUE(known.send(good));
    courier->run_once(3 * second);
    EXPECT_EQ(refused(Refused::no_chunk), 1U);
    bench.depot().give(all.data(), static_cast<unsigned>(all.size()));
}

TEST_F(CourierTest, sleeps_until_something_comes) {
    std::atomic<bool> stop{false};
    std::thread thread([&] { courier->run(stop); });
    {
        const Client known(path_of(directory, Line::known));
        const Octets good = ike_datagram::record_of(
            {.local = ours, .remote = theirs, .local_port = 500, .remote_port = 500, .message = ike_message(3, 4)});
        ASSERT_TRUE(known.send(good));
        for (unsigned i = 0; i < 500 && courier->counters().sent == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(courier->counters().sent, 1U);
    stop = true;
    courier->wake();
    thread.join();
    for (const Frame& frame : sent()) bench.depot().give(&frame.index, 1);
}

} // namespace
} // namespace sallyport::courier
