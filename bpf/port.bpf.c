// SPDX-License-Identifier: GPL-2.0-only
// The XDP program of a port: every frame that the port receives gets one verdict (shared.h), is counted under it, and is dropped, passed
// to the kernel's stack, or redirected to the AF_XDP socket of the queue it came in on. While no worker has its socket there, what is for
// the socket is dropped, never passed.
#include "classify.h"

static __always_inline void count(struct frame* f, enum sp_verdict verdict) {
    struct sp_counter* counter;

    f->key.verdict = verdict;
    counter = bpf_map_lookup_elem(&counters, &f->key.verdict);
    if (counter) { // per CPU, and XDP is not preempted by itself
        counter->packets++;
        counter->octets += f->length;
    }
}

// RFC 4301 5.2: a clear packet that should have been protected, or that no entry lets in, is an auditable event.
static __always_inline void audit(struct xdp_md* ctx, struct frame* f, enum sp_verdict verdict) {
    struct sp_bucket* bucket = bpf_map_lookup_elem(&audit_limits, &f->key.verdict); // as count() left it
    struct sp_audit* a;
    __be32 upper;
    __be32 first; // of an IPv6 header: version, traffic class, flow label

    if (!bucket || !take_token(bucket, SP_AUDIT_INTERVAL_NS, (SP_AUDIT_BURST - 1) * (__u64)SP_AUDIT_INTERVAL_NS)) return;
    a = bpf_ringbuf_reserve(&audits, sizeof(*a), 0);
    if (!a) return;
    __builtin_memset(a, 0, sizeof(*a));
    a->time_ns = bpf_ktime_get_ns();
    a->ifindex = port.ifindex;
    a->vpn = f->vpn;
    a->verdict = verdict;
    a->family = f->family;
    a->protocol = f->protocol;
    __builtin_memcpy(a->source, f->source, sizeof(a->source));
    __builtin_memcpy(a->destination, f->destination, sizeof(a->destination));
    if (!f->fragment && f->l4 + sizeof(upper) <= f->end && load(ctx, f->l4, &upper, sizeof(upper))) {
        __builtin_memcpy(a->upper, &upper, sizeof(upper));
        a->upper_present = 1;
    }
    if (f->family == SP_IPV6 && load(ctx, f->l3, &first, sizeof(first))) a->flow_label = bpf_ntohl(first) & 0xfffff;
    bpf_ringbuf_submit(a, 0);
}

// The whole program but its entry point. `beside`, a constant: the driver is asked for a VLAN tag beside the frame.
static __always_inline int receive(struct xdp_md* ctx, bool beside) {
    struct frame* f = bpf_map_lookup_elem(&frames, &zero_key);
    enum sp_verdict verdict;
    int action;

    if (!f) // never: the map has this entry
        return XDP_DROP;
    __builtin_memset(f, 0, sizeof(*f));
    verdict = beside && !read_tag_beside(ctx, f) ? SP_UNKNOWN_VLAN : classify(ctx, f, beside);
    action = (int)action_of(verdict);
    if (action == SP_KERNEL && f->own_vlan) { // whose stack would not know it
        verdict = SP_OWN_VLAN;
        action = SP_SOCKET;
    }
    if (beside && action == SP_SOCKET && f->tag_beside && !put_tag_into_frame(ctx, f)) {
        verdict = SP_BAD_LINK; // never: every driver leaves more room before the frame
        action = SP_DROP;
    }
    if (action == SP_SOCKET) {
        action = (int)bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP);
        if (action != XDP_REDIRECT) verdict = SP_NO_WORKER;
    }
    count(f, verdict);
    if (port.role == SP_ROLE_BLACK && (verdict == SP_PROTECTED_SOURCE || verdict == SP_TRANSIT)) audit(ctx, f, verdict);
    return action;
}

SEC("xdp")

int sallyport_port(struct xdp_md* ctx) { return receive(ctx, false); }

// Loaded instead of the first where a driver keeps VLAN tags beside the frame, bound to the device: such a program can be neither run by a
// test nor attached in generic mode.
//
// It must not become longer than it was when it was given to the kernel. A program has the pages that its instructions needed then; when
// the verifier's rewriting needs more, it moves, but the device's list of programs bound to it goes on pointing to the old place (seen on
// Linux 6.18), and the kernel breaks when the device goes, with the lock of all network configuration held. So it begins with instructions
// that are dead, since the constant is zero: the verifier removes them before anything that it rewrites becomes longer, and their room is
// left. User space looks at the length afterwards (gateway/xdp/bound.cpp).
const volatile __u8 room_is_used; // set by a test only

SEC("?xdp")

int sallyport_bound(struct xdp_md* ctx) {
    // ctx->ingress_ifindex: were they alive, each would become three.
    if (room_is_used) asm volatile(".rept 1024\nr0 = *(u32*)(%0 + 12)\n.endr" : : "r"(ctx) : "r0");
    return receive(ctx, true);
}

char bpf_license[] SEC("license") = "GPL";
