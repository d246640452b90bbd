// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/to_kernel.hpp"

#include "gateway/exception/stage.hpp"
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/ip.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace sallyport::exception {
namespace {

struct FakeMachine final : Machine {
    DropReason deliver(VpnNumber vpn, const Address& destination, std::span<const std::uint8_t> packet) override {
        last_vpn = vpn;
        last_destination = destination;
        last.assign(packet.begin(), packet.end());
        return answer;
    }
    DropReason answer = DropReason::none;
    VpnNumber last_vpn = 0;
    Address last_destination;
    std::vector<std::uint8_t> last;
};

class ToTheKernel : public testing::Test {
protected:
    ToTheKernel() { stage.serve(Errand::to_kernel, to_kernel); }

    /// A packet as it comes out of a tunnel, its hop limit counted down.
    void send(std::uint8_t family, std::uint8_t hop_limit, bool counted) {
        Frame frame;
        ASSERT_EQ(depot.take(&frame.index, 1), 1U);
        frame.chunk = depot.memory().chunk(frame.index);
        frame.network = frame.begin = 300;
        frame.end = 300 + 48;
        frame.family = family;
        frame.vpn = 5;
        frame.hop_limit = hop_limit;
        frame.errand = Errand::to_kernel;
        frame.reason = DropReason::for_gateway;
        std::uint8_t* header = frame.at(300);
        std::memset(header, 0, 48);
        const Address to = *parse_address(family == 4 ? "10.1.0.1" : "2001:db8:1::1");
        header[0] = family == 4 ? 0x45 : 0x60;
        header[family == 4 ? wire::ipv4_ttl : wire::ipv6_hop_limit] = hop_limit;
        std::memcpy(header + (family == 4 ? wire::ipv4_destination : wire::ipv6_destination), to.octets.data(), to.size());
        if (family == 4) wire::write_ipv4_checksum(header, 20);
        before.assign(header, header + 48);
        if (counted) wire::decrement_hop_limit(header, family);
        ASSERT_EQ(stage.inbox().push({&frame, 1}), 1U);
        stage.run_once(0);
    }

    std::vector<std::uint8_t> memory = std::vector<std::uint8_t>(std::size_t{4} * chunk_size);
    Depot depot{{memory.data(), 4}};
    FakeMachine machine;
    ToKernel to_kernel{machine};
    Stage stage{depot};
    std::vector<std::uint8_t> before;
};

TEST_F(ToTheKernel, WholeAndUnchanged) {
    for (const auto family : {std::uint8_t{4}, std::uint8_t{6}})
        for (const bool counted : {true, false}) {
            send(family, counted ? 255 : 1, counted);
            EXPECT_EQ(machine.last, before) << int{family} << (counted ? " counted" : " not counted");
            EXPECT_EQ(machine.last_vpn, 5);
            EXPECT_EQ(machine.last_destination, *parse_address(family == 4 ? "10.1.0.1" : "2001:db8:1::1"));
        }
    EXPECT_EQ(to_kernel.delivered(), 4U);
    EXPECT_EQ(depot.size(), 4U);
    for (const std::uint64_t count : stage.counters().dropped) EXPECT_EQ(count, 0U);
}

TEST_F(ToTheKernel, RefusedWithTheMachinesReason) {
    machine.answer = DropReason::kernel_full;
    send(4, 64, true);
    EXPECT_EQ(stage.counters().dropped[static_cast<std::size_t>(DropReason::kernel_full)], 1U);
    EXPECT_EQ(to_kernel.delivered(), 0U);
    EXPECT_EQ(depot.size(), 4U);
}

} // namespace
} // namespace sallyport::exception
