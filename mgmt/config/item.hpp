// SPDX-License-Identifier: Apache-2.0
// The sections of all files with their values read by the table of keys, before they are put together.
#pragma once

#include "gateway/sa/name.hpp"
#include "gateway/sa/sa.hpp"
#include "mgmt/config/keys.hpp"
#include "mgmt/config/node.hpp"

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sallyport::config {

struct Vlan {
    std::uint16_t id = 0;
    std::string vpn;
    Place place; // of the VPN's name
    std::vector<InterfaceAddress> addresses{};
};

/// Key material as it was given: its length is compared with the algorithm's later.
using Data = std::variant<std::monostate, bool, std::int64_t, std::string, std::vector<std::int64_t>, Address, std::vector<Address>,
                          std::vector<AddressRange>, PortRange, KeyMaterial, std::vector<Vlan>>;

struct Value {
    Place place;               // of the value; of the section where it is a default
    bool given = false;        // it stands in a file
    Data data;                 // dscp: -1 is "copy"; clamp: as SaSpec::clamp_mss
    std::vector<Place> places; // of the elements of a list
};

/// One [section] or [section.NAME].
struct Item {
    Section section = Section::gateway;
    std::string name;
    Place place;
    std::vector<std::pair<Key, Value>> values; // only what was given and is well-formed
    std::vector<Key> broken;                   // given and not well-formed: no other problem is said about them

    [[nodiscard]] std::string path() const; // "connection.branch"
    [[nodiscard]] std::string path(Key key) const;
    [[nodiscard]] const Value* find(Key key) const; // what was given, or the default; else nullptr
    [[nodiscard]] bool given(Key key) const;        // it stands in a file, well-formed or not
    [[nodiscard]] Place place_of(Key key) const;    // of its value, else of the section

    template <class T>
    [[nodiscard]] const T* get(Key key) const {
        const Value* value = find(key);
        return value == nullptr ? nullptr : std::get_if<T>(&value->data);
    }

    [[nodiscard]] std::int64_t number(Key key, std::int64_t otherwise = 0) const;
    [[nodiscard]] bool flag(Key key) const;
    [[nodiscard]] std::string_view text(Key key) const; // empty where there is none
};

/// The value of a key where it is well-formed and in range; else its problem was added. The node's text is wiped with the node.
[[nodiscard]] std::optional<Value> interpret(const Node& node, const KeyInfo& key, const std::string& path, Problems& problems);

/// Key material of hexadecimal digits; a sentence without them where it cannot be read.
[[nodiscard]] std::expected<KeyMaterial, std::string> read_key(std::string_view digits);

/// "udp", "17": the number of a protocol as the configuration names it.
[[nodiscard]] std::optional<std::uint8_t> protocol_of(std::string_view name);

/// The name that is nearest to `word`, or empty where none is near.
[[nodiscard]] std::string_view nearest(std::string_view word, const std::vector<std::string_view>& names);

/// The sections of one document, added to `items`, which holds those of the documents before.
void read_items(const Node& root, std::vector<Item>& items, Problems& problems);

} // namespace sallyport::config
