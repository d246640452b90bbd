// SPDX-License-Identifier: Apache-2.0
// Who may do what (Peer Authorization Database, RFC 4301 4.4.3): which connections a peer can mean, and which one it does mean.
#pragma once

#include "ike/engine/engine.hpp"

#include <expected>
#include <span>
#include <vector>

namespace sallyport::ike::exchange {

/// What a connection offers and takes for its IKE SA, numbered from 1: all it has, or those with a post-quantum key exchange where it takes
/// no less.
[[nodiscard]] std::vector<Proposal> ike_proposals(const Connection& connection, kex::Methods methods);

/// The connections whose addresses and VPN fit, the most exact first.
[[nodiscard]] std::vector<ConnectionPointer> candidates(std::span<const ConnectionPointer> connections, const Path& path);

/// The responder's choice, by the first candidate that takes any of it.
[[nodiscard]] std::expected<Proposal, NoChoice> choose_ike(std::span<const ConnectionPointer> candidates, std::span<const Proposal> offered,
                                                           bool additional, kex::Methods methods);
/// Would this connection have taken what was chosen?
[[nodiscard]] bool takes(const Connection& connection, const Proposal& chosen, kex::Methods methods);

/// The candidate that is for this peer: by its IDi, by the IDr that it asks for (null: it asks for none) and by its method.
[[nodiscard]] ConnectionPointer pick(std::span<const ConnectionPointer> candidates, const Identification& idi, const Identification* idr,
                                     AuthMethod method);

} // namespace sallyport::ike::exchange
