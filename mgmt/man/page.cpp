// SPDX-License-Identifier: Apache-2.0
#include "mgmt/man/page.hpp"

#include "gateway/sa/drop_reason.hpp"
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

/// With a capital letter at its begin.
std::string sentence(std::string_view words) {
    std::string result = text(words);
    if (!result.empty() && result[0] >= 'a' && result[0] <= 'z') result[0] = static_cast<char>(result[0] - 'a' + 'A');
    return result;
}

std::string put_in(std::string_view page_template, std::string_view mark, const std::string& body) {
    std::string page(page_template);
    if (const std::size_t at = page.find(mark); at != std::string::npos) page.replace(at, mark.size(), body);
    return page;
}

std::string item(const KeyInfo& key) {
    std::string result = std::format(".It Cm {}\n{}\n.br\n{}", key.name, text(key.meaning), sentence(expected_text(key)));
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
    return put_in(page_template, "@SECTIONS@\n", body);
}

std::string drops_page(std::string_view page_template) {
    std::string body = ".Bl -tag -width Ds\n";
    for (const DropReasonInfo& reason : drop_reasons) {
        if (reason.name == info(DropReason::none).name) continue;
        body += std::format(".It Cm {}\n{}{}.\n", reason.name, sentence(reason.meaning), reason.audit ? "; audited" : "");
        if (!reason.remedy.empty()) body += std::format(".br\nWhat to do: {}.\n", text(reason.remedy));
    }
    return put_in(page_template, "@REASONS@\n", body + ".El\n");
}

} // namespace sallyport::man
