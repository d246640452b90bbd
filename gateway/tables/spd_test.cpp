// SPDX-License-Identifier: Apache-2.0
#include "gateway/tables/spd.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/wire/samples.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace sallyport::tables {
namespace {

using namespace wire::samples;

/// Parsed packets in memory of their own.
class Packets {
public:
    Frame& add(const Octets& packet, VpnNumber vpn = wan_vpn) {
        std::vector<std::uint8_t>& chunk = chunks_.emplace_back(chunk_size);
        const Octets whole = ethernet(packet);
        std::copy(whole.begin(), whole.end(), chunk.begin() + frame_headroom);
        Frame& frame = frames_.emplace_back();
        frame.chunk = chunk.data();
        frame.begin = frame_headroom;
        frame.end = static_cast<std::uint16_t>(frame_headroom + whole.size());
        wire::parse(frame);
        EXPECT_EQ(frame.reason, DropReason::none);
        frame.vpn = vpn;
        return frame;
    }
    std::vector<Frame*> all() {
        std::vector<Frame*> at;
        for (Frame& frame : frames_) at.push_back(&frame);
        return at;
    }

private:
    std::deque<std::vector<std::uint8_t>> chunks_;
    std::deque<Frame> frames_;
};

Selector selector(std::string_view local, std::string_view remote, std::uint8_t protocol = 0, PortRange local_ports = {},
                  PortRange remote_ports = {}) {
    return {*parse_range(local), *parse_range(remote), protocol, local_ports, remote_ports};
}

/// Policies in their order, with the selectors they refer to.
class Book {
public:
    void add(PolicyAction action, std::vector<Selector> selectors, const transform::OutboundSa* sa = nullptr, VpnNumber vpn = wan_vpn) {
        const auto& kept = selectors_.emplace_back(std::move(selectors));
        policies_.push_back({vpn, action, kept, sa, static_cast<std::uint32_t>(policies_.size())});
    }
    [[nodiscard]] std::unique_ptr<const Spd> build() const { return std::move(Spd::build(policies_).value()); }
    [[nodiscard]] const std::vector<Policy>& policies() const { return policies_; }

private:
    std::deque<std::vector<Selector>> selectors_;
    std::vector<Policy> policies_;
};

const transform::OutboundSa sa1{.number = 1}, sa2{.number = 2};

Octets udp_packet(std::string_view source, std::string_view destination, std::uint16_t from = 1000, std::uint16_t to = 53) {
    return ipv4(source, destination, 17, udp(from, to, payload(8)));
}

TEST(Spd, EmptyDiscards) {
    const Spd spd;
    Packets packets;
    Frame& frame = packets.add(udp_packet("10.1.0.1", "10.2.0.1"));
    spd.decide_outbound(packets.all());
    EXPECT_EQ(frame.reason, DropReason::no_policy);
    EXPECT_EQ(spd.decide_outbound(frame).reason, DropReason::no_policy);
    EXPECT_EQ(spd.decide_inbound(frame).reason, DropReason::transit_from_black);
    Book none;
    EXPECT_EQ(none.build()->decide_inbound(frame).reason, DropReason::transit_from_black);
}

TEST(Spd, FirstThatMatchesDecides) {
    Book book;
    book.add(PolicyAction::discard, {selector("10.1.0.0/16", "10.2.0.5")});
    book.add(PolicyAction::bypass, {selector("10.1.0.0/16", "10.2.0.0/16", 17, {}, {53, 53})});
    book.add(PolicyAction::protect, {selector("10.1.0.0/16", "10.2.0.0/16"), selector("10.1.0.0/16", "10.3.0.0-10.3.0.9")}, &sa1);
    book.add(PolicyAction::protect, {selector("0.0.0.0/0", "10.2.0.0/16")}, nullptr);
    const auto spd = book.build();
    Packets packets;
    Frame& discarded = packets.add(udp_packet("10.1.0.1", "10.2.0.5"));
    Frame& bypassed = packets.add(udp_packet("10.1.0.1", "10.2.0.6"));
    Frame& sealed = packets.add(udp_packet("10.1.0.1", "10.2.0.6", 1000, 54));
    Frame& in_range = packets.add(udp_packet("10.1.255.255", "10.3.0.9"));
    Frame& past_range = packets.add(udp_packet("10.1.0.1", "10.3.0.10"));
    Frame& without_sa = packets.add(udp_packet("10.9.0.1", "10.2.9.9"));
    Frame& none = packets.add(udp_packet("10.9.0.1", "10.4.0.1"));
    Frame& other_vpn = packets.add(udp_packet("10.1.0.1", "10.2.0.6"), 3);
    Frame& six = packets.add(ipv6("2001:db8::1", "2001:db8::2", 17, udp(1, 2, {})));
    spd->decide_outbound(packets.all());
    EXPECT_EQ(discarded.reason, DropReason::policy_discard);
    EXPECT_EQ(bypassed.reason, DropReason::none);
    EXPECT_EQ(bypassed.outbound, nullptr);
    EXPECT_EQ(sealed.reason, DropReason::none);
    EXPECT_EQ(sealed.outbound, &sa1);
    EXPECT_EQ(in_range.outbound, &sa1);
    EXPECT_EQ(past_range.reason, DropReason::no_policy);
    EXPECT_EQ(without_sa.reason, DropReason::no_sa);
    EXPECT_EQ(none.reason, DropReason::no_policy);
    EXPECT_EQ(other_vpn.reason, DropReason::no_policy);
    EXPECT_EQ(six.reason, DropReason::no_policy);
    EXPECT_EQ(spd->decide_outbound(sealed).number, 2U);
}

TEST(Spd, EqualAddressesInTwoVpns) {
    Book book;
    book.add(PolicyAction::protect, {selector("10.1.0.0/16", "10.2.0.0/16")}, &sa1, 1);
    book.add(PolicyAction::protect, {selector("10.1.0.0/16", "10.2.0.0/16")}, &sa2, 2);
    const auto spd = book.build();
    Packets packets;
    Frame& first = packets.add(udp_packet("10.1.0.1", "10.2.0.5"), 1);
    Frame& second = packets.add(udp_packet("10.1.0.1", "10.2.0.5"), 2);
    spd->decide_outbound(packets.all());
    EXPECT_EQ(first.outbound, &sa1);
    EXPECT_EQ(second.outbound, &sa2);
}

TEST(Spd, Ipv6) {
    Book book;
    book.add(PolicyAction::protect, {selector("2001:db8:1::/48", "2001:db8:2::5", 6, {80, 90}, {})}, &sa1);
    book.add(PolicyAction::protect, {selector("::/0", "2001:db8:2::/64")}, &sa2);
    const auto spd = book.build();
    Packets packets;
    const auto tcp = [](std::uint16_t from) {
        Octets octets = payload(20);
        wire::store16(octets.data(), from);
        return octets;
    };
    Frame& inside = packets.add(ipv6("2001:db8:1::9", "2001:db8:2::5", 6, tcp(90)));
    Frame& outside = packets.add(ipv6("2001:db8:1::9", "2001:db8:2::5", 6, tcp(91)));
    Frame& nowhere = packets.add(ipv6("2001:db8:1::9", "2001:db8:2:1::5", 6, tcp(91)));
    spd->decide_outbound(packets.all());
    EXPECT_EQ(inside.outbound, &sa1);
    EXPECT_EQ(outside.outbound, &sa2);
    EXPECT_EQ(nowhere.reason, DropReason::no_policy);
}

TEST(Spd, FragmentsNeedAPolicyWithoutPorts) {
    Book book;
    book.add(PolicyAction::discard, {selector("10.1.0.0/16", "10.2.0.0/16", 17, {}, {53, 53})});
    book.add(PolicyAction::protect, {selector("10.1.0.0/16", "10.2.0.0/16")}, &sa1);
    book.add(PolicyAction::protect, {selector("2001:db8::/32", "2001:db8::/32", 17)}, &sa2);
    const auto spd = book.build();
    Packets packets;
    const Frame& udp_fragment = packets.add(ipv4("10.1.0.1", "10.2.0.1", 17, payload(16), 64, 0x2000));
    const Frame& tcp_fragment = packets.add(ipv4("10.1.0.1", "10.2.0.1", 6, payload(16), 64, 3));
    const Frame& six_known = packets.add(ipv6("2001:db8::1", "2001:db8::2", 44, fragment_header(17, 8) + payload(16)));
    const Frame& six_unknown = packets.add(ipv6("2001:db8::1", "2001:db8::2", 44, fragment_header(60, 8) + payload(16)));
    spd->decide_outbound(packets.all());
    EXPECT_EQ(udp_fragment.reason, DropReason::fragment_inner);
    EXPECT_EQ(tcp_fragment.reason, DropReason::none);
    EXPECT_EQ(tcp_fragment.outbound, &sa1);
    EXPECT_EQ(six_known.outbound, &sa2);
    EXPECT_EQ(six_unknown.reason, DropReason::fragment_inner);
}

TEST(Spd, ClearPacketsFromBlack) {
    Book book;
    book.add(PolicyAction::bypass, {selector("10.1.0.9", "10.2.0.0/16")}, nullptr, 4);
    book.add(PolicyAction::protect, {selector("10.1.0.0/16", "10.2.0.0/16")}, &sa1, 4);
    book.add(PolicyAction::discard, {selector("10.1.0.0/16", "10.5.0.0/16")}, nullptr, 4);
    const auto spd = book.build();
    Packets packets; // source and destination the other way round: remote to local
    const PolicyVerdict bypassed = spd->decide_inbound(packets.add(udp_packet("10.2.0.1", "10.1.0.9")));
    EXPECT_EQ(bypassed.reason, DropReason::none);
    EXPECT_EQ(bypassed.vpn, 4);
    EXPECT_EQ(bypassed.sa, nullptr);
    EXPECT_EQ(spd->decide_inbound(packets.add(udp_packet("10.2.0.1", "10.1.0.8"))).reason, DropReason::should_be_protected);
    EXPECT_EQ(spd->decide_inbound(packets.add(udp_packet("10.5.0.1", "10.1.0.8"))).reason, DropReason::policy_discard);
    EXPECT_EQ(spd->decide_inbound(packets.add(udp_packet("10.1.0.8", "10.2.0.1"))).reason, DropReason::transit_from_black);
}

/// Random policies with overlapping prefixes, ranges, protocols and ports against a walk through the list by matches() of gateway/sa.
TEST(Spd, AgreesWithAWalkThroughTheList) {
    std::mt19937 random(7);
    const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
    const auto address = [&] {
        return "10." + std::to_string(below(3)) + "." + std::to_string(below(4)) + "." + std::to_string(below(256));
    };
    const auto range = [&]() -> AddressRange {
        if (below(4) == 0) {
            Address a = *parse_address(address()), b = *parse_address(address());
            return a < b ? AddressRange{a, b} : AddressRange{b, a};
        }
        const unsigned length = std::array{0U, 8U, 16U, 22U, 24U, 31U, 32U}[below(7)];
        Address a = *parse_address(address());
        for (unsigned bit = length; bit < 32; ++bit) a.octets[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
        return range_of({a, static_cast<std::uint8_t>(length)});
    };
    const auto ports = [&]() -> PortRange {
        const auto first = static_cast<std::uint16_t>(below(8));
        return below(2) == 0 ? PortRange{} : PortRange{first, static_cast<std::uint16_t>(first + below(3))};
    };
    for (const unsigned count : {1U, 20U, 300U}) {
        Book book;
        for (unsigned i = 0; i < count; ++i) {
            const std::uint8_t protocol = std::array<std::uint8_t, 3>{0, 6, 17}[below(3)];
            book.add(PolicyAction::protect,
                     {{range(), range(), protocol, protocol == 0 ? PortRange{} : ports(), protocol == 0 ? PortRange{} : ports()}}, &sa1);
        }
        const auto spd = book.build();
        Packets packets;
        for (unsigned i = 0; i < 3000; ++i) {
            const bool tcp = below(2) == 0;
            Octets data = payload(20);
            wire::store16(data.data(), static_cast<std::uint16_t>(below(9)));
            wire::store16(data.data() + 2, static_cast<std::uint16_t>(below(9)));
            wire::store16(data.data() + 4, 20);
            packets.add(ipv4(address(), address(), tcp ? 6 : 17, data));
        }
        const std::vector<Frame*> all = packets.all();
        for (std::size_t first = 0; first < all.size(); first += 64)
            spd->decide_outbound(std::span(all).subspan(first, std::min<std::size_t>(64, all.size() - first)));
        unsigned matched = 0;
        for (const Frame* frame : all) {
            std::uint32_t expected = PolicyVerdict::no_policy_number;
            for (const Policy& policy : book.policies())
                if (expected == PolicyVerdict::no_policy_number && matches(policy.selectors[0], Direction::outbound, wire::flow_of(*frame)))
                    expected = policy.number;
            ASSERT_EQ(spd->decide_outbound(*frame).number, expected);
            ASSERT_EQ(frame->reason, expected == PolicyVerdict::no_policy_number ? DropReason::no_policy : DropReason::none);
            matched += frame->reason == DropReason::none;
        }
        EXPECT_GT(matched, count > 1 ? 100U : 0U);
    }
}

/// A policy for each of 100,000 pairs of hosts: built, and each packet finds its own.
TEST(Spd, Many) {
    constexpr unsigned count = 100000;
    std::vector<transform::OutboundSa> sas(count);
    std::vector<Selector> selectors;
    const auto host = [](unsigned net, unsigned i) {
        Address address;
        address.octets = {static_cast<std::uint8_t>(net), static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                          static_cast<std::uint8_t>(i)};
        return address;
    };
    for (unsigned i = 0; i < count; ++i) selectors.push_back({{host(10, i), host(10, i)}, {host(11, i), host(11, i)}});
    std::vector<Policy> policies;
    for (unsigned i = 0; i < count; ++i) policies.push_back({wan_vpn, PolicyAction::protect, {&selectors[i], 1}, &sas[i], i});
    const auto spd = std::move(Spd::build(policies).value());
    for (unsigned i = 0; i < count; i += 997) {
        Packets packets;
        Frame& frame = packets.add(udp_packet(to_string(host(10, i)), to_string(host(11, i))));
        Frame& next = packets.add(udp_packet(to_string(host(10, i)), to_string(host(11, i + 1))));
        spd->decide_outbound(packets.all());
        ASSERT_EQ(frame.outbound, &sas[i]);
        ASSERT_EQ(next.reason, DropReason::no_policy);
    }
}

} // namespace
} // namespace sallyport::tables
