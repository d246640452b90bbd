// SPDX-License-Identifier: Apache-2.0
#include "gateway/mode/tunnel.hpp"

#include <algorithm>

namespace sallyport::mode {
namespace {

/// FNV-1a, folded to 20 bits.
std::uint32_t flow_label(const SaSpec& spec) {
    std::uint32_t hash = 2166136261U;
    const auto add = [&hash](std::uint8_t octet) { hash = (hash ^ octet) * 16777619U; };
    for (unsigned shift = 0; shift < 32; shift += 8) add(static_cast<std::uint8_t>(spec.spi >> shift));
    for (const Address* address : {&spec.outer_local, &spec.outer_remote})
        for (const std::uint8_t octet : address->octets) add(octet);
    const std::uint32_t label = (hash ^ hash >> 20) & 0xfffffU;
    return label == 0 ? 1 : label;
}

std::uint8_t protocol_of(const SaSpec& spec) {
    if (spec.protocol == SaProtocol::ah) return wire::protocol_ah;
    return spec.udp_port != 0 ? wire::protocol_udp : wire::protocol_esp;
}

/// Where the inner header is not carried no piece of a packet is: it is sealed whole.
std::uint8_t rules_of(const SaSpec& spec) {
    const bool cut_after = spec.fragment == FragmentRule::after || spec.mode != SaMode::tunnel;
    const bool inner_ipv6 = spec.mode == SaMode::beet && !spec.selectors.empty() && spec.selectors[0].local.first.family == Family::ipv6;
    return static_cast<std::uint8_t>((spec.dscp == DscpRule::copy ? tunnel_copy_dscp : 0) | (spec.df == DfRule::copy ? tunnel_copy_df : 0) |
                                     (cut_after ? tunnel_cut_after : 0) | (inner_ipv6 ? beet_inner_ipv6 : 0));
}

void make_ipv4(const SaSpec& spec, std::uint8_t own_class, std::uint8_t* to) {
    to[0] = 0x45;
    to[wire::ipv4_tos] = own_class;
    wire::store16(to + wire::ipv4_fragment, spec.df == DfRule::set ? wire::ipv4_dont_fragment : std::uint16_t{0});
    to[wire::ipv4_ttl] = spec.hop_limit;
    to[wire::ipv4_protocol] = protocol_of(spec);
    std::copy_n(spec.outer_local.octets.begin(), 4, to + wire::ipv4_source);
    std::copy_n(spec.outer_remote.octets.begin(), 4, to + wire::ipv4_destination);
    wire::store_raw(to + wire::ipv4_checksum, static_cast<std::uint16_t>(~wire::checksum_raw(to, wire::ipv4_size)));
}

void make_ipv6(const SaSpec& spec, std::uint8_t own_class, std::uint8_t* to) {
    wire::store32(to, 0x6000'0000U | std::uint32_t{own_class} << 20 | flow_label(spec));
    to[wire::ipv6_next_header] = protocol_of(spec);
    to[wire::ipv6_hop_limit] = spec.hop_limit;
    std::ranges::copy(spec.outer_local.octets, to + wire::ipv6_source);
    std::ranges::copy(spec.outer_remote.octets, to + wire::ipv6_destination);
}

} // namespace

Outer make_outer(const SaSpec& spec) {
    Outer outer;
    const bool ipv4 = spec.outer_local.family == Family::ipv4;
    const auto own_class = spec.dscp == DscpRule::set ? static_cast<std::uint8_t>(spec.dscp_value << 2) : std::uint8_t{0};
    outer.length = static_cast<std::uint8_t>(ipv4 ? wire::ipv4_size : wire::ipv6_size);
    outer.rules = rules_of(spec);
    ipv4 ? make_ipv4(spec, own_class, outer.octets.data()) : make_ipv6(spec, own_class, outer.octets.data());
    if (spec.udp_port != 0) {
        outer.udp = static_cast<std::uint8_t>(wire::udp_size);
        wire::store16(outer.octets.data() + outer.length + wire::source_port_offset, wire::port_ike_nat);
        wire::store16(outer.octets.data() + outer.length + wire::destination_port_offset, spec.udp_port);
    }
    wire::store32(outer.octets.data() + outer.length + outer.udp, spec.spi);
    return outer;
}

void make_dummy(Frame& frame, unsigned octets) {
    octets = std::clamp(octets, 1U, 2048U);
    frame.begin = frame_headroom;
    frame.network = frame_headroom;
    frame.end = static_cast<std::uint16_t>(frame_headroom + octets);
    frame.family = 0;
    frame.protocol = wire::protocol_no_next_header;
    frame.flags = frame_ours;
    std::fill_n(frame.at(frame_headroom), octets, std::uint8_t{0}); // never what the chunk held before
}

} // namespace sallyport::mode
