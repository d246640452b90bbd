// SPDX-License-Identifier: Apache-2.0
#include "mgmt/config/config.hpp"

#include "mgmt/config/build.hpp"
#include "mgmt/config/item.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <format>
#include <iterator>
#include <sys/stat.h>
#include <unistd.h>

namespace sallyport::config {
namespace {

/// A file's octets, wiped when they go: they may hold keys.
struct Content {
    std::string octets;
    bool open_to_others = false; // someone besides owner and group may read or write it
    Content() = default;
    Content(Content&&) noexcept = default;
    Content& operator=(Content&&) noexcept = default;
    Content(const Content&) = delete;
    Content& operator=(const Content&) = delete;

    ~Content() { explicit_bzero(octets.data(), octets.size()); }
};

class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}

    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    ~Descriptor() {
        if (number_ >= 0) close(number_);
    }

    [[nodiscard]] int number() const { return number_; }

private:
    int number_;
};

Error refused(std::string sentence, std::string remedy) { return {ErrorCode::refused, std::move(sentence), {}, std::move(remedy)}; }

/// Whoever can write the file chooses the keys; so it belongs to root or to us, and nobody else writes it.
Result<Content> read_file(const std::string& path, std::size_t largest) {
    // O_NONBLOCK: a FIFO without a writer must not stop us before it is seen to be none of our files.
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (file.number() < 0)
        return std::unexpected(
            Error{ErrorCode::missing, std::format("{} cannot be read: {}", shown(path, 200), std::strerror(errno)), {}, {}});
    struct stat status{};
    if (fstat(file.number(), &status) != 0 || !S_ISREG(status.st_mode))
        return std::unexpected(refused(std::format("{} is not a regular file", shown(path, 200)), {}));
    if (status.st_size < 0 || static_cast<std::size_t>(status.st_size) > largest)
        return std::unexpected(
            refused(std::format("{} has {} octets, at most {} are read", shown(path, 200), status.st_size, largest), {}));
    if (status.st_uid != 0 && status.st_uid != geteuid())
        return std::unexpected(
            refused(std::format("{} belongs to user {}, not to root or to user {}", shown(path, 200), status.st_uid, geteuid()),
                    std::format("chown root {}", shown(path, 200))));
    if ((status.st_mode & S_IWOTH) != 0)
        return std::unexpected(
            refused(std::format("{} can be written by every user", shown(path, 200)), std::format("chmod o-w {}", shown(path, 200))));
    Content content;
    content.open_to_others = (status.st_mode & S_IRWXO) != 0;
    content.octets.resize(static_cast<std::size_t>(status.st_size));
    std::size_t have = 0;
    while (have < content.octets.size()) {
        const ssize_t count = read(file.number(), content.octets.data() + have, content.octets.size() - have);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        have += static_cast<std::size_t>(count);
    }
    content.octets.resize(have);
    return content;
}

/// The place of the first key that a file holds.
std::optional<Place> first_key(const std::vector<Item>& items, std::uint16_t file) {
    std::optional<Place> first;
    for (const Item& item : items)
        for (const auto& [key, value] : item.values)
            if (info(key).type == Type::key && value.place.file == file && (!first || value.place.line < first->line)) first = value.place;
    return first;
}

std::vector<std::string> conf_d(const std::string& path) {
    const std::filesystem::path folder = std::filesystem::path(path).parent_path() / "conf.d";
    std::vector<std::string> result;
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        if (at->path().extension() == ".toml" && !at->path().filename().string().starts_with('.')) result.push_back(at->path().string());
    std::ranges::sort(result);
    return result;
}

Outcome parse_all(std::span<const Text> texts, const KeyFiles& key_files, std::span<const Content> contents) {
    std::vector<std::string> names;
    for (const Text& text : texts) names.push_back(text.name);
    Problems problems(names);
    std::vector<Item> items;
    bool readable = true;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const auto file = static_cast<std::uint16_t>(i);
        const auto root = parse_toml(texts[i].content, file);
        readable = readable && root.has_value();
        if (!root)
            problems.add(root.error().place, {}, root.error().sentence);
        else
            read_items(*root, items, problems);
        if (contents.empty() || !contents[i].open_to_others) continue;
        if (const auto place = first_key(items, file))
            problems.add(*place, {}, "the file holds keys and can be read by every user",
                         std::format("chmod o-rwx {}", shown(names[i], 200)));
    }
    // What a file that is no TOML would have held would be missed everywhere: say only where it is broken.
    if (!readable) return std::unexpected(problems.take_errors());
    Loaded loaded;
    loaded.desired = build(items, names, key_files, problems);
    if (!problems.none()) return std::unexpected(problems.take_errors());
    loaded.warnings = problems.take_warnings();
    loaded.files = names;
    loaded.desired.source = names.empty() ? std::string{} : names[0];
    return loaded;
}

/// The key of a file, which is kept beside what was read.
Result<KeyMaterial> kept_key(const std::string& path, std::vector<Source>& sources) {
    auto key = read_key_file(path);
    const auto same = [&](const Source& source) { return source.key && source.name == path; };
    if (!key || std::ranges::any_of(sources, same)) return key;
    std::string digits;
    for (const std::uint8_t octet : std::span(key->octets).first(key->size)) std::format_to(std::back_inserter(digits), "{:02x}", octet);
    sources.push_back({true, path, std::move(digits)});
    return key;
}

Result<KeyMaterial> key_of(const std::string& path, std::span<const Source> sources) {
    const auto found = std::ranges::find_if(sources, [&](const Source& source) { return source.key && source.name == path; });
    if (found == sources.end()) return std::unexpected(Error{ErrorCode::missing, std::format("{} was not kept", shown(path, 200)), {}, {}});
    auto key = read_key(found->octets);
    if (!key) return std::unexpected(Error{ErrorCode::invalid, std::format("{}: {}", shown(path, 200), key.error()), {}, {}});
    return *key;
}

} // namespace

Result<KeyMaterial> read_key_file(const std::string& path) {
    const auto content = read_file(path, 4096);
    if (!content) return std::unexpected(content.error());
    if (content->open_to_others)
        return std::unexpected(
            refused(std::format("{} can be read by every user", shown(path, 200)), std::format("chmod o-rwx {}", shown(path, 200))));
    std::string_view digits = content->octets;
    while (!digits.empty() && std::strchr(" \t\r\n", digits.back()) != nullptr) digits.remove_suffix(1);
    while (!digits.empty() && std::strchr(" \t\r\n", digits.front()) != nullptr) digits.remove_prefix(1);
    auto key = read_key(digits);
    if (!key) return std::unexpected(Error{ErrorCode::invalid, std::format("{}: {}", shown(path, 200), key.error()), {}, {}});
    return *key;
}

Outcome parse(std::span<const Text> texts, const KeyFiles& key_files) { return parse_all(texts, key_files, {}); }

Outcome load(const std::string& path) {
    std::vector<std::string> names{path};
    std::ranges::move(conf_d(path), std::back_inserter(names));
    if (names.size() > 10000) return std::unexpected(std::vector{Problem{path, 0, 0, {}, "conf.d holds more than 10000 files", {}}});
    std::vector<Content> contents;
    std::vector<Text> texts;
    std::vector<Problem> unread;
    for (const std::string& name : names) {
        auto content = read_file(name, largest_file);
        if (!content) {
            std::string sentence = content.error().sentence; // begins with the path, which stands before it anyway
            if (const std::string path_of = shown(name, 200) + " "; sentence.starts_with(path_of)) sentence.erase(0, path_of.size());
            unread.push_back({name, 0, 0, {}, std::move(sentence), content.error().remedy});
        } else
            contents.push_back(std::move(*content));
    }
    if (!unread.empty()) return std::unexpected(std::move(unread));
    for (std::size_t i = 0; i < names.size(); ++i) texts.push_back({names[i], contents[i].octets});
    std::vector<Source> sources;
    for (const Text& text : texts) sources.push_back({false, text.name, std::string(text.content)});
    Outcome outcome = parse_all(texts, [&](const std::string& name) { return kept_key(name, sources); }, contents);
    if (outcome) outcome->sources = std::move(sources);
    wipe_stack();
    return outcome;
}

bool says_nothing(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::exists(path, error)) return !error;
    std::vector<std::string> names{path};
    std::ranges::move(conf_d(path), std::back_inserter(names));
    return std::ranges::all_of(names, [](const std::string& name) {
        const auto content = read_file(name, largest_file);
        if (!content) return false;
        const auto root = parse_toml(content->octets, 0);
        return root && root->entries.empty();
    });
}

Outcome parse(std::span<const Source> sources) {
    std::vector<Text> texts;
    for (const Source& source : sources)
        if (!source.key) texts.push_back({source.name, source.octets});
    Outcome outcome = parse_all(texts, [&](const std::string& name) { return key_of(name, sources); }, {});
    if (outcome) outcome->sources.assign(sources.begin(), sources.end());
    wipe_stack();
    return outcome;
}

} // namespace sallyport::config
