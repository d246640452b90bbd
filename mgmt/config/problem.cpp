// SPDX-License-Identifier: Apache-2.0
#include "mgmt/config/problem.hpp"

#include <algorithm>
#include <format>
#include <tuple>

namespace sallyport::config {

std::string to_string(const Problem& problem) {
    std::string text = problem.file;
    if (problem.line != 0) text += std::format(":{}:{}", problem.line, problem.column);
    if (!text.empty()) text += ": ";
    if (!problem.key.empty()) text += problem.key + ": ";
    text += problem.sentence;
    if (!problem.remedy.empty()) text += "; " + problem.remedy;
    return text;
}

std::string shown(std::string_view text, std::size_t longest) {
    std::string result;
    for (const char c : text) {
        if (result.size() >= longest) return result + "...";
        const auto octet = static_cast<unsigned char>(c);
        if (octet < 0x20 || octet >= 0x7f)
            result += std::format("\\x{:02x}", octet);
        else
            result += c;
    }
    return result;
}

Problem Problems::make(Place place, std::string key, std::string sentence, std::string remedy) const {
    return Problem{place.file < files_.size() ? files_[place.file] : std::string{},
                   place.line,
                   place.column,
                   std::move(key),
                   std::move(sentence),
                   std::move(remedy)};
}

void Problems::add(Place place, std::string key, std::string sentence, std::string remedy) {
    if (full()) {
        ++left_out_;
        return;
    }
    errors_.push_back({place, make(place, std::move(key), std::move(sentence), std::move(remedy))});
}

void Problems::warn(Place place, std::string key, std::string sentence, std::string remedy) {
    if (warnings_.size() < most) warnings_.push_back({place, make(place, std::move(key), std::move(sentence), std::move(remedy))});
}

std::string Problems::text(Place place) const {
    const std::string name = place.file < files_.size() ? files_[place.file] : std::string{};
    return place.line == 0 ? name : std::format("{}:{}", name, place.line);
}

std::vector<Problem> Problems::sorted(std::vector<Placed> placed) {
    std::ranges::stable_sort(placed, [](const Placed& a, const Placed& b) {
        return std::tie(a.place.file, a.place.line, a.place.column) < std::tie(b.place.file, b.place.line, b.place.column);
    });
    std::vector<Problem> result;
    result.reserve(placed.size());
    for (Placed& one : placed) result.push_back(std::move(one.problem));
    return result;
}

std::vector<Problem> Problems::take_errors() {
    std::vector<Problem> result = sorted(std::move(errors_));
    if (left_out_ != 0)
        result.push_back({{}, 0, 0, {}, std::format("{} more errors are not shown", left_out_), "correct those above first"});
    errors_.clear();
    left_out_ = 0;
    return result;
}

std::vector<Problem> Problems::take_warnings() {
    std::vector<Problem> result = sorted(std::move(warnings_));
    warnings_.clear();
    return result;
}

} // namespace sallyport::config
