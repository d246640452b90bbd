// SPDX-License-Identifier: GPL-2.0-only
// From octets to a description of the frame: Ethernet, VLAN tags, IPv4, IPv6 with extension headers.
//
// The description lies in a per-CPU map, and nothing but what bpf_xdp_load_bytes gives is stored on the stack: without CAP_PERFMON the
// verifier, before Linux 6.8, refuses a narrow store there over what it knows as a number. For the same reason the program is compiled
// without 32-bit registers, which the compiler spills by narrow stores.
//
// Headers at a place known at compile time (Ethernet, tags) are read in the packet; all others are copied to the stack by
// bpf_xdp_load_bytes, which checks the bounds itself: without CAP_PERFMON the verifier allows neither a packet pointer plus a variable nor
// the difference of two pointers.
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "shared.h"

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_ARP = 0x0806,
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_SLOW = 0x8809, // LACP
    ETHERTYPE_EAPOL = 0x888e,
    ETHERTYPE_QINQ = 0x88a8,
    ETHERTYPE_LLDP = 0x88cc,
    ETHERTYPE_OLD_QINQ = 0x9100,
    ETHERTYPE_FIRST = 0x0600, // below it the field is a length (IEEE 802.3), and LLC follows
};

enum {
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_ICMP = 1,
    PROTOCOL_UDP = 17,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_FRAGMENT = 44,
    PROTOCOL_ESP = 50,
    PROTOCOL_AH = 51,
    PROTOCOL_ICMPV6 = 58,
    PROTOCOL_DESTINATION_OPTIONS = 60,
};

enum { EXTENSION_HEADERS_MAX = 8 }; // more than that nobody sends in earnest

struct ethernet_header {
    __u8 destination[6];
    __u8 source[6];
    __be16 type;
};

struct vlan_tag {
    __be16 tci;
    __be16 type; // of what follows
};

struct ipv4_header {
    __u8 version_ihl;
    __u8 tos;
    __be16 total_length;
    __be16 id;
    __be16 fragment;
    __u8 ttl;
    __u8 protocol;
    __be16 checksum;
    __u8 source[4];
    __u8 destination[4];
};

struct ipv6_header {
    __be32 version_class_flow;
    __be16 payload_length;
    __u8 next_header;
    __u8 hop_limit;
    __u8 source[16];
    __u8 destination[16];
};

struct extension_header {
    __u8 next_header;
    __u8 length;     // in units of 8 octets, without the first (RFC 8200 4.2); reserved in a fragment header
    __be16 fragment; // fragment header only (RFC 8200 4.5)
    __u8 rest[4];
};

struct udp_header {
    __be16 source;
    __be16 destination;
    __be16 length;
    __be16 checksum;
};

struct frame {
    __u32 length; // of the whole frame
    __u32 vpn;
    __u32 l3;     // offsets from the start of the frame
    __u32 l4;     // behind the IP header; for IPv6 behind the extension headers once these are walked
    __u32 end;    // of the IP packet: link padding lies behind
    __u32 family; // SP_IPV4, SP_IPV6
    __u16 ethertype;
    __u8 protocol;
    __u8 hop_limit;
    bool group_frame;    // sent to a multicast or broadcast MAC address
    bool fragment;       // any fragment of a datagram
    bool later_fragment; // one that does not hold the datagram's first octet
    bool other_node;     // a routing header names further nodes to visit
    bool own_vlan;       // the kernel has no interface for its VLAN
    bool tag_beside;     // the driver took the first VLAN tag out of the frame:
    __be16 beside_type;
    __u16 beside_tci;
    __u8 source[16];
    __u8 destination[16];
    __u64 mac;               // where the frame is sent to, as mac_number() gives it
    struct sp_vlan_key vlan; // its tags, SP_NO_TAG where there is none
    union {                  // what a map is asked for
        struct sp_local_key local;
        struct sp_prefix_key prefix;
        struct sp_source_key source;
        __u32 verdict;
    } key;
};

static __always_inline bool load(struct xdp_md* ctx, __u32 offset, void* to, __u32 size) {
    return bpf_xdp_load_bytes(ctx, offset, to, size) == 0;
}

static __always_inline bool is_vlan(__u16 ethertype) {
    return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ || ethertype == ETHERTYPE_OLD_QINQ;
}

// A MAC address as a number: the first octet lowest.
static __always_inline __u64 mac_number(const __u8 mac[6]) {
    return (__u64)mac[0] | (__u64)mac[1] << 8 | (__u64)mac[2] << 16 | (__u64)mac[3] << 24 | (__u64)mac[4] << 32 | (__u64)mac[5] << 40;
}

// Ethernet and at most two VLAN tags.
static __always_inline enum sp_verdict parse_link(struct xdp_md* ctx, struct frame* f) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct ethernet_header* eth = data;
    struct vlan_tag* tag = (void*)(eth + 1);

    if ((void*)(eth + 1) > data_end) return SP_BAD_LINK;
    f->length = (__u32)bpf_xdp_get_buff_len(ctx);
    f->group_frame = eth->destination[0] & 1;
    f->mac = mac_number(eth->destination);
    f->ethertype = bpf_ntohs(eth->type);
    f->l3 = sizeof(*eth);
    f->vlan.outer = SP_NO_TAG;
    f->vlan.inner = SP_NO_TAG;
    if (!is_vlan(f->ethertype)) return SP_VERDICT_COUNT;

    if ((void*)(tag + 1) > data_end) return SP_BAD_LINK;
    f->vlan.outer = bpf_ntohs(tag->tci) & 0xfff;
    f->ethertype = bpf_ntohs(tag->type);
    f->l3 += sizeof(*tag);
    if (!is_vlan(f->ethertype)) return SP_VERDICT_COUNT;

    if ((void*)(tag + 2) > data_end) return SP_BAD_LINK;
    f->vlan.inner = bpf_ntohs(tag[1].tci) & 0xfff;
    f->ethertype = bpf_ntohs(tag[1].type);
    f->l3 += sizeof(*tag);
    return is_vlan(f->ethertype) ? SP_UNKNOWN_VLAN : SP_VERDICT_COUNT;
}

// RFC 791 3.1. The checksum is left to who reads on: the kernel's stack, or user space.
static __always_inline enum sp_verdict parse_ipv4(struct xdp_md* ctx, struct frame* f) {
    struct ipv4_header ip;
    __u32 header, total, offset;

    if (!load(ctx, f->l3, &ip, sizeof(ip))) return SP_BAD_IP;
    header = (ip.version_ihl & 0xf) * 4u;
    total = bpf_ntohs(ip.total_length);
    if (ip.version_ihl >> 4 != 4 || header < sizeof(ip) || total < header || f->l3 + total > f->length) return SP_BAD_IP;
    offset = bpf_ntohs(ip.fragment);
    f->family = SP_IPV4;
    f->protocol = ip.protocol;
    f->hop_limit = ip.ttl;
    f->l4 = f->l3 + header;
    f->end = f->l3 + total;
    f->fragment = (offset & 0x3fff) != 0; // MF or an offset
    f->later_fragment = (offset & 0x1fff) != 0;
    __builtin_memcpy(f->source, ip.source, sizeof(ip.source));
    __builtin_memcpy(f->destination, ip.destination, sizeof(ip.destination));
    return SP_VERDICT_COUNT;
}

// RFC 8200 3: the fixed header only.
static __always_inline enum sp_verdict parse_ipv6(struct xdp_md* ctx, struct frame* f) {
    struct ipv6_header ip;

    if (!load(ctx, f->l3, &ip, sizeof(ip))) return SP_BAD_IP;
    f->l4 = f->l3 + sizeof(ip);
    f->end = f->l4 + bpf_ntohs(ip.payload_length);
    if (bpf_ntohl(ip.version_class_flow) >> 28 != 6 || f->end > f->length) return SP_BAD_IP;
    f->family = SP_IPV6;
    f->protocol = ip.next_header;
    f->hop_limit = ip.hop_limit;
    __builtin_memcpy(f->source, ip.source, sizeof(ip.source));
    __builtin_memcpy(f->destination, ip.destination, sizeof(ip.destination));
    return SP_VERDICT_COUNT;
}

// One extension header (RFC 8200 4) at f->l4, if there is one.
static __always_inline enum sp_verdict step_over_extension(struct xdp_md* ctx, struct frame* f) {
    struct extension_header ext;
    __u32 size = sizeof(ext);

    if (f->l4 + sizeof(ext) > f->end || !load(ctx, f->l4, &ext, sizeof(ext))) return SP_BAD_EXTENSION;
    if (f->protocol == PROTOCOL_FRAGMENT) {
        __u16 fragment = bpf_ntohs(ext.fragment);

        if (fragment & 0xfff9) // offset 0 without M is an atomic fragment, that is, a whole datagram (RFC 6946)
            f->fragment = true;
        if (fragment & 0xfff8) f->later_fragment = true;
    } else {
        size += ext.length * 8u;
    }
    if (f->protocol == PROTOCOL_ROUTING && (bpf_ntohs(ext.fragment) & 0xff) != 0) // segments left
        f->other_node = true;
    f->protocol = ext.next_header;
    f->l4 += size;
    return f->l4 > f->end ? SP_BAD_EXTENSION : SP_VERDICT_COUNT;
}

static __always_inline bool at_extension(const struct frame* f) {
    return f->protocol == PROTOCOL_HOP_BY_HOP || f->protocol == PROTOCOL_ROUTING || f->protocol == PROTOCOL_FRAGMENT ||
           f->protocol == PROTOCOL_DESTINATION_OPTIONS;
}

// From the fixed header to the first header that is not an extension, or to the fragment header of a later fragment, behind which only the
// sender's first fragment tells what it is.
//
// A function that the verifier looks at by itself, its loop unrolled: without CAP_PERFMON it also follows mispredicted branches, and those
// never leave a loop. Gives an enum sp_verdict.
__noinline int walk_extensions(struct xdp_md* ctx, struct frame* f) {
    if (!f) // for the verifier
        return SP_BAD_EXTENSION;
#pragma clang loop unroll(full)
    for (int i = 0; i < EXTENSION_HEADERS_MAX; i++) {
        enum sp_verdict verdict;

        if (!at_extension(f) || f->later_fragment) return SP_VERDICT_COUNT;
        verdict = step_over_extension(ctx, f);
        if (verdict != SP_VERDICT_COUNT) return (int)verdict;
    }
    return at_extension(f) && !f->later_fragment ? SP_BAD_EXTENSION : SP_VERDICT_COUNT;
}
