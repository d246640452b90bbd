// SPDX-License-Identifier: GPL-2.0-only
// The maps of a port's program, and what the port is. Each port has its own xsks and counters; the others are shared by all ports, some
// of them (shared_maps.h) with the program of the other direction too.
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "parse.h"
#include "shared_maps.h"

const volatile struct sp_port port; // set before load: what a port cannot do, the verifier removes

// The MAC addresses that are this port's own, as mac_number() gives them; the first one zero: not known, all are taken as ours. Written by
// user space while the program runs.
volatile __u64 port_macs[SP_MAX_PORT_MACS];

const __u32 zero_key = 0; // of arrays with one entry

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, SP_MAX_QUEUES);
    __type(key, __u32);
    __type(value, __u32);
} xsks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, SP_VERDICT_COUNT);
    __type(key, __u32);
    __type(value, struct sp_counter);
} counters SEC(".maps");

// Where each CPU describes the frame it is at.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct frame);
} frames SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, SP_MAX_LOCAL_ADDRESSES);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct sp_local_key);
    __type(value, __u32); // enum sp_local_flags
} local_addresses SEC(".maps");

SP_TRIE(protected_sources);   // value: enum sp_protection
SP_TRIE(bypass_sources);      // value: any; transit goes to the policy when both tries
SP_TRIE(bypass_destinations); // know it, a superset of what the bypass entries allow

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, SP_MAX_IKE_PEERS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct sp_source_key);
    __type(value, struct sp_bucket);
} ike_peers SEC(".maps");

#define SP_BUCKET_TABLE(name)                                                                                                              \
    struct {                                                                                                                               \
        __uint(type, BPF_MAP_TYPE_LRU_HASH);                                                                                               \
        __uint(max_entries, SP_MAX_IKE_PREFIXES);                                                                                          \
        __type(key, struct sp_source_key);                                                                                                 \
        __type(value, struct sp_bucket);                                                                                                   \
    } name SEC(".maps")

SP_BUCKET_TABLE(ike_requests); // by source prefix: requests with responder SPI zero
SP_BUCKET_TABLE(ike_others);   // by source prefix: every other IKE message

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct sp_bucket);
} ike_machine SEC(".maps");

// Records struct sp_audit; shared by all ports.
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, SP_AUDIT_OCTETS);
} audits SEC(".maps");

// By verdict: how many records the port may still make.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, SP_VERDICT_COUNT);
    __type(key, __u32);
    __type(value, struct sp_bucket);
} audit_limits SEC(".maps");
