// SPDX-License-Identifier: Apache-2.0
// The manual against mandoc's lint, and against the tables.
#include "gateway/sa/drop_reason.hpp"
#include "gateway/sa/event.hpp"
#include "mgmt/config/keys.hpp"
#include "mgmt/man/page.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <format>
#include <fstream>
#include <unistd.h>

namespace sallyport::man {
namespace {

using testing::HasSubstr;

const std::string folder = SALLYPORT_SOURCE_DIR "/mgmt/man/";

std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string run(const std::string& command) {
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return "it cannot be run";
    std::string said;
    for (int c = 0; (c = fgetc(pipe)) != EOF;) said += static_cast<char>(c);
    const int status = pclose(pipe);
    return status == 0 ? said : said + std::format("exit status {}", status);
}

/// The pages on the disk, for as long as this lives.
class Made {
public:
    Made() {
        std::string pattern = (std::filesystem::temp_directory_path() / "sallyport-man-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
        place_ = pattern;
        std::ofstream(path()) << toml_page(read(folder + "sallyport.toml.5.in"));
        std::ofstream(drops()) << drops_page(read(folder + "sallyport-drops.7.in"));
    }

    ~Made() { std::filesystem::remove_all(place_); }
    Made(const Made&) = delete;
    Made& operator=(const Made&) = delete;

    [[nodiscard]] std::string path() const { return (place_ / "sallyport.toml.5").string(); }
    [[nodiscard]] std::string drops() const { return (place_ / "sallyport-drops.7").string(); }

private:
    std::filesystem::path place_;
};

TEST(Man, LintHasNothingToSay) {
    const Made made;
    for (const std::string& page : {folder + "sallyport.1", folder + "sallyport-gateway.8", made.path(), made.drops()})
        EXPECT_EQ(run("mandoc -Tlint -Wwarning " + page), "") << page;
}

TEST(Man, EveryKeyIsExplained) {
    const Made made;
    const std::string page = run("mandoc -Tascii " + made.path() + " | col -b");
    for (const config::SectionInfo& section : config::sections())
        EXPECT_TRUE(page.contains(std::format("\n[{}{}]\n", section.name, section.named ? ".NAME" : ""))) << section.name;
    for (const config::KeyInfo& key : config::keys())
        EXPECT_TRUE(page.contains(std::format("\n     {}\n", key.name)) || page.contains(std::format("\n     {}  ", key.name)) ||
                    page.contains(std::format("\n     {}\t ", key.name)))
            << key.name;
    EXPECT_TRUE(page.contains("An integer from 32 to 65536; default 1024."));
    EXPECT_FALSE(page.contains("@SECTIONS@"));
}

TEST(Man, EveryDropReasonIsExplained) {
    const Made made;
    const std::string page = run("mandoc -Tascii -O width=400 " + made.drops() + " | col -b");
    for (std::size_t i = 1; i < drop_reasons.size(); ++i) {
        const std::string name(drop_reasons[i].name);
        EXPECT_TRUE(page.contains("\n     " + name + "\n") || page.contains("\n     " + name + " ") ||
                    page.contains("\n     " + name + "\t"))
            << name;
    }
    EXPECT_TRUE(page.contains("The integrity check failed; audited."));
    EXPECT_FALSE(page.contains("@REASONS@"));
}

TEST(Man, EveryKindOfEventIsExplained) {
    const std::string page = read(folder + "sallyport.1");
    for (const EventKindInfo& kind : event_kinds) EXPECT_THAT(page, HasSubstr(" " + std::string(kind.name)));
}

TEST(Man, EveryCommandIsExplained) {
    const std::string page = read(folder + "sallyport.1");
    for (const char* command :
         {"check", "status", "sa", "policy", "counters", "explain", "watch", "drops", "reload", "marks", "detach", "features"})
        EXPECT_THAT(page, HasSubstr(std::string("\n.It Cm ") + command));
}

} // namespace
} // namespace sallyport::man
