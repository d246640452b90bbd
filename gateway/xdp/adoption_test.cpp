// SPDX-License-Identifier: Apache-2.0
// A gateway dies and the next takes over its sockets and packet memory. The keeper lives in this process, so dying is letting go of
// everything without a word; tests/system kills a real one.
#include "gateway/xdp/adoption.hpp"

#include "gateway/state/checksum.hpp"
#include "gateway/xdp/inventory.hpp"
#include "gateway/xdp/ports_fixture.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <optional>
#include <random>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>

namespace sallyport::xdp {
namespace {

using testing::Contains;
using testing::Not;

const char* const adopted = "are taken over, with the frames";
const char* const afresh = "bound afresh";

Octets base; // of the frames, made once a test: the device is asked for its address

Octets numbered(unsigned number) {
    Octets frame = base;
    std::memcpy(frame.data() + frame.size() - sizeof number, &number, sizeof number);
    return frame;
}

unsigned number_of(const Octets& frame) {
    unsigned number = 0;
    std::memcpy(&number, frame.data() + frame.size() - sizeof number, sizeof number);
    return number;
}

// The programs stay as they are; the rest of a gateway's ports dies and lives.
class Adoption : public XdpPorts {
protected:
    void SetUp() override {
        XdpPorts::SetUp();
        attach();
    }
    void TearDown() override {
        die();
        programs_.clear();
        XdpPorts::TearDown();
    }

    void attach() {
        base = to_red(transit);
        const SharedMaps maps = filled_maps();
        for (const PortSpec& port : two_ports().ports)
            programs_.push_back(must(PortProgram::start(pins, port, must(find_device(port.interface)), maps, {})));
    }

    void die() {
        chunks_.reset();
        depot_.reset();
        taken_.reset();
    }

    void live(std::uint32_t frames = 4096) {
        die();
        taken_ = must(adopt_or_open(keeper_, programs_, 1, frames));
        use(taken_->umem.memory(), taken_->sockets);
        expect_every_chunk_once();
    }

    XskQueue& black() { return sockets_->queue(0); }
    XskQueue& red() { return sockets_->queue(1); }
    void expect_note(const std::string& part) { EXPECT_THAT(taken_->notes, Contains(HasSubstr(part))); }

    // What comes in at the red port, until so many or nothing more; their chunks are given back.
    std::vector<unsigned> received(std::size_t wanted) {
        std::vector<unsigned> numbers;
        while (numbers.size() < wanted) {
            const auto frames = receive(red());
            if (frames.empty()) break;
            for (const Frame& frame : frames) {
                numbers.push_back(number_of(octets_of(frame)));
                chunks_->give(frame);
            }
            refill();
        }
        return numbers;
    }

    void settle() {
        for (int i = 0; i < 1000 && (sockets_->kept() > 0 || black().transmit_held() > 0); i++) {
            black().flush();
            black().complete(*chunks_);
            usleep(1000);
        }
        EXPECT_EQ(sockets_->kept(), 0U);
        EXPECT_EQ(black().transmit_held(), 0U);
    }

    Descriptor& kept(const std::string& name) { return keeper_.kept.at("xsk-" + name); }

    Octets inventory() {
        Octets octets(longest_inventory);
        octets.resize(static_cast<std::size_t>(pread(kept("inventory").get(), octets.data(), octets.size(), 0)));
        return octets;
    }
    void put_inventory(const Octets& octets) {
        Descriptor file(memfd_create("test", MFD_CLOEXEC));
        EXPECT_EQ(write(file.get(), octets.data(), octets.size()), static_cast<ssize_t>(octets.size()));
        kept("inventory") = std::move(file);
    }

    // What is left now does not fit: the next says so once, begins anew and carries frames.
    void expect_refused(const std::string& why, std::uint32_t frames = 4096) {
        live(frames);
        const auto& notes = taken_->notes;
        EXPECT_EQ(std::ranges::count_if(notes, [](const std::string& note) { return note.contains(afresh); }), 1) << why;
        expect_note(why);
        EXPECT_THAT(notes, Not(Contains(HasSubstr(adopted))));
        Wire lan("lan0");
        ASSERT_TRUE(lan.send(numbered(7)));
        EXPECT_THAT(received(1), testing::ElementsAre(7U)) << why;
    }

    std::vector<PortProgram> programs_;
    std::optional<Taken> taken_;
};

TEST_F(Adoption, FramesWaitInTheRings) {
    live();
    EXPECT_THAT(taken_->notes, Not(Contains(HasSubstr(adopted))));
    Wire lan("lan0");
    for (unsigned i = 0; i < 10; i++) ASSERT_TRUE(lan.send(numbered(i)));
    EXPECT_EQ(receive(red(), 5).size(), 5U) << "lost in the hand of the dead";
    die();
    for (unsigned i = 10; i < 30; i++) ASSERT_TRUE(lan.send(numbered(i)));
    live();
    expect_note(adopted);
    const std::vector<unsigned> numbers = received(25);
    ASSERT_EQ(numbers.size(), 25U);
    for (unsigned i = 0; i < 25; i++) EXPECT_EQ(numbers[i], i + 5);
    expect_every_chunk_once();
    expect_no_chunk_lost();
    live(); // and again, with nothing that waits
    ASSERT_TRUE(lan.send(numbered(99)));
    EXPECT_THAT(received(1), testing::ElementsAre(99U));
    expect_every_chunk_once();
}

// More than the ring has: the kernel keeps one chunk in its hand, counts what it cannot take, and gives that chunk with the next frame.
TEST_F(Adoption, AFullRingOverflowsIntoTheCounters) {
    live(16384);
    die();
    Wire lan("lan0");
    for (unsigned i = 0; i < ring_entries + 100; i++) ASSERT_TRUE(lan.send(numbered(i)));
    usleep(20'000);
    live(16384);
    expect_note(adopted);
    const auto statistics = red().statistics();
    EXPECT_EQ(statistics.ring_full + statistics.fill_empty, 100U);
    const std::vector<unsigned> numbers = received(ring_entries);
    ASSERT_EQ(numbers.size(), ring_entries);
    for (unsigned i = 0; i < ring_entries; i++) ASSERT_EQ(numbers[i], i);
    expect_every_chunk_once();
    for (unsigned i = 0; i < 10; i++) ASSERT_TRUE(lan.send(numbered(i)));
    live(16384);
    EXPECT_EQ(received(10).size(), 10U);
    expect_every_chunk_once();
}

// Half of a ring that the kernel filled up: a chunk stays in its hand although the ring has room again.
TEST_F(Adoption, AChunkInTheKernelsHandKeepsItsPlace) {
    live(16384);
    Wire lan("lan0");
    for (unsigned i = 0; i < 100; i++) ASSERT_TRUE(lan.send(numbered(i)));
    ASSERT_EQ(received(100).size(), 100U);
    for (unsigned i = 0; i < ring_entries + 10; i++) ASSERT_TRUE(lan.send(numbered(i)));
    usleep(20'000);
    auto in_hand = receive(red()); // not refilled
    ASSERT_EQ(in_hand.size(), 64U);
    live(16384);
    EXPECT_EQ(received(ring_entries - 64).size(), ring_entries - 64U);
    for (unsigned i = 0; i < 200; i++) ASSERT_TRUE(lan.send(numbered(1000 + i)));
    const std::vector<unsigned> numbers = received(200);
    ASSERT_EQ(numbers.size(), 200U);
    for (unsigned i = 0; i < 200; i++) ASSERT_EQ(numbers[i], 1000 + i) << "no chunk was given out twice";
    expect_every_chunk_once();
}

TEST_F(Adoption, WhatIsBeingTransmittedIsNotFreeBeforeItCameBack) {
    live();
    ASSERT_TRUE(shell("/bin/ip link set black0 down")); // nothing leaves
    Wire lan("lan0");
    for (unsigned i = 0; i < 40; i++) ASSERT_TRUE(lan.send(numbered(i)));
    const auto frames = receive(red());
    ASSERT_EQ(frames.size(), 40U);
    ASSERT_EQ(black().transmit(frames), 40U);
    live();
    EXPECT_EQ(black().transmit_held(), 40U);
    EXPECT_GT(sockets_->kept(), 0U) << "which of the rest is on its way nobody knows";
    EXPECT_TRUE(sockets_->free_chunks().empty());
    for (unsigned i = 40; i < 60; i++) ASSERT_TRUE(lan.send(numbered(i)));
    const auto meanwhile = receive(red()); // what circulates goes on circulating
    ASSERT_EQ(meanwhile.size(), 20U);
    ASSERT_EQ(black().transmit(meanwhile), 20U);
    live(); // those of two dead processes
    EXPECT_EQ(black().transmit_held(), 60U);
    ASSERT_TRUE(shell("/bin/ip link set black0 up"));
    Wire wan("wan0");
    settle();
    std::vector<unsigned> numbers;
    for (Octets got = wan.receive(1000); !got.empty(); got = wan.receive(100))
        if (got.size() == base.size()) numbers.push_back(number_of(got));
    std::vector<unsigned> all(60);
    std::iota(all.begin(), all.end(), 0U);
    EXPECT_THAT(numbers, testing::UnorderedElementsAreArray(all));
    refill();
    expect_every_chunk_once();
    expect_no_chunk_lost();
}

TEST_F(Adoption, CompletionsThatNobodyTookAreTaken) {
    live();
    Wire lan("lan0");
    for (unsigned i = 0; i < 40; i++) ASSERT_TRUE(lan.send(numbered(i)));
    const auto frames = receive(red());
    ASSERT_EQ(black().transmit(frames), 40U);
    black().flush();
    for (int i = 0; i < 1000 && black().completions() < 40; i++) usleep(1000);
    live();
    EXPECT_EQ(sockets_->kept(), 0U);
    EXPECT_EQ(black().completions(), 40U);
    settle();
    expect_every_chunk_once();
    expect_no_chunk_lost();
}

// A few thousand frames forwarded, and a death after any step. None arrives twice, none changed.
TEST_F(Adoption, AnyMoment) {
    std::mt19937 random(7); // NOLINT(bugprone-random-generator-seed): the same every time
    live();
    Wire lan("lan0"), wan("wan0");
    unsigned sent = 0, deaths = 0;
    std::vector<bool> seen;
    std::vector<Frame> in_hand;
    while (deaths < 50) {
        switch (random() % 6) {
        case 0:
            for (unsigned i = 0; i < 30; i++) ASSERT_TRUE(lan.send(numbered(sent++)));
            break;
        case 1:
            if (in_hand.empty()) {
                in_hand.resize(64);
                in_hand.resize(red().receive(in_hand));
            }
            break;
        case 2: in_hand.erase(in_hand.begin(), in_hand.begin() + black().transmit(in_hand)); break;
        case 3: black().flush(); break;
        case 4: black().complete(*chunks_); break;
        default:
            refill();
            if (random() % 4 != 0) break;
            deaths++;
            in_hand.clear();
            live();
            expect_note(adopted);
        }
        expect_every_chunk_once(in_hand);
        if (HasFailure()) return;
        seen.resize(sent);
        for (Octets got = wan.receive(0); !got.empty(); got = wan.receive(0)) {
            if (got.size() != numbered(0).size()) continue;
            const unsigned number = number_of(got);
            ASSERT_LT(number, sent);
            ASSERT_EQ(got, numbered(number));
            ASSERT_FALSE(seen[number]) << "frame " << number << " twice";
            seen[number] = true;
        }
    }
    EXPECT_GT(std::ranges::count(seen, true), 50);
    for (const Frame& frame : in_hand) chunks_->give(frame);
    settle();
    expect_no_chunk_lost();
}

TEST_F(Adoption, OtherParametersBindAfresh) {
    live();
    expect_refused("other ports, queues or frames", 8192);
    live(8192);
    expect_note(adopted);
    std::ranges::reverse(programs_);
    live(8192);
    expect_note(afresh);
    std::ranges::reverse(programs_);
    live(8192);
    die();
    programs_.clear();
    make_wires(1); // the same names, other devices
    attach();
    expect_refused("other ports, queues or frames", 8192);
}

// The device goes away, and another has its name and number: the socket knows.
TEST_F(Adoption, ASocketWithoutItsDeviceBindsAfresh) {
    live();
    die();
    programs_.clear();
    const std::string number = std::to_string(if_nametoindex("red0"));
    ASSERT_TRUE(shell("/bin/ip link del red0 && /bin/ip link add red0 index " + number +
                      " type veth peer name lan0 && /bin/ip link set red0 up && /bin/ip link set lan0 up"));
    attach();
    expect_refused("has lost its device");
}

// All that Ports adds: programs made anew, the socket map taken over with the pins.
TEST_F(XdpPorts, TheNextTakesOverEverything) {
    start();
    Wire lan("lan0");
    for (int round = 0; round < 2; round++) {
        chunks_.reset();
        depot_.reset();
        ports_.reset();
        for (int i = 0; i < 20; i++) ASSERT_TRUE(lan.send(to_red(transit)));
        if (round == 1) { // then the map of sockets is a new one
            const auto detached = detach(pins);
            ASSERT_TRUE(detached) << to_string(detached.error());
        }
        start();
        EXPECT_THAT(ports_->notes(), Contains(HasSubstr(adopted)));
        EXPECT_EQ(receive(ports_->queue(1, 0)).size(), 20U);
    }
    ASSERT_TRUE(lan.send(to_red(transit)));
    EXPECT_EQ(receive(ports_->queue(1, 0)).size(), 1U);
}

// Linux 6.4 and later map the rings of a bound socket again.
bool maps_again() {
    utsname machine{};
    unsigned major = 0, minor = 0;
    EXPECT_EQ(uname(&machine), 0);
    EXPECT_EQ(std::sscanf(machine.release, "%u.%u", &major, &minor), 2) << machine.release; // NOLINT(cert-err34-c)
    return major > 6 || (major == 6 && minor >= 4);
}

TEST_F(XdpPorts, TheNextStartsOnEveryKernel) {
    start();
    chunks_.reset();
    depot_.reset();
    ports_.reset();
    start();
    EXPECT_THAT(ports_->notes(), Contains(HasSubstr(maps_again() ? std::string(adopted) : "The ports are bound afresh")));
    Wire lan("lan0");
    ASSERT_TRUE(lan.send(to_red(transit)));
    EXPECT_EQ(receive(ports_->queue(1, 0)).size(), 1U);
}

TEST_F(Adoption, ADamagedInventoryBindsAfresh) {
    live();
    const Octets flipped = [this] {
        Octets octets = inventory();
        octets[20] ^= 1;
        return octets;
    }();
    put_inventory(flipped);
    expect_refused("checksum");
    Octets cut = inventory();
    cut.resize(cut.size() / 2);
    put_inventory(cut);
    expect_refused("cut");
    put_inventory({});
    expect_refused("no inventory");
    Octets future = inventory();
    const std::uint32_t layout = inventory_layout + 1;
    std::memcpy(future.data() + 8, &layout, sizeof layout);
    put_inventory(future);
    expect_refused("its layout is 3");
}

TEST_F(Adoption, TheLayoutBeforeIsTakenOver) {
    live();
    Octets octets = inventory(); // without inode and cookies
    octets.erase(octets.end() - 8 - 3 * 8, octets.end() - 8);
    const std::uint32_t head[] = {1, static_cast<std::uint32_t>(octets.size())};
    std::memcpy(octets.data() + 8, head, sizeof head);
    const std::uint64_t sum = state::fnv1a(std::span(octets).first(octets.size() - 8));
    std::memcpy(octets.data() + octets.size() - 8, &sum, sizeof sum);
    put_inventory(octets);
    Wire lan("lan0");
    for (unsigned i = 0; i < 20; i++) ASSERT_TRUE(lan.send(numbered(i)));
    live();
    expect_note(adopted);
    EXPECT_EQ(received(20).size(), 20U);
}

TEST_F(Adoption, WhatDoesNotFitTogetherBindsAfresh) {
    live();
    keeper_.forget("xsk-1-0");
    expect_refused("a socket is missing");
    std::swap(kept("0-0"), kept("1-0"));
    expect_refused("a socket is another one");
    kept("0-0") = Descriptor(memfd_create("none", MFD_CLOEXEC));
    expect_refused("a socket is another one");
    keeper_.forget("xsk-memory");
    expect_refused("the packet memory is missing");
    struct stat about{};
    ASSERT_EQ(fstat(kept("memory").get(), &about), 0);
    kept("memory") = Descriptor(memfd_create("other", MFD_CLOEXEC));
    expect_refused("the packet memory has another size");
    kept("memory") = Descriptor(memfd_create("other", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(kept("memory").get(), about.st_size), 0);
    expect_refused("the packet memory is another one");
}

TEST_F(Adoption, RingsThatContradictThemselvesBindAfresh) {
    live();
    const auto fill_of = [this](std::uint32_t at) {
        const Rings rings = must(Rings::map(kept("1-0").get()));
        return *xsk_ring_prod__fill_addr(const_cast<xsk_ring_prod*>(&rings.fill), at);
    };
    const auto set_fill = [this](std::uint32_t at, std::uint64_t address) {
        Rings rings = must(Rings::map(kept("1-0").get()));
        *xsk_ring_prod__fill_addr(&rings.fill, at) = address;
    };
    set_fill(5, fill_of(6));
    expect_refused("with a receive side and with a receive side");
    set_fill(5, std::uint64_t{1} << 40);
    expect_refused("is not one of");
    Wire lan("lan0");
    die();
    for (unsigned i = 0; i < 4; i++) ASSERT_TRUE(lan.send(numbered(i)));
    const std::uint64_t first = fill_of(1), second = fill_of(2); // 0 was the last test's frame
    set_fill(1, second);
    set_fill(2, first);
    expect_refused("another order");
}

TEST_F(Adoption, AForgottenOneLeavesNothing) {
    live();
    EXPECT_EQ(keeper_.kept.size(), 4U);
    forget_sockets(keeper_);
    EXPECT_TRUE(keeper_.kept.empty());
    live();
    EXPECT_THAT(taken_->notes, Not(Contains(HasSubstr(adopted))));
    EXPECT_THAT(taken_->notes, Not(Contains(HasSubstr(afresh))));
}

} // namespace
} // namespace sallyport::xdp
