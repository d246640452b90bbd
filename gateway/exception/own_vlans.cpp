// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/own_vlans.hpp"

#include "gateway/wire/checksum.hpp"
#include "gateway/wire/parse.hpp"

#include <algorithm>
#include <cstring>
#include <linux/neighbour.h>

namespace sallyport::exception {

namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t asked_for = 3 * second; // how long an answer is waited for
constexpr std::uint64_t good_for = 30 * second; // how long one is believed (RFC 4861 10: REACHABLE_TIME)
constexpr unsigned most_unanswered = 3;         // RFC 4861 10: MAX_UNICAST_SOLICIT
constexpr route::Mac broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr std::uint8_t echo_request = 8, echo_reply = 0, echo_request_6 = 128, echo_reply_6 = 129; // RFC 792, RFC 4443 4

route::Mac sender_of(const Frame& frame) {
    route::Mac mac;
    std::memcpy(mac.data(), frame.data() + 6, mac.size());
    return mac;
}

/// Makes a frame of what lies at frame.network, to be sent as it is.
void wrap(Frame& frame, const route::Link& link, const route::Mac& to, std::uint16_t ethertype, unsigned octets) {
    const unsigned header = wire::write_ethernet(frame.at(frame.network), to, link.mac, link.vlan, ethertype);
    frame.begin = static_cast<std::uint16_t>(frame.network - header);
    frame.end = static_cast<std::uint16_t>(frame.network + octets);
    frame.port = link.port;
    frame.flags = frame_raw | frame_ours;
}

void send_arp(Frame& frame, const route::Link& link, const route::Mac& to, const wire::Arp& arp, Exits& exits) {
    wire::write_arp(frame.at(frame.network), arp);
    wrap(frame, link, to, wire::ethertype_arp, wire::arp_size);
    exits.again(frame);
}

void send_discovery(Frame& frame, const route::Link& link, const route::Mac& to, const wire::NeighbourMessage& message, Exits& exits) {
    wire::write_neighbour_message(frame.at(frame.network), message);
    wrap(frame, link, to, wire::ethertype_ipv6, wire::neighbour_message_size);
    exits.again(frame);
}

} // namespace

OwnVlans::OwnVlans(const std::vector<PortSpec>& ports, const tables::Published<route::Fib>& fib, route::Learner& learner)
    : fib_(fib), learner_(learner) {
    for (std::size_t port = 0; port < ports.size(); ++port)
        for (const VlanSpec& vlan : ports[port].vlans)
            if (!vlan.addresses.empty()) own_[route::own_vlan_number(port, vlan.id)] = vlan.addresses;
}

const route::Link* OwnVlans::link_of(std::uint32_t interface) const {
    for (const route::Link& link : fib_.read().links())
        if (link.interface == interface) return &link;
    return nullptr;
}

bool OwnVlans::is_ours(std::uint32_t interface, const Address& address) const {
    const auto found = own_.find(interface);
    return found != own_.end() && std::ranges::find(found->second, address, &InterfaceAddress::address) != found->second.end();
}

/// Of that family, if there is one in the network of `towards`.
const Address* OwnVlans::own_address(std::uint32_t interface, const Address& towards) const {
    const Address* any = nullptr;
    const auto found = own_.find(interface);
    if (found == own_.end()) return nullptr;
    for (const InterfaceAddress& own : found->second) {
        if (contains(own.network(), towards)) return &own.address;
        if (own.address.family == towards.family) any = &own.address;
    }
    return any;
}

void OwnVlans::ask(const Neighbour& neighbour) { wanted_.push_back(neighbour); }

void OwnVlans::take(const Frame& frame, std::uint64_t now, Exits& exits) {
    const route::Link* link = link_of(route::own_vlan_number(frame.port, frame.vlan));
    if (link == nullptr) return exits.drop(frame, frame.reason);
    const std::uint16_t ethertype = wire::load16(frame.at(frame.network - 2U));
    if (ethertype == wire::ethertype_arp) {
        if (const auto arp = wire::read_arp(frame.at(frame.network), frame.network_length()))
            return take_arp(frame, *arp, *link, now, exits);
    } else if (ethertype == wire::ethertype_ipv6) {
        if (const auto message = wire::read_neighbour_message(frame.at(frame.network), frame.network_length()))
            return take_discovery(frame, *message, *link, now, exits);
    }
    take_echo(frame, *link, exits);
}

void OwnVlans::take_arp(const Frame& frame, const wire::Arp& arp, const route::Link& link, std::uint64_t now, Exits& exits) {
    if (is_ours(link.interface, arp.sender)) return exits.drop(frame, frame.reason); // somebody else has our address: we keep it
    answered(link, arp.sender, arp.sender_mac, now);
    if (arp.operation != wire::arp_request || !is_ours(link.interface, arp.target)) return exits.drop(frame, frame.reason);
    Frame answer = frame;
    send_arp(
        answer, link, arp.sender_mac,
        {.operation = wire::arp_reply, .sender_mac = link.mac, .sender = arp.target, .target_mac = arp.sender_mac, .target = arp.sender},
        exits);
}

void OwnVlans::take_discovery(const Frame& frame, const wire::NeighbourMessage& message, const route::Link& link, std::uint64_t now,
                              Exits& exits) {
    if (message.type == wire::nd_advertisement) {
        if (message.mac && !is_ours(link.interface, message.target)) answered(link, message.target, *message.mac, now);
        return exits.drop(frame, frame.reason);
    }
    if (!is_ours(link.interface, message.target) || is_ours(link.interface, message.source)) return exits.drop(frame, frame.reason);
    if (message.mac) answered(link, message.source, *message.mac, now);
    // Who looks whether the address is free has none himself: all are told (RFC 4861 7.2.4).
    const bool detection = message.source.octets == Address{}.octets;
    Address everybody;
    everybody.family = Family::ipv6;
    everybody.octets = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const route::Mac to = detection ? wire::multicast_mac(everybody) : message.mac.value_or(sender_of(frame));
    Frame answer = frame;
    send_discovery(answer, link, to,
                   {.type = wire::nd_advertisement,
                    .flags = static_cast<std::uint8_t>(wire::nd_router | wire::nd_override | (detection ? 0 : wire::nd_solicited)),
                    .source = message.target,
                    .destination = detection ? everybody : message.source,
                    .target = message.target,
                    .mac = link.mac},
                   exits);
}

/// An echo request to one of our addresses is turned round; everything else has no business here.
void OwnVlans::take_echo(const Frame& frame, const route::Link& link, Exits& exits) {
    Frame answer = frame;
    wire::parse(answer);
    if (answer.reason != DropReason::none || (answer.flags & frame_fragment) != 0) return exits.drop(frame, frame.reason);
    std::uint8_t* header = answer.at(answer.network);
    std::uint8_t* icmp = answer.at(answer.transport);
    const bool ipv4 = answer.family == 4;
    const bool request = answer.protocol == (ipv4 ? wire::protocol_icmp : wire::protocol_icmpv6) &&
                         icmp[0] == (ipv4 ? echo_request : echo_request_6);
    if (!request || !is_ours(link.interface, wire::destination_of(header, answer.family))) return exits.drop(frame, frame.reason);
    std::uint8_t* source = header + (ipv4 ? wire::ipv4_source : wire::ipv6_source);
    std::swap_ranges(source, source + (ipv4 ? 4 : 16), header + (ipv4 ? wire::ipv4_destination : wire::ipv6_destination));
    const std::uint16_t before = wire::load16(icmp);
    icmp[0] = ipv4 ? echo_reply : echo_reply_6;
    wire::store16(icmp + 2, wire::update_checksum(wire::load16(icmp + 2), before, wire::load16(icmp)));
    header[ipv4 ? wire::ipv4_ttl : wire::ipv6_hop_limit] = 64;
    if (ipv4) wire::write_ipv4_checksum(header, static_cast<unsigned>(answer.transport - answer.network));
    wrap(answer, link, sender_of(frame), ipv4 ? wire::ethertype_ipv4 : wire::ethertype_ipv6, answer.network_length());
    exits.again(answer);
}

void OwnVlans::answered(const route::Link& link, const Address& address, const route::Mac& mac, std::uint64_t now) {
    const auto found = neighbours_.find({link.interface, address});
    if (found == neighbours_.end() || (mac[0] & 1) != 0) return; // nobody asked, or it cannot be anybody's
    Entry& entry = found->second;
    const bool news = !entry.known || entry.mac != mac;
    entry = {.mac = mac, .known = true, .due = now + good_for};
    if (news) learner_.learn({.interface = link.interface, .address = address, .state = NUD_REACHABLE, .mac = mac, .has_mac = true});
}

void OwnVlans::forget(const Place& place, bool known) {
    if (known) learner_.learn({.interface = place.first, .address = place.second, .state = NUD_FAILED});
    neighbours_.erase(place);
}

void OwnVlans::look(std::uint64_t now, Exits& exits) {
    for (const Neighbour& wanted : wanted_) {
        const Place place{wanted.interface, wanted.address};
        const auto found = neighbours_.find(place);
        if (found == neighbours_.end() && neighbours_.size() >= most_neighbours) continue;
        Entry& entry = found == neighbours_.end() ? neighbours_[place] : found->second;
        if (!entry.known) entry.due = now + asked_for;
        ask_now(place, entry, exits);
    }
    wanted_.clear();
    std::vector<std::pair<Place, bool>> over;
    for (auto& [place, entry] : neighbours_) {
        if (entry.due > now) continue;
        if (!entry.known || entry.unanswered == most_unanswered) {
            over.emplace_back(place, entry.known);
            continue;
        }
        ++entry.unanswered;
        entry.due = now + second;
        ask_now(place, entry, exits);
    }
    for (const auto& [place, known] : over) forget(place, known);
}

std::uint64_t OwnVlans::next() const {
    if (!wanted_.empty()) return 0;
    std::uint64_t next = never;
    for (const auto& [place, entry] : neighbours_) next = std::min(next, entry.due);
    return next;
}

/// Who is known is asked himself, others are called for.
void OwnVlans::ask_now(const Place& place, const Entry& entry, Exits& exits) {
    const auto& [interface, address] = place;
    const route::Link* link = link_of(interface);
    const Address* own = own_address(interface, address);
    Frame frame;
    if (link == nullptr || own == nullptr || !exits.make(frame)) return;
    frame.network = frame_headroom;
    if (address.family == Family::ipv4)
        return send_arp(frame, *link, entry.known ? entry.mac : broadcast, {.sender_mac = link->mac, .sender = *own, .target = address},
                        exits);
    const Address group = wire::solicited_node(address);
    send_discovery(frame, *link, entry.known ? entry.mac : wire::multicast_mac(group),
                   {.source = *own, .destination = entry.known ? address : group, .target = address, .mac = link->mac}, exits);
}

} // namespace sallyport::exception
