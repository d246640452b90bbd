// SPDX-License-Identifier: Apache-2.0
// INFORMATIONAL (RFC 7296 1.4):
//
//     HDR, SK {[N,] [D,] ...}  -->
//                                <--  HDR, SK {...}
#include "ike/exchange/exchanges.hpp"
#include "ike/exchange/seam.hpp"

#include <algorithm>

namespace sallyport::ike::exchange {

/// Nothing inside: the peer asks whether we live (2.4).
Task<Answer> respond_informational(Context context, const Received& request) {
    if (Verdict verdict = co_await examine(context, ExchangeType::informational, request); !verdict)
        co_return refusal(std::move(verdict).error());
    Answer answer;
    const auto ends = [](const Delete& payload) { return payload.protocol == ProtocolId::ike; };
    if (std::ranges::any_of(request.contents.deletes, ends)) {
        answer.end = true;
        answer.sentence = "the peer deletes the IKE SA";
    } else if (const Notify* error = request.contents.find(NotifyType::authentication_failed); error != nullptr) {
        answer.end = true;
        answer.sentence = said(*error);
    }
    if (Verdict verdict = co_await exchange::answer(context, ExchangeType::informational, request, answer.payloads); !verdict)
        co_return refusal(std::move(verdict).error());
    co_return answer;
}

} // namespace sallyport::ike::exchange
