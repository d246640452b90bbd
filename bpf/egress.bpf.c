// SPDX-License-Identifier: GPL-2.0-only
// The tc program on the way out of a black port. It sees what the machine itself sends, and drops what a policy wants protected: such a
// packet should have gone into the TUN, which is not there. It goes on doing so when the gateway has died. What it drops is a superset:
// where the destination is protected no source is asked for.
#include "shared.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "parse.h"
#include "shared_maps.h"

const volatile struct sp_port port; // set before load; only interface, VLANs and the VPN of frames without a tag count

const __u32 zero_key = 0;

// As in maps.h: the description of a packet lies in a map, not on the stack (parse.h says why). Sending is not preempted by sending: the
// kernel calls this with softirqs off.
struct packet {
    __u32 l3;
    __u32 l4;
    __u32 vpn;
    __u32 family; // 0: no IP
    __u16 ethertype;
    __u8 protocol;
    bool later_fragment;
    __u8 source[16];
    __u8 destination[16];
    struct sp_vlan_key vlan;
    struct sp_prefix_key prefix;
    __u32 verdict;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct packet);
} packets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, SP_EGRESS_VERDICT_COUNT);
    __type(key, __u32);
    __type(value, struct sp_counter);
} egress_counters SEC(".maps");

static __always_inline bool get(struct __sk_buff* skb, __u32 offset, void* to, __u32 size) {
    return bpf_skb_load_bytes(skb, offset, to, size) == 0;
}

// One more tag, from the outside in. False: there are more than two.
static __always_inline bool take_tag(struct packet* p, __u16 tci) {
    if (p->vlan.inner != SP_NO_TAG) return false;
    if (p->vlan.outer == SP_NO_TAG)
        p->vlan.outer = tci & 0xfff;
    else
        p->vlan.inner = tci & 0xfff;
    return true;
}

// Ethernet and the tags, beside the frame and in it. False: cut short, or too many tags.
static __always_inline bool read_link(struct __sk_buff* skb, struct packet* p) {
    struct ethernet_header eth;

    p->vlan.outer = SP_NO_TAG;
    p->vlan.inner = SP_NO_TAG;
    if (!get(skb, 0, &eth, sizeof(eth))) return false;
    if (skb->vlan_present) take_tag(p, (__u16)skb->vlan_tci);
    p->ethertype = bpf_ntohs(eth.type);
    p->l3 = sizeof(eth);
#pragma clang loop unroll(full)
    for (int i = 0; i < 2; i++) {
        struct vlan_tag tag;

        if (!is_vlan(p->ethertype)) return true;
        if (!get(skb, p->l3, &tag, sizeof(tag)) || !take_tag(p, bpf_ntohs(tag.tci))) return false;
        p->ethertype = bpf_ntohs(tag.type);
        p->l3 += sizeof(tag);
    }
    return !is_vlan(p->ethertype);
}

static __always_inline bool read_ipv4(struct __sk_buff* skb, struct packet* p) {
    struct ipv4_header ip;

    if (!get(skb, p->l3, &ip, sizeof(ip)) || ip.version_ihl >> 4 != 4) return false;
    p->family = SP_IPV4;
    p->l4 = p->l3 + (ip.version_ihl & 0xf) * 4u;
    p->protocol = ip.protocol;
    p->later_fragment = (bpf_ntohs(ip.fragment) & 0x1fff) != 0;
    __builtin_memcpy(p->source, ip.source, sizeof(ip.source));
    __builtin_memcpy(p->destination, ip.destination, sizeof(ip.destination));
    return true;
}

// Without the extension headers: what hides IPsec behind one is asked like any other packet.
static __always_inline bool read_ipv6(struct __sk_buff* skb, struct packet* p) {
    struct ipv6_header ip;

    if (!get(skb, p->l3, &ip, sizeof(ip)) || bpf_ntohl(ip.version_class_flow) >> 28 != 6) return false;
    p->family = SP_IPV6;
    p->l4 = p->l3 + sizeof(ip);
    p->protocol = ip.next_header;
    __builtin_memcpy(p->source, ip.source, sizeof(ip.source));
    __builtin_memcpy(p->destination, ip.destination, sizeof(ip.destination));
    return true;
}

// 224.0.0.0/24 (RFC 5771 4), the limited broadcast, ff01::/16 and ff02::/16 (RFC 4291 2.7): no router passes them on.
static __always_inline bool stays_on_link(const struct packet* p) {
    const __u8* d = p->destination;

    if (p->family == SP_IPV4) return (d[0] == 224 && d[1] == 0 && d[2] == 0) || (d[0] == 255 && d[1] == 255 && d[2] == 255 && d[3] == 255);
    return (d[0] == 0xff && ((d[1] & 0xf) == 1 || (d[1] & 0xf) == 2)) || (d[0] == 0xfe && (d[1] & 0xc0) == 0x80);
}

static __always_inline bool is_ike_port(__be16 number) { return number == bpf_htons(500) || number == bpf_htons(4500); }

// ESP, AH, and UDP from an IKE port to an IKE port.
static __always_inline bool is_ipsec(struct __sk_buff* skb, const struct packet* p) {
    struct udp_header udp;

    if (p->protocol == PROTOCOL_ESP || p->protocol == PROTOCOL_AH) return true;
    if (p->protocol != PROTOCOL_UDP || p->later_fragment || !get(skb, p->l4, &udp, sizeof(udp))) return false;
    return is_ike_port(udp.source) && is_ike_port(udp.destination);
}

static __always_inline bool find_vpn(struct packet* p) {
    __u32* vpn;

    if (p->vlan.outer == SP_NO_TAG || (p->vlan.outer == 0 && p->vlan.inner == SP_NO_TAG)) {
        p->vpn = port.untagged_vpn;
        return port.untagged;
    }
    p->vlan.ifindex = port.ifindex;
    vpn = bpf_map_lookup_elem(&vlans, &p->vlan);
    if (!vpn) return false;
    p->vpn = *vpn & ~SP_VLAN_OWN;
    return true;
}

static __always_inline struct sp_prefix_key* prefix_of(struct packet* p, const __u8 address[16]) {
    p->prefix.prefix_bits = SP_PREFIX_KEY_BITS + (p->family == SP_IPV4 ? 32 : 128);
    p->prefix.vpn_be = bpf_htonl(p->vpn);
    p->prefix.family_be = bpf_htonl(p->family);
    __builtin_memcpy(p->prefix.address, address, 16);
    return &p->prefix;
}

static __always_inline bool must_be_protected(struct packet* p) {
    __u32* protection = bpf_map_lookup_elem(&egress_destinations, prefix_of(p, p->destination));

    if (protection) return *protection == SP_PROTECTION_PROTECTED;
    return bpf_map_lookup_elem(&egress_sources, prefix_of(p, p->source)) != NULL;
}

static __always_inline enum sp_egress_verdict judge(struct __sk_buff* skb, struct packet* p) {
    if (!read_link(skb, p)) return SP_EGRESS_BAD;
    if (p->ethertype != ETHERTYPE_IPV4 && p->ethertype != ETHERTYPE_IPV6) return SP_EGRESS_OTHER;
    if (p->ethertype == ETHERTYPE_IPV4 ? !read_ipv4(skb, p) : !read_ipv6(skb, p)) return SP_EGRESS_BAD;
    if (stays_on_link(p)) return SP_EGRESS_OTHER;
    if (!find_vpn(p)) return SP_EGRESS_UNKNOWN_VLAN;
    if (is_ipsec(skb, p)) return SP_EGRESS_IPSEC;
    return must_be_protected(p) ? SP_EGRESS_PROTECTED : SP_EGRESS_CLEAR;
}

static __always_inline bool drops(__u32 verdict) {
    switch (verdict) {
#define SP_X(symbol, name, action, meaning)                                                                                                \
    case symbol: return action == SP_DROP;
        SP_EGRESS_VERDICTS(SP_X)
#undef SP_X
    default: return true;
    }
}

SEC("tc")

int sallyport_egress(struct __sk_buff* skb) {
    struct packet* p = bpf_map_lookup_elem(&packets, &zero_key);
    struct sp_counter* counter;

    if (!p) // never: the map has this entry
        return TC_ACT_SHOT;
    __builtin_memset(p, 0, sizeof(*p));
    p->verdict = judge(skb, p);
    counter = bpf_map_lookup_elem(&egress_counters, &p->verdict);
    if (counter) {
        counter->packets++;
        counter->octets += skb->len;
    }
    return drops(p->verdict) ? TC_ACT_SHOT : TC_ACT_UNSPEC; // others' filters are asked too
}

char bpf_license[] SEC("license") = "GPL";
