// SPDX-License-Identifier: Apache-2.0
// What the operator wants: connections, who is who (PAD, RFC 4301 4.4.3), and how long is waited for what.
#pragma once

#include "gateway/sa/sa.hpp"
#include "ike/codec/message.hpp"
#include "ike/engine/time.hpp"
#include "ike/proposal/proposal.hpp"
#include "ike/secret/secret.hpp"

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::ike {

/// RFC 7296 3.5, as it stands in the payload.
struct Identity {
    IdType type = IdType::fqdn;
    std::vector<std::uint8_t> data;
    auto operator<=>(const Identity&) const = default;
    bool operator==(const Identity&) const = default;
};
/// Of foreign identities too: what cannot be printed is escaped, and what is long is cut.
[[nodiscard]] std::string to_string(const Identity& identity);
/// Do they name the same one? FQDN and RFC822 without regard to case (RFC 4945 3.1), all others octet by octet.
[[nodiscard]] bool same(const Identity& one, IdType type, Octets data);

/// A child SA that the connection is for.
struct ChildPolicy {
    std::string name; // of its SAs and policies in the gateway
    VpnNumber vpn = wan_vpn;
    std::vector<TrafficSelector> local, remote;
    std::vector<Proposal> proposals; // without SPIs; those of one protocol
    SaMode mode = SaMode::tunnel;
    std::uint32_t window = 1024; // packets
};

struct Connection {
    std::string name;
    std::string place;                    // "file:line" of the configuration
    std::optional<Address> local, remote; // nothing: any
    std::uint16_t remote_port = 500;
    VpnNumber outer_vpn = wan_vpn;
    Identity local_id, remote_id;
    std::vector<Proposal> proposals; // of the IKE SA, without SPIs, in the order of preference
    bool require_post_quantum = false;
    Secret psk;
    std::vector<ChildPolicy> children;
    bool childless = false; // the first IKE_AUTH makes no child (RFC 6023)
};
using ConnectionPointer = std::shared_ptr<const Connection>;

/// How often a request is sent, and when it is given up (RFC 7296 2.4). Milliseconds.
struct Retransmission {
    Time first = 1000;
    unsigned growth = 18; // tenths: each wait is so many times the one before
    Time longest = 30'000;
    unsigned tries = 8;
    unsigned jitter = 10; // percent, to both sides
};

struct Settings {
    Retransmission retransmission;
    Time initial_timeout = 60'000;    // IKE_SA_INIT is given up
    Time half_open_timeout = 30'000;  // since the last message of the peer
    Time half_open_longest = 120'000; // since the first one
    Time half_open_pressed = 5'000;   // instead of half_open_timeout while cookies are asked for
    Time liveness = 30'000;           // of silence; then the peer is asked whether it is there (RFC 7296 2.4). 0: never
    Time linger = 180'000;            // an answer is kept
    Time drain = 5'000;               // the inbound SA of a child that is deleted still receives
    Time cookie_secret_life = 90'000; // a cookie is good for one to two of these
    unsigned cookies_from = 100;      // half-open IKE SAs in all
    unsigned cookies_from_prefix = 3; // from one /32 or /64
    unsigned half_open_most = 20'000;
    unsigned half_open_most_prefix = 64;
    unsigned cookie_rounds = 3, ke_rounds = 3;
    std::size_t fragment_size = 1280; // octets of the largest IP packet that carries a fragment
    kex::Methods methods = kex::methods();
};

} // namespace sallyport::ike
