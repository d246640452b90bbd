// SPDX-License-Identifier: Apache-2.0
// The one file that includes toml++.
#include "mgmt/config/node.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.hpp>

namespace sallyport::config {
namespace {

constexpr unsigned deepest = 8;

Place place_of(const toml::source_region& region, std::uint16_t file) { return {file, region.begin.line, region.begin.column}; }

NodeKind kind_of(toml::node_type type) {
    switch (type) {
    case toml::node_type::boolean: return NodeKind::boolean;
    case toml::node_type::integer: return NodeKind::integer;
    case toml::node_type::floating_point: return NodeKind::real;
    case toml::node_type::string: return NodeKind::text;
    case toml::node_type::array: return NodeKind::array;
    case toml::node_type::table: return NodeKind::table;
    default: return NodeKind::date;
    }
}

/// Moves the strings out, so that no copy of a key stays behind in the tree of toml++.
Node convert(toml::node& from, std::uint16_t file, unsigned depth) {
    Node node;
    node.kind = kind_of(from.type());
    node.place = place_of(from.source(), file);
    if (const auto* boolean = from.as_boolean())
        node.boolean = boolean->get();
    else if (const auto* integer = from.as_integer())
        node.integer = integer->get();
    else if (auto* text = from.as_string())
        node.text = std::move(text->get());
    else if (depth >= deepest)
        return node;
    else if (auto* array = from.as_array()) {
        node.items.reserve(array->size());
        for (toml::node& item : *array) node.items.push_back(convert(item, file, depth + 1));
    } else if (auto* table = from.as_table()) {
        node.entries.reserve(table->size());
        for (auto&& [key, value] : *table)
            node.entries.push_back({std::string(key.str()), place_of(key.source(), file), convert(value, file, depth + 1)});
        std::ranges::stable_sort(node.entries, [](const Entry& a, const Entry& b) {
            return a.place.line != b.place.line ? a.place.line < b.place.line : a.place.column < b.place.column;
        });
    }
    return node;
}

/// toml++ cites the number or word that it could not read: it may be a key that was not put in quotes.
std::string without_long_words(std::string_view text) {
    std::string result;
    if (text.starts_with("Error while")) text.remove_prefix(6);
    for (std::size_t i = 0; i < text.size();) {
        std::size_t end = i;
        bool digit = false;
        while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_')) {
            digit = digit || std::isdigit(static_cast<unsigned char>(text[end])) != 0;
            ++end;
        }
        if (end == i) {
            result += shown(text.substr(i++, 1));
            continue;
        }
        result += digit && end - i > 8 ? std::string_view("...") : text.substr(i, end - i);
        i = end;
    }
    return result.size() > 300 ? result.substr(0, 300) + "..." : result;
}

/// toml++ 3.4 runs into __builtin_unreachable() at letters like U+00E9 outside strings and comments (is_non_ascii_horizontal_whitespace), so
/// they are refused before: bare keys and everything else there are ASCII (TOML 1.0). Gives the octet of the first such letter.
class Outside {
public:
    explicit Outside(std::string_view text) : text_(text) {}

    std::optional<std::size_t> first_letter() {
        if (text_.starts_with("\xef\xbb\xbf")) // a byte order mark may begin a file
            at_ = 3;
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (static_cast<unsigned char>(c) >= 0x80)
                return at_;
            if (c == '"' || c == '\'')
                string(c);
            else if (c == '#') {
                if (const auto bad = comment())
                    return bad;
            } else {
                ++at_;
            }
        }
        return std::nullopt;
    }

private:
    [[nodiscard]] bool line_ends() const { return text_[at_] >= '\n' && text_[at_] <= '\r'; }

    void string(char quote) {
        const std::string triple(3, quote);
        const bool long_one = text_.substr(at_).starts_with(triple);
        at_ += long_one ? 3 : 1;
        while (at_ < text_.size()) {
            if (!long_one && line_ends())
                return; // toml++ says that it is not closed
            if (quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size()) {
                at_ += 2;
            } else if (long_one && text_.substr(at_).starts_with(triple)) {
                at_ += 3;
                for (int more = 0; more < 2 && at_ < text_.size() && text_[at_] == quote; ++more)
                    ++at_; // """a""""" ends with two quotes of its own
                return;
            } else if (text_[at_++] == quote && !long_one) {
                return;
            }
        }
    }

    /// A comment may hold any letter but the line ends of Unicode.
    std::optional<std::size_t> comment() {
        for (; at_ < text_.size() && !line_ends(); ++at_)
            for (const std::string_view end : {"\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"})
                if (text_.substr(at_).starts_with(end))
                    return at_;
        return std::nullopt;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

Place place_at(std::string_view text, std::size_t at, std::uint16_t file) {
    Place place{file, 1, 1};
    for (const char c : text.substr(0, at)) {
        if (c == '\n') {
            ++place.line;
            place.column = 1;
        } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) { // columns are letters, not octets
            ++place.column;
        }
    }
    return place;
}

} // namespace

Node::~Node() { explicit_bzero(text.data(), text.size()); }

std::string_view name_of(NodeKind kind) {
    switch (kind) {
    case NodeKind::boolean: return "true or false";
    case NodeKind::integer: return "an integer";
    case NodeKind::real: return "a number with a fraction";
    case NodeKind::text: return "a string";
    case NodeKind::date: return "a date or time";
    case NodeKind::array: return "a list";
    case NodeKind::table: return "a table";
    }
    return "something else";
}

std::expected<Node, SyntaxError> parse_toml(std::string_view text, std::uint16_t file) {
    if (const auto letter = Outside(text).first_letter())
        return std::unexpected(SyntaxError{place_at(text, *letter, file), "only ASCII letters may stand outside quotes and comments"});
    toml::parse_result result = toml::parse(text);
    if (!result)
        return std::unexpected(SyntaxError{place_of(result.error().source(), file), without_long_words(result.error().description())});
    return convert(result.table(), file, 0);
}

} // namespace sallyport::config
