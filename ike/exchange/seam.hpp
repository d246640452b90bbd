// SPDX-License-Identifier: Apache-2.0
// The fixed points at which the extensions take part, in the order of their list. The first that refuses ends it.
#pragma once

#include "ike/engine/engine.hpp"

namespace sallyport::ike::exchange {

Task<Verdict> offer(Context context, ExchangeType point, Writer& request);
Task<Verdict> examine(Context context, ExchangeType point, const Received& request);
Task<Verdict> answer(Context context, ExchangeType point, const Received& request, Writer& response);
Task<Verdict> conclude(Context context, ExchangeType point, const Received& response);
/// Can one of them do additional key exchanges in this IKE SA?
[[nodiscard]] bool additional(const Context& context);
/// Does one of them need another IKE_INTERMEDIATE exchange?
[[nodiscard]] bool pending(const Context& context);

/// A refusal that the peer is told as the IKE SA's end.
[[nodiscard]] Answer refusal(Refusal refusal);
[[nodiscard]] std::unexpected<Refusal> refuse(NotifyType type, std::string sentence, std::vector<std::uint8_t> data = {});
/// What an error notify of the peer's says, for the operator.
[[nodiscard]] std::string said(const Notify& error);

} // namespace sallyport::ike::exchange
