// SPDX-License-Identifier: GPL-2.0-only
// From the description of a frame to its verdict: the rules of a black and of a red port.
#pragma once

#include "beside.h"
#include "limit.h"
#include "maps.h"
#include "parse.h"

enum { PORT_IKE = 500, PORT_IKE_NAT = 4500 };

enum { ND_ROUTER_SOLICITATION = 133, ND_REDIRECT = 137 }; // RFC 4861 4: five messages

struct icmp_header {
    __u8 type;
    __u8 code;
    __be16 checksum;
    __be32 rest;
};

// The VPN of the frame, by its tags.
static __always_inline enum sp_verdict find_vpn(struct frame* f) {
    __u32* vpn;

    if (f->vlan.outer == SP_NO_TAG || (f->vlan.outer == 0 && f->vlan.inner == SP_NO_TAG)) {
        f->vpn = port.untagged_vpn;
        return port.untagged ? SP_VERDICT_COUNT : SP_UNKNOWN_VLAN;
    }
    if (!port.tagged) return SP_UNKNOWN_VLAN;
    f->vlan.ifindex = port.ifindex;
    vpn = bpf_map_lookup_elem(&vlans, &f->vlan);
    if (!vpn) return SP_UNKNOWN_VLAN;
    f->vpn = *vpn & ~SP_VLAN_OWN;
    f->own_vlan = (*vpn & SP_VLAN_OWN) != 0;
    return SP_VERDICT_COUNT;
}

static __always_inline bool is_our_mac(__u64 mac) {
    __u64 first = port_macs[0];

    return first == 0 || mac == first || mac == port_macs[1] || mac == port_macs[2] || mac == port_macs[3];
}

static __always_inline bool is_multicast(const struct frame* f) {
    return f->family == SP_IPV4 ? (f->destination[0] & 0xf0) == 0xe0 : f->destination[0] == 0xff;
}

// Never forwarded by any router: 224.0.0.0/24 (RFC 5771 4), the limited broadcast, ff01::/16 and ff02::/16 (RFC 4291 2.7).
static __always_inline bool is_link_scope(const struct frame* f) {
    const __u8* d = f->destination;

    if (f->family == SP_IPV4) return (d[0] == 224 && d[1] == 0 && d[2] == 0) || (d[0] == 255 && d[1] == 255 && d[2] == 255 && d[3] == 255);
    return d[0] == 0xff && ((d[1] & 0xf) == 1 || (d[1] & 0xf) == 2);
}

static __always_inline __u32 local_flags(struct frame* f) {
    struct sp_local_key* key = &f->key.local;
    __u32* flags;

    key->ifindex = port.ifindex;
    key->vpn = f->vpn;
    key->family = f->family;
    __builtin_memcpy(key->address, f->destination, sizeof(key->address));
    flags = bpf_map_lookup_elem(&local_addresses, key);
    return flags ? *flags : 0;
}

// fe80::/10 (RFC 4291 2.5.6): no router passes it on.
static __always_inline bool is_link_local(const __u8 address[16]) { return address[0] == 0xfe && (address[1] & 0xc0) == 0x80; }

// RFC 4861: a hop limit of 255 says that no router has passed it on. One to another address than ours is no discovery but transit: the
// kernel would forward it.
static __always_inline bool is_neighbour_discovery(struct xdp_md* ctx, struct frame* f) {
    struct icmp_header icmp;

    if (f->family != SP_IPV6 || f->protocol != PROTOCOL_ICMPV6 || f->hop_limit != 255) return false;
    if (f->l4 + sizeof(icmp) > f->end || !load(ctx, f->l4, &icmp, sizeof(icmp))) return false;
    if (icmp.type < ND_ROUTER_SOLICITATION || icmp.type > ND_REDIRECT) return false;
    return is_link_scope(f) || is_link_local(f->destination) || local_flags(f) != 0;
}

static __always_inline struct sp_prefix_key* prefix_key(struct frame* f, const __u8 address[16]) {
    struct sp_prefix_key* key = &f->key.prefix;

    key->prefix_bits = SP_PREFIX_KEY_BITS + (f->family == SP_IPV4 ? 32 : 128);
    key->vpn_be = bpf_htonl(f->vpn);
    key->family_be = bpf_htonl(f->family);
    __builtin_memcpy(key->address, address, sizeof(key->address));
    return key;
}

static __always_inline bool is_protected_source(struct frame* f) {
    __u32* protection = bpf_map_lookup_elem(&protected_sources, prefix_key(f, f->source));

    return protection && *protection == SP_PROTECTION_PROTECTED;
}

static __always_inline bool may_bypass(struct frame* f) {
    if (!bpf_map_lookup_elem(&bypass_destinations, prefix_key(f, f->destination))) return false;
    return bpf_map_lookup_elem(&bypass_sources, prefix_key(f, f->source)) != NULL;
}

static __always_inline bool is_keepalive(struct xdp_md* ctx, __u32 offset) {
    __u8 only;

    return load(ctx, offset, &only, sizeof(only)) && only == 0xff;
}

// UDP to one of our addresses: IKE, ESP in UDP (RFC 3948 2), or nothing of ours.
static __always_inline enum sp_verdict classify_udp(struct xdp_md* ctx, struct frame* f) {
    struct udp_header udp;
    __u32 offset = f->l4 + sizeof(udp);
    __u32 octets;
    __u16 to;

    if (offset > f->end || !load(ctx, f->l4, &udp, sizeof(udp))) return SP_BAD_UDP;
    to = bpf_ntohs(udp.destination);
    if (to != PORT_IKE && to != PORT_IKE_NAT) return SP_VERDICT_COUNT;
    if (f->fragment) return SP_IPSEC_FRAGMENT;
    octets = bpf_ntohs(udp.length);
    if (octets < sizeof(udp) || f->l4 + octets > f->end) return SP_BAD_UDP;
    octets -= sizeof(udp);
    if (to == PORT_IKE_NAT) {
        __u32 marker; // four zero octets: IKE follows

        if (octets < sizeof(marker)) return octets == 1 && is_keepalive(ctx, offset) ? SP_NAT_KEEPALIVE : SP_UDP_SHORT;
        if (!load(ctx, offset, &marker, sizeof(marker))) return SP_BAD_UDP;
        if (marker != 0) return SP_ESP_IN_UDP;
        offset += sizeof(marker);
        octets -= sizeof(marker);
    }
    return classify_ike(ctx, f, offset, octets);
}

// Is what an ICMP error quotes something that we sent: ESP, AH, or UDP from port 500 or 4500? `offset`: of what follows the quoted IP
// header.
static __always_inline bool quotes_ours(struct xdp_md* ctx, const struct frame* f, __u8 protocol, __u32 offset) {
    __be16 from;

    if (protocol == PROTOCOL_ESP || protocol == PROTOCOL_AH) return true;
    if (protocol != PROTOCOL_UDP || offset + sizeof(from) > f->end || !load(ctx, offset, &from, sizeof(from))) return false;
    return bpf_ntohs(from) == PORT_IKE || bpf_ntohs(from) == PORT_IKE_NAT;
}

// ICMP errors (RFC 792: destination unreachable, time exceeded, parameter problem) about packets of ours.
static __always_inline enum sp_verdict classify_icmp(struct xdp_md* ctx, const struct frame* f) {
    struct icmp_header icmp;
    struct ipv4_header quote;
    __u32 offset = f->l4 + sizeof(icmp);

    if (offset + sizeof(quote) > f->end || !load(ctx, f->l4, &icmp, sizeof(icmp)) || !load(ctx, offset, &quote, sizeof(quote)))
        return SP_VERDICT_COUNT;
    if (icmp.type != 3 && icmp.type != 11 && icmp.type != 12) return SP_VERDICT_COUNT;
    offset += (quote.version_ihl & 0xf) * 4u;
    return quotes_ours(ctx, f, quote.protocol, offset) ? SP_IPSEC_ICMP_ERROR : SP_VERDICT_COUNT;
}

// ICMPv6 errors (RFC 4443 2.1: types 1 to 4). We send no extension header but, at most, a fragment header.
static __always_inline enum sp_verdict classify_icmpv6(struct xdp_md* ctx, const struct frame* f) {
    struct icmp_header icmp;
    struct ipv6_header quote;
    struct extension_header ext;
    __u32 offset = f->l4 + sizeof(icmp);
    __u8 protocol;

    if (offset + sizeof(quote) > f->end || !load(ctx, f->l4, &icmp, sizeof(icmp)) || !load(ctx, offset, &quote, sizeof(quote)))
        return SP_VERDICT_COUNT;
    if (icmp.type < 1 || icmp.type > 4) return SP_VERDICT_COUNT;
    offset += sizeof(quote);
    protocol = quote.next_header;
    if (protocol == PROTOCOL_FRAGMENT) {
        if (offset + sizeof(ext) > f->end || !load(ctx, offset, &ext, sizeof(ext))) return SP_VERDICT_COUNT;
        protocol = ext.next_header;
        offset += sizeof(ext);
    }
    return quotes_ours(ctx, f, protocol, offset) ? SP_IPSEC_ICMP_ERROR : SP_VERDICT_COUNT;
}

// A packet to an address at which we serve IPsec: is it for the socket? Not decided: it is for the gateway itself.
static __always_inline enum sp_verdict classify_ipsec(struct xdp_md* ctx, struct frame* f) {
    if (f->family == SP_IPV6) {
        enum sp_verdict verdict = (enum sp_verdict)walk_extensions(ctx, f);

        if (verdict != SP_VERDICT_COUNT) return verdict;
        if (f->other_node) return SP_VERDICT_COUNT;
    }
    if (f->later_fragment) // an extension header may hide any of ours
        return f->protocol == PROTOCOL_ESP || f->protocol == PROTOCOL_AH || f->protocol == PROTOCOL_UDP ||
                       (f->family == SP_IPV6 && (f->protocol == PROTOCOL_DESTINATION_OPTIONS || f->protocol == PROTOCOL_ROUTING))
                   ? SP_IPSEC_FRAGMENT
                   : SP_VERDICT_COUNT;
    if (f->protocol == PROTOCOL_ESP) return f->fragment ? SP_IPSEC_FRAGMENT : SP_ESP;
    if (f->protocol == PROTOCOL_AH) return f->fragment ? SP_IPSEC_FRAGMENT : SP_AH;
    if (f->protocol == PROTOCOL_UDP) return classify_udp(ctx, f);
    if (f->family == SP_IPV4 && f->protocol == PROTOCOL_ICMP && !f->fragment) return classify_icmp(ctx, f);
    if (f->family == SP_IPV6 && f->protocol == PROTOCOL_ICMPV6 && !f->fragment) return classify_icmpv6(ctx, f);
    return SP_VERDICT_COUNT;
}

// RFC 4301 5.2: what comes in clear from the black side although its source is protected is dropped; so is all transit without a bypass
// entry. A bypass entry is asked first, since the policy that has the last word knows the order of the entries.
static __always_inline enum sp_verdict classify_black(struct xdp_md* ctx, struct frame* f) {
    __u32 flags = local_flags(f);

    if (flags & SP_LOCAL_IPSEC) {
        enum sp_verdict verdict = classify_ipsec(ctx, f);

        if (verdict != SP_VERDICT_COUNT) return verdict;
    }
    if (flags) return is_protected_source(f) ? SP_PROTECTED_SOURCE : SP_LOCAL;
    if (is_link_scope(f)) return is_protected_source(f) ? SP_PROTECTED_SOURCE : SP_LINK_SCOPE;
    if (may_bypass(f)) return SP_BYPASS;
    return is_protected_source(f) ? SP_PROTECTED_SOURCE : SP_TRANSIT;
}

// What is not for the gateway itself meets the policy. Routing protocols are for the gateway itself: they use link-local multicast or one
// of its addresses.
static __always_inline enum sp_verdict classify_red(struct frame* f) {
    if (local_flags(f)) return SP_LOCAL;
    return is_link_scope(f) ? SP_LINK_SCOPE : SP_POLICY;
}

static __always_inline bool is_link_control(__u16 ethertype) {
    return ethertype < ETHERTYPE_FIRST || ethertype == ETHERTYPE_LLDP || ethertype == ETHERTYPE_SLOW || ethertype == ETHERTYPE_EAPOL;
}

static __always_inline enum sp_verdict parse_frame(struct xdp_md* ctx, struct frame* f, bool beside) {
    enum sp_verdict verdict = parse_link(ctx, f);

    if (verdict != SP_VERDICT_COUNT) return verdict;
    if (beside && f->tag_beside && !count_in_tag_beside(f)) return SP_UNKNOWN_VLAN;
    verdict = find_vpn(f);
    if (verdict != SP_VERDICT_COUNT) return verdict;
    if (!f->group_frame && !is_our_mac(f->mac)) return SP_OTHER_HOST;
    if (f->ethertype == ETHERTYPE_IPV4) return parse_ipv4(ctx, f);
    if (f->ethertype == ETHERTYPE_IPV6) return parse_ipv6(ctx, f);
    if (f->ethertype == ETHERTYPE_ARP) return SP_ARP;
    return is_link_control(f->ethertype) ? SP_LINK_CONTROL : SP_NOT_IP;
}

static __always_inline enum sp_action action_of(enum sp_verdict verdict) {
    switch (verdict) {
#define SP_X(symbol, name, action, meaning)                                                                                                \
    case symbol: return action;
        SP_VERDICTS(SP_X)
#undef SP_X
    default: return SP_DROP;
    }
}

static __always_inline enum sp_verdict classify(struct xdp_md* ctx, struct frame* f, bool beside) {
    enum sp_verdict verdict = parse_frame(ctx, f, beside);

    if (verdict != SP_VERDICT_COUNT) return verdict;
    if (is_neighbour_discovery(ctx, f)) return SP_NEIGHBOUR_DISCOVERY;
    verdict = port.role == SP_ROLE_RED ? classify_red(f) : classify_black(ctx, f);
    if (action_of(verdict) == SP_SOCKET && f->group_frame && !is_multicast(f)) // RFC 1122 3.3.6
        return SP_GROUP_FRAME;
    return verdict;
}
