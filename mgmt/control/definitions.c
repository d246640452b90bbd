/* SPDX-License-Identifier: Apache-2.0 */
/* The comments are the reference: `varlinkctl introspect /run/sallyport/gateway.varlink` shows them. */
#define _GNU_SOURCE /* for the macros with __VA_OPT__ */
#include "mgmt/control/definitions.h"

#define NONE ((sd_varlink_field_flags_t)0)
#define OPTIONAL SD_VARLINK_NULLABLE

// One field with its comment a line, which clang-format would run together.
// clang-format off

static SD_VARLINK_DEFINE_STRUCT_TYPE(
    Worker,
    SD_VARLINK_FIELD_COMMENT("Its number"), SD_VARLINK_DEFINE_FIELD(index, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("The core it is pinned to"), SD_VARLINK_DEFINE_FIELD(core, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Packets"), SD_VARLINK_DEFINE_FIELD(sealed, SD_VARLINK_INT, NONE),
    SD_VARLINK_DEFINE_FIELD(opened, SD_VARLINK_INT, NONE),
    SD_VARLINK_DEFINE_FIELD(bypassed, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Frames given to the worker that owns their SA"), SD_VARLINK_DEFINE_FIELD(handedOver, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Rounds of its loop"), SD_VARLINK_DEFINE_FIELD(rounds, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("How often it went to sleep"), SD_VARLINK_DEFINE_FIELD(sleeps, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
    Vlan,
    SD_VARLINK_FIELD_COMMENT("VLAN, 0: frames without a tag"), SD_VARLINK_DEFINE_FIELD(id, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Its VPN"), SD_VARLINK_DEFINE_FIELD(vpn, SD_VARLINK_STRING, NONE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
    Port,
    SD_VARLINK_FIELD_COMMENT("Network device"), SD_VARLINK_DEFINE_FIELD(interface, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("black or red"), SD_VARLINK_DEFINE_FIELD(role, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("Whether the device is there"), SD_VARLINK_DEFINE_FIELD(present, SD_VARLINK_BOOL, NONE),
    SD_VARLINK_FIELD_COMMENT("Whether its link is up"), SD_VARLINK_DEFINE_FIELD(up, SD_VARLINK_BOOL, NONE),
    SD_VARLINK_FIELD_COMMENT("How XDP is attached: native or generic"), SD_VARLINK_DEFINE_FIELD(mode, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_FIELD(driver, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_FIELD(mac, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_FIELD(mtu, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("VLANs and their VPNs"), SD_VARLINK_DEFINE_FIELD_BY_TYPE(vlans, Vlan, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
    Chunks,
    SD_VARLINK_FIELD_COMMENT("Of packet memory; the others add up to it while no frame comes in"),
    SD_VARLINK_DEFINE_FIELD(all, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("In the depot and with the workers"), SD_VARLINK_DEFINE_FIELD(free, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("With the ports, to receive into"), SD_VARLINK_DEFINE_FIELD(receiving, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("With the ports, to be sent or just sent"), SD_VARLINK_DEFINE_FIELD(transmitting, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("With the exception stage"), SD_VARLINK_DEFINE_FIELD(waiting, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Kept back until all has left that a gateway before this one transmitted"),
    SD_VARLINK_DEFINE_FIELD(kept, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("The rest: frames that workers have in hand. Chunks are lost if some stay here while no frame comes in"),
    SD_VARLINK_DEFINE_FIELD(inHand, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
    Connection,
    SD_VARLINK_FIELD_COMMENT("Name in the configuration"), SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("Outer address of the peer"), SD_VARLINK_DEFINE_FIELD(peer, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("VPN of the protected networks"), SD_VARLINK_DEFINE_FIELD(vpn, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("Whether it can carry traffic"), SD_VARLINK_DEFINE_FIELD(up, SD_VARLINK_BOOL, NONE),
    SD_VARLINK_FIELD_COMMENT("Why it cannot"), SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, NONE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
    Sa,
    SD_VARLINK_FIELD_COMMENT("Name of its connection"), SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("inbound or outbound"), SD_VARLINK_DEFINE_FIELD(direction, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("Which child SA of the connection; 0: with keys of the configuration"),
    SD_VARLINK_DEFINE_FIELD(child, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Of the keying call that brought it; 0: of the configuration"),
    SD_VARLINK_DEFINE_FIELD(generation, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Of the child: created, inbound-installed, outbound-switched, outbound-retired, inbound-drained"),
    SD_VARLINK_DEFINE_FIELD(state, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_FIELD(spi, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Outer addresses"), SD_VARLINK_DEFINE_FIELD(local, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_FIELD(remote, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("VPN of the way to the peer"), SD_VARLINK_DEFINE_FIELD(outerVpn, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("The peer's port of ESP in UDP, 0: not in UDP"), SD_VARLINK_DEFINE_FIELD(udpPort, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("VPN of the protected networks"), SD_VARLINK_DEFINE_FIELD(vpn, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("esp or ah"), SD_VARLINK_DEFINE_FIELD(protocol, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("tunnel, transport or beet"), SD_VARLINK_DEFINE_FIELD(mode, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_FIELD(algorithm, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("Extended sequence numbers"), SD_VARLINK_DEFINE_FIELD(esn, SD_VARLINK_BOOL, NONE),
    SD_VARLINK_FIELD_COMMENT("Last number given out, or highest accepted"), SD_VARLINK_DEFINE_FIELD(sequence, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Durable mark, where it has one"), SD_VARLINK_DEFINE_FIELD(mark, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Replay window in packets, inbound"), SD_VARLINK_DEFINE_FIELD(window, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("The worker that owns it"), SD_VARLINK_DEFINE_FIELD(worker, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Octets of the largest outer packet now, by route, configuration and ICMP; outbound"), SD_VARLINK_DEFINE_FIELD(pathMtu, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Octets of the largest inner packet that fits into it"), SD_VARLINK_DEFINE_FIELD(largestInner, SD_VARLINK_INT, NONE),
    SD_VARLINK_DEFINE_FIELD(packets, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Octets of inner packets"), SD_VARLINK_DEFINE_FIELD(octets, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Packets of this SA that were dropped"), SD_VARLINK_DEFINE_FIELD(errors, SD_VARLINK_INT, NONE),
    SD_VARLINK_DEFINE_FIELD(selectors, SD_VARLINK_STRING, SD_VARLINK_ARRAY),
    SD_VARLINK_FIELD_COMMENT("Why it is not in use; empty: it is"), SD_VARLINK_DEFINE_FIELD(refused, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("What to do about it"), SD_VARLINK_DEFINE_FIELD(remedy, SD_VARLINK_STRING, NONE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
    Policy,
    SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_FIELD(vpn, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("The lowest that matches decides"), SD_VARLINK_DEFINE_FIELD(priority, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("protect, bypass or discard"), SD_VARLINK_DEFINE_FIELD(action, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("both, outbound or inbound"), SD_VARLINK_DEFINE_FIELD(direction, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("With protect: the connection"), SD_VARLINK_DEFINE_FIELD(sa, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("With protect: its outbound SA is in use"), SD_VARLINK_DEFINE_FIELD(usable, SD_VARLINK_BOOL, NONE),
    SD_VARLINK_DEFINE_FIELD(selectors, SD_VARLINK_STRING, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
    Counter,
    SD_VARLINK_FIELD_COMMENT("packets; drop: by the gateway; kernel: by the BPF program; socket: AF_XDP (XDP_STATISTICS)"),
    SD_VARLINK_DEFINE_FIELD(group, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("Network device, where it belongs to one"), SD_VARLINK_DEFINE_FIELD(port, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_FIELD(value, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("What was counted"), SD_VARLINK_DEFINE_FIELD(meaning, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("What the operator can do"), SD_VARLINK_DEFINE_FIELD(remedy, SD_VARLINK_STRING, NONE));

static SD_VARLINK_DEFINE_METHOD(
    Status,
    SD_VARLINK_DEFINE_OUTPUT(version, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_OUTPUT(pid, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Seconds since 1970"), SD_VARLINK_DEFINE_OUTPUT(started, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("The file that is in force"), SD_VARLINK_DEFINE_OUTPUT(configuration, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("1 after start, one more with each reload"), SD_VARLINK_DEFINE_OUTPUT(generation, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("The last generation that Install or Commit brought about"), SD_VARLINK_DEFINE_OUTPUT(keyGeneration, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("The library of cryptography"), SD_VARLINK_DEFINE_OUTPUT(engine, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("Frames are not copied between device and gateway"), SD_VARLINK_DEFINE_OUTPUT(zeroCopy, SD_VARLINK_BOOL, NONE),
    SD_VARLINK_DEFINE_OUTPUT(hugePages, SD_VARLINK_BOOL, NONE),
    SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(chunks, Chunks, NONE),
    SD_VARLINK_FIELD_COMMENT("Both directions counted"), SD_VARLINK_DEFINE_OUTPUT(sas, SD_VARLINK_INT, NONE),
    SD_VARLINK_DEFINE_OUTPUT(sasRefused, SD_VARLINK_INT, NONE),
    SD_VARLINK_DEFINE_OUTPUT(policies, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Mirrored from the kernel"), SD_VARLINK_DEFINE_OUTPUT(routes, SD_VARLINK_INT, NONE),
    SD_VARLINK_DEFINE_OUTPUT(neighbours, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("How often the mirror was made anew after notifications were lost"), SD_VARLINK_DEFINE_OUTPUT(resyncs, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("What the operator must know now; empty: nothing"), SD_VARLINK_DEFINE_OUTPUT(trouble, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(workers, Worker, SD_VARLINK_ARRAY),
    SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(ports, Port, SD_VARLINK_ARRAY),
    SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(connections, Connection, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD(
    Sas,
    SD_VARLINK_FIELD_COMMENT("How many to leave out at the beginning; at most 500 come in one answer"),
    SD_VARLINK_DEFINE_INPUT(first, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(sas, Sa, SD_VARLINK_ARRAY),
    SD_VARLINK_FIELD_COMMENT("How many there are in all"), SD_VARLINK_DEFINE_OUTPUT(total, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_METHOD(
    Policies,
    SD_VARLINK_FIELD_COMMENT("How many to leave out at the beginning; at most 500 come in one answer"),
    SD_VARLINK_DEFINE_INPUT(first, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(policies, Policy, SD_VARLINK_ARRAY),
    SD_VARLINK_FIELD_COMMENT("How many there are in all"), SD_VARLINK_DEFINE_OUTPUT(total, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_METHOD(Counters, SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(counters, Counter, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD(
    Detach,
    SD_VARLINK_FIELD_COMMENT("Ports that are open to the kernel now"), SD_VARLINK_DEFINE_OUTPUT(ports, SD_VARLINK_STRING, SD_VARLINK_ARRAY),
    SD_VARLINK_FIELD_COMMENT("TUN devices of the gateway itself that are gone"),
    SD_VARLINK_DEFINE_OUTPUT(devices, SD_VARLINK_STRING, SD_VARLINK_ARRAY),
    SD_VARLINK_FIELD_COMMENT("The guard's packet filter rules stood and are gone"), SD_VARLINK_DEFINE_OUTPUT(guard, SD_VARLINK_BOOL, NONE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
    Decision,
    SD_VARLINK_FIELD_COMMENT("program, packet, policy, sa, seal, open, selectors, route, handover, exception, send, drop"),
    SD_VARLINK_DEFINE_FIELD(stage, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("What was decided"), SD_VARLINK_DEFINE_FIELD(text, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("The policy or connection that decided it"), SD_VARLINK_DEFINE_FIELD(rule, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("FILE:LINE of it"), SD_VARLINK_DEFINE_FIELD(place, SD_VARLINK_STRING, OPTIONAL));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
    Explanation,
    SD_VARLINK_FIELD_COMMENT("As what the packet was taken"), SD_VARLINK_DEFINE_FIELD(heading, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_FIELD_BY_TYPE(decisions, Decision, SD_VARLINK_ARRAY),
    SD_VARLINK_FIELD_COMMENT("sent, kernel, exception or dropped"), SD_VARLINK_DEFINE_FIELD(ending, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("The counter that would go up: a drop reason, or PORT.VERDICT of the BPF program"),
    SD_VARLINK_DEFINE_FIELD(counter, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("What the operator can do"), SD_VARLINK_DEFINE_FIELD(remedy, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("The port by which it would be sent"), SD_VARLINK_DEFINE_FIELD(port, SD_VARLINK_STRING, OPTIONAL));

static SD_VARLINK_DEFINE_METHOD(
    Explain,
    SD_VARLINK_FIELD_COMMENT("Network device where the packet comes in"), SD_VARLINK_DEFINE_INPUT(port, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("Hexadecimal digits of an Ethernet frame or an IP packet; without it a packet is made from the following"),
    SD_VARLINK_DEFINE_INPUT(octets, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Addresses of one family"), SD_VARLINK_DEFINE_INPUT(from, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_DEFINE_INPUT(to, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("17 unless given"), SD_VARLINK_DEFINE_INPUT(protocol, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_INPUT(sourcePort, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_INPUT(destinationPort, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_INPUT(icmpType, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_INPUT(icmpCode, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_INPUT(hopLimit, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("0: without a tag"), SD_VARLINK_DEFINE_INPUT(vlan, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Octets of the IP packet"), SD_VARLINK_DEFINE_INPUT(length, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(explanations, Explanation, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD_FULL(
    Watch, SD_VARLINK_REQUIRES_MORE,
    SD_VARLINK_FIELD_COMMENT("Only these kinds of events; without it all"),
    SD_VARLINK_DEFINE_INPUT(kinds, SD_VARLINK_STRING, SD_VARLINK_ARRAY | SD_VARLINK_NULLABLE),
    SD_VARLINK_FIELD_COMMENT("Only events of this connection"), SD_VARLINK_DEFINE_INPUT(connection, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Only events of this VPN"), SD_VARLINK_DEFINE_INPUT(vpn, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("watching: the first answer, which has nothing else. dropped, acquire, sa_installed, sa_removed, sa_near_end, sa_soft_end, sa_hard_end, sa_traffic, sa_idle, address_changed, path_mtu, port_up, port_down, committed"),
    SD_VARLINK_DEFINE_OUTPUT(kind, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("Microseconds since 1970"), SD_VARLINK_DEFINE_OUTPUT(time, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(meaning, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(connection, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Of the SA: inbound or outbound"), SD_VARLINK_DEFINE_OUTPUT(direction, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Outer address of the SA's peer"), SD_VARLINK_DEFINE_OUTPUT(peer, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(vpn, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Network device"), SD_VARLINK_DEFINE_OUTPUT(port, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(spi, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Of the packet, or of the SA"), SD_VARLINK_DEFINE_OUTPUT(sequence, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Why the packet was dropped: the name of the counter"), SD_VARLINK_DEFINE_OUTPUT(reason, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("What the operator can do"), SD_VARLINK_DEFINE_OUTPUT(remedy, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Which one wants protection and has no SA: that of `connection`. Keys are wanted; of one policy about one event a second"),
    SD_VARLINK_DEFINE_OUTPUT(policy, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Of the packet: of its inner header once it was opened"), SD_VARLINK_DEFINE_OUTPUT(source, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(destination, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(protocol, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(sourcePort, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Of ICMP, instead of ports"), SD_VARLINK_DEFINE_OUTPUT(type, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(code, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(destinationPort, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("The peer's UDP port as the SA has it, with `peer`"), SD_VARLINK_DEFINE_OUTPUT(udpPort, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Where the newest packet of the SA came from, `sequence` being its number: both SAs of the pair want an update"),
    SD_VARLINK_DEFINE_OUTPUT(newPeer, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(newUdpPort, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Octets of the largest outer packet before, and now"), SD_VARLINK_DEFINE_OUTPUT(oldPathMtu, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(pathMtu, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Octets of the largest inner packet that fits into it"), SD_VARLINK_DEFINE_OUTPUT(largestInner, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Of the configuration"), SD_VARLINK_DEFINE_OUTPUT(generation, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Of how many SAs it speaks"), SD_VARLINK_DEFINE_OUTPUT(count, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Packets dropped for this reason that made no event since the last one that did"),
    SD_VARLINK_DEFINE_OUTPUT(leftOut, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("Events that this reader was too slow for since the last one that it got"),
    SD_VARLINK_DEFINE_OUTPUT(lost, SD_VARLINK_INT, OPTIONAL));

static SD_VARLINK_DEFINE_METHOD(
    Reload,
    SD_VARLINK_FIELD_COMMENT("Absolute path; without it the file of before"), SD_VARLINK_DEFINE_INPUT(file, SD_VARLINK_STRING, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT(generation, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_METHOD(
    Install,
    SD_VARLINK_FIELD_COMMENT("Version of the records' layout"), SD_VARLINK_DEFINE_INPUT(version, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Chosen by the caller, above keyGeneration; calls of one generation are brought about together"),
    SD_VARLINK_DEFINE_INPUT(generation, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Entries of all tables of the memfd but that of selectors"), SD_VARLINK_DEFINE_INPUT(count, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("Keep it until Commit, or until a call without hold; it is forgotten with the connection"),
    SD_VARLINK_DEFINE_INPUT(hold, SD_VARLINK_BOOL, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("The generation in force"), SD_VARLINK_DEFINE_OUTPUT(generation, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_METHOD(
    Commit,
    SD_VARLINK_FIELD_COMMENT("What was held under it"), SD_VARLINK_DEFINE_INPUT(generation, SD_VARLINK_INT, NONE),
    SD_VARLINK_FIELD_COMMENT("The generation in force"), SD_VARLINK_DEFINE_OUTPUT(generation, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_METHOD(
    ReserveSpis,
    SD_VARLINK_FIELD_COMMENT("Blocks, 1 without it"), SD_VARLINK_DEFINE_INPUT(count, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("SPIs of a block, a power of two, 1 without it; a call gives at most 256 SPIs in all"),
    SD_VARLINK_DEFINE_INPUT(block, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_FIELD_COMMENT("The first SPI of each block; they are kept for 60 seconds"),
    SD_VARLINK_DEFINE_OUTPUT(spis, SD_VARLINK_INT, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD(
    ReleaseSpis,
    SD_VARLINK_FIELD_COMMENT("Reserved ones; others are left alone"), SD_VARLINK_DEFINE_INPUT(spis, SD_VARLINK_INT, SD_VARLINK_ARRAY),
    SD_VARLINK_FIELD_COMMENT("How many were reserved"), SD_VARLINK_DEFINE_OUTPUT(released, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
    IkeSpi,
    SD_VARLINK_FIELD_COMMENT("16 hexadecimal digits"), SD_VARLINK_DEFINE_FIELD(spi, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("Of who added it"), SD_VARLINK_DEFINE_FIELD(generation, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_METHOD(
    AddIkeSpis,
    SD_VARLINK_FIELD_COMMENT("16 hexadecimal digits each, at most 1024"), SD_VARLINK_DEFINE_INPUT(spis, SD_VARLINK_STRING, SD_VARLINK_ARRAY),
    SD_VARLINK_FIELD_COMMENT("Which life of the caller they belong to"), SD_VARLINK_DEFINE_INPUT(generation, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_METHOD(
    RemoveIkeSpis,
    SD_VARLINK_DEFINE_INPUT(spis, SD_VARLINK_STRING, SD_VARLINK_ARRAY),
    SD_VARLINK_FIELD_COMMENT("How many were there"), SD_VARLINK_DEFINE_OUTPUT(removed, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_METHOD(
    IkeSpis,
    SD_VARLINK_FIELD_COMMENT("How many to leave out at the beginning; at most 500 come in one answer"),
    SD_VARLINK_DEFINE_INPUT(first, SD_VARLINK_INT, OPTIONAL),
    SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(spis, IkeSpi, SD_VARLINK_ARRAY),
    SD_VARLINK_FIELD_COMMENT("How many there are in all"), SD_VARLINK_DEFINE_OUTPUT(total, SD_VARLINK_INT, NONE));

static SD_VARLINK_DEFINE_ERROR(
    Failed,
    SD_VARLINK_FIELD_COMMENT("What went wrong"), SD_VARLINK_DEFINE_FIELD(sentence, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("Where"), SD_VARLINK_DEFINE_FIELD(place, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("What to do"), SD_VARLINK_DEFINE_FIELD(remedy, SD_VARLINK_STRING, NONE));

static SD_VARLINK_DEFINE_ERROR(
    ConfigurationRefused,
    SD_VARLINK_DEFINE_FIELD(sentence, SD_VARLINK_STRING, NONE), SD_VARLINK_DEFINE_FIELD(place, SD_VARLINK_STRING, NONE),
    SD_VARLINK_DEFINE_FIELD(remedy, SD_VARLINK_STRING, NONE),
    SD_VARLINK_FIELD_COMMENT("FILE:LINE:COLUMN: KEY: sentence; remedy"), SD_VARLINK_DEFINE_FIELD(problems, SD_VARLINK_STRING, SD_VARLINK_ARRAY));

SD_VARLINK_DEFINE_INTERFACE(
    sallyport_gateway, "io.sallyport.Gateway",
    SD_VARLINK_INTERFACE_COMMENT("The data plane of Sallyport: what it does, and the few things it can be told."),
    &vl_type_Worker, &vl_type_Vlan, &vl_type_Port, &vl_type_Chunks, &vl_type_Connection, &vl_type_Sa, &vl_type_Policy, &vl_type_Counter,
    &vl_type_Decision, &vl_type_Explanation,
    SD_VARLINK_SYMBOL_COMMENT("The gateway, its ports, workers and connections"), &vl_method_Status,
    SD_VARLINK_SYMBOL_COMMENT("Security associations, never their keys"), &vl_method_Sas,
    SD_VARLINK_SYMBOL_COMMENT("The security policy database; behind the last entry everything is discarded"), &vl_method_Policies,
    SD_VARLINK_SYMBOL_COMMENT("Everything that is counted, of the gateway and of the kernel"), &vl_method_Counters,
    SD_VARLINK_SYMBOL_COMMENT("What would become of a packet, each decision with its rule; nothing is sent. For root and the gateway's user: an ESP packet is opened"),
    &vl_method_Explain,
    SD_VARLINK_SYMBOL_COMMENT("Events as they happen, until the caller goes. Who reads too slowly loses some"), &vl_method_Watch,
    SD_VARLINK_SYMBOL_COMMENT("Takes the BPF programs off all ports: packets then pass without the gateway. For root and the gateway's user"),
    &vl_method_Detach,
    SD_VARLINK_SYMBOL_COMMENT("Reads the configuration again; a bad one changes nothing. For root and the gateway's user"), &vl_method_Reload,
    &vl_type_IkeSpi,
    SD_VARLINK_SYMBOL_COMMENT("Installs, updates and removes SAs and policies as one transaction. The records (gateway/sa/record.hpp) lie in a memfd "
                              "that is passed beside the call: sealed with F_SEAL_SHRINK and F_SEAL_GROW, not against writing, for the gateway "
                              "overwrites it. Calls may be sent without waiting for answers; one without a memfd may not be sent between them. This "
                              "and the following for root and the gateway's user"),
    &vl_method_Install,
    SD_VARLINK_SYMBOL_COMMENT("Brings about what was held"), &vl_method_Commit,
    SD_VARLINK_SYMBOL_COMMENT("Takes SPIs for inbound SAs in advance"), &vl_method_ReserveSpis,
    SD_VARLINK_SYMBOL_COMMENT("Gives SPIs back that are not used"), &vl_method_ReleaseSpis,
    SD_VARLINK_SYMBOL_COMMENT("Says which IKE SAs there are, by our SPI"), &vl_method_AddIkeSpis,
    SD_VARLINK_SYMBOL_COMMENT("Says that IKE SAs are gone"), &vl_method_RemoveIkeSpis,
    SD_VARLINK_SYMBOL_COMMENT("All of them, by SPI"), &vl_method_IkeSpis,
    SD_VARLINK_SYMBOL_COMMENT("It did not work, and the gateway goes on as before"), &vl_error_Failed,
    SD_VARLINK_SYMBOL_COMMENT("The configuration has mistakes; the gateway goes on with the one of before"), &vl_error_ConfigurationRefused);
