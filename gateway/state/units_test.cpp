// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/units.hpp"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <random>

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
    EXPECT_EQ((*units)->used(), 1U + 1 + 3 + 2);
    EXPECT_FALSE(out->survived || in->survived);
    EXPECT_EQ(in->memory - out->memory, 1);
    EXPECT_EQ(small->memory - in->memory, 3);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(out->memory) % 64, 0U);
    EXPECT_EQ(out->memory->words[number_word], ~std::uint64_t{0}) << "until it is prepared it must look used up";
    for (unsigned i = 1; i < 3; ++i)
        for (const std::uint64_t word : in->memory[i].words) EXPECT_EQ(word, 0U);
}

TEST(Units, WhatIsFreedIsUsedAgainAndFullIsSaid) {
    auto units = Units::anonymous(1 + 4 * 3).value();
    std::vector<sequence::Unit*> taken;
    for (std::uint8_t i = 0; i < 4; ++i) taken.push_back(units->claim(key(i), Direction::inbound, 1024).value().memory);
    const auto none = units->claim(key(9), Direction::outbound, 0);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ErrorCode::exhausted);
    units->release(taken[1]);
    units->release(taken[2]);
    EXPECT_EQ(units->claim(key(9), Direction::inbound, 2048).value().memory, taken[1]); // five of the six
    EXPECT_TRUE(units->claim(key(10), Direction::outbound, 0));
    EXPECT_FALSE(units->claim(key(11), Direction::outbound, 0));
    EXPECT_EQ(units->used(), units->capacity());
}

TEST(Units, AreManyAndFast) {
    auto units = Units::anonymous(1 + 100'000 * 4).value();
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
        raise(SIGKILL);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    auto units = Units::pinned(path(), 100);
    ASSERT_TRUE(units) << to_string(units.error());
    EXPECT_EQ((*units)->used(), 5U);
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
    EXPECT_FALSE((*units)->claim(key(1), Direction::outbound, 0).value().survived) << "claimed once";
}

TEST_F(PinnedUnits, SurvivorsThatNobodyClaimsAreFreedWhenToldSo) {
    {
        auto units = Units::pinned(path(), 200).value();
        (void)units->claim(key(1), Direction::outbound, 0).value();
        (void)units->claim(key(2), Direction::inbound, 65536).value();
    }
    auto units = Units::pinned(path(), 200).value();
    EXPECT_EQ(units->used(), 1U + 1 + 129);
    const auto claim = units->claim(key(1), Direction::outbound, 0).value();
    ASSERT_TRUE(claim.survived);
    units->put_back(claim.memory, key(1));
    units->forget_survivors();
    EXPECT_EQ(units->used(), 1U + 1) << "what was put back stays";
    EXPECT_TRUE(units->claim(key(1), Direction::outbound, 0).value().survived);
    units->release(claim.memory);
    EXPECT_EQ(units->used(), 1U);
}

TEST_F(PinnedUnits, KeepTheirInstanceAndGrowByBeingReplaced) {
    const auto first = Units::pinned(path(), 100).value()->instance();
    EXPECT_EQ(Units::pinned(path(), 50).value()->instance(), first);
    EXPECT_EQ(Units::pinned(path(), 50).value()->capacity(), 100U);
    const auto larger = Units::pinned(path(), 1000);
    ASSERT_TRUE(larger) << to_string(larger.error());
    EXPECT_EQ((*larger)->capacity(), 1000U);
    EXPECT_NE((*larger)->instance(), first);
}

TEST_F(PinnedUnits, AnotherLayoutOrDamageIsRefusedWithWhatToDo) {
    for (const unsigned word : {0U, 1U, 2U, 3U, 4U, 7U}) {
        unlink(path().c_str());
        (void)Units::pinned(path(), 100).value();
        const int map = bpf_obj_get(path().c_str());
        ASSERT_GE(map, 0);
        const std::uint32_t header = 0;
        sequence::Unit unit;
        ASSERT_EQ(bpf_map_lookup_elem(map, &header, &unit), 0);
        unit.words[word] += 1;
        ASSERT_EQ(bpf_map_update_elem(map, &header, &unit, BPF_ANY), 0);
        close(map);
        const auto units = Units::pinned(path(), 100);
        ASSERT_FALSE(units) << word;
        EXPECT_EQ(units.error().code, ErrorCode::conflict);
        EXPECT_NE(units.error().remedy.find("remove it"), std::string::npos);
        EXPECT_EQ(units.error().place, path());
    }
}

TEST_F(PinnedUnits, SomethingElsePinnedThereIsRefused) {
    const int map = bpf_map_create(BPF_MAP_TYPE_HASH, "other", 4, 64, 10, nullptr);
    ASSERT_GE(map, 0);
    ASSERT_EQ(bpf_obj_pin(map, path().c_str()), 0);
    close(map);
    const auto units = Units::pinned(path(), 100);
    ASSERT_FALSE(units);
    EXPECT_EQ(units.error().code, ErrorCode::conflict);
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
