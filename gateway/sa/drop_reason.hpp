// SPDX-License-Identifier: Apache-2.0
// Why was this packet dropped? The one table: counters, `sallyport counters`, the journal and tests all read it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sallyport {

// name, what happened, what the operator can do; `audited` behind it: an event tells of the packet (RFC 4301 5.1.1, 5.2, 7.3, RFC
// 4303 3.3.3, 3.4)
#define SALLYPORT_DROP_REASONS(X)                                                                                                          \
    X(none, "not dropped", "")                                                                                                             \
    X(malformed_ethernet, "the frame ends inside its Ethernet header or tags", "look for a broken driver or sender")                       \
    X(malformed_ip, "the IP header is cut short or its lengths contradict the frame", "look at the sender with a capture")                 \
    X(bad_header_checksum, "the IPv4 header checksum is wrong", "look for a broken sender or switch")                                      \
    X(malformed_extension, "an IPv6 extension header is cut short, too long or out of order", "look at the sender with a capture")         \
    X(malformed_transport, "the TCP, UDP or ICMP header is cut short", "look at the sender with a capture")                                \
    X(not_ip, "neither IPv4 nor IPv6", "nothing: such frames are not carried")                                                             \
    X(unknown_vlan, "a VLAN that no VPN of this port has", "configure the VLAN or take it off the trunk")                                  \
    X(fragment_outer, "a fragment of an IPsec or IKE packet that is malformed or stayed incomplete", "lower the MTU at the peer", audited) \
    X(fragment_inner, "a fragment whose policy or SA names ports, and its first fragment did not come in time", "use no ports in it",      \
      audited)                                                                                                                             \
    X(martian_source, "a source address that cannot be one (multicast, loopback, unspecified)", "look for a broken or forging sender")     \
    X(malformed_esp, "too short for an ESP header, IV and ICV, or not a multiple of the block", "look at the peer with a capture")         \
    X(unknown_spi, "no inbound SA has this SPI", "compare the SAs of both gateways", audited)                                              \
    X(reserved_spi, "an SPI below 256, or one reserved and not yet installed", "look at the peer's configuration", audited)                \
    X(wrong_outer_address, "the outer addresses are not those of the SA", "compare the addresses of both gateways; look for a NAT",        \
      audited)                                                                                                                             \
    X(udp_no_checksum, "ESP in UDP over IPv6 without a UDP checksum (RFC 8200 8.1)", "look at the peer's implementation", audited)         \
    X(ike_nobody_listening, "an IKE message while no IKE daemon runs", "start sallyport-ike or ignore")                                    \
    X(ike_malformed, "an IKE message that its datagram does not hold", "look at the sender with a capture")                                \
    X(ike_unknown_spi, "an IKE message of an IKE SA that is not here, and too many of them", "nothing: the peer is told once a second")    \
    X(ike_full, "sallyport-ike does not take its messages as fast as they come", "look for a flood, or at the load of the machine")        \
    X(unsupported_protocol, "a protocol that no SA takes", "compare the configuration of both gateways")                                   \
    X(replayed, "the sequence number was seen before", "look for duplication in the network or an attacker", audited)                      \
    X(too_old, "the sequence number lies left of the window", "enlarge the window: replay-window", audited)                                \
    X(sequence_zero, "sequence number 0, which no sender may use", "look at the peer's implementation", audited)                           \
    X(bad_icv, "the integrity check failed", "compare the keys of both gateways; look for an attacker", audited)                           \
    X(bad_padding, "the padding after opening is malformed", "look at the peer's implementation", audited)                                 \
    X(bad_next_header, "the opened packet is none that the SA's mode carries", "compare the modes of both gateways", audited)              \
    X(malformed_inner, "the opened packet's IP header is malformed", "look at the peer's implementation", audited)                         \
    X(dummy, "a dummy packet, dropped as it should be (RFC 4303 2.6)", "")                                                                 \
    X(ecn_illegal, "the outer header says congestion, the inner cannot carry it (RFC 6040 4.2)", "look for congestion on the way")         \
    X(selector_mismatch, "the opened packet does not match its SA's selectors", "compare local and remote networks of both gateways",      \
      audited)                                                                                                                             \
    X(no_policy, "no policy matches: the last entry of the SPD discards", "add a policy if this traffic is wanted", audited)               \
    X(policy_discard, "a discard policy matches", "change the policy if this traffic is wanted", audited)                                  \
    X(no_sa, "the policy wants protection and no SA is there", "look at the connection's state", audited)                                  \
    X(should_be_protected, "clear, and a policy wants it protected (RFC 4301 5.2)", "look for a misrouted or forging sender", audited)     \
    X(transit_from_black, "clear transit from the black side that no bypass allows", "look for a misrouted or forging sender", audited)    \
    X(for_gateway, "an opened packet for the gateway itself, which its kernel cannot get", "look at the journal, or reach it by its side") \
    X(sequence_exhausted, "the sequence number would wrap", "make a new key", audited)                                                     \
    X(lifetime_over, "the SA's hard lifetime in packets, octets or time is over (RFC 4301 4.4.2.1)", "make a new key", audited)            \
    X(mark_not_durable, "the durable mark is not yet ahead of the sequence number", "look at the state directory's disk")                  \
    X(ttl_expired, "the hop limit is used up", "look for a routing loop")                                                                  \
    X(too_big, "larger than the MTU of the way and not to be fragmented", "lower the MTU of the sender, clamp the MSS")                    \
    X(no_route, "the kernel has no route", "add a route")                                                                                  \
    X(route_not_ours, "the route leads to an interface that is no port of the right side", "compare routes and ports")                     \
    X(route_refused, "the route says unreachable, prohibit or blackhole", "change the route")                                              \
    X(neighbour_unresolved, "no link-layer address could be found for the next hop in time", "look whether the next hop is up")            \
    X(neighbour_queue_full, "too many frames wait for link-layer addresses", "look whether the next hop is up")                            \
    X(exception_full, "the exception ring is full", "look at the load")                                                                    \
    X(handover_full, "the ring to the worker that owns the SA is full", "look at the load of that worker")                                 \
    X(link_down, "the way out is down", "look at the link")                                                                                \
    X(transmit_full, "the transmit ring is full", "the link or the receiver is slower than the traffic")                                   \
    X(crypto_failed, "the cryptographic library failed, or gave no random octets", "look at the journal of the machine; report it")        \
    X(own_vlan, "for the gateway itself on a VLAN without an interface of the kernel, where it answers ARP, discovery and echo only", "")  \
    X(no_chunk, "no free chunk in the packet memory", "enlarge frames in the configuration")                                               \
    X(fragment_tiny, "a first fragment without its whole TCP, UDP or ICMP header, or one that overwrites it", "look for an attacker",      \
      audited)                                                                                                                             \
    X(fragment_overlap, "it overlaps another fragment: its packet goes whole, an exact copy alone (RFC 5722)", "look for an attacker",     \
      audited)                                                                                                                             \
    X(fragment_limit, "too many fragments wait for the rest of their packets", "look for an attacker; lower the MTU at the sender")        \
    X(fragment_too_big, "put together, the packet would be larger than a chunk of packet memory", "lower the MTU at the peer")             \
    X(icmp_mtu_taken, "an ICMP error that quotes what we sent has lowered the path MTU of a tunnel", "", audited)                          \
    X(icmp_mtu_known, "an ICMP error that quotes what we sent tells of no smaller path MTU than is known", "")                             \
    X(icmp_mtu_unproven, "an ICMP error about a path MTU that quotes nothing we sent lately, or is out of bounds; nothing was changed",    \
      "look for forged ICMP; a path that cannot carry 576 (IPv4) or 1280 octets (IPv6) needs another link", audited)                       \
    X(icmp_other, "another ICMP error about what we sent, as destination unreachable; nothing was changed", "look at the way to the peer") \
    X(icmp_malformed, "an ICMP error with a wrong checksum or cut short", "look at the sender's implementation")                           \
    X(policy_mismatch, "an opened packet of which a policy before that of its SA speaks", "compare the policies of both gateways",         \
      audited)                                                                                                                             \
    X(kernel_full, "the kernel took no more packets for the gateway itself", "look at the load of the services on the gateway")            \
    X(own_full, "a worker had no room for a packet of the gateway itself", "look at the load")                                             \
    X(own_other_vpn, "a packet of the gateway itself with its address in another VPN", "send it from the gateway's address in that VPN")   \
    X(fragment_transport, "a fragment, and its SA in transport or BEET mode carries whole packets (RFC 4301 7)",                           \
      "lower the MTU of the sender, or use tunnel mode")                                                                                   \
    X(malformed_ah, "too short for an AH with its ICV, or its length is not that of the SA's algorithm", "compare the algorithms",         \
      audited)                                                                                                                             \
    X(header_before_ah, "an option, routing or fragment header before AH with which no ICV can be computed", "look at the sender", audited)

enum class DropReason : std::uint8_t {
#define X(name, ...) name,
    SALLYPORT_DROP_REASONS(X)
#undef X
};

inline constexpr bool audited = true; // a word of the table

struct DropReasonInfo {
    std::string_view name; // as the enumerator
    std::string_view meaning;
    std::string_view remedy;
    bool audit = false;
};

inline constexpr std::array drop_reasons{
#define X(name, ...) DropReasonInfo{#name, __VA_ARGS__},
    SALLYPORT_DROP_REASONS(X)
#undef X
};
inline constexpr std::size_t drop_reason_count = drop_reasons.size();
static_assert(drop_reason_count <= 256);

[[nodiscard]] constexpr const DropReasonInfo& info(DropReason reason) { return drop_reasons[static_cast<std::size_t>(reason)]; }

} // namespace sallyport
