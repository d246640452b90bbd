// SPDX-License-Identifier: Apache-2.0
#include "gateway/route/kernel.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string_view>
#include <sys/socket.h>

namespace sallyport::route {

namespace {

template <std::size_t Count>
using Attributes = std::array<nlattr*, Count>;

template <class Header, std::size_t Count>
const Header* open(nlmsghdr* message, Attributes<Count>& attributes) {
    if (nlmsg_parse(message, sizeof(Header), attributes.data(), static_cast<int>(Count) - 1, nullptr) < 0) return nullptr;
    return static_cast<const Header*>(nlmsg_data(message));
}

std::optional<Family> family_of(unsigned char family) {
    if (family == AF_INET) return Family::ipv4;
    if (family == AF_INET6) return Family::ipv6;
    return std::nullopt;
}

std::optional<Address> to_address(Family family, const void* octets, int length) {
    Address result;
    result.family = family;
    if (length != static_cast<int>(result.size())) return std::nullopt;
    std::memcpy(result.octets.data(), octets, result.size());
    return result;
}

std::optional<Address> to_address(Family family, nlattr* attribute) {
    if (attribute == nullptr) return std::nullopt;
    return to_address(family, nla_data(attribute), nla_len(attribute));
}

/// No attribute: the default route.
std::optional<Prefix> to_prefix(Family family, nlattr* attribute, std::uint8_t length) {
    Address unspecified;
    unspecified.family = family;
    const std::optional<Address> address = attribute != nullptr ? to_address(family, attribute) : unspecified;
    if (!address || length > address->bits()) return std::nullopt;
    const Prefix prefix = InterfaceAddress{*address, length}.network();
    return prefix.address == *address ? std::optional(prefix) : std::nullopt;
}

bool to_mac(nlattr* attribute, Mac& mac) {
    if (attribute == nullptr || nla_len(attribute) != static_cast<int>(mac.size())) return false;
    std::memcpy(mac.data(), nla_data(attribute), mac.size());
    return true;
}

std::uint32_t to_number(nlattr* attribute, std::uint32_t otherwise = 0) {
    return attribute != nullptr && nla_len(attribute) >= 4 ? nla_get_u32(attribute) : otherwise;
}

/// A string, whether or not its last octet is zero.
std::string_view to_text(nlattr* attribute) {
    const std::string_view text(static_cast<const char*>(nla_data(attribute)), static_cast<std::size_t>(nla_len(attribute)));
    return text.substr(0, text.find('\0'));
}

// RTA_VIA: struct rtvia, a family and an address.
std::optional<Address> to_via(nlattr* attribute) {
    if (attribute == nullptr || nla_len(attribute) < 2) return std::nullopt;
    std::uint16_t number = 0;
    std::memcpy(&number, nla_data(attribute), sizeof number);
    const std::optional<Family> family = family_of(static_cast<unsigned char>(number));
    if (!family) return std::nullopt;
    return to_address(*family, static_cast<const char*>(nla_data(attribute)) + 2, nla_len(attribute) - 2);
}

bool is_dead(unsigned flags) { return (flags & (RTNH_F_DEAD | RTNH_F_UNRESOLVED)) != 0; }

void parse_hops(nlattr* multipath, Family family, KernelRoute& route) {
    auto* hop = static_cast<rtnexthop*>(nla_data(multipath));
    int left = nla_len(multipath);
    while (left >= static_cast<int>(sizeof *hop) && hop->rtnh_len >= sizeof *hop && hop->rtnh_len <= left) {
        Attributes<RTA_MAX + 1> attributes{};
        auto* first = reinterpret_cast<nlattr*>(reinterpret_cast<char*>(hop) + RTNH_LENGTH(0));
        nla_parse(attributes.data(), RTA_MAX, first, hop->rtnh_len - static_cast<int>(RTNH_LENGTH(0)), nullptr);
        KernelHop next;
        next.interface = static_cast<std::uint32_t>(hop->rtnh_ifindex);
        next.weight = static_cast<std::uint16_t>(hop->rtnh_hops + 1);
        next.dead = is_dead(hop->rtnh_flags);
        next.gateway = attributes[RTA_VIA] != nullptr ? to_via(attributes[RTA_VIA]) : to_address(family, attributes[RTA_GATEWAY]);
        route.encapsulated |= attributes[RTA_ENCAP_TYPE] != nullptr;
        route.hops.push_back(next);
        left -= static_cast<int>(RTNH_ALIGN(hop->rtnh_len));
        hop = reinterpret_cast<rtnexthop*>(reinterpret_cast<char*>(hop) + RTNH_ALIGN(hop->rtnh_len));
    }
}

std::uint16_t parse_mtu(nlattr* metrics) {
    if (metrics == nullptr) return 0;
    Attributes<RTAX_MAX + 1> attributes{};
    if (nla_parse_nested(attributes.data(), RTAX_MAX, metrics, nullptr) < 0) return 0;
    return static_cast<std::uint16_t>(std::min<std::uint32_t>(to_number(attributes[RTAX_MTU]), 65535));
}

} // namespace

std::optional<KernelLink> parse_link(nlmsghdr* message) {
    Attributes<IFLA_MAX + 1> attributes{};
    const auto* header = open<ifinfomsg>(message, attributes);
    if (header == nullptr || header->ifi_family != AF_UNSPEC) return std::nullopt; // bridges speak of their ports by AF_BRIDGE
    KernelLink link;
    link.interface = static_cast<std::uint32_t>(header->ifi_index);
    link.up = (header->ifi_flags & IFF_UP) != 0 && (header->ifi_flags & IFF_RUNNING) != 0;
    if (attributes[IFLA_IFNAME] != nullptr) link.name = to_text(attributes[IFLA_IFNAME]);
    link.mtu = to_number(attributes[IFLA_MTU]);
    to_mac(attributes[IFLA_ADDRESS], link.mac);
    Attributes<IFLA_INFO_MAX + 1> info{};
    if (attributes[IFLA_LINKINFO] == nullptr || nla_parse_nested(info.data(), IFLA_INFO_MAX, attributes[IFLA_LINKINFO], nullptr) < 0)
        return link;
    if (info[IFLA_INFO_KIND] == nullptr || to_text(info[IFLA_INFO_KIND]) != "vlan") return link;
    Attributes<IFLA_VLAN_MAX + 1> vlan{};
    if (info[IFLA_INFO_DATA] == nullptr || nla_parse_nested(vlan.data(), IFLA_VLAN_MAX, info[IFLA_INFO_DATA], nullptr) < 0) return link;
    // The interface below may lie in another namespace; its number means nothing here then.
    if (vlan[IFLA_VLAN_ID] == nullptr || nla_len(vlan[IFLA_VLAN_ID]) < 2 || attributes[IFLA_LINK_NETNSID] != nullptr) return link;
    link.vlan = nla_get_u16(vlan[IFLA_VLAN_ID]);
    link.parent = to_number(attributes[IFLA_LINK]);
    return link;
}

std::optional<KernelAddress> parse_address_message(nlmsghdr* message) {
    Attributes<IFA_MAX + 1> attributes{};
    const auto* header = open<ifaddrmsg>(message, attributes);
    if (header == nullptr) return std::nullopt;
    const std::optional<Family> family = family_of(header->ifa_family);
    if (!family) return std::nullopt;
    if ((to_number(attributes[IFA_FLAGS], header->ifa_flags) & IFA_F_DADFAILED) != 0) return std::nullopt;
    // On a point-to-point link IFA_ADDRESS is the peer's; IFA_LOCAL, where it is there, is ours.
    const auto address = to_address(*family, attributes[IFA_LOCAL] != nullptr ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS]);
    if (!address || header->ifa_prefixlen > address->bits()) return std::nullopt;
    return KernelAddress{header->ifa_index, *address, header->ifa_prefixlen, to_address(*family, attributes[IFA_BROADCAST])};
}

std::optional<KernelRoute> parse_route(nlmsghdr* message) {
    Attributes<RTA_MAX + 1> attributes{};
    const auto* header = open<rtmsg>(message, attributes);
    if (header == nullptr || (header->rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
    const std::optional<Family> family = family_of(header->rtm_family);
    if (!family || header->rtm_src_len != 0) return std::nullopt; // routes by source are not followed
    KernelRoute route;
    route.table = to_number(attributes[RTA_TABLE], header->rtm_table);
    const auto destination = to_prefix(*family, attributes[RTA_DST], header->rtm_dst_len);
    if (!destination) return std::nullopt;
    route.destination = *destination;
    route.priority = to_number(attributes[RTA_PRIORITY]);
    route.tos = header->rtm_tos;
    route.type = header->rtm_type;
    route.protocol = header->rtm_protocol;
    route.encapsulated = attributes[RTA_ENCAP_TYPE] != nullptr;
    route.mtu = parse_mtu(attributes[RTA_METRICS]);
    if (attributes[RTA_MULTIPATH] != nullptr) {
        parse_hops(attributes[RTA_MULTIPATH], *family, route);
    } else if (attributes[RTA_OIF] != nullptr) {
        KernelHop hop;
        hop.interface = to_number(attributes[RTA_OIF]);
        hop.dead = is_dead(header->rtm_flags);
        hop.gateway = attributes[RTA_VIA] != nullptr ? to_via(attributes[RTA_VIA]) : to_address(*family, attributes[RTA_GATEWAY]);
        route.hops.push_back(hop);
    }
    return route;
}

std::optional<KernelNeighbour> parse_neighbour(nlmsghdr* message) {
    Attributes<NDA_MAX + 1> attributes{};
    const auto* header = open<ndmsg>(message, attributes);
    if (header == nullptr || (header->ndm_flags & NTF_PROXY) != 0) return std::nullopt;
    const std::optional<Family> family = family_of(header->ndm_family);
    if (!family) return std::nullopt;
    const auto address = to_address(*family, attributes[NDA_DST]);
    if (!address) return std::nullopt;
    KernelNeighbour neighbour;
    neighbour.interface = static_cast<std::uint32_t>(header->ndm_ifindex);
    neighbour.address = *address;
    neighbour.state = header->ndm_state;
    neighbour.has_mac = to_mac(attributes[NDA_LLADDR], neighbour.mac);
    return neighbour;
}

} // namespace sallyport::route
