// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The kernel boundary: what the BPF program of a port and the processes beside it both know. C and C++ read this file, so it holds only
// plain structures, numbers and tables. Integers are host byte order unless the name ends in _be; addresses are octets as on the wire.
#ifndef SALLYPORT_BPF_SHARED_H
#define SALLYPORT_BPF_SHARED_H

#include <linux/types.h>

// Layout of every map below. A gateway that finds pinned maps of another layout does not take them over.
#define SP_LAYOUT_VERSION 1

// What a port faces. A border port (every transit packet to the socket) has its number here and no rules yet.
enum sp_role {
    SP_ROLE_BLACK = 0, // the untrusted side: IPsec and IKE come in here, clear transit does not
    SP_ROLE_RED = 1,   // a VPN's side: every transit packet meets the policy
    SP_ROLE_BORDER = 2,
};

// What becomes of a frame. The numbers are XDP's own, so that a verdict's action is returned as it stands.
enum sp_action {
    SP_DROP = 1,   // XDP_DROP
    SP_KERNEL = 2, // XDP_PASS: to the kernel's stack
    SP_SOCKET = 4, // XDP_REDIRECT: to the AF_XDP socket of the receiving queue
};

// Every verdict: X(symbol, name, action, meaning). Each frame ends in exactly one of them, and its counter is shown under the name.
// New verdicts go at the end: the number is the index in the pinned counter map.
#define SP_VERDICTS(X)                                                                                                                     \
    X(SP_ESP, "esp", SP_SOCKET, "ESP to an address of this port")                                                                          \
    X(SP_AH, "ah", SP_SOCKET, "AH to an address of this port")                                                                             \
    X(SP_ESP_IN_UDP, "esp_in_udp", SP_SOCKET, "ESP in UDP (port 4500) to an address of this port")                                         \
    X(SP_IKE, "ike", SP_SOCKET, "IKE to an address of this port")                                                                          \
    X(SP_IPSEC_FRAGMENT, "ipsec_fragment", SP_SOCKET, "fragment that may belong to ESP, AH or IKE")                                        \
    X(SP_IPSEC_ICMP_ERROR, "ipsec_icmp_error", SP_SOCKET, "ICMP error that quotes ESP, AH or IKE")                                         \
    X(SP_POLICY, "policy", SP_SOCKET, "packet from the red side; the policy decides")                                                      \
    X(SP_BYPASS, "bypass", SP_SOCKET, "clear transit from the black side that a bypass entry may allow; the policy decides")               \
    X(SP_ARP, "arp", SP_KERNEL, "ARP")                                                                                                     \
    X(SP_NEIGHBOUR_DISCOVERY, "neighbour_discovery", SP_KERNEL, "IPv6 neighbour or router discovery")                                      \
    X(SP_LINK_CONTROL, "link_control", SP_KERNEL, "link protocol (LLC, LLDP, LACP, EAPOL)")                                                \
    X(SP_LINK_SCOPE, "link_scope", SP_KERNEL, "link-local multicast or broadcast")                                                         \
    X(SP_LOCAL, "local", SP_KERNEL, "packet for the gateway itself")                                                                       \
    X(SP_NO_WORKER, "no_worker", SP_DROP, "for the socket, but no worker reads this queue")                                                \
    X(SP_BAD_LINK, "bad_link", SP_DROP, "Ethernet header or VLAN tag cut short")                                                           \
    X(SP_UNKNOWN_VLAN, "unknown_vlan", SP_DROP, "VLAN tag, or a frame without one, that is not configured on this port")                   \
    X(SP_OTHER_HOST, "other_host", SP_DROP, "frame for another station's MAC address")                                                     \
    X(SP_GROUP_FRAME, "group_frame", SP_DROP, "unicast packet in a multicast or broadcast frame")                                          \
    X(SP_NOT_IP, "not_ip", SP_DROP, "neither IP nor a link protocol")                                                                      \
    X(SP_BAD_IP, "bad_ip", SP_DROP, "IP header cut short or not true to its lengths")                                                      \
    X(SP_BAD_EXTENSION, "bad_extension", SP_DROP, "IPv6 extension headers cut short or too many")                                          \
    X(SP_BAD_UDP, "bad_udp", SP_DROP, "UDP header cut short or not true to its length")                                                    \
    X(SP_UDP_SHORT, "udp_short", SP_DROP, "UDP port 4500 with fewer than four octets and no keepalive")                                    \
    X(SP_NAT_KEEPALIVE, "nat_keepalive", SP_DROP, "NAT keepalive; it has done its work on the way")                                        \
    X(SP_BAD_IKE, "bad_ike", SP_DROP, "IKE message shorter than its header")                                                               \
    X(SP_IKE_UNSERVED, "ike_unserved", SP_DROP, "IKE while nobody serves it")                                                              \
    X(SP_IKE_PEER_LIMIT, "ike_peer_limit", SP_DROP, "first IKE request over the rate of its configured peer")                              \
    X(SP_IKE_PREFIX_LIMIT, "ike_prefix_limit", SP_DROP, "first IKE request over the rate of its source prefix")                            \
    X(SP_IKE_MACHINE_LIMIT, "ike_machine_limit", SP_DROP, "first IKE request over the rate of the machine")                                \
    X(SP_IKE_OTHER_LIMIT, "ike_other_limit", SP_DROP, "other IKE message over the rate of its source prefix")                              \
    X(SP_PROTECTED_SOURCE, "protected_source", SP_DROP, "clear packet from the black side with a source in a protected network")           \
    X(SP_TRANSIT, "transit", SP_DROP, "clear transit from the black side that no bypass entry allows")                                     \
    X(SP_OWN_VLAN, "own_vlan", SP_SOCKET, "for the gateway itself on a VLAN that has no interface of the kernel")

enum sp_verdict {

#define SP_X(symbol, name, action, meaning) symbol,
    SP_VERDICTS(SP_X)
#undef SP_X
        SP_VERDICT_COUNT, // also: not decided yet
};

// What becomes of a packet that the machine itself sends by a black port, as the verdicts above. AF_XDP's transmission passes below: what
// the gateway sends is not among them.
#define SP_EGRESS_VERDICTS(X)                                                                                                              \
    X(SP_EGRESS_CLEAR, "egress_clear", SP_KERNEL, "packet of the machine itself that no policy protects")                                  \
    X(SP_EGRESS_IPSEC, "egress_ipsec", SP_KERNEL, "ESP, AH or IKE of the machine itself")                                                  \
    X(SP_EGRESS_OTHER, "egress_other", SP_KERNEL, "link protocol, or link-local multicast, of the machine itself")                         \
    X(SP_EGRESS_PROTECTED, "egress_protected", SP_DROP, "clear packet of the machine itself that must be protected")                       \
    X(SP_EGRESS_UNKNOWN_VLAN, "egress_unknown_vlan", SP_DROP,                                                                              \
      "packet of the machine itself in a VLAN that is not configured on this port")                                                        \
    X(SP_EGRESS_BAD, "egress_bad", SP_DROP, "packet of the machine itself whose IP header is cut short")

enum sp_egress_verdict {

#define SP_X(symbol, name, action, meaning) symbol,
    SP_EGRESS_VERDICTS(SP_X)
#undef SP_X
        SP_EGRESS_VERDICT_COUNT,
};

// Sizes of the maps. What does not fit is refused by user space, with its own sentence.
enum {
    SP_MAX_QUEUES = 128,
    SP_MAX_LOCAL_ADDRESSES = 8192,
    SP_MAX_PREFIXES = 16384, // of each trie
    SP_MAX_VLANS = 8192,
    SP_MAX_IKE_PEERS = 8192,
    SP_MAX_IKE_PREFIXES = 16384, // of each LRU table
    SP_MAX_PORT_MACS = 4,
};

// Value of the counter map (per-CPU array, index = enum sp_verdict).
struct sp_counter {
    __u64 packets;
    __u64 octets; // of whole frames
};

// Address families as this boundary names them. An IPv4 address lies in the first four octets, the rest is zero.
enum { SP_IPV4 = 4, SP_IPV6 = 6 };

// What a port must know of a local address: a key of local_addresses. One entry for each port and VPN on which the address counts.
struct sp_local_key {
    __u32 ifindex;
    __u32 vpn;
    __u32 family;
    __u8 address[16];
};

enum sp_local_flags {
    SP_LOCAL_HOST = 1,  // for the gateway itself (broadcast addresses of the port's networks too)
    SP_LOCAL_IPSEC = 2, // and ESP, AH and IKE to it are ours
};

// Key of the tries. prefix_bits counts from `vpn_be` on: 64 + the prefix length of the address.
struct sp_prefix_key {
    __u32 prefix_bits;
    __u32 vpn_be;
    __u32 family_be;
    __u8 address[16];
};

enum { SP_PREFIX_KEY_BITS = 64 }; // those before the address

// Value of protected_sources; the longest prefix counts, so that a network inside a protected one can be exempted.
enum sp_protection { SP_PROTECTION_EXEMPT = 0, SP_PROTECTION_PROTECTED = 1 };

// Key of vlans; its value is the number of the VPN, with SP_VLAN_OWN where the kernel has no interface for the VLAN. A frame with one tag
// has inner = SP_NO_TAG. A priority tag (VID 0) is no tag.
struct sp_vlan_key {
    __u32 ifindex;
    __u16 outer;
    __u16 inner;
};

enum { SP_NO_TAG = 0xffff };

#define SP_VLAN_OWN 0x80000000u

// Whose token bucket: a key of ike_peers (whole address) and of the two LRU tables (source prefix: /24 or /48, the rest zero).
struct sp_source_key {
    __u32 vpn;
    __u32 family;
    __u8 address[16];
};

// A token bucket as the time (CLOCK_MONOTONIC, ns) up to which its tokens are spent; 0 is a full one. One word, so that one
// compare-and-swap takes a token.
struct sp_bucket {
    __u64 spent_until_ns;
};

// A rate: one token each interval_ns, and as many at once as fit into window_ns (burst - 1 intervals). interval_ns 0: no limit.
struct sp_rate {
    __u64 interval_ns;
    __u64 window_ns;
};

struct sp_ike_rates {
    struct sp_rate peer;    // first requests of a configured peer
    struct sp_rate prefix;  // first requests of one source prefix
    struct sp_rate machine; // first requests of all that are no configured peers
    struct sp_rate other;   // everything else, of one source prefix
};

// What a port tells of a clear packet from the black side that it dropped (RFC 4301 5.2): a record of the ring buffer `audits`. Of each of
// the two verdicts SP_AUDIT_BURST at once and then one each SP_AUDIT_INTERVAL_NS.
struct sp_audit {
    __u64 time_ns; // CLOCK_MONOTONIC
    __u32 ifindex;
    __u32 vpn;     // the outer one
    __u32 verdict; // enum sp_verdict: SP_PROTECTED_SOURCE, SP_TRANSIT
    __u32 family;
    __u8 source[16];
    __u8 destination[16];
    __u8 upper[4];      // what follows the IP header: ports, or type and code
    __u32 flow_label;   // of IPv6
    __u8 protocol;      // as the IP header names it: of IPv6 perhaps an extension header
    __u8 upper_present; // 0: a fragment, or there are fewer octets
    __u8 reserved[6];
};

enum { SP_AUDIT_OCTETS = 65536, SP_AUDIT_INTERVAL_NS = 100000000, SP_AUDIT_BURST = 10 };

// What one port is: constants in .rodata, set before load.
struct sp_port {
    __u32 ifindex;
    __u32 role;         // enum sp_role
    __u32 untagged_vpn; // VPN of frames without a tag
    __u8 untagged;      // frames without a tag are allowed
    __u8 tagged;        // the port has VLANs; without, every tag is refused unseen
    __u8 ike_served;    // somebody serves IKE
    __u8 reserved;
    struct sp_ike_rates rates;
};

#endif
