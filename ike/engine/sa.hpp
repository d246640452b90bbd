// SPDX-License-Identifier: Apache-2.0
// An IKE SA and its child SAs as plain values: what a colliding exchange, a restart or `sallyport ike` needs stands here, never only in a
// coroutine.
#pragma once

#include "gateway/sa/child.hpp"
#include "ike/crypto/keys.hpp"
#include "ike/engine/connection.hpp"
#include "ike/engine/task.hpp"
#include "ike/engine/timers.hpp"

#include <bitset>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::ike {

using Message = std::vector<std::uint8_t>; // an IKE message from its header on, one datagram

inline constexpr std::uint16_t ike_port = 500, nat_traversal_port = 4500; // RFC 7296 2.23: with the marker on the second

struct Endpoint {
    Address address;
    std::uint16_t port = ike_port;
    auto operator<=>(const Endpoint&) const = default;
    bool operator==(const Endpoint&) const = default;
};

struct Path {
    Endpoint local, remote;
    VpnNumber vpn = wan_vpn;
    bool operator==(const Path&) const = default;
};

enum class IkeState : std::uint8_t {
    initiating,  // we began it, the peer is not authenticated
    half_open,   // the peer began it and is not authenticated
    established, // both are
    deleting,    // our request to delete it is on its way: it begins nothing any more (RFC 7296 2.25)
    gone,        // it only answers repeated requests
};
[[nodiscard]] std::string_view name_of(IkeState state);

/// What both sides can say in IKE_SA_INIT and IKE_AUTH that they support. It is inherited when the IKE SA is rekeyed.
enum class Feature : std::uint8_t {
    fragmentation,    // RFC 7383
    intermediate,     // RFC 9242
    childless,        // RFC 6023
    nat_traversal,    // RFC 7296 2.23
    signature_hashes, // RFC 7427
    experiment,       // what is tried out, in tests
    count,
};
class Features {
public:
    [[nodiscard]] bool has(Feature feature) const { return set_[static_cast<std::size_t>(feature)]; }
    void add(Feature feature) { set_.set(static_cast<std::size_t>(feature)); }

private:
    std::bitset<static_cast<std::size_t>(Feature::count)> set_;
};

/// A request of ours that has no response yet.
struct Outstanding {
    std::uint32_t id = 0;
    ExchangeType exchange = ExchangeType::ike_sa_init;
    std::vector<Message> datagrams;
    Time wait = 0; // the present one
    unsigned tries = 0;
    TimerKey timer;
    FlowId waiter = 0;
};

/// The last request of the peer's, and what it was answered.
struct Answered {
    bool any = false;
    std::uint32_t id = 0;
    ExchangeType exchange = ExchangeType::ike_sa_init;
    std::uint64_t request = 0; // digest of the request's first datagram: what is repeated needs no opening
    std::vector<Message> datagrams;
};

/// Fragments of one message (RFC 7383 2.6), of one side's.
struct Fragments {
    std::uint32_t id = 0;
    std::vector<std::vector<std::uint8_t>> plain; // by number, from 0
    std::size_t there = 0, octets = 0;
    PayloadType inner = PayloadType::none; // of the first one, as the next
    std::uint8_t flags = 0;
    Message first;         // the datagram of the first one, up to its SKF payload
    std::size_t clear = 0; // octets of it that stand before SKF
};

/// What an IKE SA needs until both sides are authenticated, and wipes then.
struct Initial {
    Message real_i, real_r; // RealMessage1, RealMessage2 (RFC 7296 2.15)
    std::vector<std::uint8_t> ni, nr;
    KeyExchanges exchanges;                          // the chosen ones
    unsigned done = 0;                               // of the additional ones
    std::shared_ptr<kex::Private> additional_secret; // ours, of the one that is under way
    std::vector<std::uint8_t> intauth_i, intauth_r;
    std::uint32_t auth_id = 0; // message id of the first IKE_AUTH request
    SkKeys next;               // take over when the answer in work is sealed
    SkKeys before;             // those before the last such change, under which its request may come again
    Time began = 0;
    std::vector<Proposal> offered; // by us, as initiator
    std::string last_error;        // what an unauthenticated answer said, for the journal
};

struct ChildSa {
    std::string name;         // of the policy's
    std::uint32_t number = 0; // which of that name, never used twice
    ChildSuite suite;
    std::uint32_t spi_in = 0, spi_out = 0;
    std::vector<TrafficSelector> local, remote;
    ChildState state = ChildState::created;
    bool deleting = false; // our D for it is on its way, and its outbound SA has left the gateway (RFC 7296 1.4.1)
};

struct IkeSa {
    Spi own_spi = 0, peer_spi = 0;
    bool initiator = false; // we began it
    IkeState state = IkeState::initiating;
    Path path;
    bool behind_nat = false, peer_behind_nat = false;
    ConnectionPointer connection; // as responder known after IKE_AUTH
    Proposal chosen;
    IkeSuite suite;
    SkKeys keys;
    std::uint64_t iv = 0;       // of what we sealed last under any of its keys: only goes up
    Features announced, agreed; // by the peer; by both
    Identity peer_id;

    std::uint32_t next_request = 0; // message id of our next request
    std::optional<Outstanding> outstanding;
    std::deque<FlowId> turns;   // who has a request to send: the first may, the others wait (RFC 7296 2.3)
    std::uint32_t expected = 0; // message id of the peer's next request
    bool in_work = false;       // that request is here and not answered
    Answered answered;
    Fragments requests, responses; // what has come of the peer's next message of either kind

    std::unique_ptr<Initial> initial;
    std::vector<ChildSa> children;
    std::vector<std::pair<ProtocolId, std::uint32_t>>
        early;                 // SPIs that the peer deleted before we knew them, while a flow may still learn them
    std::vector<FlowId> flows; // that work for it
    TimerKey life;             // half-open, or lingering
    TimerKey liveness;         // established
    Time last_heard = 0;       // something authentic, of the IKE SA or of its children

    [[nodiscard]] bool authenticated() const { return state == IkeState::established || state == IkeState::deleting; }
    [[nodiscard]] Spi spi_i() const { return initiator ? own_spi : peer_spi; }
    [[nodiscard]] Spi spi_r() const { return initiator ? peer_spi : own_spi; }
    [[nodiscard]] DirectionKeys outbound() const { return initiator ? keys.initiator() : keys.responder(); }
    [[nodiscard]] DirectionKeys inbound() const { return initiator ? keys.responder() : keys.initiator(); }
};

} // namespace sallyport::ike
