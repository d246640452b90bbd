// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/selector.hpp"

namespace sallyport {

namespace {

std::string number_range(unsigned first, unsigned last) {
    return last == first ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(last);
}

std::string side(const AddressRange& range, const PortRange& ports, bool shown) {
    std::string text = to_string(range);
    if (!shown || ports.any()) return text;
    return text + " port " + (ports.opaque() ? "opaque" : number_range(ports.first, ports.last));
}

/// "type 3 code 0-4", "type 3-5", or as the bounds stand where they are no such product (RFC 4301 4.4.1.1).
std::string type_text(const PortRange& range) {
    if (range.any()) return "any type";
    if (range.opaque()) return "type opaque";
    const unsigned first_type = range.first >> 8, last_type = range.last >> 8, first_code = range.first & 255U,
                   last_code = range.last & 255U;
    if (first_code == 0 && last_code == 255) return "type " + number_range(first_type, last_type);
    if (first_type == last_type) return "type " + std::to_string(first_type) + " code " + number_range(first_code, last_code);
    return "type " + std::to_string(first_type) + " code " + std::to_string(first_code) + " to type " + std::to_string(last_type) +
           " code " + std::to_string(last_code);
}

std::string protocol_name(std::uint8_t protocol) {
    switch (protocol) {
    case 1: return "icmp";
    case 6: return "tcp";
    case 17: return "udp";
    case opaque_protocol: return "protocol opaque";
    case 58: return "ipv6-icmp";
    case 132: return "sctp";
    case 135: return "mobility";
    default: return "protocol " + std::to_string(protocol);
    }
}

std::string types_text(const Selector& selector) {
    if (selector.local_ports == selector.remote_ports) return selector.local_ports.any() ? "" : " " + type_text(selector.local_ports);
    return " sends " + type_text(selector.local_ports) + ", receives " + type_text(selector.remote_ports);
}

} // namespace

bool matches(const Selector& selector, Direction direction, const Flow& flow) {
    const bool out = direction == Direction::outbound;
    if (selector.protocol != 0 && selector.protocol != flow.protocol) return false;
    if (!selector.local.contains(out ? flow.source : flow.destination) || !selector.remote.contains(out ? flow.destination : flow.source))
        return false;
    const PortRange& sender = out ? selector.local_ports : selector.remote_ports;
    const PortRange& receiver = out ? selector.remote_ports : selector.local_ports;
    return sender.matches(flow.ports_known, flow.source_port) &&
           (has_type(flow.protocol) || receiver.matches(flow.ports_known, flow.destination_port));
}

std::string_view fault(const Selector& selector) {
    for (const AddressRange* range : {&selector.local, &selector.remote})
        if (range->first.family != range->last.family || range->last.octets < range->first.octets)
            return "a selector's range ends before it begins";
    if (selector.local.first.family != selector.remote.first.family) return "the two sides of a selector are of different families";
    for (const PortRange* ports : {&selector.local_ports, &selector.remote_ports}) {
        if (ports->last < ports->first && !ports->opaque()) return "a selector's port range ends before it begins";
        if (ports->named() && !has_ports(selector.protocol) && !has_type(selector.protocol))
            return "a selector names ports or types of a protocol that has none";
        if (selector.protocol == 0 && ports->opaque()) return "a selector for any protocol asks for opaque ports";
    }
    const bool one_opaque = selector.local_ports.opaque() || selector.remote_ports.opaque();
    if (one_opaque && has_ports(selector.protocol) && (selector.local_ports.named() || selector.remote_ports.named()))
        return "a selector wants ports of one side to be known and those of the other not to be";
    return {};
}

std::string to_string(const Selector& selector) {
    const bool ports = !has_type(selector.protocol);
    std::string text = side(selector.local, selector.local_ports, ports) + " <-> " + side(selector.remote, selector.remote_ports, ports);
    if (selector.protocol != 0) text += " " + protocol_name(selector.protocol);
    if (!ports) text += types_text(selector);
    return text;
}

} // namespace sallyport
