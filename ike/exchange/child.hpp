// SPDX-License-Identifier: Apache-2.0
// A child SA as both sides make it (RFC 7296 1.2, 1.3, 2.9, 2.17): proposals, selectors, keys, and what the gateway is given.
#pragma once

#include "ike/engine/engine.hpp"

#include <optional>
#include <utility>

namespace sallyport::ike::exchange {

struct Nonces {
    std::vector<std::uint8_t> ni, nr;
};

/// What we have asked for.
struct ChildOffer {
    const ChildPolicy* policy = nullptr;
    std::uint32_t spi = 0; // our inbound one
    std::vector<Proposal> proposals;
};

/// Adds SA, TSi and TSr. Nothing: there is no SPI left.
[[nodiscard]] std::optional<ChildOffer> offer_child(const Context& context, const ChildPolicy& policy, Writer& request);
/// Installs what was agreed upon. A refusal concerns the child only.
Task<Verdict> conclude_child(Context context, ChildOffer offer, const Received& response, Nonces nonces);

/// The peer deletes a child that is not known here. If it is one that it has made and whose answer is still on its way, or in work, then it
/// must not come to life when that arrives.
void note_early_delete(IkeSa& sa, ProtocolId protocol, std::uint32_t spi_out);

/// The responder: narrows, chooses, installs the inbound side before the response leaves, and adds SA, TSi and TSr, or the notify that says
/// why not. A refusal concerns the child only, and its notify is in the response already.
Task<Verdict> answer_child(Context context, const Connection& connection, const Received& request, Writer& response, Nonces nonces);

} // namespace sallyport::ike::exchange
