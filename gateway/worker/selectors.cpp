// SPDX-License-Identifier: Apache-2.0
#include "gateway/worker/selectors.hpp"

#include "gateway/wire/ip.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/wire/udp.hpp"

namespace sallyport::worker {

namespace {

bool in_range4(const AddressRange& range, std::uint32_t address) {
    return range.first.family == Family::ipv4 && wire::load32(range.first.octets.data()) <= address &&
           address <= wire::load32(range.last.octets.data());
}

bool in_range6(const AddressRange& range, const std::uint8_t* address) {
    return range.first.family == Family::ipv6 && std::memcmp(range.first.octets.data(), address, 16) <= 0 &&
           std::memcmp(address, range.last.octets.data(), 16) <= 0;
}

bool addresses_match(const Selector& selector, const std::uint8_t* header, std::uint8_t family) {
    if (family == 4)
        return in_range4(selector.remote, wire::load32(header + wire::ipv4_source)) &&
               in_range4(selector.local, wire::load32(header + wire::ipv4_destination));
    return in_range6(selector.remote, header + wire::ipv6_source) && in_range6(selector.local, header + wire::ipv6_destination);
}

/// The frame came from the remote side: of a type, only what that side may send counts.
bool ports_match(const Selector& selector, const Frame& frame) {
    if ((frame.flags & frame_type) != 0) return selector.remote_ports.contains(wire::type_of(frame));
    if ((frame.flags & frame_ports) == 0)
        return !selector.remote_ports.named() && (!selector.local_ports.named() || has_type(frame.protocol));
    const std::uint8_t* transport = frame.at(frame.transport);
    return selector.remote_ports.contains(wire::load16(transport + wire::source_port_offset)) &&
           selector.local_ports.contains(wire::load16(transport + wire::destination_port_offset));
}

} // namespace

DropReason check_selectors(std::span<const Selector> selectors, const Frame& frame) {
    const std::uint8_t* header = frame.at(frame.network);
    const bool fragment = (frame.flags & frame_fragment) != 0;
    DropReason reason = DropReason::selector_mismatch;
    for (const Selector& selector : selectors) {
        if (!addresses_match(selector, header, frame.family)) continue;
        if (selector.protocol != 0 && selector.protocol != frame.protocol) {
            if (fragment && frame.protocol == wire::protocol_fragment) reason = DropReason::fragment_inner;
            continue;
        }
        if ((selector.local_ports.any() && selector.remote_ports.any()) || ports_match(selector, frame)) return DropReason::none;
        if (fragment) reason = DropReason::fragment_inner;
    }
    return reason;
}

} // namespace sallyport::worker
