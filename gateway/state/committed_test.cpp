// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/committed.hpp"
#include "gateway/state/marks_file.hpp"

#include <gtest/gtest.h>

using namespace sallyport;
using namespace sallyport::state;

namespace {

Committed example() {
    return {.closed = true,
            .started_with = "/etc/sallyport/sallyport.toml",
            .parts = {{Committed::Kind::text, "/etc/sallyport/sallyport.toml", "[gateway]\n\nx = 1\n"},
                      {Committed::Kind::text, "/etc/sallyport/conf.d/a b.toml", ""},
                      {Committed::Kind::key, "/etc/sallyport/k", "00ff"}}};
}

std::string signed_text(const std::string& text) { return text + "sha256 " + sha256(text) + "\n"; }

std::string place_of(const std::string& body) {
    const auto committed = parse_committed(signed_text(body));
    return committed ? "taken" : committed.error().place;
}

} // namespace

TEST(Committed, WhatIsWrittenIsRead) {
    const Committed was = example();
    const std::string text = format_committed(was);
    const auto is = parse_committed(text);
    ASSERT_TRUE(is);
    EXPECT_EQ(is->closed, was.closed);
    EXPECT_EQ(is->started_with, was.started_with);
    EXPECT_EQ(is->parts, was.parts);
    EXPECT_EQ(format_committed(*is), text);
}

TEST(Committed, AnyChangedOctetIsSeen) {
    const std::string text = format_committed(example());
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string other = text;
        other[i] = static_cast<char>(other[i] ^ 1);
        EXPECT_FALSE(parse_committed(other)) << i;
        EXPECT_FALSE(parse_committed(text.substr(0, i))) << i;
    }
    EXPECT_FALSE(parse_committed(text + "\n"));
}

TEST(Committed, WhatDoesNotFitIsNamed) {
    const std::string top = "sallyport-committed 1\nstate open\nfor /x\n";
    EXPECT_EQ(place_of(top + "text 1 /x\na\n"), "taken");
    EXPECT_EQ(place_of("sallyport-committed 2\nstate open\nfor /x\ntext 1 /x\na\n"), "line 1");
    EXPECT_EQ(place_of("sallyport-committed 1\nstate ajar\nfor /x\ntext 1 /x\na\n"), "line 2");
    EXPECT_EQ(place_of("sallyport-committed 1\nstate open\nfor \ntext 1 /x\na\n"), "line 3");
    EXPECT_EQ(place_of(top), "part 1");
    EXPECT_EQ(place_of(top + "key 1 /x\na\n"), "part 1");
    for (const char* part :
         {"text 2 /x\na\n", "text 0 /x\na\n", "text 1 \na\n", "text 1\na\n", "text x /x\na\n", "text -1 /x\na\n", "text 01 /x\na\n",
          "text 99999999999999999999 /x\na\n", "text 18446744073709551615 /x\na\n", "word 1 /x\na\n", "text 1 /x\na", "text 1 /x\t\na\n"})
        EXPECT_EQ(place_of(top + "text 1 /x\na\n" + part), "part 2") << part;
}
