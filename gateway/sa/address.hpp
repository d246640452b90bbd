// SPDX-License-Identifier: Apache-2.0
// IP addresses, prefixes and ranges, as selectors, SAs and routes speak of them.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport {

enum class Family : std::uint8_t { ipv4 = 4, ipv6 = 6 };

/// The octets in network order; an IPv4 address lies in the first four, the others are zero.
struct Address {
    std::array<std::uint8_t, 16> octets{};
    Family family = Family::ipv4;

    [[nodiscard]] constexpr unsigned size() const { return family == Family::ipv4 ? 4U : 16U; } // octets on the wire
    [[nodiscard]] constexpr unsigned bits() const { return size() * 8; }
    auto operator<=>(const Address&) const = default;
    bool operator==(const Address&) const = default;
};

struct Prefix {
    Address address;         // host bits are zero
    std::uint8_t length = 0; // 0 to address.bits()
    bool operator==(const Prefix&) const = default;
};

/// An address and the length of the prefix of its network.
struct InterfaceAddress {
    Address address;
    std::uint8_t length = 0; // 0 to address.bits()
    [[nodiscard]] Prefix network() const;
    bool operator==(const InterfaceAddress&) const = default;
};

/// first <= last, both of one family, both belong to it (RFC 7296 3.13.1).
struct AddressRange {
    Address first;
    Address last;
    [[nodiscard]] bool contains(const Address& address) const;
    bool operator==(const AddressRange&) const = default;
};

[[nodiscard]] std::optional<Address> parse_address(std::string_view text); // "192.0.2.1", "2001:db8::1"
[[nodiscard]] std::optional<Prefix> parse_prefix(
    std::string_view text); // "192.0.2.0/24"; a plain address is a host prefix; host bits set: nothing
[[nodiscard]] std::optional<InterfaceAddress> parse_interface_address(std::string_view text); // "192.0.2.1/24"
[[nodiscard]] std::optional<AddressRange> parse_range(std::string_view text);                 // "a-b", a prefix or an address
[[nodiscard]] std::string to_string(const Address& address);
[[nodiscard]] std::string to_string(const Prefix& prefix);
[[nodiscard]] std::string to_string(const AddressRange& range); // as a prefix where it is one
[[nodiscard]] AddressRange range_of(const Prefix& prefix);
[[nodiscard]] bool contains(const Prefix& prefix, const Address& address);
/// The fewest prefixes that make up the range, in ascending order (at most 2 * bits - 2 of them).
[[nodiscard]] std::vector<Prefix> prefixes_of(const AddressRange& range);

} // namespace sallyport
