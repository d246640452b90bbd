// SPDX-License-Identifier: Apache-2.0
// IKE_SA_INIT (RFC 7296 1.2, 2.6, 2.7):
//
//     HDR(SPIi, 0), [N(COOKIE)], SAi1, KEi, Ni, N...  -->
//                                       <--  HDR(SPIi, SPIr), SAr1, KEr, Nr, N...
//                                       <--  or HDR(SPIi, 0), N(COOKIE) or N(INVALID_KE_PAYLOAD): once more, with what it asks for
#include "ike/exchange/exchanges.hpp"
#include "ike/exchange/pad.hpp"
#include "ike/exchange/seam.hpp"

#include "gateway/wire/octets.hpp"

#include <algorithm>
#include <array>
#include <memory>

namespace sallyport::ike::exchange {
namespace {

constexpr std::size_t nonce_size = 32; // octets: enough for every PRF (RFC 7296 2.10)

std::vector<std::uint8_t> new_nonce(const Context& context) {
    std::vector<std::uint8_t> nonce(nonce_size);
    context.random(nonce);
    return nonce;
}

/// The first keys of the IKE SA (RFC 7296 2.14). False: no memory for secrets.
bool derive(IkeSa& sa, const Secret& shared) {
    const Initial& initial = *sa.initial;
    const Secret seed = skeyseed_first(sa.suite.prf, initial.ni, initial.nr, shared.octets());
    if (seed.empty()) return false;
    sa.keys = SkKeys(sa.suite.prf, sa.suite.protection, seed.octets(), initial.ni, initial.nr, sa.spi_i(), sa.spi_r());
    return !sa.keys.empty();
}

/// How the initiator stands between one request and the next.
struct Attempt {
    const kex::Method* method = nullptr;
    std::shared_ptr<kex::Private> secret; // shared with the computation that uses it
    std::vector<std::uint8_t> cookie;
    std::vector<std::uint16_t> tried; // key exchanges
    unsigned cookies = 0;
    Writer request; // without the cookie
};

bool offered(const IkeSa& sa, std::uint16_t method) {
    return std::ranges::any_of(sa.initial->offered, [&](const Proposal& proposal) {
        return std::ranges::any_of(proposal.transforms, [&](const Transform& transform) {
            return transform.type == TransformType::key_exchange && transform.id == method;
        });
    });
}

/// The key exchange that is begun with: the first of the first proposal.
std::uint16_t likeliest(const IkeSa& sa) {
    for (const Proposal& proposal : sa.initial->offered)
        for (const Transform& transform : proposal.transforms)
            if (transform.type == TransformType::key_exchange) return transform.id;
    return transform_none;
}

Task<Verdict> build(Context context, Attempt& attempt, std::uint16_t method) {
    attempt.method = kex::find(context.settings().methods, method);
    if (attempt.method == nullptr) co_return refuse(NotifyType::no_proposal_chosen, "no key exchange of the proposals is known here");
    attempt.tried.push_back(method);
    const kex::Method* row = attempt.method;
    auto share = co_await context.compute([row] { return row->generate(*row); });
    if (!share)
        co_return refuse(NotifyType::no_proposal_chosen, "a key could not be made: the library failed or memory for secrets is full");
    attempt.secret = std::move(share->secret);
    // A new nonce with a new key: RFC 7296 2.6 asks for the same only where a cookie is returned.
    context.sa.initial->ni = new_nonce(context);
    attempt.request = {};
    attempt.request.sa(context.sa.initial->offered);
    attempt.request.ke(method, share->value);
    attempt.request.nonce(context.sa.initial->ni);
    co_return co_await offer(context, ExchangeType::ike_sa_init, attempt.request);
}

Writer with_cookie(const Attempt& attempt) {
    Writer whole;
    if (!attempt.cookie.empty()) whole.notify(NotifyType::cookie, attempt.cookie);
    whole.append(attempt.request);
    return whole;
}

/// Takes a cookie that is asked for. False: it cannot be one, or there were enough.
bool take_cookie(const Context& context, Attempt& attempt, const Notify& cookie) {
    if (cookie.data.empty() || cookie.data.size() > longest_cookie) return false;
    if (attempt.cookies == context.settings().cookie_rounds) return false;
    ++attempt.cookies;
    attempt.cookie.assign(cookie.data.begin(), cookie.data.end());
    return true;
}

/// The key exchange that the responder wants instead; nothing: none that we offered and have not tried.
std::optional<std::uint16_t> wanted_method(const Context& context, const Attempt& attempt, const Notify& notify) {
    if (notify.data.size() != 2 || attempt.tried.size() > context.settings().ke_rounds) return std::nullopt;
    const std::uint16_t method = wire::load16(notify.data.data());
    if (!offered(context.sa, method) || std::ranges::contains(attempt.tried, method)) return std::nullopt;
    return method;
}

/// Is this an answer that the IKE SA can be made of? A clause, if not.
std::expected<IkeSuite, std::string> judge(const Context& context, const Attempt& attempt, const Received& response) {
    const auto wrong = [](std::string_view clause) { return std::unexpected(std::string(clause)); };
    if (const Notify* error = response.contents.first_error()) return std::unexpected(said(*error));
    if (!check(response.clear, rules::ike_sa_init)) return wrong("the answer lacks SA, KE or Nr");
    if (response.header.spi_r == 0) return wrong("the answer has no SPI");
    if (const auto good = verify(context.sa.initial->offered, response.contents.sa); !good) return wrong(good.error());
    const std::optional<IkeSuite> suite = ike_suite(response.contents.sa.front());
    if (!suite) return wrong("it chooses what is not known here");
    if (suite->exchanges.first != attempt.method->id || response.contents.ke->method != attempt.method->id)
        return wrong("its key exchange is not the one it chose");
    if (response.contents.nonce.size() * 2 < size_of(suite->prf)) return wrong("its nonce is too short for the PRF");
    return *suite;
}

/// The IKE SA is that of this answer. False: no memory for secrets.
bool take(Context& context, const IkeSuite& suite, const Received& response, const Secret& shared) {
    IkeSa& sa = context.sa;
    context.settle();
    sa.peer_spi = response.header.spi_r;
    sa.chosen = response.contents.sa.front();
    sa.suite = suite;
    sa.initial->exchanges = suite.exchanges;
    sa.initial->nr.assign(response.contents.nonce.begin(), response.contents.nonce.end());
    sa.initial->real_r = response.octets;
    sa.next_request = 1;
    sa.last_heard = context.now();
    return derive(sa, shared);
}

} // namespace

/// Until an answer is good, what comes may be forged: it is noted and another one is waited for (RFC 7296 2.21.1).
Task<Verdict> ask_ike_sa_init(Context context) {
    IkeSa& sa = context.sa;
    sa.initial->offered = ike_proposals(*sa.connection, context.settings().methods);
    Attempt attempt;
    if (Verdict built = co_await build(context, attempt, likeliest(sa)); !built) co_return built;
    Reply reply = co_await context.ask(ExchangeType::ike_sa_init, with_cookie(attempt));
    for (;;) {
        if (!reply) {
            const std::string& last = sa.initial->last_error;
            co_return refuse(NotifyType::no_proposal_chosen,
                             reply.error().sentence + (last.empty() ? "" : "; what came without proof: " + last));
        }
        const Notify* cookie = reply->contents.find(NotifyType::cookie);
        const Notify* other_method = reply->contents.find(NotifyType::invalid_ke_payload);
        if (cookie != nullptr && take_cookie(context, attempt, *cookie)) {
            reply = co_await context.ask(ExchangeType::ike_sa_init, with_cookie(attempt));
            continue;
        }
        if (other_method != nullptr) {
            if (const auto method = wanted_method(context, attempt, *other_method)) {
                if (Verdict built = co_await build(context, attempt, *method); !built) co_return built;
                reply = co_await context.ask(ExchangeType::ike_sa_init, with_cookie(attempt));
                continue;
            }
        }
        std::expected<IkeSuite, std::string> suite = judge(context, attempt, *reply);
        if (suite) {
            const kex::Method* row = attempt.method;
            auto finish = [row, secret = attempt.secret,
                           value = std::vector<std::uint8_t>(reply->contents.ke->data.begin(), reply->contents.ke->data.end())] {
                return row->finish(*row, *secret, value);
            };
            const auto shared = co_await context.compute(std::move(finish));
            if (shared) {
                if (!take(context, *suite, *reply, *shared))
                    co_return refuse(NotifyType::no_proposal_chosen, "no memory for secrets is left");
                co_return co_await conclude(context, ExchangeType::ike_sa_init, *reply);
            }
            suite = std::unexpected(std::string("its value of the key exchange fails the tests of the method"));
        }
        sa.initial->last_error = suite.error();
        reply = co_await context.another();
    }
}

namespace {

Answer error_answer(NotifyType type, Octets data = {}) {
    Answer answer;
    answer.payloads.notify(type, data);
    answer.keyless = true;
    return answer;
}

/// What stands between an offer and its answer: nothing in common, or another key exchange.
std::expected<IkeSuite, Answer> choose_suite(Context& context, const Received& request) {
    const std::vector<ConnectionPointer> fitting = candidates(context.connections(), request.path);
    if (fitting.empty()) {
        context.count(Ignored::no_connection);
        return std::unexpected(error_answer(NotifyType::no_proposal_chosen));
    }
    std::expected<Proposal, NoChoice> chosen = choose_ike(fitting, request.contents.sa, additional(context), context.settings().methods);
    const std::optional<IkeSuite> suite = chosen ? ike_suite(*chosen) : std::nullopt;
    if (!suite) {
        context.count(Ignored::no_proposal);
        return std::unexpected(error_answer(NotifyType::no_proposal_chosen));
    }
    if (request.contents.ke->method != suite->exchanges.first) {
        std::array<std::uint8_t, 2> wanted{};
        wire::store16(wanted.data(), suite->exchanges.first);
        return std::unexpected(error_answer(NotifyType::invalid_ke_payload, wanted));
    }
    context.sa.chosen = *std::move(chosen);
    return *suite;
}

/// Says nothing: what cannot be right is dropped (RFC 6989 2.5 allows it).
Answer silence(const Context& context, Ignored reason) {
    context.count(reason);
    Answer answer;
    answer.silent = true;
    return answer;
}

} // namespace

Task<Answer> respond_ike_sa_init(Context context, const Received& request) {
    IkeSa& sa = context.sa;
    // What the peer announces decides what can be chosen.
    if (const Verdict verdict = co_await examine(context, ExchangeType::ike_sa_init, request); !verdict)
        co_return error_answer(verdict.error().type, verdict.error().data);
    std::expected<IkeSuite, Answer> suite = choose_suite(context, request);
    if (!suite) co_return std::move(suite).error();
    const kex::Method* method = kex::find(context.settings().methods, suite->exchanges.first);
    if (method == nullptr || request.contents.nonce.size() * 2 < size_of(suite->prf)) co_return silence(context, Ignored::malformed);
    sa.suite = *suite;
    sa.initial->exchanges = suite->exchanges;
    sa.initial->ni.assign(request.contents.nonce.begin(), request.contents.nonce.end());

    auto own = [method, value = std::vector<std::uint8_t>(request.contents.ke->data.begin(), request.contents.ke->data.end())] {
        return method->answer(*method, value);
    };
    auto share = co_await context.compute(std::move(own));
    if (!share) co_return silence(context, share.error() == kex::Fault::bad_value ? Ignored::bad_key_exchange : Ignored::no_memory);
    sa.initial->nr = new_nonce(context);
    if (!derive(sa, share->shared)) co_return silence(context, Ignored::no_memory);

    Answer answer;
    answer.payloads.sa({&sa.chosen, 1});
    answer.payloads.ke(method->id, share->value);
    answer.payloads.nonce(sa.initial->nr);
    if (const Verdict verdict = co_await exchange::answer(context, ExchangeType::ike_sa_init, request, answer.payloads); !verdict)
        co_return error_answer(verdict.error().type, verdict.error().data);
    co_return answer;
}

} // namespace sallyport::ike::exchange
