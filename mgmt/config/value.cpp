// SPDX-License-Identifier: Apache-2.0
// One value of the configuration, read by its row of the table of keys.
#include "mgmt/config/item.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <format>
#include <limits>
#include <map>

namespace sallyport::config {
namespace {

struct Protocol {
    std::string_view name;
    std::uint8_t number;
};

constexpr std::array protocols{Protocol{"any", 0},
                               Protocol{"icmp", 1},
                               Protocol{"tcp", 6},
                               Protocol{"udp", 17},
                               Protocol{"gre", 47},
                               Protocol{"icmpv6", 58},
                               Protocol{"sctp", 132},
                               Protocol{"udplite", 136},
                               Protocol{"dccp", 33},
                               Protocol{"mobility", 135},
                               Protocol{"opaque", opaque_protocol}};

std::string found(const Node& node) {
    switch (node.kind) {
    case NodeKind::text: return std::format("found \"{}\"", shown(node.text));
    case NodeKind::integer: return std::format("found {}", node.integer);
    case NodeKind::boolean: return node.boolean ? "found true" : "found false";
    default: return std::format("found {}", name_of(node.kind));
    }
}

/// Reads one value; every function gives nothing after it has said what is wrong.
class Reader {
public:
    Reader(const KeyInfo& key, const std::string& path, Problems& problems) : key_(key), path_(path), problems_(problems) {}

    std::optional<Value> read(const Node& node) {
        Value value{node.place, true, {}, {}};
        if (!fill(node, value)) return std::nullopt;
        return value;
    }

private:
    bool wrong(const Node& node, std::string remedy = {}) {
        problems_.add(node.place, path_, std::format("expected {}, {}", expected_text(key_), found(node)), std::move(remedy));
        return false;
    }

    template <class T>
    bool put(Value& value, std::optional<T> read) {
        if (!read) return false;
        value.data = std::move(*read);
        return true;
    }

    bool fill(const Node& node, Value& value) {
        switch (key_.type) {
        case Type::boolean: return put(value, boolean(node));
        case Type::integer: return put(value, integer(node));
        case Type::integers: return list<std::int64_t>(node, value, [this](const Node& one) { return integer(one); });
        case Type::word: return put(value, word(node));
        case Type::name: return put(value, name(node));
        case Type::interface: return put(value, interface(node));
        case Type::path: return put(value, path(node, true));
        case Type::key_path: return put(value, path(node, false));
        case Type::address: return put(value, address(node));
        case Type::addresses: return list<Address>(node, value, [this](const Node& one) { return address(one); });
        case Type::networks: return list<AddressRange>(node, value, [this](const Node& one) { return network(one); });
        case Type::protocol: return put(value, protocol(node));
        case Type::ports: return put(value, ports(node));
        case Type::dscp: return put(value, dscp(node));
        case Type::clamp: return put(value, clamp(node));
        case Type::key: return put(value, key(node));
        case Type::vlans: return vlans(node, value);
        }
        return false;
    }

    template <class T, class Read>
    bool list(const Node& node, Value& value, Read read_one) {
        std::vector<T> result;
        bool good = true;
        const auto take = [&](const Node& one) {
            std::optional<T> read = read_one(one);
            good = good && read.has_value();
            if (!read || !good) return;
            if (std::ranges::find(result, *read) != result.end()) {
                problems_.add(one.place, path_, std::format("{} stands in the list twice", found(one).substr(6)), "remove one");
                good = false;
                return;
            }
            result.push_back(*read);
            value.places.push_back(one.place);
        };
        if (node.kind != NodeKind::array) {
            take(node);
        } else if (node.items.empty()) {
            problems_.add(node.place, path_, std::format("expected {}, found an empty list", expected_text(key_)), "leave the key out");
            good = false;
        } else if (node.items.size() > longest_list) {
            problems_.add(node.place, path_, std::format("a list has at most {} elements, found {}", longest_list, node.items.size()));
            good = false;
        } else {
            for (const Node& one : node.items) take(one);
        }
        value.data = std::move(result);
        return good;
    }

    std::optional<bool> boolean(const Node& node) {
        if (node.kind != NodeKind::boolean) return wrong(node), std::nullopt;
        return node.boolean;
    }

    std::optional<std::int64_t> integer(const Node& node) {
        if (node.kind != NodeKind::integer || node.integer < key_.least || node.integer > key_.greatest) return wrong(node), std::nullopt;
        return node.integer;
    }

    std::optional<std::string> word(const Node& node) {
        std::vector<std::string_view> words;
        for (std::size_t at = 0; at < key_.words.size();) {
            const std::size_t end = std::min(key_.words.find(' ', at), key_.words.size());
            words.push_back(key_.words.substr(at, end - at));
            at = end + 1;
        }
        if (node.kind == NodeKind::text && std::ranges::find(words, std::string_view(node.text)) != words.end()) return node.text;
        const std::string_view near = node.kind == NodeKind::text ? nearest(node.text, words) : std::string_view{};
        wrong(node, near.empty() ? std::string{} : std::format("did you mean \"{}\"?", near));
        return std::nullopt;
    }

    std::optional<std::string> name(const Node& node) {
        if (node.kind != NodeKind::text || !good_name(node.text)) return wrong(node), std::nullopt;
        return node.text;
    }

    std::optional<std::string> interface(const Node& node) {
        const auto bad = [](char c) { return c <= ' ' || c == '/' || c == ':' || c == 0x7f || static_cast<unsigned char>(c) > 0x7f; };
        if (node.kind != NodeKind::text || node.text.empty() || node.text.size() > 15 || std::ranges::any_of(node.text, bad) ||
            node.text == "." || node.text == "..")
            return wrong(node), std::nullopt;
        return node.text;
    }

    std::optional<std::string> path(const Node& node, bool absolute) {
        const auto bad = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; };
        if (node.kind != NodeKind::text || node.text.empty() || node.text.size() > 1024 || std::ranges::any_of(node.text, bad) ||
            (absolute && node.text[0] != '/'))
            return wrong(node), std::nullopt;
        return node.text;
    }

    std::optional<Address> address(const Node& node) {
        std::optional<Address> result = node.kind == NodeKind::text ? parse_address(node.text) : std::nullopt;
        if (!result) wrong(node);
        return result;
    }

    std::optional<AddressRange> network(const Node& node) {
        if (node.kind != NodeKind::text) return wrong(node), std::nullopt;
        std::optional<AddressRange> result = parse_range(node.text);
        if (result) return result;
        // The likeliest slip: "192.0.2.1/24", an address of the network instead of the network.
        const std::size_t slash = node.text.find('/');
        if (slash != std::string::npos && parse_address(std::string_view(node.text).substr(0, slash)))
            wrong(node, "the address before the / must be the first of the network, all bits behind the length zero");
        else
            wrong(node);
        return std::nullopt;
    }

    std::optional<std::int64_t> protocol(const Node& node) {
        if (node.kind == NodeKind::integer && node.integer >= 1 && node.integer <= key_.greatest) return node.integer;
        if (node.kind == NodeKind::text)
            for (const Protocol& one : protocols)
                if (one.name == node.text) return one.number;
        return wrong(node), std::nullopt;
    }

    std::optional<PortRange> ports(const Node& node) {
        if (node.kind == NodeKind::integer && node.integer >= key_.least && node.integer <= key_.greatest) {
            const auto port = static_cast<std::uint16_t>(node.integer);
            return PortRange{port, port};
        }
        if (node.kind != NodeKind::text) return wrong(node), std::nullopt;
        if (!key_.words.empty() && node.text == key_.words) return opaque_ports;
        PortRange range;
        const char* const begin = node.text.data();
        const char* const end = begin + node.text.size();
        const auto first = std::from_chars(begin, end, range.first);
        auto last = first;
        range.last = range.first;
        if (first.ec == std::errc{} && first.ptr != end && *first.ptr == '-') last = std::from_chars(first.ptr + 1, end, range.last);
        if (first.ec != std::errc{} || last.ec != std::errc{} || last.ptr != end || range.first > range.last || range.last > key_.greatest)
            return wrong(node), std::nullopt;
        return range;
    }

    std::optional<std::int64_t> dscp(const Node& node) {
        if (node.kind == NodeKind::text && node.text == "copy") return -1;
        return integer(node);
    }

    std::optional<std::int64_t> clamp(const Node& node) {
        if (node.kind == NodeKind::boolean) return node.boolean ? clamp_mss_by_path : clamp_mss_off;
        return integer(node);
    }

    std::optional<KeyMaterial> key(const Node& node) {
        if (node.kind != NodeKind::text) {
            problems_.add(node.place, path_, std::format("expected {}, found {}", expected_text(key_), name_of(node.kind)));
            return std::nullopt;
        }
        auto result = read_key(node.text);
        if (!result) {
            problems_.add(node.place, path_, result.error());
            return std::nullopt;
        }
        return *result;
    }

    bool vlans(const Node& node, Value& value) {
        if (node.kind != NodeKind::table || node.entries.empty()) return wrong(node);
        std::vector<Vlan> result;
        bool good = true;
        for (const Entry& entry : node.entries) {
            std::uint16_t id = 0;
            const char* const end = entry.key.data() + entry.key.size();
            const auto [rest, error] = std::from_chars(entry.key.data(), end, id);
            if (error != std::errc{} || rest != end || id < key_.least || id > key_.greatest || entry.key[0] == '0') {
                problems_.add(entry.place, path_,
                              std::format("expected a VLAN id from {} to {}, found \"{}\"", key_.least, key_.greatest, shown(entry.key)));
                good = false;
            } else if (auto one = vlan(id, entry.value)) {
                result.push_back(std::move(*one));
            } else {
                good = false;
            }
        }
        value.data = std::move(result);
        return good;
    }

    /// "office", or { vpn = "office", addresses = ["192.0.2.1/24"] }.
    std::optional<Vlan> vlan(std::uint16_t id, const Node& node) {
        const bool table = node.kind == NodeKind::table;
        const Node* name = table ? nullptr : &node;
        const Node* list = nullptr;
        if (table)
            for (const Entry& entry : node.entries) {
                if (entry.key == "vpn" || entry.key == "addresses") {
                    (entry.key == "vpn" ? name : list) = &entry.value;
                    continue;
                }
                problems_.add(entry.place, path_, std::format("expected vpn or addresses for VLAN {}, found \"{}\"", id, shown(entry.key)));
                return std::nullopt;
            }
        if (name == nullptr || name->kind != NodeKind::text || !good_name(name->text)) {
            problems_.add(
                name == nullptr ? node.place : name->place, path_,
                std::format("expected the name of a VPN in quotes for VLAN {}, {}", id, name == nullptr ? "found none" : found(*name)));
            return std::nullopt;
        }
        Vlan result{id, name->text, name->place};
        if (list != nullptr && !interface_addresses(id, *list, result.addresses)) return std::nullopt;
        return result;
    }

    bool interface_addresses(std::uint16_t id, const Node& node, std::vector<InterfaceAddress>& result) {
        const auto refuse = [&](const Node& wrong) {
            problems_.add(wrong.place, path_,
                          std::format("expected a list of addresses with prefix lengths for VLAN {}, such as [\"192.0.2.1/24\"], {}", id,
                                      found(wrong)));
            return false;
        };
        if (node.kind != NodeKind::array || node.items.empty() || node.items.size() > most_addresses) return refuse(node);
        for (const Node& item : node.items) {
            const auto address = item.kind == NodeKind::text ? parse_interface_address(item.text) : std::nullopt;
            if (!address || address->length == 0) return refuse(item);
            result.push_back(*address);
        }
        return true;
    }

    static constexpr std::size_t longest_list = 1024;
    static constexpr std::size_t most_addresses = 16; // of one VLAN
    const KeyInfo& key_;
    const std::string& path_;
    Problems& problems_;
};

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

} // namespace

std::optional<Value> interpret(const Node& node, const KeyInfo& key, const std::string& path, Problems& problems) {
    return Reader(key, path, problems).read(node);
}

std::expected<KeyMaterial, std::string> read_key(std::string_view digits) {
    if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
    KeyMaterial result;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const int value = digit(digits[i]);
        if (value < 0)
            return std::unexpected(
                std::format("a key is written in hexadecimal digits only; character {} is none (it is not shown)", i + 1));
        if (i / 2 < result.octets.size()) result.octets[i / 2] = static_cast<std::uint8_t>(result.octets[i / 2] << 4 | value);
    }
    if (digits.empty()) return std::unexpected("the key is empty");
    if (digits.size() % 2 != 0)
        return std::unexpected(std::format("a key has two hexadecimal digits an octet; {} digits are an odd number", digits.size()));
    if (digits.size() / 2 > result.octets.size())
        return std::unexpected(
            std::format("the key has {} octets; no algorithm takes more than {}", digits.size() / 2, result.octets.size()));
    result.size = static_cast<std::uint8_t>(digits.size() / 2);
    return result;
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& names) {
    if (word.size() > 40) return {};
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
    for (const std::string_view name : names) {
        // Levenshtein's distance, one row at a time.
        std::vector<std::size_t> row(name.size() + 1);
        for (std::size_t j = 0; j <= name.size(); ++j) row[j] = j;
        for (std::size_t i = 1; i <= word.size(); ++i) {
            std::size_t diagonal = row[0];
            row[0] = i;
            for (std::size_t j = 1; j <= name.size(); ++j) {
                const std::size_t changed = diagonal + (word[i - 1] == name[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
            }
        }
        if (row[name.size()] < best_distance) {
            best_distance = row[name.size()];
            best = name;
        }
    }
    return best;
}

std::optional<std::uint8_t> protocol_of(std::string_view name) {
    const auto known = std::ranges::find(protocols, name, &Protocol::name);
    if (known != protocols.end()) return known->number;
    std::uint8_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    return error == std::errc{} && end == name.data() + name.size() && !name.empty() ? std::optional(number) : std::nullopt;
}

} // namespace sallyport::config
