// SPDX-License-Identifier: Apache-2.0
// What the gateway tells about itself: plain values, copied at the moment of the question.
#pragma once

#include "gateway/courier/counters.hpp"
#include "gateway/sa/algorithm.hpp"
#include "gateway/sa/child.hpp"
#include "gateway/sa/desired.hpp"
#include "gateway/sa/drop_reason.hpp"
#include "gateway/sa/sa.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace sallyport::control {

struct PortStatus {
    std::string interface;
    Role role = Role::black;
    bool present = false; // the interface is there
    bool up = false;      // it has a carrier and is up
    std::uint32_t mtu = 0;
    std::array<std::uint8_t, 6> mac{};
    std::string driver;
    bool native = false; // XDP in native mode
};

struct WorkerStatus {
    unsigned number = 0;
    int core = -1; // pinned to it; -1: not pinned
    std::uint64_t rounds = 0, sleeps = 0;
    std::uint64_t sealed = 0, opened = 0, bypassed = 0; // packets
    std::uint64_t handed_over = 0;                      // frames given to the owner of their SA
};

/// Where the chunks of the packet memory are. The numbers are not of one instant: they add up only while no frame comes in.
struct ChunkStatus {
    std::uint32_t all = 0;
    std::uint32_t free = 0;         // in the depot and the workers' stacks
    std::uint32_t receiving = 0;    // with the ports, to receive into
    std::uint32_t transmitting = 0; // with the ports, to be sent or just sent
    std::uint32_t waiting = 0;      // with the exception stage
    std::uint32_t kept = 0;         // kept back until completions have caught up with what a gateway before this one transmitted
    std::uint32_t in_hand = 0;      // the rest: frames that the workers have; if it stays while nothing comes in, chunks are lost
};

struct Status {
    std::string configuration;        // the file
    std::uint64_t generation = 0;     // of the configuration: 1 after start, one more with every apply()
    std::uint64_t key_generation = 0; // of the keying calls: the last that was committed
    std::uint64_t started = 0;        // seconds since 1970
    std::string crypto;               // engine in use
    bool zero_copy = false;
    bool huge_pages = false;
    ChunkStatus chunks;
    std::vector<PortStatus> ports;
    std::vector<WorkerStatus> workers;
    std::uint32_t units = 0, units_used = 0;         // of 64 octets: memory of numbers, windows and counters
    unsigned sas = 0, sas_refused = 0, policies = 0; // single SAs, both directions counted
    std::uint64_t routes = 0, neighbours = 0;        // mirrored
    std::uint64_t resyncs = 0;                       // of the mirror, after notifications were lost
    std::string marks_trouble;                       // why durable marks cannot be written now; empty: all is well
};

struct VerdictCount {
    std::string_view name;
    std::string_view action; // "drop", "kernel" or "socket"
    std::string_view meaning;
    std::uint64_t packets = 0, octets = 0;
};

/// A port's counters: what the program in the kernel decided, what the sockets carried and lost (XDP_STATISTICS), what the workers saw.
struct PortCounters {
    std::string interface;
    Role role = Role::black;
    std::vector<VerdictCount> verdicts;
    std::uint64_t received = 0, received_octets = 0;       // by the workers
    std::uint64_t transmitted = 0, transmitted_octets = 0; // given to the kernel
    std::uint64_t kernel_dropped = 0, kernel_ring_full = 0, kernel_fill_empty = 0, kernel_invalid_receive = 0, kernel_invalid_transmit = 0;
};

struct Counters {
    std::vector<PortCounters> ports;
    std::array<std::uint64_t, drop_reason_count> drops{}; // of all workers and the exception stage, by DropReason
    std::uint64_t sealed = 0, opened = 0, bypassed = 0, dummies = 0, keepalives = 0, other_form = 0;
    std::uint64_t own_sent = 0, own_delivered = 0;                             // of the gateway itself: into and out of tunnels
    std::uint64_t handed_over = 0, to_exceptions = 0, waited = 0, waiting = 0; // waiting: now, for neighbours
    std::uint64_t icmp_told = 0, icmp_limited = 0, icmp_mute = 0;              // see exception::IcmpErrorCounters
    std::uint64_t events_left_out = 0;                                         // audited drops that made no event
    courier::CourierCounters ike;                                              // messages to and from sallyport-ike
};

struct SaStatus {
    std::string name;
    Direction direction = Direction::outbound;
    std::uint32_t child = 0;      // of the connection, 0: of the configuration
    std::uint64_t generation = 0; // of the keying call that brought it
    ChildState state = ChildState::created;
    std::uint32_t spi = 0;
    Address outer_local, outer_remote;
    std::uint16_t udp_port = 0; // SaSpec::udp_port
    VpnNumber outer_vpn = wan_vpn, red_vpn = wan_vpn;
    SaProtocol protocol = SaProtocol::esp;
    SaMode mode = SaMode::tunnel;
    Algorithm algorithm{};
    SequenceKind sequence = SequenceKind::extended_64;
    std::uint32_t window = 0; // inbound
    std::vector<Selector> selectors;
    std::string refused;                               // why it is not in use; empty: it is
    std::string remedy;                                // what to do about it
    unsigned worker = 0;                               // owner
    unsigned path_mtu = 0, largest_inner = 0;          // outbound: octets of an outer and of an inner packet that fit now
    std::uint64_t packets = 0, octets = 0, errors = 0; // octets of inner packets
    std::uint64_t number = 0;                          // outbound: the last one given; inbound: the highest accepted
    std::uint64_t mark = 0;                            // durable: numbers up to this are covered; 0 with `marked` false
    bool marked = false;
    DropReason hindrance = DropReason::none; // outbound: why nothing can leave for the peer, as Fib::hindrance() says; none: it can
};

struct PolicyStatus {
    std::string name;
    VpnNumber vpn = wan_vpn;
    std::uint32_t priority = 0;
    PolicyAction action = PolicyAction::discard;
    std::vector<Selector> selectors;
    std::string sa;         // with protect
    bool sa_usable = false; // with protect: its outbound SA is in use
    PolicyReach reach = PolicyReach::both;
};

} // namespace sallyport::control
