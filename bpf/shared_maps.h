// SPDX-License-Identifier: GPL-2.0-only
// The maps that both programs of a port have: that of what comes in (port.bpf.c) and that of what the machine itself sends (egress.bpf.c).
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "shared.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, SP_MAX_VLANS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct sp_vlan_key);
    __type(value, __u32); // VPN, SP_VLAN_OWN
} vlans SEC(".maps");

#define SP_TRIE(name)                                                                                                                      \
    struct {                                                                                                                               \
        __uint(type, BPF_MAP_TYPE_LPM_TRIE);                                                                                               \
        __uint(max_entries, SP_MAX_PREFIXES);                                                                                              \
        __uint(map_flags, BPF_F_NO_PREALLOC);                                                                                              \
        __type(key, struct sp_prefix_key);                                                                                                 \
        __type(value, __u32);                                                                                                              \
    } name SEC(".maps")

SP_TRIE(egress_destinations); // value: enum sp_protection; where the machine itself must not send in clear
SP_TRIE(egress_sources);      // value: any; from here all is protected that egress_destinations does not exempt
