// SPDX-License-Identifier: Apache-2.0
// IKE_AUTH (RFC 7296 1.2, 2.15), with its first child SA or without (RFC 6023):
//
//     HDR, SK {IDi, [IDr,] AUTH, [SAi2, TSi, TSr,] N...}  -->
//                                          <--  HDR, SK {IDr, AUTH, [SAr2, TSi, TSr,] N...}
//                                          <--  or HDR, SK {N(AUTHENTICATION_FAILED)}
#include "ike/auth/method.hpp"
#include "ike/exchange/child.hpp"
#include "ike/exchange/exchanges.hpp"
#include "ike/exchange/pad.hpp"
#include "ike/exchange/seam.hpp"

#include "gateway/wire/octets.hpp"

#include <algorithm>

namespace sallyport::ike::exchange {
namespace {

/// The body of an ID payload: type, three reserved octets, data.
std::vector<std::uint8_t> id_body(const Identity& identity) {
    std::vector<std::uint8_t> body{static_cast<std::uint8_t>(identity.type), 0, 0, 0};
    body.insert(body.end(), identity.data.begin(), identity.data.end());
    return body;
}

/// IntAuth (RFC 9242 3.3.2); empty where no IKE_INTERMEDIATE was.
std::vector<std::uint8_t> all_intauth(const IkeSa& sa, std::uint32_t auth_id) {
    const Initial& initial = *sa.initial;
    if (initial.intauth_i.empty()) return {};
    std::vector<std::uint8_t> all = initial.intauth_i;
    all.insert(all.end(), initial.intauth_r.begin(), initial.intauth_r.end());
    all.resize(all.size() + 4);
    wire::store32(all.data() + all.size() - 4, auth_id);
    return all;
}

/// What the AUTH of the initiator or of the responder covers. The octets stay the caller's.
auth::Covered covered_of(const IkeSa& sa, bool of_initiator, Octets body, Octets intauth) {
    const Initial& initial = *sa.initial;
    return {sa.suite.prf,
            of_initiator ? initial.real_i : initial.real_r,
            of_initiator ? initial.nr : initial.ni,
            of_initiator ? sa.keys.pi() : sa.keys.pr(),
            body,
            intauth};
}

Nonces nonces_of(const IkeSa& sa) { return {sa.initial->ni, sa.initial->nr}; }

/// Tells the peer, which believes that the IKE SA stands, that it does not (RFC 7296 2.21.2).
Task<Verdict> not_authenticated(Context context, std::string sentence) {
    Writer notice;
    notice.notify(NotifyType::authentication_failed);
    (void)co_await context.ask(ExchangeType::informational, notice);
    co_return refuse(NotifyType::authentication_failed, std::move(sentence));
}

/// IDr and AUTH of the response.
Task<std::expected<void, std::string>> examine_responder(Context context, const Received& response, Octets intauth) {
    const Connection& connection = *context.sa.connection;
    const Identification& idr = *response.contents.idr;
    if (!same(connection.remote_id, idr.type, idr.data)) {
        const Identity other{idr.type, {idr.data.begin(), idr.data.end()}};
        co_return std::unexpected("the peer says that it is " + to_string(other) + ", and remote-id is " + to_string(connection.remote_id));
    }
    const auth::Method* method = auth::find(response.contents.auth->method);
    if (method == nullptr || !method->usable(connection))
        co_return std::unexpected(std::string("the peer authenticates itself by a method that the connection does not have"));
    co_return co_await method->examine(context, connection, covered_of(context.sa, false, idr.body, intauth), response.contents.auth->data);
}

} // namespace

Task<Verdict> ask_ike_auth(Context context) {
    IkeSa& sa = context.sa;
    const Connection& connection = *sa.connection;
    const auth::Method* method = auth::method_of(connection);
    if (method == nullptr) co_return refuse(NotifyType::authentication_failed, "the connection has nothing to authenticate itself by");
    const std::vector<std::uint8_t> intauth = all_intauth(sa, sa.next_request);
    const std::vector<std::uint8_t> own_id = id_body(connection.local_id);
    const auto proof = co_await method->prove(context, connection, covered_of(sa, true, own_id, intauth));
    if (!proof) co_return refuse(NotifyType::authentication_failed, proof.error());

    Writer request;
    request.id(PayloadType::identification_initiator, connection.local_id.type, connection.local_id.data);
    request.id(PayloadType::identification_responder, connection.remote_id.type, connection.remote_id.data);
    request.auth(method->number, *proof);
    std::optional<ChildOffer> child;
    const bool childless = (connection.childless || connection.children.empty()) && sa.agreed.has(Feature::childless);
    if (!childless) {
        if (connection.children.empty())
            co_return refuse(NotifyType::invalid_syntax, "the peer wants a child SA at once, and the connection has none");
        child = offer_child(context, connection.children.front(), request);
        if (!child) co_return refuse(NotifyType::temporary_failure, "the gateway has given no SPI yet");
    }
    if (Verdict verdict = co_await offer(context, ExchangeType::ike_auth, request); !verdict) co_return verdict;

    const Reply reply = co_await context.ask(ExchangeType::ike_auth, request);
    if (!reply) co_return refuse(NotifyType::authentication_failed, reply.error().sentence);
    if (!reply->contents.auth || !reply->contents.idr) {
        const Notify* error = reply->contents.first_error();
        co_return refuse(NotifyType::authentication_failed, error != nullptr ? said(*error) : "the peer's answer lacks IDr or AUTH");
    }
    if (const auto good = co_await examine_responder(context, *reply, intauth); !good)
        co_return co_await not_authenticated(context, good.error());
    sa.peer_id = connection.remote_id;
    Nonces nonces = nonces_of(sa);
    context.established();
    if (Verdict verdict = co_await conclude(context, ExchangeType::ike_auth, *reply); !verdict) co_return verdict;
    if (!child) co_return Verdict{};
    // Without its child the IKE SA stands (RFC 7296 1.2).
    if (const Verdict made = co_await conclude_child(context, *std::move(child), *reply, std::move(nonces)); !made)
        context.tell(Event::Kind::failed, made.error().sentence);
    co_return Verdict{};
}

namespace {

/// SA, TSi and TSr come together or not at all.
std::expected<bool, Refusal> wants_child(const IkeSa& sa, const Contents& contents) {
    const bool any = !contents.sa.empty() || contents.tsi || contents.tsr, all = !contents.sa.empty() && contents.tsi && contents.tsr;
    if (any != all) return refuse(NotifyType::invalid_syntax, "IKE_AUTH has only some of SA, TSi and TSr");
    if (!any && !sa.agreed.has(Feature::childless))
        return refuse(NotifyType::invalid_syntax, "IKE_AUTH without a child SA, which was not agreed upon");
    return all;
}

/// Who the peer is: the connection that is for it and whose proof it gives. The peer is told the same whatever is wrong, and no sooner.
Task<std::expected<ConnectionPointer, Refusal>> authenticate(Context context, const Received& request, Octets intauth) {
    const IkeSa& sa = context.sa;
    const Contents& contents = request.contents;
    const std::vector<ConnectionPointer> fitting = candidates(context.connections(), sa.path);
    const Identification* idr = contents.idr ? &*contents.idr : nullptr;
    const ConnectionPointer connection = pick(fitting, *contents.idi, idr, contents.auth->method);
    const Identity peer{contents.idi->type, {contents.idi->data.begin(), contents.idi->data.end()}};
    const auto failed = [&](std::string sentence) {
        return refuse(NotifyType::authentication_failed, "peer " + to_string(peer) + ": " + std::move(sentence));
    };
    const auth::Covered covered = covered_of(sa, true, contents.idi->body, intauth);
    if (!connection) {
        // An unknown peer takes as long as one with a wrong key.
        static const std::array<std::uint8_t, 32> nobodys_key{};
        (void)psk_auth(covered.prf, nobodys_key, covered.real_message, covered.nonce, covered.sk_p, covered.id_body, covered.intauth);
        co_return failed("no connection is for it with this method of authentication and from this address");
    }
    const auto good = co_await auth::find(contents.auth->method)->examine(context, *connection, covered, contents.auth->data);
    if (!good) co_return failed(good.error());
    if (!takes(*connection, sa.chosen, context.settings().methods))
        co_return failed("connection " + connection->name +
                         " does not take the proposal that was chosen before it was known: " + to_string(sa.chosen));
    co_return connection;
}

} // namespace

Task<Answer> respond_ike_auth(Context context, const Received& request) {
    IkeSa& sa = context.sa;
    if (pending(context)) co_return refusal({NotifyType::invalid_syntax, {}, "IKE_AUTH before all key exchanges were done"});
    const std::expected<bool, Refusal> with_child = wants_child(sa, request.contents);
    if (!with_child) co_return refusal(with_child.error());
    const std::vector<std::uint8_t> intauth = all_intauth(sa, request.header.message_id);
    std::expected<ConnectionPointer, Refusal> connection = co_await authenticate(context, request, intauth);
    if (!connection) co_return refusal(std::move(connection).error());
    sa.connection = *connection;
    sa.peer_id = (*connection)->remote_id;
    if (Verdict verdict = co_await examine(context, ExchangeType::ike_auth, request); !verdict)
        co_return refusal(std::move(verdict).error());

    const Identity& own = sa.connection->local_id;
    const std::vector<std::uint8_t> own_id = id_body(own);
    const auth::Method* method = auth::method_of(*sa.connection);
    const auto proof = co_await method->prove(context, *sa.connection, covered_of(sa, false, own_id, intauth));
    if (!proof) co_return refusal({NotifyType::authentication_failed, {}, proof.error()});
    Answer answer;
    answer.payloads.id(PayloadType::identification_responder, own.type, own.data);
    answer.payloads.auth(method->number, *proof);
    Nonces nonces = nonces_of(sa);
    if (Verdict verdict = co_await exchange::answer(context, ExchangeType::ike_auth, request, answer.payloads); !verdict)
        co_return refusal(std::move(verdict).error());
    context.established();
    if (*with_child)
        if (const Verdict made = co_await answer_child(context, *sa.connection, request, answer.payloads, std::move(nonces)); !made)
            context.tell(Event::Kind::failed, made.error().sentence);
    co_return answer;
}

Task<> connect(Context context) {
    Verdict verdict = co_await ask_ike_sa_init(context);
    if (verdict) verdict = co_await ask_ike_intermediate(context);
    if (verdict) verdict = co_await ask_ike_auth(context);
    if (verdict) co_return;
    if (context.sa.state != IkeState::established) {
        context.end(std::move(verdict).error().sentence);
        co_return;
    }
    // The peer believes that it stands.
    context.tell(Event::Kind::failed, std::move(verdict).error().sentence);
    co_await delete_ike_sa(context);
}

} // namespace sallyport::ike::exchange
