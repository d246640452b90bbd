// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/committed.hpp"

#include "gateway/state/marks_file.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace sallyport::state {

namespace {

constexpr std::string_view head = "sallyport-committed 1";
constexpr std::string_view checksum_word = "sha256 ";
constexpr std::size_t longest_path = 4096;

bool good_path(std::string_view path) {
    return !path.empty() && path.size() <= longest_path &&
           std::ranges::none_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string_view word_of(Committed::Kind kind) { return kind == Committed::Kind::text ? "text " : "key "; }

/// Takes lines and octets off the front.
class Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    [[nodiscard]] std::optional<std::string_view> line() {
        const std::size_t end = text_.find('\n');
        if (end == std::string_view::npos) return std::nullopt;
        const std::string_view result = text_.substr(0, end);
        text_.remove_prefix(end + 1);
        return result;
    }
    /// So many octets and a newline.
    [[nodiscard]] std::optional<std::string_view> octets(std::size_t count) {
        if (count >= text_.size() || text_[count] != '\n') return std::nullopt;
        const std::string_view result = text_.substr(0, count);
        text_.remove_prefix(count + 1);
        return result;
    }
    [[nodiscard]] bool finished() const { return text_.empty(); }

private:
    std::string_view text_;
};

std::optional<Committed::Part> parse_part(std::string_view line, Reader& reader) {
    Committed::Part part;
    part.kind = line.starts_with(word_of(Committed::Kind::text)) ? Committed::Kind::text : Committed::Kind::key;
    if (!line.starts_with(word_of(part.kind))) return std::nullopt;
    line.remove_prefix(word_of(part.kind).size());
    const std::string_view digits = line.substr(0, line.find(' '));
    std::size_t count = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    if (failure != std::errc{} || end != digits.data() + digits.size() || std::to_string(count) != digits) return std::nullopt;
    if (line.size() == digits.size() || !good_path(line.substr(digits.size() + 1))) return std::nullopt;
    part.name = line.substr(digits.size() + 1);
    const auto octets = reader.octets(count);
    if (!octets) return std::nullopt;
    part.octets = *octets;
    return part;
}

std::unexpected<Error> damaged(std::string place) {
    return std::unexpected(Error{ErrorCode::invalid, "the kept configuration is damaged", std::move(place), {}});
}

/// The text without its last line, which is the checksum of it.
std::optional<std::string_view> checked(std::string_view text) {
    const std::size_t size = checksum_word.size() + 64 + 1;
    if (text.size() < size) return std::nullopt;
    const std::string_view body = text.substr(0, text.size() - size);
    if (text.substr(body.size()) != std::string(checksum_word) + sha256(body) + "\n") return std::nullopt;
    return body;
}

} // namespace

std::string format_committed(const Committed& committed) {
    std::string text{head};
    text += committed.closed ? "\nstate closed\nfor " : "\nstate open\nfor ";
    text += committed.started_with + "\n";
    for (const Committed::Part& part : committed.parts) {
        text += word_of(part.kind);
        text += std::to_string(part.octets.size()) + " " + part.name + "\n" + part.octets + "\n";
    }
    const std::string sum = sha256(text);
    text += checksum_word;
    text += sum + "\n";
    return text;
}

Result<Committed> parse_committed(std::string_view text) {
    const auto body = checked(text);
    if (!body) return damaged("checksum");
    Reader reader(*body);
    if (reader.line() != head)
        return std::unexpected(Error{ErrorCode::unsupported, "the kept configuration is of another layout", "line 1", {}});
    Committed committed;
    const auto state = reader.line();
    if (state != "state open" && state != "state closed") return damaged("line 2");
    committed.closed = state == "state closed";
    const auto path = reader.line();
    if (!path || !path->starts_with("for ") || !good_path(path->substr(4))) return damaged("line 3");
    committed.started_with = path->substr(4);
    while (!reader.finished()) {
        const auto line = reader.line();
        auto part = line ? parse_part(*line, reader) : std::nullopt;
        if (!part) return damaged("part " + std::to_string(committed.parts.size() + 1));
        committed.parts.push_back(std::move(*part));
    }
    if (committed.parts.empty() || committed.parts[0].kind != Committed::Kind::text) return damaged("part 1");
    return committed;
}

} // namespace sallyport::state
