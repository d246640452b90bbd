// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/selector.hpp"

namespace sallyport {

namespace {

/// A selector that names ports matches only where the packet's ports are known (RFC 4301 4.4.1.1, 7.2).
bool ports_match(const PortRange& range, bool known, std::uint16_t port) { return range.any() || (known && range.contains(port)); }

std::string side(const AddressRange& range, const PortRange& ports) {
    std::string text = to_string(range);
    if (ports.any()) return text;
    text += " port " + std::to_string(ports.first);
    if (ports.last != ports.first) text += "-" + std::to_string(ports.last);
    return text;
}

std::string protocol_name(std::uint8_t protocol) {
    switch (protocol) {
    case 1: return "icmp";
    case 6: return "tcp";
    case 17: return "udp";
    case 58: return "ipv6-icmp";
    case 132: return "sctp";
    default: return "protocol " + std::to_string(protocol);
    }
}

} // namespace

bool matches(const Selector& selector, Direction direction, const Flow& flow) {
    const bool out = direction == Direction::outbound;
    if (selector.protocol != 0 && selector.protocol != flow.protocol) return false;
    if (!selector.local.contains(out ? flow.source : flow.destination) || !selector.remote.contains(out ? flow.destination : flow.source))
        return false;
    return ports_match(selector.local_ports, flow.ports_known, out ? flow.source_port : flow.destination_port) &&
           ports_match(selector.remote_ports, flow.ports_known, out ? flow.destination_port : flow.source_port);
}

std::string to_string(const Selector& selector) {
    std::string text = side(selector.local, selector.local_ports) + " <-> " + side(selector.remote, selector.remote_ports);
    if (selector.protocol != 0) text += " " + protocol_name(selector.protocol);
    return text;
}

} // namespace sallyport
