// SPDX-License-Identifier: Apache-2.0
// Traffic selectors of a child SA (RFC 7296 2.9): what both sides want, and how it lies in the gateway's SPD.
#pragma once

#include "gateway/sa/selector.hpp"
#include "ike/codec/message.hpp"

#include <span>
#include <vector>

namespace sallyport::ike {

inline constexpr std::size_t most_narrowed = 65'536; // pairs that are looked at

/// What two selectors have in common; nothing: no packet matches both.
[[nodiscard]] std::optional<TrafficSelector> common(const TrafficSelector& one, const TrafficSelector& other);
/// Does `outer` match whatever `inner` matches?
[[nodiscard]] bool covers(const TrafficSelector& outer, const TrafficSelector& inner);
[[nodiscard]] bool covers(std::span<const TrafficSelector> outer, const TrafficSelector& inner);

/// Ours and the peer's side of a child SA.
struct SelectorPair {
    std::vector<TrafficSelector> local, remote;
    bool operator==(const SelectorPair&) const = default;
    [[nodiscard]] bool empty() const { return local.empty() || remote.empty(); }
};

/// The responder's answer: what of the proposal the policy allows, without selectors that others of it contain, and without those of a
/// family or protocol that the other side lacks. Empty: TS_UNACCEPTABLE.
[[nodiscard]] SelectorPair narrow(const SelectorPair& policy, const SelectorPair& proposed);
/// The initiator's check: is the answer within what was asked for?
[[nodiscard]] bool within(const SelectorPair& asked, const SelectorPair& answer);

/// As the gateway has them: each local one with each remote one of its family and protocol.
[[nodiscard]] std::vector<Selector> pairs(const SelectorPair& selectors);

/// "10.1.0.0/16 tcp/443, 2001:db8::/32": for the journal.
[[nodiscard]] std::string to_string(std::span<const TrafficSelector> selectors);

} // namespace sallyport::ike
