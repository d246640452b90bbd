// SPDX-License-Identifier: Apache-2.0
// What a gateway shows of itself and does when asked, as the control socket needs it. The daemon fills it from the gateway, a test from
// nothing.
#pragma once

#include "gateway/sa/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::varlink {

struct WorkerView {
    std::uint64_t index = 0;
    std::optional<std::uint64_t> core;                  // pinned to it
    std::uint64_t sealed = 0, opened = 0, bypassed = 0; // packets
    std::uint64_t handed_over = 0;                      // frames given to the worker that owns their SA
    std::uint64_t rounds = 0, sleeps = 0;
};

struct VlanView {
    std::uint64_t id = 0; // 0: without a tag
    std::string vpn;
};

struct PortView {
    std::string interface;
    std::string role; // "black", "red"
    bool present = false;
    bool up = false;
    std::string mode; // of XDP: "native", "generic"
    std::string driver, mac;
    std::uint64_t mtu = 0;
    std::vector<VlanView> vlans;
};

struct ConnectionView {
    std::string name;
    std::string peer;
    std::string vpn;
    bool up = false;
    std::string reason; // why it is down and what to do; empty: it is up
};

/// Of packet memory.
struct ChunksView {
    std::uint64_t all = 0, free = 0, receiving = 0, transmitting = 0, waiting = 0, kept = 0, in_hand = 0;
};

struct StatusView {
    std::string version;
    std::uint64_t pid = 0;
    std::uint64_t started = 0;        // seconds since 1970
    std::string configuration;        // file
    std::uint64_t generation = 0;     // 1 after start, one more with each reload
    std::uint64_t key_generation = 0; // the last keying call that was committed
    std::string engine;               // of cryptography
    bool zero_copy = false, huge_pages = false;
    ChunksView chunks;
    std::uint64_t sas = 0, sas_refused = 0, policies = 0;
    std::uint64_t routes = 0, neighbours = 0, resyncs = 0;
    std::string trouble; // what the operator must know now; empty: nothing
    std::vector<WorkerView> workers;
    std::vector<PortView> ports;
    std::vector<ConnectionView> connections;
};

struct SaView {
    std::string name;
    std::string direction;        // "inbound", "outbound"
    std::uint64_t child = 0;      // of the connection, 0: of the configuration
    std::uint64_t generation = 0; // of the keying call that brought it
    std::string state;            // in the life of a child SA
    std::uint32_t spi = 0;
    std::string local, remote;  // outer addresses
    std::uint64_t udp_port = 0; // the peer's, of ESP in UDP; 0: not in UDP
    std::string outer_vpn, vpn;
    std::string protocol; // "esp", "ah"
    std::string mode;     // "tunnel", "transport", "beet"
    std::string algorithm;
    bool esn = false;
    std::string refused, remedy;       // why it is not in use, and what to do; empty: it is
    std::uint64_t sequence = 0;        // last given out, or highest accepted
    std::optional<std::uint64_t> mark; // durable
    std::uint64_t window = 0;          // inbound
    std::uint64_t worker = 0;
    std::uint64_t path_mtu = 0, largest_inner = 0; // outbound
    std::uint64_t packets = 0, octets = 0, errors = 0;
    std::vector<std::string> selectors;
};

struct PolicyView {
    std::string name;
    std::string vpn;
    std::uint64_t priority = 0;
    std::string action;             // "protect", "bypass", "discard"
    std::string direction = "both"; // or "outbound", "inbound"
    std::string sa;                 // with protect
    bool usable = true;             // with protect: its outbound SA is in use
    std::vector<std::string> selectors;
};

/// What was opened.
struct DetachView {
    std::vector<std::string> ports;
    std::vector<std::string> devices; // TUN devices of the gateway itself
    bool guard = false;               // the guard's rules
};

struct CounterView {
    std::string group; // "packets"; "drop": by the gateway; "kernel": by the BPF program; "socket": AF_XDP (XDP_STATISTICS)
    std::string port;  // interface, where it belongs to one
    std::string name;
    std::uint64_t value = 0;
    std::string meaning, remedy;
};

struct EventView {
    std::uint64_t time = 0; // microseconds since 1970
    std::string kind;       // as in gateway/sa/event.hpp
    std::string meaning;
    std::string connection, direction, peer, vpn, port; // what is empty was not known, or the event has none
    std::optional<std::uint32_t> spi;
    std::optional<std::uint64_t> sequence;
    std::string reason, remedy;      // of a dropped packet
    std::string policy;              // that lacks its SA
    std::string source, destination; // of a dropped packet, or of one that asks for an SA
    std::optional<std::uint64_t> protocol, source_port, destination_port, type, code;
    std::optional<std::uint64_t> udp_port; // the SA's, with:
    std::string new_peer;                  // where its peer is now
    std::optional<std::uint64_t> new_udp_port;
    std::optional<std::uint64_t> old_path_mtu, path_mtu, largest_inner;
    std::optional<std::uint64_t> generation;
    std::uint64_t count = 1;    // of what the event speaks: SAs of one transaction
    std::uint64_t left_out = 0; // packets with this reason that made no event since the last one that did
};

/// A packet whose way is to be explained: octets, or what a packet is made from.
struct QuestionView {
    std::string port;                 // interface where it comes in
    std::vector<std::uint8_t> octets; // an Ethernet frame or an IP packet; empty: made from the following
    std::string from, to;             // addresses
    std::uint8_t protocol = 17;
    std::uint16_t source_port = 0, destination_port = 0;
    std::uint8_t icmp_type = 8, icmp_code = 0, hop_limit = 64;
    std::uint16_t vlan = 0;   // 0: no tag
    std::uint16_t length = 0; // octets of the IP packet, 0: as many as its headers need
};

struct DecisionView {
    std::string stage, text, rule, place;
};

struct ExplanationView {
    std::string heading; // in what role the packet was taken
    std::vector<DecisionView> decisions;
    std::string ending; // "sent", "kernel", "exception", "dropped"
    std::string counter, remedy, port;
};

/// Why a reload did not happen: the gateway goes on as it was.
struct ReloadError {
    Error error;
    std::vector<std::string> problems; // of the configuration, each with its place
};

/// A part of a list.
template <class T>
struct Part {
    std::vector<T> items;
    std::size_t total = 0;
};

/// What stands beside the memfd of a keying call; see gateway/control/keying.hpp.
struct InstallCall {
    std::uint64_t version = 0, generation = 0, count = 0;
    bool hold = false;
};

struct IkeSpiView {
    std::uint64_t spi = 0, generation = 0;
};

class Handlers {
public:
    using Caller = const void*; // a connection, until closed()

    virtual ~Handlers() = default;
    [[nodiscard]] virtual StatusView status() = 0;
    /// From the `first` one on, at most `count`.
    [[nodiscard]] virtual Part<SaView> sas(std::size_t first, std::size_t count) = 0;
    [[nodiscard]] virtual std::vector<PolicyView> policies() = 0;
    [[nodiscard]] virtual std::vector<CounterView> counters() = 0;
    /// More than one where the packet can be taken in several ways.
    [[nodiscard]] virtual Result<std::vector<ExplanationView>> explain(const QuestionView& question) = 0;
    /// Opens all locks. The gateway carries nothing afterwards.
    [[nodiscard]] virtual Result<DetachView> detach() = 0;
    /// Reads the file (nothing: the one of before) and brings it about; gives the new generation.
    [[nodiscard]] virtual std::expected<std::uint64_t, ReloadError> reload(const std::optional<std::string>& file) = 0;

    // Of those who negotiate keys. The memfd stays the caller's of the function.
    [[nodiscard]] virtual Result<void> install(Caller caller, const InstallCall& call, int memfd) = 0;
    [[nodiscard]] virtual Result<void> commit(Caller caller, std::uint64_t generation) = 0;
    virtual void closed(Caller caller) = 0;
    [[nodiscard]] virtual Result<std::vector<std::uint32_t>> reserve_spis(std::uint32_t count, std::uint32_t block) = 0;
    [[nodiscard]] virtual Result<std::size_t> release_spis(const std::vector<std::uint32_t>& spis) = 0;
    [[nodiscard]] virtual Result<void> add_ike_spis(const std::vector<std::uint64_t>& spis, std::uint64_t generation) = 0;
    [[nodiscard]] virtual Result<std::size_t> remove_ike_spis(const std::vector<std::uint64_t>& spis) = 0;
    [[nodiscard]] virtual Part<IkeSpiView> ike_spis(std::size_t first, std::size_t count) = 0;
};

} // namespace sallyport::varlink
