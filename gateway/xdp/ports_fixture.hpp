// SPDX-License-Identifier: Apache-2.0
// What xdp_test and adoption_test stand on: ports on real veth pairs, black0 - wan0 and red0 - lan0; the test is the stations at wan0 and
// lan0.
#pragma once

#include "bpf/fixture.hpp"
#include "gateway/state/memory_keeper.hpp"
#include "gateway/xdp/ports.hpp"
#include "gateway/xdp/rig.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <net/if.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace sallyport::xdp {

using rig::Octets;
using rig::shell;
using rig::Wire;
using testing::HasSubstr;

inline const std::string pins = rig::run_directory() + "/bpf";

template <class T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(to_string(result.error()));
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

inline std::string mac_of(const std::string& device) {
    std::string text;
    for (std::uint8_t octet : must(find_device(device)).mac) {
        char two[4];
        std::snprintf(two, sizeof(two), "%02x:", octet);
        text += two;
    }
    text.pop_back();
    return text;
}

inline Octets to_black(const std::string& layers) { return fixture::make_frame("eth / " + layers, mac_of("black0")); }

inline Octets to_red(const std::string& layers) { return fixture::make_frame("eth / " + layers, mac_of("red0")); }

inline Octets octets_of(const Frame& frame) { return {frame.data(), frame.data() + frame.length()}; }

inline Desired two_ports(unsigned queues = 1) {
    Desired desired;
    desired.settings.queues = queues;
    desired.settings.frames = 4096;
    desired.settings.run_directory = rig::run_directory();
    // The first entry of the program, which every kernel has; the second is bound_test.cpp's.
    desired.ports = {{.interface = "black0", .role = Role::black, .vlans = {{.id = 0, .vpn = 0}}, .tags_beside_frame = false},
                     {.interface = "red0", .role = Role::red, .vlans = {{.id = 0, .vpn = 1}}, .tags_beside_frame = false}};
    return desired;
}

inline SharedMaps filled_maps() {
    SharedMaps maps = must(SharedMaps::open(pins + "/" + shared_pins));
    must(maps.set_egress({{.vpn = 0, .prefix = *parse_prefix("10.2.0.0/16")}}, {}));
    must(maps.set_local_addresses({{.ifindex = if_nametoindex("black0"), .vpn = 0, .address = *parse_address("192.0.2.1"), .ipsec = true},
                                   {.ifindex = if_nametoindex("red0"), .vpn = 1, .address = *parse_address("10.1.0.1"), .ipsec = false}}));
    return maps;
}

inline const std::string esp = "ip4 198.51.100.7 192.0.2.1 / esp";
inline const std::string transit = "ip4 10.1.0.5 10.2.0.5 / udp 1000 2000 / octets 30 value=7";
inline const std::string to_all = "ip4 192.0.2.1 198.51.100.7 / udp 1000 2000 / octets 30 value=7"; // which nobody protects

class XdpPorts : public testing::Test {
protected:
    void SetUp() override { make_wires(1); }
    void TearDown() override {
        chunks_.reset();
        ports_.reset();
        keeper_.kept.clear();
        auto detached = detach(pins);
        EXPECT_TRUE(detached) << to_string(detached.error());
        shell("for device in black0 red0 bridge0; do /bin/ip link del $device 2>/dev/null; done; true");
    }

    static void make_wires(unsigned queues) {
        make_wire("black0", "wan0", queues);
        make_wire("red0", "lan0", queues);
    }

    static void make_wire(const std::string& near, const std::string& far, unsigned queues) {
        const std::string count = std::to_string(queues);
        const std::string many = " numrxqueues " + count + " numtxqueues " + count;
        ASSERT_TRUE(shell("/bin/ip link del " + near + " 2>/dev/null; /bin/ip link add " + near + many + " type veth peer name " + far +
                          many + " && /bin/ip link set " + near + " up && /bin/ip link set " + far + " up"));
    }

    void start(const Desired& desired = two_ports(), bool generic = false) {
        ports_ = must(Ports::start(desired, filled_maps(), {.generic = generic, .keeper = &keeper_}));
        use(ports_->memory(), ports_->sockets());
    }

    void use(PacketMemory memory, Sockets& sockets) {
        memory_ = memory;
        sockets_ = &sockets;
        chunks_.reset(); // gives its chunks to the depot that is about to go
        depot_ = std::make_unique<Depot>(memory, sockets.free_chunks());
        chunks_ = std::make_unique<Chunks>(*depot_, 256);
        refill();
    }

    void refill() {
        for (std::size_t i = 0; i < sockets_->count(); i++) {
            sockets_->queue(i).refill(*chunks_);
            sockets_->queue(i).flush();
        }
    }

    // One burst from this queue, waiting as a worker does.
    static std::vector<Frame> receive(XskQueue& queue, std::size_t most = 64) {
        std::vector<Frame> frames(most);
        pollfd wait{.fd = queue.descriptor(), .events = POLLIN, .revents = 0};
        poll(&wait, 1, 1000);
        frames.resize(queue.receive(frames));
        return frames;
    }

    [[nodiscard]] std::uint64_t counted(std::size_t port, sp_verdict verdict) {
        return must(ports_->program(port).counters())[verdict].packets;
    }

    // Every chunk is somewhere, once.
    void expect_no_chunk_lost(std::size_t in_hand = 0) {
        std::size_t sum = in_hand + chunks_->size() + depot_->size();
        for (std::size_t i = 0; i < sockets_->count(); i++) sum += sockets_->queue(i).held();
        EXPECT_EQ(sum, memory_.count);
    }

    // The same by number: each is in one place, those in hand too, but those whose place is to be found out yet.
    void expect_every_chunk_once(const std::vector<Frame>& in_hand = {}) {
        ChunkPlaces places(memory_.count);
        for (std::size_t i = 0; i < sockets_->count(); i++) {
            const auto audited = sockets_->queue(i).audit(places);
            EXPECT_TRUE(audited) << to_string(audited.error());
            sockets_->queue(i).audit_transmit(places);
        }
        depot_->audit(places);
        chunks_->audit(places);
        for (const Frame& frame : in_hand) places.put(frame.index, ChunkPlace::free);
        EXPECT_EQ(places.fault(), "");
        EXPECT_EQ(places.count(ChunkPlace::unknown), sockets_->kept());
    }

    state::MemoryKeeper keeper_; // of this process only: what a killed child left is gone
    std::unique_ptr<Ports> ports_;
    PacketMemory memory_;
    Sockets* sockets_ = nullptr;
    std::unique_ptr<Depot> depot_;
    std::unique_ptr<Chunks> chunks_;
};

} // namespace sallyport::xdp
