// SPDX-License-Identifier: Apache-2.0
// A feature that both sides announce in IKE_SA_INIT by a notify without data: the functions of its record.
#pragma once

#include "ike/engine/engine.hpp"

namespace sallyport::ike::extension {

template <NotifyType notify, Feature feature>
struct Support {
    static Task<Verdict> offer(Context, ExchangeType point, Writer& request) {
        if (point == ExchangeType::ike_sa_init) request.notify(notify);
        co_return Verdict{};
    }
    static Task<Verdict> examine(Context context, ExchangeType point, const Received& request) {
        if (point == ExchangeType::ike_sa_init && request.contents.find(notify) != nullptr) {
            context.sa.announced.add(feature);
            context.sa.agreed.add(feature);
        }
        co_return Verdict{};
    }
    static Task<Verdict> answer(Context context, ExchangeType point, const Received&, Writer& response) {
        if (point == ExchangeType::ike_sa_init && context.sa.agreed.has(feature)) response.notify(notify);
        co_return Verdict{};
    }
    static Task<Verdict> conclude(Context context, ExchangeType point, const Received& response) {
        co_return co_await examine(context, point, response);
    }
};

} // namespace sallyport::ike::extension
