// SPDX-License-Identifier: Apache-2.0
#include "bpf/fixture.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace sallyport::fixture {
namespace {

using Octets = std::vector<std::uint8_t>;

// One layer as written: its name, the bare words, and the words with a value.
struct Layer {
    std::string name;
    std::vector<std::string> words;
    std::map<std::string, std::string> values;

    [[nodiscard]] bool has(const std::string& key) const { return std::ranges::find(words, key) != words.end(); }

    [[nodiscard]] unsigned number(const std::string& key, unsigned otherwise) const {
        auto found = values.find(key);
        return found == values.end() ? otherwise : static_cast<unsigned>(std::stoul(found->second, nullptr, 0));
    }

    [[nodiscard]] const std::string& word(std::size_t index) const {
        if (index >= words.size()) throw std::runtime_error("layer " + name + " wants more words");
        return words[index];
    }

    [[nodiscard]] unsigned word_number(std::size_t index) const { return static_cast<unsigned>(std::stoul(word(index), nullptr, 0)); }
};

std::string trimmed(std::string_view text) {
    auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

std::vector<std::string> split(std::string_view text, char at) {
    std::vector<std::string> parts;
    while (true) {
        auto end = text.find(at);
        parts.push_back(trimmed(text.substr(0, end)));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

Layer read_layer(const std::string& text) {
    Layer layer;
    std::istringstream in(text);
    in >> layer.name;
    for (std::string word; in >> word;) {
        if (auto equals = word.find('='); equals != std::string::npos)
            layer.values[word.substr(0, equals)] = word.substr(equals + 1);
        else
            layer.words.push_back(word);
    }
    return layer;
}

void put(Octets& to, std::uint64_t value, unsigned octets) {
    for (unsigned i = octets; i-- > 0;) to.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void put_address(Octets& to, int family, const std::string& text) {
    std::uint8_t address[16] = {};
    if (inet_pton(family, text.c_str(), address) != 1) throw std::runtime_error("not an address: " + text);
    to.insert(to.end(), address, address + (family == AF_INET ? 4 : 16));
}

void put_mac(Octets& to, const std::string& text) {
    for (const auto& octet : split(text, ':')) to.push_back(static_cast<std::uint8_t>(std::stoul(octet, nullptr, 16)));
}

unsigned ethertype_of(const Layer* next) {
    static const std::map<std::string, unsigned> types{{"ip4", 0x0800}, {"ip6", 0x86dd}, {"arp", 0x0806}};
    if (!next) return 0x0800;
    if (next->name == "vlan") return next->number("tpid", 0x8100);
    auto found = types.find(next->name);
    return found == types.end() ? 0x88b5 : found->second; // experimental (IEEE 802)
}

unsigned protocol_of(const Layer* next) {
    static const std::map<std::string, unsigned> protocols{{"hopopts", 0}, {"icmp", 1},     {"ip4", 4},       {"udp", 17},
                                                           {"ip6", 41},    {"routing", 43}, {"fragment", 44}, {"esp", 50},
                                                           {"ah", 51},     {"icmp6", 58},   {"dstopts", 60}};
    auto found = next ? protocols.find(next->name) : protocols.end();
    return found == protocols.end() ? 253 : found->second; // experimental (RFC 3692)
}

Octets ipv4(const Layer& layer, const Layer* next, const Octets& payload) {
    unsigned options = layer.number("options", 0);
    unsigned header = 20 + options;
    unsigned offset = layer.number("offset", 0);
    if (offset % 8 != 0) throw std::runtime_error("a fragment's offset is a multiple of 8");
    Octets out;
    put(out, layer.number("version", 4) << 4 | layer.number("ihl", header / 4), 1);
    put(out, 0, 1);
    put(out, layer.number("len", header + static_cast<unsigned>(payload.size())), 2);
    put(out, 0x1234, 2);
    put(out, (layer.has("more") ? 0x2000U : 0U) | offset / 8, 2);
    put(out, layer.number("ttl", 64), 1);
    put(out, layer.number("proto", protocol_of(next)), 1);
    put(out, 0, 2); // the program does not look at the checksum
    put_address(out, AF_INET, layer.word(0));
    put_address(out, AF_INET, layer.word(1));
    out.insert(out.end(), options, 1); // no operation
    return out;
}

Octets ipv6(const Layer& layer, const Layer* next, const Octets& payload) {
    Octets out;
    put(out, std::uint64_t{layer.number("version", 6)} << 28, 4);
    put(out, layer.number("len", static_cast<unsigned>(payload.size())), 2);
    put(out, layer.number("next", protocol_of(next)), 1);
    put(out, layer.number("hop", 64), 1);
    put_address(out, AF_INET6, layer.word(0));
    put_address(out, AF_INET6, layer.word(1));
    return out;
}

// The layer's own octets, given what comes behind it.
Octets header_of(const Layer& layer, const Layer* next, const Octets& payload, std::string_view mac) {
    Octets out;
    const std::string& name = layer.name;
    if (name == "eth") {
        auto to = layer.values.find("to");
        put_mac(out, to == layer.values.end() ? std::string(mac) : to->second);
        put_mac(out, "02:00:00:00:00:01");
        put(out, layer.number("type", ethertype_of(next)), 2);
    } else if (name == "vlan") {
        put(out, layer.word_number(0), 2);
        put(out, ethertype_of(next), 2);
    } else if (name == "arp") {
        put(out, 0x0001080006040001, 8);
        out.insert(out.end(), 20, 0);
    } else if (name == "ip4") {
        return ipv4(layer, next, payload);
    } else if (name == "ip6") {
        return ipv6(layer, next, payload);
    } else if (name == "hopopts" || name == "dstopts" || name == "routing") {
        put(out, layer.number("next", protocol_of(next)), 1);
        put(out, layer.number("units", 0), 1);
        if (name == "routing") {
            put(out, 4, 1); // type: segment routing (RFC 8754)
            put(out, layer.number("left", 0), 1);
            put(out, 0, 4);
        } else {
            put(out, 0x010400000000, 6); // PadN
        }
    } else if (name == "fragment") {
        put(out, layer.number("next", protocol_of(next)), 1);
        put(out, 0, 1);
        put(out, layer.number("offset", 0) | (layer.has("more") ? 1U : 0U), 2);
        put(out, 0xabcd, 4);
    } else if (name == "udp") {
        put(out, layer.word_number(0), 2);
        put(out, layer.word_number(1), 2);
        put(out, layer.number("len", 8 + static_cast<unsigned>(payload.size())), 2);
        put(out, 0, 2);
    } else if (name == "esp") {
        put(out, 0x1000000100000001, 8); // SPI, sequence number
        out.insert(out.end(), 40, 0xee);
    } else if (name == "ah") {
        put(out, 0x3b040000, 4); // next header: none; payload length of a 96-bit ICV
        put(out, 0x1000000100000001, 8);
        out.insert(out.end(), 12, 0xaa);
    } else if (name == "marker") {
        put(out, 0, 4);
    } else if (name == "ike") {
        put(out, 0x1122334455667788, 8);
        put(out, layer.number("responder", 0), 8);
        put(out, 0x21202200 | layer.number("flags", 0x08), 4); // SA payload, version 2, IKE_SA_INIT
        put(out, 0, 4);
        put(out, 28, 4);
    } else if (name == "icmp" || name == "icmp6") {
        put(out, layer.word_number(0), 1);
        put(out, 0, 7);
    } else if (name == "octets") {
        out.assign(layer.word_number(0), static_cast<std::uint8_t>(layer.number("value", 0)));
    } else {
        throw std::runtime_error("no such layer: " + name);
    }
    return out;
}

} // namespace

std::vector<std::uint8_t> make_frame(std::string_view layers, std::string_view mac) {
    std::vector<Layer> all;
    std::optional<unsigned> cut;
    unsigned pad = 0;
    for (const auto& text : split(layers, '/')) {
        Layer layer = read_layer(text);
        if (layer.name == "cut")
            cut = layer.word_number(0);
        else if (layer.name == "pad")
            pad = layer.word_number(0);
        else
            all.push_back(std::move(layer));
    }
    Octets frame;
    for (std::size_t i = all.size(); i-- > 0;) { // from the innermost, so that each header knows its payload
        Octets header = header_of(all[i], i + 1 < all.size() ? &all[i + 1] : nullptr, frame, mac);
        frame.insert(frame.begin(), header.begin(), header.end());
    }
    frame.resize(frame.size() + pad);
    if (cut) {
        if (*cut > frame.size()) throw std::runtime_error("cut behind the end of the frame");
        frame.resize(*cut);
    }
    return frame;
}

std::vector<Fixture> read_folder(const std::string& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (entry.path().extension() == ".txt") files.push_back(entry.path());
    std::ranges::sort(files);
    std::vector<Fixture> fixtures;
    for (const auto& file : files) {
        std::ifstream in(file);
        unsigned number = 0;
        for (std::string line; std::getline(in, line);) {
            number++;
            if (line.empty() || line.front() == '#') continue;
            std::string place = file.filename().string() + ":" + std::to_string(number);
            auto parts = split(line, '|');
            if (parts.size() != 4) throw std::runtime_error(place + ": want PORT | what | layers | verdict");
            fixtures.push_back({place, parts[0], parts[1], parts[3], make_frame(parts[2], mac_of(parts[0]))});
        }
    }
    return fixtures;
}

std::string mac_of(std::string_view port) { return port.ends_with("red") ? "02:00:00:00:00:0c" : "02:00:00:00:00:0b"; }

} // namespace sallyport::fixture
