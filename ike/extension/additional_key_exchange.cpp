// SPDX-License-Identifier: Apache-2.0
// More key exchanges than one for the first IKE SA (RFC 9370 2.2.2): one in each IKE_INTERMEDIATE, and new keys after each.
//
//     HDR(43, n), SK(n-1) { KEi(n) }  -->
//                                       <--  HDR(43, n), SK(n-1) { KEr(n) }
#include "ike/extension/extensions.hpp"

#include "ike/crypto/keys.hpp"
#include "ike/engine/engine.hpp"

#include <memory>

namespace sallyport::ike::extension {
namespace {

std::unexpected<Refusal> refuse(std::string sentence) {
    return std::unexpected(Refusal{NotifyType::invalid_syntax, {}, std::move(sentence)});
}

bool pending(const IkeSa& sa) { return sa.initial && sa.initial->done < sa.initial->exchanges.count; }

/// They travel in IKE_INTERMEDIATE.
bool additional(const IkeSa& sa) { return sa.agreed.has(Feature::intermediate); }

/// The one whose turn it is; null: none, or this program lacks it.
const kex::Method* due(const Context& context) {
    const IkeSa& sa = context.sa;
    return pending(sa) ? kex::find(context.settings().methods, sa.initial->exchanges.additional[sa.initial->done]) : nullptr;
}

/// SKEYSEED(n) and the keys of it.
SkKeys next_keys(const IkeSa& sa, const Secret& shared) {
    const Initial& initial = *sa.initial;
    const Secret seed = skeyseed_next(sa.suite.prf, sa.keys.d(), shared.octets(), initial.ni, initial.nr);
    if (seed.empty()) return {};
    return {sa.suite.prf, sa.suite.protection, seed.octets(), initial.ni, initial.nr, sa.spi_i(), sa.spi_r()};
}

/// Without IKE_INTERMEDIATE in the answer what was chosen cannot be done.
Verdict agreed(const IkeSa& sa) {
    if (!pending(sa) || sa.agreed.has(Feature::intermediate)) return {};
    return refuse("the peer chose an additional key exchange and does not announce IKE_INTERMEDIATE");
}

Task<Verdict> offer(Context context, ExchangeType point, Writer& request) {
    if (point != ExchangeType::ike_intermediate) co_return Verdict{};
    const kex::Method* method = due(context);
    if (method == nullptr) co_return Verdict{};
    auto share = co_await context.compute([method] { return method->generate(*method); });
    if (!share) co_return refuse("a key could not be made: the library failed or memory for secrets is full");
    context.sa.initial->additional_secret = std::move(share->secret);
    request.ke(method->id, share->value);
    co_return Verdict{};
}

Task<Verdict> conclude(Context context, ExchangeType point, const Received& response) {
    IkeSa& sa = context.sa;
    if (point == ExchangeType::ike_sa_init) co_return agreed(sa);
    if (point != ExchangeType::ike_intermediate) co_return Verdict{};
    const kex::Method* method = due(context);
    if (method == nullptr) co_return Verdict{};
    if (!response.contents.ke || response.contents.ke->method != method->id)
        co_return refuse("the peer's answer lacks the key exchange that is due");
    std::shared_ptr<kex::Private> secret = std::move(sa.initial->additional_secret);
    auto finish = [method, secret,
                   value = std::vector<std::uint8_t>(response.contents.ke->data.begin(), response.contents.ke->data.end())] {
        return method->finish(*method, *secret, value);
    };
    const auto shared = co_await context.compute(std::move(finish));
    if (!shared) co_return refuse("the peer's value of the additional key exchange fails the tests of the method");
    SkKeys keys = next_keys(sa, *shared);
    if (keys.empty()) co_return refuse("no memory for secrets is left");
    sa.keys = std::move(keys);
    ++sa.initial->done;
    co_return Verdict{};
}

Task<Verdict> answer(Context context, ExchangeType point, const Received& request, Writer& response) {
    if (point != ExchangeType::ike_intermediate) co_return Verdict{};
    IkeSa& sa = context.sa;
    const kex::Method* method = due(context);
    if (method == nullptr) co_return Verdict{};
    if (!request.contents.ke || request.contents.ke->method != method->id)
        co_return refuse("the peer's request lacks the key exchange that is due");
    auto own = [method, value = std::vector<std::uint8_t>(request.contents.ke->data.begin(), request.contents.ke->data.end())] {
        return method->answer(*method, value);
    };
    const auto share = co_await context.compute(std::move(own));
    if (!share) co_return refuse("the peer's value of the additional key exchange fails the tests of the method");
    sa.initial->next = next_keys(sa, share->shared);
    if (sa.initial->next.empty()) co_return refuse("no memory for secrets is left");
    ++sa.initial->done;
    response.ke(method->id, share->value);
    co_return Verdict{};
}

} // namespace

constinit const Extension additional_key_exchange{.name = "multiple key exchanges",
                                                  .source = "RFC 9370",
                                                  .offer = offer,
                                                  .answer = answer,
                                                  .conclude = conclude,
                                                  .additional = additional,
                                                  .pending = pending};

} // namespace sallyport::ike::extension
