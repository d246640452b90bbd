// SPDX-License-Identifier: Apache-2.0
// Sections and keys of a document: which are known, which are given twice, what the defaults are.
#include "mgmt/config/item.hpp"

#include <algorithm>
#include <format>

namespace sallyport::config {
namespace {

/// The defaults of the table, read by the same code as a file.
const std::vector<std::optional<Value>>& defaults() {
    static const std::vector<std::optional<Value>> all = [] {
        std::vector<std::optional<Value>> result(keys().size());
        for (const KeyInfo& key : keys()) {
            if (key.fallback.empty()) continue;
            Problems problems({"defaults"});
            const auto root = parse_toml(std::format("x = {}", key.fallback), 0);
            if (root) result[static_cast<std::size_t>(key.key)] = interpret(root->entries.at(0).value, key, "x", problems);
        }
        for (std::optional<Value>& value : result)
            if (value) value->given = false;
        return result;
    }();
    return all;
}

std::vector<std::string_view> key_names(Section section) {
    std::vector<std::string_view> names;
    for (const KeyInfo& key : keys())
        if (key.section == section) names.push_back(key.name);
    return names;
}

const KeyInfo* find_key(Section section, std::string_view name) {
    for (const KeyInfo& key : keys())
        if (key.section == section && key.name == name) return &key;
    return nullptr;
}

std::string heading(const SectionInfo& section) {
    return section.named ? std::format("[{}.NAME]", section.name) : std::format("[{}]", section.name);
}

class ItemReader {
public:
    ItemReader(std::vector<Item>& items, Problems& problems) : items_(items), problems_(problems) {
        for (std::size_t i = 0; i < items.size(); ++i) known_.emplace(std::pair(items[i].section, items[i].name), i);
    }

    void root(const Node& root) {
        for (const Entry& entry : root.entries) section(entry);
    }

private:
    void section(const Entry& entry) {
        for (const SectionInfo& one : sections()) {
            if (one.name != entry.key) continue;
            if (one.named)
                named(one, entry);
            else if (entry.value.kind != NodeKind::table)
                problems_.add(entry.place, entry.key,
                              std::format("expected a section {}, found {}", heading(one), name_of(entry.value.kind)));
            else
                entries(item(one.section, {}, entry.place), entry.value);
            return;
        }
        unknown_section(entry);
    }

    void unknown_section(const Entry& entry) {
        std::vector<std::string_view> names;
        std::string all;
        std::string elsewhere;
        for (const SectionInfo& one : sections()) {
            names.push_back(one.name);
            all += (all.empty() ? "" : ", ") + heading(one);
            if (find_key(one.section, entry.key) != nullptr) elsewhere = heading(one);
        }
        const std::string_view near = nearest(entry.key, names);
        std::string remedy = std::format("the sections are {}", all);
        if (!elsewhere.empty() && entry.value.kind != NodeKind::table)
            remedy = std::format("this key stands in {}", elsewhere);
        else if (!near.empty())
            remedy = std::format("did you mean [{}]?", near);
        const bool table = entry.value.kind == NodeKind::table || entry.value.kind == NodeKind::array;
        problems_.add(entry.place, shown(entry.key), table ? "no section has this name" : "a key outside every section", std::move(remedy));
    }

    void named(const SectionInfo& info, const Entry& entry) {
        if (entry.value.kind != NodeKind::table) {
            problems_.add(entry.place, entry.key, std::format("expected sections {}, found {}", heading(info), name_of(entry.value.kind)),
                          std::format("write {} with a name of your choice", heading(info)));
            return;
        }
        for (const Entry& one : entry.value.entries) {
            const std::string path = std::format("{}.{}", info.name, shown(one.key));
            if (one.value.kind != NodeKind::table) {
                const bool key = find_key(info.section, one.key) != nullptr;
                problems_.add(one.place, path,
                              key ? std::format("[{}] has no name", info.name) : std::format("expected a section {}", heading(info)),
                              std::format("write {} with a name of your choice", heading(info)));
            } else if (!good_name(one.key)) {
                problems_.add(one.place, path,
                              "a name begins with a letter or digit and has at most 63 letters, digits, dots, hyphens and underscores");
            } else if (const auto known = known_.find({info.section, one.key}); known != known_.end()) {
                problems_.add(one.place, path, std::format("this section is already in {}", problems_.text(items_[known->second].place)),
                              "give it another name or remove one");
            } else {
                entries(item(info.section, one.key, one.place), one.value);
            }
        }
    }

    Item& item(Section section, const std::string& name, Place place) {
        const auto [known, fresh] = known_.emplace(std::pair(section, name), items_.size());
        if (fresh) {
            items_.emplace_back();
            items_.back().section = section;
            items_.back().name = name;
            items_.back().place = place;
        }
        return items_[known->second];
    }

    void entries(Item& item, const Node& table) {
        for (const Entry& entry : table.entries) {
            const std::string path = std::format("{}.{}", item.path(), shown(entry.key));
            const KeyInfo* key = find_key(item.section, entry.key);
            if (key == nullptr) {
                unknown_key(item.section, entry, path);
            } else if (item.given(key->key)) {
                problems_.add(entry.place, path, std::format("this key is already in {}", problems_.text(item.place_of(key->key))),
                              "remove one");
            } else if (std::optional<Value> value = interpret(entry.value, *key, path, problems_)) {
                item.values.emplace_back(key->key, std::move(*value));
            } else {
                item.broken.push_back(key->key);
            }
        }
    }

    void unknown_key(Section section, const Entry& entry, const std::string& path) {
        const std::string_view near = nearest(entry.key, key_names(section));
        std::string remedy;
        for (const SectionInfo& one : sections())
            if (find_key(one.section, entry.key) != nullptr) remedy = std::format("this key stands in {}", heading(one));
        if (remedy.empty() && !near.empty()) remedy = std::format("did you mean {}?", near);
        if (remedy.empty()) {
            for (const std::string_view name : key_names(section))
                remedy += std::format("{}{}", remedy.empty() ? "its keys are " : ", ", name);
        }
        problems_.add(entry.place, path, std::format("{} has no such key", heading(info(section))), std::move(remedy));
    }

    std::vector<Item>& items_;
    Problems& problems_;
    std::map<std::pair<Section, std::string>, std::size_t> known_;
};

} // namespace

std::string Item::path() const {
    const SectionInfo& section_info = info(section);
    return section_info.named ? std::format("{}.{}", section_info.name, name) : std::string(section_info.name);
}

std::string Item::path(Key key) const { return std::format("{}.{}", path(), info(key).name); }

const Value* Item::find(Key key) const {
    for (const auto& [which, value] : values)
        if (which == key) return &value;
    if (std::ranges::find(broken, key) != broken.end()) return nullptr;
    const std::optional<Value>& fallback = defaults()[static_cast<std::size_t>(key)];
    return fallback ? &*fallback : nullptr;
}

bool Item::given(Key key) const {
    return std::ranges::any_of(values, [&](const auto& one) { return one.first == key; }) || std::ranges::find(broken, key) != broken.end();
}

Place Item::place_of(Key key) const {
    for (const auto& [which, value] : values)
        if (which == key) return value.place;
    return place;
}

std::int64_t Item::number(Key key, std::int64_t otherwise) const {
    const auto* value = get<std::int64_t>(key);
    return value == nullptr ? otherwise : *value;
}

bool Item::flag(Key key) const {
    const auto* value = get<bool>(key);
    return value != nullptr && *value;
}

std::string_view Item::text(Key key) const {
    const auto* value = get<std::string>(key);
    return value == nullptr ? std::string_view{} : *value;
}

void read_items(const Node& root, std::vector<Item>& items, Problems& problems) { ItemReader(items, problems).root(root); }

} // namespace sallyport::config
