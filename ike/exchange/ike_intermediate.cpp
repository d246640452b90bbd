// SPDX-License-Identifier: Apache-2.0
// IKE_INTERMEDIATE (RFC 9242): as many of them between IKE_SA_INIT and IKE_AUTH as the extensions need, with what they put in.
//
//     HDR(43, 1..n), SK {...}  -->
//                                <--  HDR(43, 1..n), SK {...}
#include "ike/exchange/exchanges.hpp"
#include "ike/exchange/seam.hpp"

namespace sallyport::ike::exchange {

constexpr ExchangeType point = ExchangeType::ike_intermediate;

Task<Verdict> ask_ike_intermediate(Context context) {
    while (pending(context)) {
        Writer request;
        if (Verdict verdict = co_await offer(context, point, request); !verdict) co_return verdict;
        const Reply reply = co_await context.ask(point, request);
        if (!reply) co_return refuse(NotifyType::invalid_syntax, reply.error().sentence);
        if (const Notify* error = reply->contents.first_error()) co_return refuse(error->type, said(*error));
        if (Verdict verdict = co_await conclude(context, point, *reply); !verdict) co_return verdict;
    }
    co_return Verdict{};
}

Task<Answer> respond_ike_intermediate(Context context, const Received& request) {
    if (!pending(context))
        co_return refusal({NotifyType::invalid_syntax, {}, "the peer began an IKE_INTERMEDIATE exchange that is not due"});
    if (Verdict verdict = co_await examine(context, point, request); !verdict) co_return refusal(std::move(verdict).error());
    Answer answer;
    if (Verdict verdict = co_await exchange::answer(context, point, request, answer.payloads); !verdict)
        co_return refusal(std::move(verdict).error());
    co_return answer;
}

} // namespace sallyport::ike::exchange
