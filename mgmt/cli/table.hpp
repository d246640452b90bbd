// SPDX-License-Identifier: Apache-2.0
// Columns for a terminal.
#pragma once

#include <string>
#include <vector>

namespace sallyport::cli {

/// Rows of equal length under a heading; a heading that begins with ">" is set to the right.
class Table {
public:
    explicit Table(std::vector<std::string> heading) : rows_{std::move(heading)} {}
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    [[nodiscard]] bool empty() const { return rows_.size() == 1; }
    /// Each line indented, columns two blanks apart, no blanks at the end. Columns without any text are left out.
    [[nodiscard]] std::string text(unsigned indent = 0) const;

private:
    std::vector<std::vector<std::string>> rows_;
};

/// "3 d 4 h", "5 min 12 s".
[[nodiscard]] std::string duration(unsigned long long seconds);

} // namespace sallyport::cli
