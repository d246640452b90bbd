// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/marks_file.hpp"

#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <set>
#include <span>
#include <utility>

namespace sallyport::state {

namespace {

constexpr std::string_view head = "sallyport-marks 1";
constexpr std::string_view checksum_word = "sha256 ";
constexpr std::size_t longest_name = 255;

std::string hexadecimal(std::span<const std::uint8_t> octets) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t octet : octets) {
        text += digits[octet >> 4];
        text += digits[octet & 15];
    }
    return text;
}

/// Without a key. Looking for an algorithm by its name, as HMAC() does each time, takes longer than the sum itself.
const EVP_MAC_CTX* hmac_sha256() {
    static const EVP_MAC_CTX* const made = [] {
        EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
        EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
        char digest[] = "SHA256";
        const std::array parameters{OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
        EVP_MAC_CTX_set_params(context, parameters.data());
        EVP_MAC_free(mac);
        return context;
    }();
    return made;
}

/// Lower case only: one content has one form.
bool from_hexadecimal(std::string_view text, std::span<std::uint8_t> octets) {
    const auto value = [](char digit) {
        return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
    };
    if (text.size() != octets.size() * 2) return false;
    for (std::size_t i = 0; i < octets.size(); ++i) {
        const int high = value(text[2 * i]);
        const int low = value(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        octets[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return true;
}

bool good_name(std::string_view name) {
    return !name.empty() && name.size() <= longest_name &&
           std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// Takes words and lines off the front of a text.
class Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    [[nodiscard]] std::optional<std::string_view> line() {
        const std::size_t end = text_.find('\n');
        if (end == std::string_view::npos) return std::nullopt;
        const std::string_view result = text_.substr(0, end);
        text_.remove_prefix(end + 1);
        ++number_;
        return result;
    }

    [[nodiscard]] bool finished() const { return text_.empty(); }
    [[nodiscard]] Error error(std::string sentence) const {
        return {ErrorCode::invalid, std::move(sentence), "line " + std::to_string(number_), {}};
    }

private:
    std::string_view text_;
    std::size_t number_ = 0;
};

std::string_view word(std::string_view& line) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view result = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return result;
}

bool parse_record(std::string_view line, MarkRecord& record) {
    const std::string_view direction = word(line);
    if (direction != "outbound" && direction != "inbound") return false;
    record.direction = direction == "outbound" ? Direction::outbound : Direction::inbound;
    const std::string_view mark = word(line);
    const auto [stop, failure] = std::from_chars(mark.data(), mark.data() + mark.size(), record.mark);
    if (failure != std::errc{} || stop != mark.data() + mark.size() || std::to_string(record.mark) != mark) return false;
    if (!from_hexadecimal(word(line), record.key) || !good_name(line)) return false;
    record.name = line;
    return true;
}

} // namespace

std::string sha256(std::string_view text) {
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
    EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
    return hexadecimal(digest);
}

Fingerprint fingerprint_of(const SaSpec& sa) {
    std::string message = "sallyport marks 1 ";
    message += sa.direction == Direction::outbound ? "outbound " : "inbound ";
    const bool nonces = sa.direction == Direction::outbound && info(sa.algorithm).unique_nonce();
    message += nonces ? first_of_nonces(sa.algorithm).name : info(sa.algorithm).name;
    if (!nonces) message += " " + std::to_string(sa.spi);
    Fingerprint fingerprint{};
    EVP_MAC_CTX* mac = EVP_MAC_CTX_dup(hmac_sha256()); // it goes with the key
    const bool good = mac != nullptr && EVP_MAC_init(mac, sa.key.octets.data(), sa.key.size, nullptr) == 1 &&
                      EVP_MAC_update(mac, reinterpret_cast<const unsigned char*>(message.data()), message.size()) == 1 &&
                      EVP_MAC_final(mac, fingerprint.data(), nullptr, fingerprint.size()) == 1;
    EVP_MAC_CTX_free(mac);
    if (!good) std::abort(); // no memory: nothing may be told apart by what was not made
    return fingerprint;
}

std::string format_marks(const MarksFile& marks) {
    std::string text{head};
    text += marks.clean ? "\nstate clean\n" : "\nstate running\n";
    text += "units " + hexadecimal(marks.units) + "\n";
    for (const MarkRecord& record : marks.records) {
        text += record.direction == Direction::outbound ? "outbound " : "inbound ";
        text += std::to_string(record.mark) + " " + hexadecimal(record.key) + " " + record.name + "\n";
    }
    const std::string sum = sha256(text);
    text += checksum_word;
    text += sum + "\n";
    return text;
}

Result<MarksFile> parse_marks(std::string_view text) {
    Reader reader(text);
    if (reader.line() != head) return std::unexpected(reader.error("this is not a file of marks that this release knows"));
    MarksFile marks;
    const auto state = reader.line();
    if (state != "state clean" && state != "state running") return std::unexpected(reader.error("the state is neither clean nor running"));
    marks.clean = state == "state clean";
    auto line = reader.line();
    if (!line || word(*line) != "units" || !from_hexadecimal(*line, marks.units))
        return std::unexpected(reader.error("the memory of counters is not named"));
    std::set<std::pair<Direction, Fingerprint>> keys;
    while ((line = reader.line()) && !line->starts_with(checksum_word)) {
        MarkRecord record;
        if (!parse_record(*line, record)) return std::unexpected(reader.error("the record is malformed"));
        if (!keys.emplace(record.direction, record.key).second) return std::unexpected(reader.error("two records have one key"));
        marks.records.push_back(std::move(record));
    }
    if (!line || !reader.finished()) return std::unexpected(reader.error("the file is cut short or goes on behind its checksum"));
    const std::string_view covered = text.substr(0, text.size() - line->size() - 1);
    if (line->substr(checksum_word.size()) != sha256(covered))
        return std::unexpected(reader.error("the checksum does not fit: the file is damaged"));
    return marks;
}

} // namespace sallyport::state
