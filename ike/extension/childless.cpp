// SPDX-License-Identifier: Apache-2.0
// A first IKE_AUTH without a child SA (RFC 6023): the responder alone says that it takes one.
#include "ike/extension/extensions.hpp"
#include "ike/extension/support.hpp"

namespace sallyport::ike::extension {
namespace {

Task<Verdict> answer(Context context, ExchangeType point, const Received&, Writer& response) {
    if (point == ExchangeType::ike_sa_init) {
        response.notify(NotifyType::childless_ikev2_supported, {}, ProtocolId::ike);
        context.sa.agreed.add(Feature::childless);
    }
    co_return Verdict{};
}

Task<Verdict> conclude(Context context, ExchangeType point, const Received& response) {
    if (point == ExchangeType::ike_sa_init && response.contents.find(NotifyType::childless_ikev2_supported) != nullptr) {
        context.sa.announced.add(Feature::childless);
        context.sa.agreed.add(Feature::childless);
    }
    co_return Verdict{};
}

} // namespace

constinit const Extension childless{.name = "childless initiation", .source = "RFC 6023", .answer = answer, .conclude = conclude};

} // namespace sallyport::ike::extension
