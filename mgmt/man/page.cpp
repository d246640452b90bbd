// SPDX-License-Identifier: Apache-2.0
#include "mgmt/man/page.hpp"

#include "mgmt/config/keys.hpp"

#include <format>

namespace sallyport::man {
namespace {

using namespace config;

/// Plain text in mdoc: a backslash and a leading dot or apostrophe mean something there, and every sentence begins a line.
std::string text(std::string_view words) {
    std::string result;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const char c = words[i];
        if (c == '\\')
            result += "\\e";
        else if ((c == '.' || c == '\'') && (result.empty() || result.back() == '\n'))
            result += std::string("\\&") + c;
        else if (c == ' ' && i > 1 && words[i - 1] == '.')
            result += '\n';
        else
            result += c;
    }
    return result;
}

std::string item(const KeyInfo& key) {
    std::string expected = expected_text(key);
    expected[0] = static_cast<char>(expected[0] >= 'a' && expected[0] <= 'z' ? expected[0] - 'a' + 'A' : expected[0]);
    std::string result = std::format(".It Cm {}\n{}\n.br\n{}", key.name, text(key.meaning), text(expected));
    if (key.required) result += "; needed";
    if (!key.fallback.empty()) result += std::format("; default {}", text(key.fallback));
    return result + ".\n";
}

} // namespace

std::string toml_page(std::string_view page_template) {
    std::string body;
    for (const SectionInfo& section : sections()) {
        body += std::format(".Sh [{}{}]\n{}\n.Bl -tag -width Ds\n", section.name, section.named ? ".NAME" : "", text(section.meaning));
        for (const KeyInfo& key : keys())
            if (key.section == section.section) body += item(key);
        body += ".El\n";
    }
    std::string page(page_template);
    const std::string_view mark = "@SECTIONS@\n";
    if (const std::size_t at = page.find(mark); at != std::string::npos) page.replace(at, mark.size(), body);
    return page;
}

} // namespace sallyport::man
