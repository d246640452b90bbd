// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstddef>

namespace sallyport {

namespace {

__extension__ using U128 = unsigned __int128;

/// The address as a number, for ranges.
U128 number_of(const Address& address) {
    U128 number = 0;
    for (unsigned i = 0; i < address.size(); ++i) number = number << 8 | address.octets[i];
    return number;
}

Address address_of(U128 number, Family family) {
    Address address;
    address.family = family;
    for (unsigned i = address.size(); i-- > 0; number >>= 8) address.octets[i] = static_cast<std::uint8_t>(number);
    return address;
}

unsigned trailing_zeros(U128 number) {
    const auto low = static_cast<std::uint64_t>(number);
    if (low != 0) return static_cast<unsigned>(std::countr_zero(low));
    return 64U + static_cast<unsigned>(std::countr_zero(static_cast<std::uint64_t>(number >> 64)));
}

/// All host bits of a prefix of this length set; 0 to 128 bits.
U128 host_bits(unsigned bits, unsigned length) {
    const unsigned host = bits - length;
    return host >= 128 ? ~U128{0} : (U128{1} << host) - 1;
}

} // namespace

bool AddressRange::contains(const Address& address) const {
    return address.family == first.family && first.octets <= address.octets && address.octets <= last.octets;
}

std::optional<Address> parse_address(std::string_view text) {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    // inet_pton stops at a zero octet, which a view may carry.
    if (text.size() >= buffer.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
    std::ranges::copy(text, buffer.begin());
    Address address;
    if (inet_pton(AF_INET, buffer.data(), address.octets.data()) == 1) return address;
    address.family = Family::ipv6;
    if (inet_pton(AF_INET6, buffer.data(), address.octets.data()) == 1) return address;
    return std::nullopt;
}

Prefix InterfaceAddress::network() const {
    return {address_of(number_of(address) & ~host_bits(address.bits(), length), address.family), length};
}

std::optional<InterfaceAddress> parse_interface_address(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto address = parse_address(text.substr(0, slash));
    if (!address) return std::nullopt;
    unsigned length = address->bits();
    if (slash != std::string_view::npos) {
        const std::string_view digits = text.substr(slash + 1);
        const char* end = digits.data() + digits.size();
        const auto [stop, error] = std::from_chars(digits.data(), end, length);
        const bool padded = digits.size() > 1 && digits.front() == '0';
        if (error != std::errc{} || stop != end || padded || length > address->bits()) return std::nullopt;
    }
    return InterfaceAddress{*address, static_cast<std::uint8_t>(length)};
}

std::optional<Prefix> parse_prefix(std::string_view text) {
    const auto both = parse_interface_address(text);
    if (!both || both->network().address != both->address) return std::nullopt;
    return both->network();
}

std::optional<AddressRange> parse_range(std::string_view text) {
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) {
        const auto prefix = parse_prefix(text);
        return prefix ? std::optional{range_of(*prefix)} : std::nullopt;
    }
    const auto first = parse_address(text.substr(0, dash));
    const auto last = parse_address(text.substr(dash + 1));
    if (!first || !last || first->family != last->family || last->octets < first->octets) return std::nullopt;
    return AddressRange{*first, *last};
}

std::string to_string(const Address& address) {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    inet_ntop(address.family == Family::ipv4 ? AF_INET : AF_INET6, address.octets.data(), buffer.data(), buffer.size());
    return buffer.data();
}

std::string to_string(const Prefix& prefix) { return to_string(prefix.address) + "/" + std::to_string(prefix.length); }

std::string to_string(const AddressRange& range) {
    const auto prefixes = prefixes_of(range);
    if (prefixes.size() == 1) return prefixes[0].length == range.first.bits() ? to_string(range.first) : to_string(prefixes[0]);
    return to_string(range.first) + "-" + to_string(range.last);
}

AddressRange range_of(const Prefix& prefix) {
    const U128 last = number_of(prefix.address) | host_bits(prefix.address.bits(), prefix.length);
    return {prefix.address, address_of(last, prefix.address.family)};
}

bool contains(const Prefix& prefix, const Address& address) {
    if (address.family != prefix.address.family) return false;
    return ((number_of(address) ^ number_of(prefix.address)) & ~host_bits(address.bits(), prefix.length)) == 0;
}

std::vector<Prefix> prefixes_of(const AddressRange& range) {
    std::vector<Prefix> prefixes;
    const unsigned bits = range.first.bits();
    const Family family = range.first.family;
    U128 first = number_of(range.first);
    const U128 last = number_of(range.last);
    while (first <= last) {
        // The largest block that begins at `first`, is aligned to its size and does not pass `last`.
        unsigned host = first == 0 ? bits : std::min(bits, trailing_zeros(first));
        while ((first | host_bits(bits, bits - host)) > last) --host;
        prefixes.push_back({address_of(first, family), static_cast<std::uint8_t>(bits - host)});
        const U128 end = first | host_bits(bits, bits - host);
        if (end == last) break; // the range may end at the highest address, behind which there is no number
        first = end + 1;
    }
    return prefixes;
}

} // namespace sallyport
