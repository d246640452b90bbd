// SPDX-License-Identifier: Apache-2.0
#include "ike/engine/connection.hpp"

#include <algorithm>
#include <array>

namespace sallyport::ike {
namespace {

constexpr std::size_t longest_shown = 60; // octets of a foreign identity

char lower(std::uint8_t letter) { return static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter + ('a' - 'A') : letter); }

std::string escaped(Octets octets) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t octet : octets.first(std::min(octets.size(), longest_shown))) {
        if (octet > 0x20 && octet < 0x7f && octet != '\\' && octet != '"')
            text += static_cast<char>(octet);
        else
            text += {'\\', 'x', digits[octet >> 4U], digits[octet & 15U]};
    }
    if (octets.size() > longest_shown) text += "...";
    return text;
}

std::string hex(Octets octets) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t octet : octets.first(std::min(octets.size(), longest_shown)))
        text += {digits[octet >> 4U], digits[octet & 15U]};
    if (octets.size() > longest_shown) text += "...";
    return text;
}

std::optional<Address> address_of(const Identity& identity) {
    Address address;
    address.family = identity.type == IdType::ipv4_addr ? Family::ipv4 : Family::ipv6;
    if (identity.data.size() != address.size()) return std::nullopt;
    std::ranges::copy(identity.data, address.octets.begin());
    return address;
}

} // namespace

std::string to_string(const Identity& identity) {
    switch (identity.type) {
    case IdType::ipv4_addr:
    case IdType::ipv6_addr:
        if (const std::optional<Address> address = address_of(identity)) return to_string(*address);
        return "malformed address " + hex(identity.data);
    case IdType::fqdn:
    case IdType::rfc822_addr: return escaped(identity.data);
    case IdType::null: return "anonymous";
    case IdType::der_asn1_dn: return "DN " + hex(identity.data);
    case IdType::key_id: return "key id " + escaped(identity.data);
    default: return "ID type " + std::to_string(static_cast<unsigned>(identity.type)) + " " + hex(identity.data);
    }
}

bool same(const Identity& one, IdType type, Octets data) {
    if (one.type != type || one.data.size() != data.size()) return false;
    if (type == IdType::fqdn || type == IdType::rfc822_addr) return std::ranges::equal(one.data, data, {}, lower, lower);
    return std::ranges::equal(one.data, data);
}

} // namespace sallyport::ike
