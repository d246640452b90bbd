// SPDX-License-Identifier: Apache-2.0
// Packets and rules as the SPD compares them: numbers in host order, seen from source and destination. Private to tables.
#pragma once

#include "gateway/tables/huge_pages.hpp"
#include "gateway/tables/spd.hpp"
#include "gateway/wire/octets.hpp"

#include <compare>
#include <cstdint>
#include <vector>

namespace sallyport::tables {

/// An IPv6 address in host order.
struct Wide {
    std::uint64_t high = 0, low = 0;
    auto operator<=>(const Wide&) const = default;
    bool operator==(const Wide&) const = default;
    Wide operator&(const Wide& other) const { return {high & other.high, low & other.low}; }
};

inline std::uint64_t mixed(std::uint64_t value) {
    value *= 0x9e3779b97f4a7c15U;
    return value ^ (value >> 32);
}

template <class Number>
struct NumberOf;

template <>
struct NumberOf<std::uint32_t> {
    static constexpr unsigned bits = 32;
    static std::uint32_t load(const std::uint8_t* octets) { return wire::load32(octets); }
    static std::uint32_t mask(unsigned length) { return length == 0 ? 0 : ~0U << (32 - length); }
    static std::uint32_t small(std::uint16_t value) { return value; }
    static std::uint32_t next(std::uint32_t value) { return value + 1; }
    static std::uint32_t before(std::uint32_t value) { return value - 1; }
    static std::uint64_t hash(std::uint32_t source, std::uint32_t destination) { return mixed(std::uint64_t{source} << 32 | destination); }
};

template <>
struct NumberOf<Wide> {
    static constexpr unsigned bits = 128;
    static Wide load(const std::uint8_t* octets) { return {wire::load64(octets), wire::load64(octets + 8)}; }
    static std::uint64_t half_mask(unsigned length) { return length == 0 ? 0 : ~std::uint64_t{0} << (64 - length); }
    static Wide mask(unsigned length) {
        return length <= 64 ? Wide{half_mask(length), 0} : Wide{~std::uint64_t{0}, half_mask(length - 64)};
    }
    static Wide small(std::uint16_t value) { return {0, value}; }
    static Wide next(const Wide& value) { return {value.high + (value.low + 1 == 0), value.low + 1}; }
    static Wide before(const Wide& value) { return {value.high - (value.low == 0), value.low - 1}; }
    static std::uint64_t hash(const Wide& source, const Wide& destination) {
        return mixed(mixed(mixed(mixed(source.high) + source.low) + destination.high) + destination.low);
    }
};

/// What of a packet rules look at.
template <class Number>
struct Packet {
    Number source{}, destination{};
    std::uint16_t source_port = 0, destination_port = 0; // 0 where they are not known; a type stands in the first
    std::uint8_t protocol = 0;
    bool ports_known = false;
    bool operator==(const Packet&) const = default;
};

/// A selector as it is compared, with what becomes of the packet beside it: one cache line with IPv4, two with IPv6.
template <class Number>
struct alignas(64) Rule {
    Number source_first{}, source_last{}, destination_first{}, destination_last{};
    PortRange source_ports, destination_ports; // of a protocol with a type the second is ANY: only what the sender may send counts
    const transform::OutboundSa* sa = nullptr;
    std::uint32_t order = 0; // place of the policy: the lowest decides
    std::uint32_t number = 0;
    std::uint32_t connection = 0; // of a protect policy
    VpnNumber vpn = 0;
    std::uint8_t protocol = 0;
    DropReason reason = DropReason::none;
    bool any_ports = true;
    bool last = false; // of its run

    [[nodiscard]] bool names_ports() const { return source_ports.named() || destination_ports.named(); }
    /// `with_ports` false: whatever the ports are.
    [[nodiscard]] bool matches(const Packet<Number>& packet, bool with_ports) const {
        if (packet.source < source_first || packet.source > source_last || packet.destination < destination_first ||
            packet.destination > destination_last || (protocol != 0 && protocol != packet.protocol))
            return false;
        if (any_ports || !with_ports) return true;
        return packet.ports_known ? source_ports.contains(packet.source_port) && destination_ports.contains(packet.destination_port)
                                  : !names_ports();
    }
};
template <class Number>
using Rules = std::vector<Rule<Number>, HugePages<Rule<Number>>>;

static_assert(sizeof(Rule<std::uint32_t>) == 64 && sizeof(Rule<Wide>) == 128);

} // namespace sallyport::tables
