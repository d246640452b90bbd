// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/generations.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>

namespace sallyport::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class GenerationsTest : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "sallyport-generations-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        folder = pattern;
        file = folder + "/sallyport.toml";
        state = folder + "/state";
        write(1);
    }
    void TearDown() override { std::filesystem::remove_all(folder); }

    /// A configuration that differs by a number; 0: one with a mistake.
    void write(unsigned frames) {
        std::ofstream out(file);
        out << "[gateway]\nstate-directory = \"" << state << "\"\nframes = " << (frames == 0 ? "many" : std::to_string(frames * 4096))
            << "\n[port.wan0]\nrole = \"black\"\n[port.lan0]\nrole = \"red\"\n";
        out.close();
        chmod(file.c_str(), 0600);
    }

    /// The number of what a daemon starts with; 0: it does not start.
    unsigned start(bool fresh = false) {
        daemon = std::make_unique<Generations>();
        auto choice = daemon->choose(file, state, fresh);
        if (!choice) return 0;
        notes = choice->notes;
        problems = choice->problems.size();
        const unsigned number = choice->loaded.desired.settings.frames / 4096;
        const auto kept = daemon->keep(choice->loaded, state);
        EXPECT_TRUE(kept) << to_string(kept.error());
        return number;
    }
    void reload() { ASSERT_TRUE(daemon->keep(*config::load(file), state)); }
    void stop() { ASSERT_TRUE(daemon->close()); }
    void crash() { daemon.reset(); }

    std::string folder, file, state;
    std::unique_ptr<Generations> daemon;
    std::vector<std::string> notes;
    std::size_t problems = 0;
};

TEST_F(GenerationsTest, AfterAnOrderlyStopTheFileIsTaken) {
    EXPECT_EQ(start(), 1U);
    EXPECT_THAT(notes, IsEmpty());
    struct stat status{};
    ASSERT_EQ(::stat((state + "/configuration/committed").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U) << "it holds keys";
    stop();
    write(2);
    EXPECT_EQ(start(), 2U);
    EXPECT_THAT(notes, IsEmpty());
}

TEST_F(GenerationsTest, AfterACrashWhatWasCommittedLastIsTaken) {
    EXPECT_EQ(start(), 1U);
    write(2);
    reload();
    write(3);
    crash();
    EXPECT_EQ(start(), 2U);
    EXPECT_THAT(notes, ElementsAre(HasSubstr("changes that were not committed")));
    crash();
    EXPECT_EQ(start(), 2U) << "again and again";
    crash();
    EXPECT_EQ(start(true), 3U);
    crash();
    EXPECT_EQ(start(), 3U);
    EXPECT_THAT(notes, IsEmpty()) << "nothing was edited";
}

TEST_F(GenerationsTest, AFileWithMistakesNeverStopsAGatewayThatRan) {
    EXPECT_EQ(start(), 1U);
    write(0);
    crash();
    EXPECT_EQ(start(), 1U);
    EXPECT_EQ(problems, 1U);
    EXPECT_THAT(notes, ElementsAre(HasSubstr("has mistakes")));
    stop();
    EXPECT_EQ(start(), 1U) << "not after an orderly stop either";
    EXPECT_EQ(problems, 1U);
    crash();
    EXPECT_EQ(start(true), 0U);
    std::filesystem::remove_all(state);
    EXPECT_EQ(start(), 0U) << "nothing was kept";
}

TEST_F(GenerationsTest, WhatIsDamagedOrOfAnotherFileIsNotTaken) {
    EXPECT_EQ(start(), 1U);
    crash();
    const std::string kept = state + "/configuration/committed";
    std::filesystem::resize_file(kept, std::filesystem::file_size(kept) - 1);
    write(2);
    EXPECT_EQ(start(), 2U);
    EXPECT_THAT(notes, ElementsAre(HasSubstr("damaged")));
    crash();
    const std::string other = folder + "/other.toml";
    std::filesystem::rename(file, other);
    file = other;
    write(3);
    EXPECT_EQ(start(), 3U);
    EXPECT_THAT(notes, IsEmpty());
}

TEST_F(GenerationsTest, KeysOfFilesAreKeptToo) {
    {
        std::ofstream key(folder + "/k");
        key << "  00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
        std::ofstream out(file, std::ios::app);
        out << "[connection.office]\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.2\"\nlocal-networks = [\"10.1.0.0/24\"]\n"
               "remote-networks = [\"10.2.0.0/24\"]\nalgorithm = \"aes-128-cbc-hmac-sha2-256\"\nspi-in = 4096\nspi-out = 8192\n"
               "key-in-file = \"k\"\nkey-out = "
               "\"ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"\n";
    }
    chmod((folder + "/k").c_str(), 0600);
    const auto loaded = config::load(file);
    ASSERT_TRUE(loaded) << config::to_string(loaded.error().at(0));
    ASSERT_EQ(loaded->sources.size(), 2U);
    EXPECT_TRUE(loaded->sources[1].key);
    EXPECT_EQ(start(), 1U);
    crash();
    std::filesystem::remove(folder + "/k");
    Generations next;
    const auto choice = next.choose(file, state, false);
    ASSERT_TRUE(choice);
    ASSERT_EQ(choice->loaded.desired.sas.size(), 2U);
    const auto& was = loaded->desired.sas;
    const auto& is = choice->loaded.desired.sas;
    for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(is[i].key.octets, was[i].key.octets);
}

} // namespace
} // namespace sallyport::daemon
