// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/files.hpp"

#include "gateway/state/memory_disk.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

using namespace sallyport;
using namespace sallyport::state;

namespace {

struct TemporaryDirectory {
    std::string path;

    TemporaryDirectory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "sallyport-state-XXXXXX").string();
        path = mkdtemp(pattern.data());
    }

    ~TemporaryDirectory() { std::filesystem::remove_all(path); }

    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
};

} // namespace

TEST(Replace, WholeOldOrWholeNewAfterAPowerCutAtEveryCall) {
    const std::string before = "the old content\n", after = "what is new, and longer\n";
    MemoryDisk disk;
    long calls = 0;
    bool finished = false;
    for (long cut = 0; !finished; ++cut) {
        ASSERT_LT(cut, 1000);
        // Every outcome that the disk may show after this cut.
        for (const bool renamed : {false, true}) {
            for (std::size_t octets = 0; octets <= after.size(); ++octets) {
                disk.boot({{"marks", before}});
                disk.cut_at = cut;
                MemoryFiles files(disk);
                finished = replace(files, "marks", after).has_value();
                const auto found = disk.after_cut(renamed, octets);
                ASSERT_TRUE(found.contains("marks"));
                const std::string& content = found.at("marks");
                ASSERT_TRUE(content == before || content == after) << "cut at call " << cut << ": " << content;
                ASSERT_TRUE(!finished || content == after) << "it said it was durable";
                calls = disk.calls;
            }
        }
    }
    EXPECT_EQ(calls, 1 + static_cast<long>(after.size()) + 3); // create, octets, sync, rename, sync of the directory
}

TEST(Replace, AFailureLeavesTheOldContent) {
    for (int MemoryDisk::* error : {&MemoryDisk::write_error, &MemoryDisk::create_error, &MemoryDisk::sync_error}) {
        MemoryDisk disk;
        disk.boot({{"marks", "old"}});
        disk.*error = -ENOSPC;
        MemoryFiles files(disk);
        const auto done = replace(files, "marks", "new");
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().code, ErrorCode::system);
        EXPECT_NE(done.error().sentence.find("No space left"), std::string::npos);
        EXPECT_EQ(files.read("marks").value().value(), "old");
        EXPECT_FALSE(files.read("marks.new").value().has_value());
    }
}

TEST(Directory, FilesArePrivateAndReplaced) {
    const TemporaryDirectory directory;
    auto files = open_directory(directory.path);
    ASSERT_TRUE(files) << to_string(files.error());
    EXPECT_FALSE((*files)->read("marks").value().has_value());
    ASSERT_TRUE(replace(**files, "marks", "one"));
    ASSERT_TRUE(replace(**files, "marks", "two"));
    EXPECT_EQ((*files)->read("marks").value().value(), "two");
    struct stat status{};
    ASSERT_EQ(stat((directory.path + "/marks").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
    EXPECT_FALSE(std::filesystem::exists(directory.path + "/marks.new"));
}

TEST(Directory, FilesBelongToItsOwner) {
    const TemporaryDirectory directory;
    ASSERT_EQ(geteuid(), 0U) << "the development root is root's";
    ASSERT_EQ(chown(directory.path.c_str(), 1234, 1235), 0);
    auto files = open_directory(directory.path);
    ASSERT_TRUE(files) << to_string(files.error());
    ASSERT_TRUE(replace(**files, "marks", "one"));
    struct stat status{};
    ASSERT_EQ(stat((directory.path + "/marks").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 1234U);
    EXPECT_EQ(status.st_gid, 1235U);
}

TEST(Directory, OneHolderAtATime) {
    const TemporaryDirectory directory;
    auto first = open_directory(directory.path);
    ASSERT_TRUE(first);
    const auto second = open_directory(directory.path);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::conflict);
    // One that is just dying is waited for.
    std::thread dying([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        first->reset();
    });
    EXPECT_TRUE(open_directory(directory.path));
    dying.join();
}

TEST(Directory, WhatIsMissingIsSaid) {
    const auto files = open_directory("/nonexistent/sallyport");
    ASSERT_FALSE(files);
    EXPECT_EQ(to_string(files.error()), "/nonexistent/sallyport: cannot open the state directory: No such file or directory");
}
