// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/secret_table.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <random>
#include <string>

using namespace sallyport;
using namespace sallyport::store;
using Record = SecretTable::Record;

namespace {

constexpr std::size_t small = std::size_t{1} << 20;

Record stage(SecretTable& table, const std::string& text, std::uint32_t tag = 1) {
    const auto staged = table.stage(text.size(), tag).value();
    std::memcpy(staged.octets.data(), text.data(), text.size());
    return staged.record;
}

std::string text_of(const SecretTable& table, Record record) {
    const auto octets = table.octets(record);
    return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

std::vector<std::string> texts(const SecretTable& table) {
    std::vector<std::string> result;
    for (const Record record : table.records()) result.push_back(text_of(table, record));
    return result;
}

/// As the next process gets it.
std::unique_ptr<SecretTable> again(std::unique_ptr<SecretTable> table) {
    Descriptor descriptor(dup(table->descriptor()));
    table.reset();
    auto next = SecretTable::adopt(std::move(descriptor));
    return next ? std::move(*next) : nullptr;
}

std::uint64_t* words_of(const SecretTable& table) {
    void* memory = mmap(nullptr, small, PROT_READ | PROT_WRITE, MAP_SHARED, table.descriptor(), 0);
    return static_cast<std::uint64_t*>(memory);
}

using Texts = std::vector<std::string>;

class OfEachKind : public testing::TestWithParam<SecretTable::Kind> {};

INSTANTIATE_TEST_SUITE_P(SecretTable, OfEachKind, testing::Values(SecretTable::Kind::secret, SecretTable::Kind::plain));

} // namespace

TEST_P(OfEachKind, HoldsRecordsOfAnySizeForTheNextProcess) {
    auto table = SecretTable::make(small, GetParam()).value();
    EXPECT_EQ(table->secret(), GetParam() == SecretTable::Kind::secret) << "this kernel has memfd_secret";
    const std::string longer(5000, 'x');
    (void)stage(*table, "one");
    const Record two = stage(*table, longer, 7);
    EXPECT_TRUE(table->records().empty()) << "not in force yet";
    table->commit();
    EXPECT_EQ(texts(*table), (Texts{"one", longer}));
    table = again(std::move(table));
    ASSERT_TRUE(table);
    EXPECT_EQ(texts(*table), (Texts{"one", longer}));
    EXPECT_EQ(table->tag(two), 7U);
}

// Where the kernel has no memfd_secret: a size that nobody can change, and locked (VmFlags lo) and left out of core files (dd).
TEST(SecretTable, OfThePlainKindIsSealedAndLocked) {
    const auto table = SecretTable::make(small, SecretTable::Kind::plain).value();
    EXPECT_NE(ftruncate(table->descriptor(), 0), 0);
    EXPECT_NE(ftruncate(table->descriptor(), 2 * small), 0);
    std::ifstream smaps("/proc/self/smaps");
    bool ours = false, good = false;
    for (std::string line; std::getline(smaps, line);) {
        if (line.find("memfd:sallyport-sas") != std::string::npos) ours = true;
        if (!ours || !line.starts_with("VmFlags:")) continue;
        good = line.find(" lo") != std::string::npos && line.find(" dd") != std::string::npos;
        break;
    }
    EXPECT_TRUE(good);
}

TEST(SecretTable, ATransactionIsInForceAsAWholeOrNotAtAll) {
    auto table = SecretTable::make(small).value();
    const Record one = stage(*table, "one");
    (void)stage(*table, "two");
    table->commit();
    (void)stage(*table, "three");
    table->stage_removal(one);
    table->roll_back();
    EXPECT_EQ(texts(*table), (Texts{"one", "two"}));
    (void)stage(*table, "three");
    table->stage_removal(one);
    table = again(std::move(table)); // killed before the commit
    EXPECT_EQ(texts(*table), (Texts{"one", "two"}));
    (void)stage(*table, "three");
    table->stage_removal(one);
    table->commit();
    table = again(std::move(table));
    EXPECT_EQ(texts(*table).size(), 2U);
    EXPECT_EQ(std::ranges::count(texts(*table), "one"), 0);
}

TEST_P(OfEachKind, WhatIsGoneIsWipedAndItsRoomIsUsedAgain) {
    auto table = SecretTable::make(small, GetParam()).value();
    const std::uint64_t* words = words_of(*table);
    for (int round = 0; round < 10'000; ++round) {
        const Record record = stage(*table, std::string(300 + round % 100, 'k'));
        table->commit();
        table->stage_removal(record);
        table->commit();
    }
    EXPECT_TRUE(table->records().empty());
    for (std::size_t i = 6; i < small / 8; ++i) ASSERT_EQ(words[i], 0U) << i;
    EXPECT_LE(words[5], 3U + 2 * 28) << "slots that were ever used: of two records at most";
    Texts all;
    while (auto staged = table->stage(1000, 1)) all.emplace_back();
    EXPECT_GE(all.size(), 800U);
    EXPECT_EQ(table->stage(1000, 1).error().code, ErrorCode::exhausted);
    table->roll_back();
    EXPECT_TRUE(table->stage(1000, 1));
}

TEST(SecretTable, FreeNeighboursAreOne) {
    auto table = SecretTable::make(small).value();
    std::vector<Record> records;
    for (int i = 0; i < 9; ++i) records.push_back(stage(*table, std::string(96, 'x')));
    table->commit();
    for (const std::size_t i : {1U, 3U, 5U, 7U, 2U, 6U, 4U}) table->stage_removal(records[i]);
    table->commit();
    EXPECT_EQ(stage(*table, std::string(7 * 128 - 32, 'y')), records[1]) << "all that is between the first and the last";
    table->roll_back();
    table = again(std::move(table));
    EXPECT_EQ(stage(*table, std::string(7 * 128 - 32, 'y')), records[1]) << "the next process sees it too";
    EXPECT_EQ(table->record_of(table->octets(records[8]).data()), records[8]);
}

TEST_P(OfEachKind, DamageOfAnyWordIsFoundOrHarmless) {
    for (std::size_t word = 0; word < 6 + 2 * 30; ++word) {
        auto table = SecretTable::make(small, GetParam()).value();
        (void)stage(*table, std::string(200, 'a'));
        (void)stage(*table, std::string(200, 'b'));
        table->commit();
        std::uint64_t* words = words_of(*table);
        words[word] ^= std::uint64_t{1} << (word % 64);
        Descriptor descriptor(dup(table->descriptor()));
        table.reset();
        const auto next = SecretTable::adopt(std::move(descriptor));
        if (!next) {
            EXPECT_EQ(next.error().code, ErrorCode::conflict);
            EXPECT_TRUE(word == 5 || words[33] == 0) << "what was refused is wiped, as far as its head says";
            continue;
        }
        EXPECT_TRUE(word == 4 || word == 5) << word << ": more transactions or slots than there were do no harm";
        EXPECT_EQ((*next)->records().size(), 2U) << word;
    }
}

TEST(SecretTable, OfAnotherLayoutOrSizeIsRefused) {
    for (const bool cut : {false, true}) {
        auto table = SecretTable::make(small).value();
        std::uint64_t* words = words_of(*table);
        words[cut ? 2 : 1] += 1;
        words[3] = 0;
        Descriptor descriptor(dup(table->descriptor()));
        table.reset();
        const auto next = SecretTable::adopt(std::move(descriptor));
        ASSERT_FALSE(next);
        EXPECT_EQ(next.error().code, ErrorCode::conflict);
    }
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    EXPECT_FALSE(SecretTable::adopt(Descriptor(ends[0]))) << "something else was kept";
    close(ends[1]);
    const int empty = memfd_create("empty", 0);
    EXPECT_FALSE(SecretTable::adopt(Descriptor(empty)));
}

// A process that keeps replacing pairs of records in one transaction each dies at any instant: both halves of a pair are always equal.
TEST(SecretTable, KilledAtAnyInstantNoRecordIsTornAndNoTransactionHalf) {
    std::mt19937 random(5);
    auto table = SecretTable::make(small).value();
    for (int i = 0; i < 2; ++i) (void)stage(*table, std::string(400, 'a'));
    table->commit();
    unsigned moved = 0;
    for (int round = 0; round < 100; ++round) {
        Descriptor descriptor(dup(table->descriptor()));
        table.reset();
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            auto mine = SecretTable::adopt(std::move(descriptor)).value();
            for (char letter = 'a';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1)) {
                const auto before = mine->records();
                for (const Record record : before) {
                    (void)stage(*mine, std::string(400 + static_cast<unsigned>(letter), letter));
                    mine->stage_removal(record);
                }
                mine->commit();
            }
        }
        usleep(static_cast<useconds_t>(200 + random() % 2000));
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        auto next = SecretTable::adopt(std::move(descriptor));
        ASSERT_TRUE(next) << to_string(next.error());
        table = std::move(*next);
        const Texts both = texts(*table);
        ASSERT_EQ(both.size(), 2U);
        ASSERT_EQ(both[0], both[1]);
        ASSERT_EQ(both[0], std::string(both[0].size(), both[0][0]));
        moved += both[0].size() != 400 ? 1 : 0;
    }
    EXPECT_GT(moved, 50U);
}
