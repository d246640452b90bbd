// SPDX-License-Identifier: GPL-2.0-only
// The VLAN tag that a driver (veth among them) keeps beside the frame: neither the frame's octets nor an AF_XDP socket have it, and without
// this a frame of any VLAN looks like one without a tag. Only a program bound to its device may ask for it (Linux 6.8).
#pragma once

#include "parse.h"

// Weak: where the kernel has none, the entry that calls it is not loaded.
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md* ctx, __be16* type, __u16* tci) __ksym __weak;

enum { NO_SUCH_TAG = -61 }; // -ENODATA

// False: the driver does not tell, so the frame may be of any VLAN.
static __always_inline bool read_tag_beside(struct xdp_md* ctx, struct frame* f) {
    int answer = bpf_xdp_metadata_rx_vlan_tag(ctx, &f->beside_type, &f->beside_tci);

    f->tag_beside = answer == 0;
    return answer == 0 || answer == NO_SUCH_TAG;
}

// The tag beside the frame was the first on the wire. False: there are more than two.
static __always_inline bool count_in_tag_beside(struct frame* f) {
    if (f->vlan.inner != SP_NO_TAG) return false;
    f->vlan.inner = f->vlan.outer;
    f->vlan.outer = f->beside_tci & 0xfff;
    return true;
}

// As it came from the wire. Only for the socket: the kernel's stack still has the tag beside the frame.
static __always_inline bool put_tag_into_frame(struct xdp_md* ctx, struct frame* f) {
    __u8* data;
    struct vlan_tag* tag;

    if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*tag)) != 0) return false;
    data = (void*)(long)ctx->data;
    if (data + sizeof(struct ethernet_header) + sizeof(*tag) > (__u8*)(long)ctx->data_end) return false; // for the verifier
    __builtin_memmove(data, data + sizeof(*tag), 12);
    *(__be16*)(data + 12) = f->beside_type;
    *(__be16*)(data + 14) = bpf_htons(f->beside_tci);
    f->length += sizeof(*tag);
    return true;
}
