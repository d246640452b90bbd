// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/questions.hpp"

#include "gateway/wire/make.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sallyport::daemon {
namespace {

using testing::HasSubstr;

const std::vector<control::PortStatus> ports{{.interface = "wan0", .role = Role::black, .mac = {2, 0, 0, 0, 0, 1}},
                                             {.interface = "lan0", .role = Role::red, .mac = {2, 0, 0, 0, 0, 2}}};

varlink::QuestionView made(const std::string& port) {
    return {.port = port, .octets = {}, .from = "10.1.0.2", .to = "10.2.0.2", .source_port = 1000, .destination_port = 53};
}

std::string error_of(const varlink::QuestionView& question) {
    const auto questions = questions_of(question, ports);
    return questions ? "no error" : to_string(questions.error());
}

TEST(Questions, AMadePacket) {
    const auto red = questions_of(made("lan0"), ports);
    ASSERT_TRUE(red);
    ASSERT_EQ(red->size(), 1U);
    const std::vector<std::uint8_t>& frame = (*red)[0].question.frame;
    EXPECT_EQ(frame[5], 2);
    EXPECT_EQ(frame.size(), 14U + 20U + 8U);
    EXPECT_TRUE(wire::is_packet(std::span(frame).subspan(14)));
    const auto black = questions_of(made("wan0"), ports);
    ASSERT_TRUE(black);
    ASSERT_EQ(black->size(), 2U);
    EXPECT_TRUE((*black)[0].question.opened);
    EXPECT_FALSE((*black)[1].question.opened);
}

TEST(Questions, OctetsAreAFrameOrAPacket) {
    varlink::QuestionView question = made("wan0");
    const auto packet = wire::make_packet({*parse_address("10.1.0.2"), *parse_address("10.2.0.2"), 0, 0, 50, false}, {});
    question.octets = packet;
    EXPECT_EQ(questions_of(question, ports)->at(0).question.frame.size(), packet.size() + 14);
    EXPECT_EQ(questions_of(question, ports)->size(), 1U);
    question.octets = wire::make_frame(packet, {2, 0, 0, 0, 0, 9}, 7);
    EXPECT_EQ(questions_of(question, ports)->at(0).question.frame, question.octets);
}

TEST(Questions, WhatIsWrong) {
    EXPECT_THAT(error_of(made("eth9")), HasSubstr("eth9 is no port"));
    varlink::QuestionView question = made("lan0");
    question.to = "2001:db8::1";
    EXPECT_THAT(error_of(question), HasSubstr("one address is IPv4 and the other IPv6"));
    question.to = "";
    EXPECT_THAT(error_of(question), HasSubstr("\"\" is no address"));
    question.from = "ten";
    EXPECT_THAT(error_of(question), HasSubstr("\"ten\" is no address"));
}

} // namespace
} // namespace sallyport::daemon
