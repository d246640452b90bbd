// SPDX-License-Identifier: GPL-2.0-only
// Token buckets for IKE. A bucket is one word, the time up to which its tokens are spent (the generic cell rate algorithm, ITU-T I.371
// annex A), so a token is taken by one compare-and-swap from any CPU and nothing has to fill buckets.
#pragma once

#include "maps.h"
#include "parse.h"

enum { IKE_FLAG_RESPONSE = 0x20 }; // RFC 7296 3.1

struct ike_header {         // RFC 7296 3.1
    __u32 initiator_spi[2]; // halves: 28 octets in all, without padding behind
    __u32 responder_spi[2];
    __u8 next_payload;
    __u8 version;
    __u8 exchange_type;
    __u8 flags;
    __be32 message_id;
    __be32 length;
};

static const struct sp_bucket full_bucket; // a key or value on the stack would be a store there (parse.h)

static __always_inline void source_key(struct frame* f) {
    f->key.source.vpn = f->vpn;
    f->key.source.family = f->family;
    __builtin_memcpy(f->key.source.address, f->source, sizeof(f->source));
}

static __always_inline bool take_token(struct sp_bucket* bucket, __u64 interval_ns, __u64 window_ns) {
    __u64 now = bpf_ktime_get_ns();

#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) { // other CPUs may be quicker; four times in a row is a flood
        __u64 spent = *(volatile __u64*)&bucket->spent_until_ns;
        __u64 from = spent > now ? spent : now;

        if (from - now > window_ns) return false;
        if (__sync_val_compare_and_swap(&bucket->spent_until_ns, spent, from + interval_ns) == spent) return true;
    }
    return false;
}

// The bucket of the frame's source prefix in one of the LRU tables; made full when it is not there.
static __always_inline struct sp_bucket* prefix_bucket(void* table, struct frame* f) {
    struct sp_source_key* key = &f->key.source;
    struct sp_bucket* bucket;

    source_key(f);
    if (f->family == SP_IPV4) // /24
        key->address[3] = 0;
    else // /48
        __builtin_memset(key->address + 6, 0, sizeof(key->address) - 6);
    bucket = bpf_map_lookup_elem(table, key);
    if (bucket) return bucket;
    bpf_map_update_elem(table, key, &full_bucket, BPF_NOEXIST);
    return bpf_map_lookup_elem(table, key);
}

// A request that asks for state (responder SPI zero): the bucket of the configured peer alone, else of the source prefix and then of the
// machine. Who finds his own bucket empty takes nothing from the others'.
static __always_inline enum sp_verdict limit_first_request(struct frame* f) {
    struct sp_bucket* bucket;

    source_key(f);
    bucket = bpf_map_lookup_elem(&ike_peers, &f->key.source);
    if (bucket) return take_token(bucket, port.rates.peer.interval_ns, port.rates.peer.window_ns) ? SP_IKE : SP_IKE_PEER_LIMIT;
    bucket = prefix_bucket(&ike_requests, f);
    if (!bucket || !take_token(bucket, port.rates.prefix.interval_ns, port.rates.prefix.window_ns)) return SP_IKE_PREFIX_LIMIT;
    bucket = bpf_map_lookup_elem(&ike_machine, &zero_key);
    if (!bucket || !take_token(bucket, port.rates.machine.interval_ns, port.rates.machine.window_ns)) return SP_IKE_MACHINE_LIMIT;
    return SP_IKE;
}

static __always_inline enum sp_verdict limit_other(struct frame* f) {
    struct sp_bucket* bucket = prefix_bucket(&ike_others, f);

    if (!bucket || !take_token(bucket, port.rates.other.interval_ns, port.rates.other.window_ns)) return SP_IKE_OTHER_LIMIT;
    return SP_IKE;
}

// An IKE message of `octets` octets at `offset` (RFC 7296 3.1), the non-ESP marker already passed.
static __always_inline enum sp_verdict classify_ike(struct xdp_md* ctx, struct frame* f, __u32 offset, __u32 octets) {
    struct ike_header ike;

    if (octets < sizeof(ike) || !load(ctx, offset, &ike, sizeof(ike))) return SP_BAD_IKE;
    if (!port.ike_served) return SP_IKE_UNSERVED;
    if ((ike.responder_spi[0] | ike.responder_spi[1]) == 0 && !(ike.flags & IKE_FLAG_RESPONSE)) return limit_first_request(f);
    return limit_other(f);
}
