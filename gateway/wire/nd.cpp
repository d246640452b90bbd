// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/nd.hpp"

#include "gateway/wire/checksum.hpp"
#include "gateway/wire/ip.hpp"

#include <algorithm>

namespace sallyport::wire {

namespace {

constexpr unsigned fixed_size = 24; // of the message
constexpr std::uint8_t option_source = 1, option_target = 2;
constexpr std::uint8_t whole_hop_limit = 255;

bool is_unspecified(const Address& address) { return address.octets == std::array<std::uint8_t, 16>{}; }
bool is_multicast(const Address& address) { return address.octets[0] == 0xff; }
bool is_solicited_node(const Address& address) { return solicited_node(address).octets == address.octets; }

/// Takes the options; false: one has no length or is cut short.
bool read_options(const std::uint8_t* at, unsigned left, NeighbourMessage& message) {
    const std::uint8_t wanted = message.type == nd_solicitation ? option_source : option_target;
    while (left != 0) {
        const unsigned size = left < 2 ? 0 : at[1] * 8U;
        if (size == 0 || size > left) return false;
        if (at[0] == wanted && !message.mac) std::copy_n(at + 2, 6, message.mac.emplace().begin());
        at += size;
        left -= size;
    }
    return true;
}

} // namespace

std::uint16_t icmpv6_checksum(const std::uint8_t* header, const std::uint8_t* message, unsigned size) {
    std::uint64_t sum = static_cast<std::uint16_t>(~checksum_raw(header + ipv6_source, 32));
    sum += static_cast<std::uint16_t>(~checksum_raw(message, size));
    std::array<std::uint8_t, 8> pseudo{};
    store32(pseudo.data(), size);
    pseudo[7] = protocol_icmpv6;
    sum += static_cast<std::uint16_t>(~checksum_raw(pseudo.data(), pseudo.size()));
    return static_cast<std::uint16_t>(~fold(sum));
}

Address solicited_node(const Address& address) {
    Address group = address;
    group.octets = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, address.octets[13], address.octets[14], address.octets[15]};
    return group;
}

std::array<std::uint8_t, 6> multicast_mac(const Address& group) {
    return {0x33, 0x33, group.octets[12], group.octets[13], group.octets[14], group.octets[15]};
}

std::optional<NeighbourMessage> read_neighbour_message(const std::uint8_t* packet, unsigned size) {
    if (size < ipv6_size + fixed_size || packet[0] >> 4 != 6 || packet[ipv6_next_header] != protocol_icmpv6 ||
        packet[ipv6_hop_limit] != whole_hop_limit)
        return std::nullopt;
    const unsigned length = load16(packet + ipv6_payload_length);
    const std::uint8_t* icmp = packet + ipv6_size;
    if (length < fixed_size || length > size - ipv6_size || icmp[1] != 0 || icmpv6_checksum(packet, icmp, length) != 0) return std::nullopt;
    NeighbourMessage message;
    message.type = icmp[0];
    if (message.type != nd_solicitation && message.type != nd_advertisement) return std::nullopt;
    message.flags = message.type == nd_advertisement ? icmp[4] : std::uint8_t{0};
    message.source = address_at(packet + ipv6_source, Family::ipv6);
    message.destination = address_at(packet + ipv6_destination, Family::ipv6);
    message.target = address_at(icmp + 8, Family::ipv6);
    if (is_multicast(message.target) || !read_options(icmp + fixed_size, length - fixed_size, message)) return std::nullopt;
    if (message.type == nd_solicitation && is_unspecified(message.source) && (message.mac || !is_solicited_node(message.destination)))
        return std::nullopt;
    if (message.type == nd_advertisement && is_multicast(message.destination) && (message.flags & nd_solicited) != 0) return std::nullopt;
    return message;
}

void write_neighbour_message(std::uint8_t* to, const NeighbourMessage& message) {
    constexpr unsigned size = neighbour_message_size - ipv6_size;
    std::fill_n(to, neighbour_message_size, std::uint8_t{0});
    store32(to, 0x6000'0000U);
    store16(to + ipv6_payload_length, size);
    to[ipv6_next_header] = protocol_icmpv6;
    to[ipv6_hop_limit] = whole_hop_limit;
    std::ranges::copy(message.source.octets, to + ipv6_source);
    std::ranges::copy(message.destination.octets, to + ipv6_destination);
    std::uint8_t* icmp = to + ipv6_size;
    icmp[0] = message.type;
    icmp[4] = message.flags;
    std::ranges::copy(message.target.octets, icmp + 8);
    icmp[fixed_size] = message.type == nd_solicitation ? option_source : option_target;
    icmp[fixed_size + 1] = 1;
    std::ranges::copy(*message.mac, icmp + fixed_size + 2);
    store_raw(icmp + 2, icmpv6_checksum(to, icmp, size));
}

} // namespace sallyport::wire
