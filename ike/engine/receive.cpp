// SPDX-License-Identifier: Apache-2.0
// Messages in: the checks of the header in their order, then windows (RFC 7296 2.2, 2.3), then what the exchange's tables say.
#include "ike/engine/engine.hpp"

#include <algorithm>

namespace sallyport::ike {

bool Engine::good_version(const Header& header, const Datagram& datagram) {
    if (header.major() == 2) return true;
    ignore(header.major() < 2 ? Ignored::ikev1 : Ignored::major_version);
    // RFC 7296 1.5, 2.5. One a second in all: whoever sends it can be anybody.
    if (header.major() > 2 && !header.response && now_ - last_version_answer_ >= 1000) {
        last_version_answer_ = now_;
        unprotected(datagram.path, header, NotifyType::invalid_major_version, {});
    }
    return false;
}

void Engine::receive(Datagram datagram, Time now) {
    now_ = now;
    ++counters_.received;
    half_open_.turn(now, settings_.cookie_secret_life);
    const std::optional<Header> header = parse_header(datagram.octets);
    if (!header) return ignore(Ignored::too_short);
    if (header->length != datagram.octets.size()) return ignore(Ignored::wrong_length);
    if (!good_version(*header, datagram)) return;
    if (header->spi_i == 0) return ignore(Ignored::no_initiator_spi);
    const bool initial = header->exchange == ExchangeType::ike_sa_init;
    if (initial && !header->response) {
        receive_initial_request(*header, datagram);
        return run();
    }
    if (header->spi_r == 0 && !initial) return ignore(Ignored::no_responder_spi);
    // By our own SPI alone; the I flag says which one that is (RFC 7296 2.6).
    const Spi own = header->initiator ? header->spi_r : header->spi_i, peer = header->initiator ? header->spi_i : header->spi_r;
    const auto found = sas_.find(own);
    if (found == sas_.end()) return ignore(Ignored::unknown_spi);
    IkeSa& sa = *found->second;
    if (sa.initiator == header->initiator || (sa.peer_spi != 0 ? sa.peer_spi != peer : !initial)) return ignore(Ignored::other_peer_spi);
    Received message{.header = *header, .path = datagram.path, .octets = std::move(datagram.octets)};
    if (header->response)
        receive_response(sa, std::move(message));
    else
        receive_request(sa, std::move(message));
    run();
}

void Engine::receive_response(IkeSa& sa, Received message) {
    if (!sa.outstanding || sa.outstanding->id != message.header.message_id) return ignore(Ignored::no_request);
    if (sa.outstanding->exchange != message.header.exchange) return ignore(Ignored::wrong_exchange);
    if (message.header.exchange == ExchangeType::ike_sa_init) return receive_initial_response(sa, std::move(message));
    if (!open_message(sa, message)) return;

    const auto give = [&](Reply reply) {
        give_reply(sa, std::move(reply));
        settle(sa);
    };
    const auto useless = [&](std::string sentence) { give(std::unexpected(Failure{false, std::move(sentence)})); };
    sa.last_heard = now_;
    Parsed<Chain> chain = parse_chain(message.clear.inner, message.plain);
    if (!chain) return useless("the response is malformed: " + std::string(chain.error().what));
    Parsed<Contents> contents = parse_contents(*chain);
    if (!contents) return useless("the response is malformed: " + std::string(contents.error().what));
    if (contents->unsupported) return useless("the response has a critical payload that is not known here");
    if (const Exchange* row = registry_.find(message.header.exchange))
        if (const Parsed<void> rules = check_response(*chain, row->response); !rules)
            return useless("the response does not have the payloads that it must have: " + std::string(name_of(rules.error().payload)));
    // What we asked ends it on both sides, without a Delete (RFC 7296 2.21.3).
    if (sa.authenticated() && contents->find(NotifyType::invalid_syntax) != nullptr)
        return end(sa, "the peer says that a request of ours is malformed");
    message.contents = *std::move(contents);
    give(std::move(message));
}

void Engine::repeated(IkeSa& sa, const Received& request) {
    if (!sa.answered.any || sa.answered.id != request.header.message_id || sa.answered.exchange != request.header.exchange)
        return ignore(Ignored::old_message_id);
    // The very octets need no opening.
    if (sa.answered.request != half_open_.digest({}, request.octets) && !is_answered_request(sa, request))
        return ignore(Ignored::old_message_id);
    ignore(Ignored::repeated);
    still_half_open(sa);
    counters_.retransmitted += sa.answered.datagrams.size();
    send(request.path, sa.answered.datagrams);
}

void Engine::receive_request(IkeSa& sa, Received request) {
    if (request.header.message_id < sa.expected) return repeated(sa, request);
    if (request.header.message_id > sa.expected) return ignore(Ignored::future_message_id);
    if (sa.in_work) return ignore(Ignored::in_work);
    const Exchange* row = registry_.find(request.header.exchange);
    const bool heard = row != nullptr && (row->states & in(sa.state)) != 0;
    // What is begun with an IKE SA that we delete (RFC 7296 2.25).
    const bool too_late = sa.state == IkeState::deleting && !heard && (row == nullptr || (row->states & in(IkeState::established)) != 0);
    if (!heard && !sa.authenticated()) return ignore(Ignored::not_expected);
    if (heard && row->respond == nullptr) return ignore(Ignored::not_expected);
    if (row != nullptr && !heard && !too_late) return ignore(Ignored::not_expected);
    if (!open_message(sa, request)) return;

    // From here on it is the peer's request, and its message id is used up.
    sa.last_heard = now_;
    if (sa.state == IkeState::half_open) sa.path = request.path; // it may have moved to port 4500, through a NAT (RFC 7296 2.23)
    still_half_open(sa);
    const bool initial = !sa.authenticated();
    if (too_late) return put_off(sa, request, row);
    if (row == nullptr)
        return reject(sa, request, NotifyType::invalid_syntax, {}, true, "the peer uses an exchange that is not known here");
    Parsed<Chain> chain = parse_chain(request.clear.inner, request.plain);
    Parsed<Contents> contents = chain ? parse_contents(*chain) : Parsed<Contents>(std::unexpected(chain.error()));
    if (!contents)
        return reject(sa, request, NotifyType::invalid_syntax, {}, true, "a request is malformed: " + std::string(contents.error().what));
    if (contents->unsupported)
        return reject(sa, request, NotifyType::unsupported_critical_payload, Octets(&*contents->unsupported, 1), initial,
                      "a request has a critical payload that is not known here");
    if (const Parsed<void> rules = check(*chain, row->request); !rules)
        return reject(sa, request, NotifyType::invalid_syntax, {}, true,
                      "a request does not have the payloads that it must have: " + std::string(name_of(rules.error().payload)));
    request.contents = *std::move(contents);
    serve(sa, *row, std::move(request));
}

Task<> Engine::work(Engine& engine, Context context, const Exchange& row, Received request) {
    Answer answer = co_await row.respond(context, request);
    if (row.one_way)
        engine.used_up(context.sa, request.header.message_id);
    else
        engine.answer(context.sa, request, answer);
    if (answer.end) engine.end(context.sa, std::move(answer.sentence));
}

void Engine::serve(IkeSa& sa, const Exchange& row, Received request) {
    sa.in_work = true;
    Flow& flow = spawn(sa);
    flow.root.emplace(work(*this, Context(*this, sa, flow), row, std::move(request)));
    flow.root->begin(flow.standing);
}

/// The peer may try again, by another IKE SA.
void Engine::put_off(IkeSa& sa, const Received& request, const Exchange* row) {
    ignore(Ignored::not_expected);
    if (row != nullptr && row->one_way) return used_up(sa, request.header.message_id);
    Answer later;
    later.payloads.notify(NotifyType::temporary_failure);
    answer(sa, request, later);
}

/// The answer that is an error, without asking the exchange.
void Engine::reject(IkeSa& sa, const Received& request, NotifyType type, Octets data, bool end_it, std::string sentence) {
    ignore(Ignored::invalid_payloads);
    Answer error;
    error.payloads.notify(type, data);
    answer(sa, request, error);
    if (end_it) end(sa, std::move(sentence));
}

} // namespace sallyport::ike
