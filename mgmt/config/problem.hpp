// SPDX-License-Identifier: Apache-2.0
// What is wrong with a configuration, and where.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::config {

/// Where something stands: a file of the ones that were read, its line and column, both from 1; line 0: the file as a whole.
struct Place {
    std::uint16_t file = 0;
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    bool operator==(const Place&) const = default;
};

struct Problem {
    std::string file;
    std::uint32_t line = 0; // 0: the file as a whole
    std::uint32_t column = 0;
    std::string key;      // as the operator would write it, "connection.branch.spi-in"; empty: none
    std::string sentence; // what is wrong and what was expected; never a secret
    std::string remedy;   // what to do; may be empty
    bool operator==(const Problem&) const = default;
};

/// "FILE:LINE:COLUMN: KEY: sentence; remedy" in one line.
[[nodiscard]] std::string to_string(const Problem& problem);

/// Text of a file as it may be shown on a terminal: control characters escaped, cut after `longest` octets.
[[nodiscard]] std::string shown(std::string_view text, std::size_t longest = 60);

/// Collects the problems of a configuration; after `most` only their number is kept.
class Problems {
public:
    static constexpr std::size_t most = 100;

    explicit Problems(std::vector<std::string> file_names) : files_(std::move(file_names)) {}

    void add(Place place, std::string key, std::string sentence, std::string remedy = {});
    void warn(Place place, std::string key, std::string sentence, std::string remedy = {});

    [[nodiscard]] bool none() const { return errors_.empty(); }

    [[nodiscard]] bool full() const { return errors_.size() >= most; }

    [[nodiscard]] std::string text(Place place) const; // "FILE:LINE", for a second place in a sentence
    /// In the order of the files and their lines, and a last line that counts what was left out.
    [[nodiscard]] std::vector<Problem> take_errors();
    [[nodiscard]] std::vector<Problem> take_warnings();

private:
    [[nodiscard]] Problem make(Place place, std::string key, std::string sentence, std::string remedy) const;

    struct Placed {
        Place place;
        Problem problem;
    };

    static std::vector<Problem> sorted(std::vector<Placed> placed);
    std::vector<std::string> files_;
    std::vector<Placed> errors_;
    std::vector<Placed> warnings_;
    std::size_t left_out_ = 0;
};

} // namespace sallyport::config
