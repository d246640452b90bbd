// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/ah.hpp"

#include "gateway/wire/ip.hpp"

#include <cstring>

namespace sallyport::wire {

namespace {

constexpr std::uint8_t option_end = 0, option_nop = 1, option_lsrr = 131, option_ssrr = 137;
constexpr std::uint8_t option_pad1 = 0;
constexpr std::uint8_t changes_on_the_way = 0x20; // of the type of an IPv6 option (RFC 8200 4.2)

/// Options that no router changes (RFC 4302 A1).
constexpr bool stays(std::uint8_t option) {
    switch (option) {
    case 130:              // Security (RFC 1108)
    case 133:              // Extended Security
    case 134:              // Commercial Security
    case 148:              // Router Alert (RFC 2113)
    case 149: return true; // Sender Directed Multi-Destination Delivery (RFC 1770)
    default: return false;
    }
}

bool mute_ipv4_options(std::uint8_t* at, const std::uint8_t* end) {
    while (at != end && *at != option_end) {
        if (*at == option_nop) {
            ++at;
            continue;
        }
        if (end - at < 2 || at[1] < 2 || at[1] > end - at || *at == option_lsrr || *at == option_ssrr) return false;
        const unsigned size = at[1];
        if (!stays(*at)) std::memset(at, 0, size);
        at += size;
    }
    return true;
}

bool mute_ipv4(std::uint8_t* header, unsigned length) {
    header[ipv4_tos] = 0;
    store16(header + ipv4_fragment, 0);
    header[ipv4_ttl] = 0;
    store16(header + ipv4_checksum, 0);
    return mute_ipv4_options(header + ipv4_size, header + length);
}

/// Type and length of an option stay, its data go where they may change.
bool mute_ipv6_options(std::uint8_t* at, const std::uint8_t* end) {
    while (at != end) {
        if (*at == option_pad1) {
            ++at;
            continue;
        }
        if (end - at < 2 || at[1] > end - at - 2) return false;
        if ((*at & changes_on_the_way) != 0) std::memset(at + 2, 0, at[1]);
        at += 2 + at[1];
    }
    return true;
}

bool mute_ipv6(std::uint8_t* header, unsigned length) {
    store32(header, 0x6000'0000U);
    header[ipv6_hop_limit] = 0;
    std::uint8_t protocol = header[ipv6_next_header];
    for (unsigned at = ipv6_size; at != length;) {
        const bool options = protocol == protocol_hop_by_hop || protocol == protocol_destination_options;
        if (!options || length - at < 8) return false;
        const unsigned size = extension_size(protocol, header + at);
        if (size > length - at || !mute_ipv6_options(header + at + 2, header + at + size)) return false;
        protocol = header[at];
        at += size;
    }
    return true;
}

} // namespace

bool mute(std::uint8_t* header, unsigned length, std::uint8_t family) {
    if (length > most_before_ah || length < (family == 4 ? ipv4_size : ipv6_size)) return false;
    return family == 4 ? mute_ipv4(header, length) : mute_ipv6(header, length);
}

} // namespace sallyport::wire
