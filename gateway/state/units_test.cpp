// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/units.hpp"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>
#include <tuple>

using namespace sallyport;
using namespace sallyport::state;
using sequence::number_word;

namespace {

Fingerprint key(std::uint8_t number) {
    Fingerprint result{};
    result[0] = number;
    return result;
}

/// A bpffs of the test's own, in a mount namespace of its own.
class PinnedUnits : public testing::Test {
protected:
    static void SetUpTestSuite() {
        ASSERT_EQ(unshare(CLONE_NEWNS), 0) << "the test needs root: run it by ./dev";
        ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
        std::string pattern = (std::filesystem::temp_directory_path() / "sallyport-bpf-XXXXXX").string();
        directory = mkdtemp(pattern.data());
        ASSERT_EQ(mount("bpf", directory.c_str(), "bpf", 0, nullptr), 0);
    }

    static void TearDownTestSuite() {
        umount(directory.c_str());
        std::filesystem::remove(directory);
    }

    void SetUp() override { unlink(path().c_str()); }

    static std::string path() { return directory + "/counters"; }

    static inline std::string directory;
};

} // namespace

TEST(Units, SpacesLieApartAndComeFromZero) {
    auto units = Units::anonymous(64);
    ASSERT_TRUE(units);
    EXPECT_EQ((*units)->used(), 1U);
    const auto out = (*units)->claim(key(1), Direction::outbound, 0);
    const auto in = (*units)->claim(key(2), Direction::inbound, 1024);
    const auto small = (*units)->claim(key(3), Direction::inbound, 32);
    ASSERT_TRUE(out && in && small);
    EXPECT_EQ((*units)->used(), 1U + 2 + 4 + 3) << "each has a unit for the counters of its SA";
    EXPECT_FALSE(out->survived || in->survived);
    EXPECT_EQ(in->memory - out->memory, 2);
    EXPECT_EQ(small->memory - in->memory, 4);
    EXPECT_EQ(out->counters - out->memory, 1);
    EXPECT_EQ(in->counters - in->memory, 3);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(out->memory) % 64, 0U);
    EXPECT_EQ(out->memory->words[number_word], ~std::uint64_t{0}) << "until it is prepared it must look used up";
    for (unsigned i = 1; i < 3; ++i)
        for (const std::uint64_t word : in->memory[i].words) EXPECT_EQ(word, 0U);
}

TEST(Units, WhatIsFreedIsUsedAgainAndFullIsSaid) {
    auto units = Units::anonymous(1 + 4 * 4).value();
    std::vector<sequence::Unit*> taken;
    for (std::uint8_t i = 0; i < 4; ++i) taken.push_back(units->claim(key(i), Direction::inbound, 1024).value().memory);
    const auto none = units->claim(key(9), Direction::outbound, 0);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ErrorCode::exhausted);
    units->release(taken[1]);
    units->release(taken[2]);
    EXPECT_EQ(units->claim(key(9), Direction::inbound, 2048).value().memory, taken[1]); // six of the eight
    EXPECT_TRUE(units->claim(key(10), Direction::outbound, 0));
    EXPECT_FALSE(units->claim(key(11), Direction::outbound, 0));
    EXPECT_EQ(units->used(), units->capacity());
}

TEST(Units, AreManyAndFast) {
    auto units = Units::anonymous(1 + 100'000 * 6).value();
    for (std::uint32_t i = 0; i < 100'000; ++i) {
        Fingerprint name{};
        std::memcpy(name.data(), &i, sizeof i);
        ASSERT_TRUE(units->claim(name, Direction::outbound, 0));
        name[31] = 1;
        ASSERT_TRUE(units->claim(name, Direction::inbound, 1024));
    }
    EXPECT_EQ(units->used(), units->capacity());
}

TEST_F(PinnedUnits, OutliveTheProcessThatMadeThem) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        auto units = Units::pinned(path(), 100);
        if (!units) _exit(1);
        const auto out = (*units)->claim(key(1), Direction::outbound, 0).value();
        const auto in = (*units)->claim(key(2), Direction::inbound, 1024).value();
        sequence::prepare(out.memory, Direction::outbound, 0, 4711);
        sequence::prepare(in.memory, Direction::inbound, 1024, 0);
        const sequence::Space space{.memory = in.memory, .window = 1024, .extended = true};
        (void)sequence::accept(space, 100);
        in.counters->words[0] = 1;
        raise(SIGKILL);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    auto units = Units::pinned(path(), 100);
    ASSERT_TRUE(units) << to_string(units.error());
    EXPECT_EQ((*units)->used(), 7U);
    EXPECT_FALSE((*units)->claim(key(2), Direction::inbound, 512).value().survived) << "another window is another space";
    EXPECT_FALSE((*units)->claim(key(3), Direction::outbound, 0).value().survived);
    const auto out = (*units)->claim(key(1), Direction::outbound, 0).value();
    ASSERT_TRUE(out.survived);
    EXPECT_EQ(out.memory->words[number_word], 4711U);
    const auto in = (*units)->claim(key(2), Direction::inbound, 1024).value();
    ASSERT_TRUE(in.survived);
    const sequence::Space space{.memory = in.memory, .window = 1024, .extended = true};
    EXPECT_EQ(sequence::accept(space, 100), DropReason::replayed);
    EXPECT_EQ(sequence::accept(space, 99), DropReason::none);
    EXPECT_EQ(in.counters->words[0], 1U);
    EXPECT_EQ(out.counters->words[0], 0U);
    EXPECT_FALSE((*units)->claim(key(1), Direction::outbound, 0).value().survived) << "claimed once";
}

TEST_F(PinnedUnits, SurvivorsThatNobodyClaimsAreFreedWhenToldSo) {
    {
        auto units = Units::pinned(path(), 200).value();
        (void)units->claim(key(1), Direction::outbound, 0).value();
        (void)units->claim(key(2), Direction::inbound, 65536).value();
    }
    auto units = Units::pinned(path(), 200).value();
    EXPECT_EQ(units->used(), 1U + 2 + 130);
    const auto claim = units->claim(key(1), Direction::outbound, 0).value();
    ASSERT_TRUE(claim.survived);
    units->put_back(claim.memory, key(1));
    units->forget_survivors();
    EXPECT_EQ(units->used(), 1U + 2) << "what was put back stays";
    EXPECT_TRUE(units->claim(key(1), Direction::outbound, 0).value().survived);
    units->release(claim.memory);
    EXPECT_EQ(units->used(), 1U);
}

TEST_F(PinnedUnits, GrowWithAllThatTheyHold) {
    const auto first = Units::pinned(path(), 100).value()->instance();
    EXPECT_EQ(Units::pinned(path(), 50).value()->instance(), first);
    EXPECT_EQ(Units::pinned(path(), 50).value()->capacity(), 100U);
    {
        auto units = Units::pinned(path(), 100).value();
        const auto out = units->claim(key(1), Direction::outbound, 0).value();
        sequence::prepare(out.memory, Direction::outbound, 0, 4711);
        out.counters->words[1] = 5;
    }
    const auto larger = Units::pinned(path(), 1000);
    ASSERT_TRUE(larger) << to_string(larger.error());
    EXPECT_GE((*larger)->capacity(), 1000U);
    EXPECT_EQ((*larger)->instance(), first) << "the durable marks go with it";
    const auto out = (*larger)->claim(key(1), Direction::outbound, 0).value();
    ASSERT_TRUE(out.survived);
    EXPECT_EQ(out.memory->words[number_word], 4711U);
    EXPECT_EQ(out.counters->words[1], 5U);
    EXPECT_EQ(access((path() + "-next").c_str(), F_OK), -1);
}

TEST_F(PinnedUnits, GrowWhileTheyAreUsed) {
    const auto name = [](std::uint32_t number) {
        Fingerprint result{};
        std::memcpy(result.data(), &number, sizeof number);
        return result;
    };
    {
        auto units = Units::pinned(path(), 10).value();
        const auto first = units->claim(name(0), Direction::outbound, 0).value();
        sequence::prepare(first.memory, Direction::outbound, 0, 4711);
        for (std::uint32_t i = 1; i < 100; ++i) {
            const auto claim = units->claim(name(i), Direction::inbound, 1024);
            ASSERT_TRUE(claim) << to_string(claim.error());
            sequence::prepare(claim->memory, Direction::inbound, 1024, i);
        }
        ASSERT_TRUE(units->claim(name(100), Direction::inbound, 65536)) << "larger than all there is";
        EXPECT_GE(units->capacity(), 1U + 2 + 99 * 4 + 130);
        EXPECT_EQ(first.memory->words[number_word], 4711U) << "what lies there does not move";
    }
    ASSERT_EQ(access((path() + "-2").c_str(), F_OK), 0);
    {
        auto units = Units::pinned(path(), 10).value();
        const auto used = units->used();
        for (std::uint32_t i = 1; i < 100; ++i) {
            const auto claim = units->claim(name(i), Direction::inbound, 1024).value();
            ASSERT_TRUE(claim.survived) << i;
            EXPECT_EQ(claim.memory->words[number_word], i);
            units->release(claim.memory);
        }
        EXPECT_EQ(units->used(), used - 99 * 4);
        const auto capacity = units->capacity();
        for (std::uint32_t i = 1; i < 100; ++i) ASSERT_TRUE(units->claim(name(i), Direction::inbound, 1024));
        EXPECT_EQ(units->capacity(), capacity) << "what is free is taken first";
    }
    // One that is not what it should be goes, and all behind it: they could hold numbers of before.
    PinnedArray::open(path() + "-1").value().units()[0].words[0] ^= 1;
    const auto units = Units::pinned(path(), 10).value();
    EXPECT_EQ(units->capacity(), 10U);
    for (const char* tail : {"-1", "-2", "-3"}) EXPECT_EQ(access((path() + tail).c_str(), F_OK), -1) << tail;
}

namespace {

/// FNV-1a over whole words, as gateways of layout 1 and 2 write it.
std::uint64_t checksum_of(const std::uint64_t* words, std::size_t count, const Instance& instance) {
    std::uint64_t sum = 0xcbf2'9ce4'8422'2325;
    std::uint64_t halves[2];
    std::memcpy(halves, instance.data(), sizeof halves);
    const auto add = [&sum](std::uint64_t word) {
        sum = (sum ^ word) * 0x0000'0100'0000'01b3;
        sum ^= sum >> 29;
    };
    for (std::size_t i = 0; i < count; ++i) add(words[i]);
    add(halves[0]);
    add(halves[1]);
    return sum;
}

/// The array of a gateway of layout 1: an outbound space (key 1) behind an inbound one (key 2, window 1024), without room for counters.
void write_layout_1(const std::string& path, const Instance& instance, std::uint64_t sent, std::uint64_t accepted) {
    constexpr std::uint32_t count = 10;
    const bpf_map_create_opts options{.sz = sizeof(bpf_map_create_opts), .map_flags = BPF_F_MMAPABLE};
    const int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sallyport_units", 4, sizeof(sequence::Unit), count, &options);
    ASSERT_GE(map, 0);
    std::array<sequence::Unit, count> units{};
    auto& header = units[0].words;
    header[0] = 0x5341'4c4c'5950'5254;
    header[1] = 1;
    header[2] = count;
    std::memcpy(&header[3], instance.data(), instance.size());
    header[7] = checksum_of(header.data(), 7, {});
    sequence::prepare(&units[1], Direction::inbound, 1024, 0);
    (void)sequence::accept({.memory = &units[1], .window = 1024, .extended = true}, accepted);
    sequence::prepare(&units[4], Direction::outbound, 0, sent);
    for (const auto& [head, window, name] : {std::tuple{1, 1024, 2}, std::tuple{4, 0, 1}}) {
        auto& words = units[static_cast<std::size_t>(head)].words;
        words[2] = std::uint64_t{0x53'50'41'43} << 32 | static_cast<std::uint32_t>(window);
        const Fingerprint print = key(static_cast<std::uint8_t>(name));
        std::memcpy(&words[3], print.data(), print.size());
        words[7] = checksum_of(&words[2], 5, instance);
    }
    for (std::uint32_t i = 0; i < count; ++i) ASSERT_EQ(bpf_map_update_elem(map, &i, &units[i], BPF_ANY), 0);
    ASSERT_EQ(bpf_obj_pin(map, path.c_str()), 0);
    close(map);
}

} // namespace

TEST_F(PinnedUnits, OfTheLayoutBeforeAreAdopted) {
    const Instance instance{7, 1};
    write_layout_1(path(), instance, 815, 100);
    const auto units = Units::pinned(path(), 5);
    ASSERT_TRUE(units) << to_string(units.error());
    EXPECT_FALSE((*units)->refused());
    EXPECT_EQ((*units)->instance(), instance);
    EXPECT_EQ((*units)->used(), 1U + 2 + 4);
    const auto out = (*units)->claim(key(1), Direction::outbound, 0).value();
    ASSERT_TRUE(out.survived);
    EXPECT_EQ(out.memory->words[number_word], 815U);
    EXPECT_EQ(out.counters->words[0], 0U);
    const auto in = (*units)->claim(key(2), Direction::inbound, 1024).value();
    ASSERT_TRUE(in.survived);
    const sequence::Space space{.memory = in.memory, .window = 1024, .extended = true};
    EXPECT_EQ(sequence::accept(space, 100), DropReason::replayed);
    EXPECT_EQ(sequence::accept(space, 99), DropReason::none);
    EXPECT_EQ(in.counters->words[0], 0U);
}

TEST_F(PinnedUnits, OfAnotherLayoutOrDamagedAreRefusedAndMadeAnew) {
    for (const unsigned word : {0U, 1U, 2U, 3U, 4U, 7U}) {
        unlink(path().c_str());
        const auto before = Units::pinned(path(), 100).value()->instance();
        const int map = bpf_obj_get(path().c_str());
        ASSERT_GE(map, 0);
        const std::uint32_t header = 0;
        sequence::Unit unit;
        ASSERT_EQ(bpf_map_lookup_elem(map, &header, &unit), 0);
        unit.words[word] += 1;
        ASSERT_EQ(bpf_map_update_elem(map, &header, &unit, BPF_ANY), 0);
        close(map);
        const auto units = Units::pinned(path(), 100);
        ASSERT_TRUE(units) << to_string(units.error());
        ASSERT_TRUE((*units)->refused()) << word;
        EXPECT_EQ((*units)->refused()->place, path());
        EXPECT_NE((*units)->instance(), before) << "numbers of before do not count";
        EXPECT_EQ((*units)->used(), 1U);
        EXPECT_FALSE(Units::pinned(path(), 100).value()->refused()) << "said once";
    }
}

TEST_F(PinnedUnits, SomethingElsePinnedThereIsRefused) {
    const int map = bpf_map_create(BPF_MAP_TYPE_HASH, "other", 4, 64, 10, nullptr);
    ASSERT_GE(map, 0);
    ASSERT_EQ(bpf_obj_pin(map, path().c_str()), 0);
    close(map);
    const auto units = Units::pinned(path(), 100);
    ASSERT_TRUE(units) << to_string(units.error());
    EXPECT_TRUE((*units)->refused());
}

// A process that writes each number to a log before it would seal with it dies at any instant: the counter is never behind the log.
TEST_F(PinnedUnits, KilledAtAnyInstantNoNumberIsGivenTwice) {
    std::mt19937 random(11);
    auto mine = Units::pinned(path(), 16).value();
    std::uint64_t reached = 0;
    for (int round = 0; round < 100; ++round) {
        int ends[2];
        ASSERT_EQ(pipe(ends), 0);
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            auto units = Units::pinned(path(), 16).value();
            const auto claim = units->claim(key(1), Direction::outbound, 0).value();
            if (!claim.survived) sequence::prepare(claim.memory, Direction::outbound, 0, 0);
            const sequence::Space space{.memory = claim.memory, .last = sequence::extended_end};
            for (;;) {
                const sequence::Numbers numbers = sequence::take(space, 64);
                (void)!write(ends[1], &numbers.first, sizeof numbers.first);
            }
        }
        close(ends[1]);
        const auto delay = static_cast<useconds_t>(500 + random() % 3000);
        usleep(delay);
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        std::uint64_t first = 0;
        while (read(ends[0], &first, sizeof first) == static_cast<ssize_t>(sizeof first)) {
            ASSERT_GT(first, reached) << "round " << round;
            reached = first + 63;
        }
        close(ends[0]);
    }
    EXPECT_GT(reached, 0U);
}
