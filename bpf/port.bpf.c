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

// The whole program but its entry point, so that a second one (a driver that keeps VLAN tags beside the frame) can stand on the same body.
static __always_inline int receive(struct xdp_md* ctx) {
    struct frame* f = bpf_map_lookup_elem(&frames, &zero_key);
    enum sp_verdict verdict;
    int action;

    if (!f) // never: the map has this entry
        return XDP_DROP;
    __builtin_memset(f, 0, sizeof(*f));
    verdict = classify(ctx, f);
    action = (int)action_of(verdict);
    if (action == SP_SOCKET) {
        action = (int)bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP);
        if (action != XDP_REDIRECT) verdict = SP_NO_WORKER;
    }
    count(f, verdict);
    return action;
}

SEC("xdp")

int sallyport_port(struct xdp_md* ctx) { return receive(ctx); }

char bpf_license[] SEC("license") = "GPL";
