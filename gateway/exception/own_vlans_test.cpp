// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/own_vlans.hpp"

#include "gateway/wire/checksum.hpp"
#include "gateway/wire/ethernet.hpp"
#include "gateway/wire/parse.hpp"

#include <cstdlib>
#include <cstring>
#include <linux/neighbour.h>
#include <memory>

namespace sallyport::exception {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr route::Mac ours{2, 0, 0, 0, 0, 1}, theirs{2, 0, 0, 0, 0, 2};
const std::uint32_t interface = route::own_vlan_number(0, 7);

struct RecordingLearner : route::Learner {
    void learn(const route::KernelNeighbour& neighbour) override { learned.push_back(neighbour); }
    std::vector<route::KernelNeighbour> learned;
};

// VLAN 7 of the only port, with 10.7.0.1/24 and 2001:db8:7::1/64.
class OwnVlansTest : public testing::Test, protected Exits {
protected:
    OwnVlansTest() : own(ports(), fib, learner) {}

    static std::vector<PortSpec> ports() {
        PortSpec port{.interface = "red0", .role = Role::red};
        port.vlans = {{.id = 7, .vpn = 1, .addresses = {{*parse_address("10.7.0.1"), 24}, {*parse_address("2001:db8:7::1"), 64}}}};
        return {port};
    }

    void again(const Frame& frame) override { sent.push_back(frame); }
    void drop(const Frame& frame, DropReason reason) override { dropped.emplace_back(frame, reason); }
    void used_up(const Frame& /*frame*/) override { FAIL() << "a frame is answered or dropped"; }
    bool make(Frame& frame) override {
        frame = Frame{};
        frame.chunk = fresh();
        return true;
    }

    std::uint8_t* fresh() {
        chunks.push_back(std::make_unique<std::uint8_t[]>(chunk_size));
        return chunks.back().get();
    }

    // As the worker sends it: `payload` behind the Ethernet header with tag 7.
    Frame frame(std::uint16_t ethertype, std::span<const std::uint8_t> payload) {
        Frame frame;
        frame.chunk = fresh();
        frame.network = frame_headroom + 18;
        frame.begin = static_cast<std::uint16_t>(frame.network - wire::write_ethernet(frame.at(frame.network), ours, theirs, 7, ethertype));
        frame.end = static_cast<std::uint16_t>(frame.network + payload.size());
        std::memcpy(frame.at(frame.network), payload.data(), payload.size());
        frame.vlan = 7;
        frame.vpn = 1;
        frame.worker = 3;
        frame.reason = DropReason::own_vlan;
        return frame;
    }

    Frame arp(std::uint16_t operation, const char* sender, const char* target) {
        std::array<std::uint8_t, wire::arp_size> octets;
        wire::write_arp(octets.data(), {.operation = operation,
                                        .sender_mac = theirs,
                                        .sender = *parse_address(sender),
                                        .target_mac = {},
                                        .target = *parse_address(target)});
        return frame(wire::ethertype_arp, octets);
    }

    Frame discovery(std::uint8_t type, const char* source, const char* target) {
        std::array<std::uint8_t, wire::neighbour_message_size> octets;
        wire::write_neighbour_message(octets.data(), {.type = type,
                                                      .source = *parse_address(source),
                                                      .destination = *parse_address("2001:db8:7::1"),
                                                      .target = *parse_address(target),
                                                      .mac = theirs});
        return frame(wire::ethertype_ipv6, octets);
    }

    wire::Arp sent_arp() {
        EXPECT_EQ(sent.size(), 1U);
        const Frame frame = sent.back();
        EXPECT_NE(frame.flags & frame_raw, 0);
        EXPECT_EQ(wire::load16(frame.at(frame.network - 4U)), 7) << "the tag";
        EXPECT_EQ(frame.begin, frame.network - 18);
        sent.clear();
        const auto arp = wire::read_arp(frame.at(frame.network), frame.network_length());
        EXPECT_TRUE(arp);
        return arp.value_or(wire::Arp{});
    }

    tables::Published<route::Fib> fib{std::make_unique<const route::Fib>(
        std::vector<std::shared_ptr<const route::Table>>{},
        std::vector<route::Link>{
            {}, {.interface = interface, .port = 0, .role = Role::red, .up = true, .vlan = 7, .mtu = 1500, .vpn = 1, .mac = ours}},
        std::make_shared<route::NeighbourTable>(10U))};
    RecordingLearner learner;
    OwnVlans own;
    std::vector<std::unique_ptr<std::uint8_t[]>> chunks;
    std::vector<Frame> sent;
    std::vector<std::pair<Frame, DropReason>> dropped;
};

TEST_F(OwnVlansTest, AnswersArpForItsAddressOnly) {
    own.take(arp(wire::arp_request, "10.7.0.2", "10.7.0.1"), 0, *this);
    EXPECT_EQ(sent.at(0).worker, 3);
    const wire::Arp answer = sent_arp();
    EXPECT_EQ(answer.operation, wire::arp_reply);
    EXPECT_EQ(answer.sender_mac, ours);
    EXPECT_EQ(to_string(answer.sender), "10.7.0.1");
    EXPECT_EQ(answer.target_mac, theirs);
    EXPECT_EQ(to_string(answer.target), "10.7.0.2");
    own.take(arp(wire::arp_request, "10.7.0.2", "10.7.0.3"), 0, *this);
    own.take(arp(wire::arp_request, "10.7.0.1", "10.7.0.1"), 0, *this); // somebody takes our address
    EXPECT_TRUE(sent.empty());
    ASSERT_EQ(dropped.size(), 2U);
    EXPECT_EQ(dropped[0].second, DropReason::own_vlan);
    EXPECT_TRUE(learner.learned.empty()) << "nobody was asked";
}

TEST_F(OwnVlansTest, AnswersSolicitations) {
    own.take(discovery(wire::nd_solicitation, "2001:db8:7::2", "2001:db8:7::1"), 0, *this);
    ASSERT_EQ(sent.size(), 1U);
    const auto answer = wire::read_neighbour_message(sent[0].at(sent[0].network), sent[0].network_length());
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->type, wire::nd_advertisement);
    EXPECT_EQ(answer->flags, wire::nd_router | wire::nd_solicited | wire::nd_override);
    EXPECT_EQ(to_string(answer->destination), "2001:db8:7::2");
    EXPECT_EQ(answer->mac, ours);
    sent.clear();
    own.take(discovery(wire::nd_solicitation, "2001:db8:7::2", "2001:db8:7::3"), 0, *this);
    EXPECT_TRUE(sent.empty());
    EXPECT_EQ(dropped.size(), 1U);
}

TEST_F(OwnVlansTest, DefendsItsAddress) {
    Frame detection = discovery(wire::nd_solicitation, "2001:db8:7::2", "2001:db8:7::1");
    std::uint8_t* packet = detection.at(detection.network);
    std::memset(packet + wire::ipv6_source, 0, 16);
    std::memcpy(packet + wire::ipv6_destination, wire::solicited_node(*parse_address("2001:db8:7::1")).octets.data(), 16);
    detection.end = static_cast<std::uint16_t>(detection.end - 8); // without its option
    wire::store16(packet + wire::ipv6_payload_length, 24);
    wire::store16(packet + 42, 0);
    wire::store_raw(packet + 42, wire::icmpv6_checksum(packet, packet + 40, 24));
    own.take(detection, 0, *this);
    ASSERT_EQ(sent.size(), 1U);
    const auto answer = wire::read_neighbour_message(sent[0].at(sent[0].network), sent[0].network_length());
    ASSERT_TRUE(answer);
    EXPECT_EQ(to_string(answer->destination), "ff02::1");
    EXPECT_EQ(answer->flags & wire::nd_solicited, 0);
}

TEST_F(OwnVlansTest, FindsANeighbourAndKeepsAskingHim) {
    own.ask({interface, *parse_address("10.7.0.9")});
    EXPECT_EQ(own.next(), 0U) << "at once";
    own.look(0, *this);
    const wire::Arp question = sent_arp();
    EXPECT_EQ(question.operation, wire::arp_request);
    EXPECT_EQ(to_string(question.sender), "10.7.0.1");
    EXPECT_EQ(to_string(question.target), "10.7.0.9");
    own.take(arp(wire::arp_reply, "10.7.0.9", "10.7.0.1"), second, *this);
    ASSERT_EQ(learner.learned.size(), 1U);
    EXPECT_EQ(learner.learned[0].interface, interface);
    EXPECT_EQ(learner.learned[0].mac, theirs);
    EXPECT_TRUE(learner.learned[0].has_mac);
    own.look(second, *this);
    EXPECT_TRUE(sent.empty());
    // Half a minute later he is asked himself, and answers; then he does not any more.
    EXPECT_EQ(own.next(), 31 * second);
    own.look(31 * second, *this);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(std::memcmp(sent[0].data(), theirs.data(), 6), 0);
    sent.clear();
    own.take(arp(wire::arp_reply, "10.7.0.9", "10.7.0.1"), 31 * second, *this);
    EXPECT_EQ(learner.learned.size(), 1U) << "nothing new";
    for (std::uint64_t t = 61; t <= 64; ++t) own.look(t * second, *this);
    EXPECT_EQ(sent.size(), 3U);
    ASSERT_EQ(learner.learned.size(), 2U);
    EXPECT_FALSE(learner.learned[1].has_mac) << "he is gone";
    EXPECT_EQ(own.next(), Handler::never);
}

TEST_F(OwnVlansTest, FindsAnIpv6Neighbour) {
    own.ask({interface, *parse_address("2001:db8:7::9")});
    own.look(0, *this);
    ASSERT_EQ(sent.size(), 1U);
    const auto question = wire::read_neighbour_message(sent[0].at(sent[0].network), sent[0].network_length());
    ASSERT_TRUE(question);
    EXPECT_EQ(to_string(question->destination), "ff02::1:ff00:9");
    own.take(discovery(wire::nd_advertisement, "2001:db8:7::9", "2001:db8:7::9"), 1, *this);
    EXPECT_EQ(learner.learned.size(), 1U);
}

TEST_F(OwnVlansTest, OnlyWhoWasAskedIsBelieved) {
    own.take(arp(wire::arp_reply, "10.7.0.9", "10.7.0.1"), 0, *this);
    own.take(discovery(wire::nd_advertisement, "2001:db8:7::9", "2001:db8:7::9"), 0, *this);
    own.ask({interface, *parse_address("10.7.0.9")});
    own.look(0, *this);
    own.look(4 * second, *this); // the question is forgotten
    own.take(arp(wire::arp_reply, "10.7.0.9", "10.7.0.1"), 4 * second, *this);
    EXPECT_TRUE(learner.learned.empty());
}

TEST_F(OwnVlansTest, AFloodOfQuestionsIsBounded) {
    for (unsigned i = 0; i < OwnVlans::most_neighbours + 100; ++i) {
        Address address = *parse_address("10.7.0.0");
        address.octets[2] = static_cast<std::uint8_t>(i >> 8);
        address.octets[3] = static_cast<std::uint8_t>(i);
        own.ask({interface, address});
    }
    own.look(0, *this);
    EXPECT_EQ(sent.size(), OwnVlans::most_neighbours);
}

TEST_F(OwnVlansTest, AnswersEchoRequests) {
    const std::array<std::uint8_t, 32> ping{0x45, 0, 0, 32, 0, 1, 0, 0, 1, 1, 0, 0, 10, 7, 0, 2, 10, 7, 0, 1, 8, 0, 0xf7, 0xfc, 0, 1, 0, 2};
    Frame question = frame(wire::ethertype_ipv4, ping);
    wire::write_ipv4_checksum(question.at(question.network), 20);
    const std::uint16_t whole = wire::checksum_raw(question.at(question.network + 20U), 12);
    own.take(question, 0, *this);
    ASSERT_EQ(sent.size(), 1U);
    Frame answer = sent[0];
    EXPECT_EQ(std::memcmp(answer.data(), theirs.data(), 6), 0);
    wire::parse(answer);
    EXPECT_EQ(answer.reason, DropReason::none);
    EXPECT_EQ(to_string(wire::source_of(answer.at(answer.network), 4)), "10.7.0.1");
    EXPECT_EQ(to_string(wire::destination_of(answer.at(answer.network), 4)), "10.7.0.2");
    EXPECT_EQ(answer.at(answer.transport)[0], 0);
    EXPECT_EQ(wire::checksum_raw(answer.at(answer.transport), 12), whole) << "as right or wrong as it was";
    EXPECT_EQ(answer.hop_limit, 64);
}

TEST_F(OwnVlansTest, NothingElseIsAnswered) {
    std::array<std::uint8_t, 28> udp{0x45, 0, 0, 28, 0, 1, 0, 0, 9, 17, 0, 0, 10, 7, 0, 2, 10, 7, 0, 1, 0, 9, 0, 9, 0, 8};
    Frame packet = frame(wire::ethertype_ipv4, udp);
    wire::write_ipv4_checksum(packet.at(packet.network), 20);
    own.take(packet, 0, *this);
    for (unsigned size = 0; size < wire::arp_size; ++size) {
        Frame cut = arp(wire::arp_request, "10.7.0.2", "10.7.0.1");
        cut.end = static_cast<std::uint16_t>(cut.network + size);
        own.take(cut, 0, *this);
    }
    EXPECT_TRUE(sent.empty());
    EXPECT_EQ(dropped.size(), 1U + wire::arp_size);
}

} // namespace
} // namespace sallyport::exception
