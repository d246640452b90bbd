// SPDX-License-Identifier: Apache-2.0
// A TOML document as plain values with their places: what the one file that knows toml++ hands to the others.
#pragma once

#include "mgmt/config/problem.hpp"

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::config {

enum class NodeKind : std::uint8_t { boolean, integer, real, text, date, array, table };

struct Entry;

/// Its text may be a key of an SA: it is wiped when it goes.
struct Node {
    NodeKind kind = NodeKind::boolean;
    Place place;
    bool boolean = false;
    std::int64_t integer = 0;
    std::string text;
    std::vector<Node> items;
    std::vector<Entry> entries; // of a table, in the order of the file

    Node() = default;
    Node(Node&&) noexcept = default;
    Node& operator=(Node&&) noexcept = default;
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;
    ~Node();
};

struct Entry {
    std::string key;
    Place place; // of the key
    Node value;
};

/// "a string", "an integer", for sentences.
[[nodiscard]] std::string_view name_of(NodeKind kind);

struct SyntaxError {
    Place place;
    std::string sentence; // without values of the file that are long enough to be a key
};

/// The root table, or where the text is not TOML. What lies deeper than 8 tables is left out: no key lies there.
[[nodiscard]] std::expected<Node, SyntaxError> parse_toml(std::string_view text, std::uint16_t file);

} // namespace sallyport::config
