// SPDX-License-Identifier: Apache-2.0
#include "mgmt/cli/table.hpp"

#include <algorithm>
#include <format>

namespace sallyport::cli {
namespace {

/// Letters, not octets, as a terminal counts them.
std::size_t width(const std::string& text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

} // namespace

std::string Table::text(unsigned indent) const {
    const std::vector<std::string>& heading = rows_[0];
    std::vector<std::size_t> widths(heading.size(), 0);
    std::vector<bool> right(heading.size());
    for (std::size_t column = 0; column < heading.size(); ++column) {
        right[column] = heading[column].starts_with('>');
        for (std::size_t row = 1; row < rows_.size(); ++row) widths[column] = std::max(widths[column], width(rows_[row][column]));
        if (widths[column] != 0) widths[column] = std::max(widths[column], heading[column].size() - (right[column] ? 1 : 0));
    }
    std::string result;
    for (std::size_t row = 0; row < rows_.size(); ++row) {
        std::string line(indent, ' ');
        for (std::size_t column = 0; column < heading.size(); ++column) {
            if (widths[column] == 0) continue;
            const std::string cell = row == 0 && right[column] ? heading[column].substr(1) : rows_[row][column];
            const std::string blanks(widths[column] - width(cell), ' ');
            line += (right[column] ? blanks + cell : cell + blanks) + "  ";
        }
        line.erase(line.find_last_not_of(' ') + 1);
        result += line + "\n";
    }
    return result;
}

std::string duration(unsigned long long seconds) {
    if (seconds >= 86400) return std::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
    if (seconds >= 3600) return std::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
    if (seconds >= 60) return std::format("{} min {} s", seconds / 60, seconds % 60);
    return std::format("{} s", seconds);
}

} // namespace sallyport::cli
