// SPDX-License-Identifier: Apache-2.0
// sallyport.toml and conf.d/*.toml beside it, read and checked without touching anything else of the machine.
#pragma once

#include "gateway/sa/desired.hpp"
#include "gateway/sa/error.hpp"
#include "mgmt/config/problem.hpp"

#include <expected>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::config {

/// A text that was read, or a key of a file beside it as hexadecimal digits; together they are the whole configuration.
struct Source {
    bool key = false;
    std::string name; // path
    std::string octets;
    bool operator==(const Source&) const = default;
};

struct Loaded {
    Desired desired;
    std::vector<Problem> warnings;
    std::vector<std::string> files; // that were read, in order
    std::vector<Source> sources;    // what load() read; texts first, in order
};

/// Either everything or nothing: one problem in one file and there is no Desired. All problems are listed, in the order of the files.
using Outcome = std::expected<Loaded, std::vector<Problem>>;

/// One file's content. `name` stands in messages; relative key files are looked for in its folder.
struct Text {
    std::string name;
    std::string_view content;
};

/// Reads a file of hexadecimal digits; the error's sentence never shows them.
using KeyFiles = std::function<Result<KeyMaterial>(const std::string& path)>;

inline constexpr std::size_t largest_file = std::size_t{16} << 20; // octets

/// Reads `path` and the conf.d/*.toml beside it, in the order of their names. A file that holds keys and that others can read is refused.
[[nodiscard]] Outcome load(const std::string& path);

/// True: there is no such file, or neither it nor the files beside it say anything: nobody has configured a gateway yet. Not where one of
/// them cannot be read or is no TOML.
[[nodiscard]] bool says_nothing(const std::string& path);

/// The same as load() of what an earlier load() read; no file is looked at.
[[nodiscard]] Outcome parse(std::span<const Source> sources);

/// The same of texts in memory.
[[nodiscard]] Outcome parse(std::span<const Text> texts, const KeyFiles& key_files);

/// The key files of the machine: a regular file of at most 4096 octets, of root or our user, closed to others.
[[nodiscard]] Result<KeyMaterial> read_key_file(const std::string& path);

} // namespace sallyport::config
