// SPDX-License-Identifier: Apache-2.0
// IKE_SA_INIT as it comes: a request from anybody, and answers that anybody can forge.
#include "ike/engine/engine.hpp"

#include <algorithm>

namespace sallyport::ike {
namespace {

Octets nonce_of(const Chain& chain) {
    for (const Payload& payload : chain.payloads)
        if (payload.type == PayloadType::nonce) return payload.body;
    return {};
}

/// A cookie is the first payload (RFC 7296 2.6).
Octets cookie_of(const Chain& chain) {
    if (chain.payloads.empty() || chain.payloads.front().type != PayloadType::notify) return {};
    const Parsed<Notify> notify = parse_notify(chain.payloads.front().body);
    return notify && notify->type == NotifyType::cookie ? notify->data : Octets{};
}

} // namespace

/// Before anything is kept or computed (RFC 7296 2.6).
bool Engine::let_in(const Header& header, const Datagram& datagram, const Chain& chain) {
    const Address& peer = datagram.path.remote.address;
    const Octets ni = nonce_of(chain);
    if (ni.size() < shortest_nonce || ni.size() > longest_nonce) {
        ignore(Ignored::malformed);
        return false;
    }
    if (half_open_.cookie_wanted(settings_, peer) && !half_open_.good(cookie_of(chain), datagram.path, header.spi_i, ni)) {
        ignore(Ignored::cookie_wanted);
        unprotected(datagram.path, header, NotifyType::cookie, half_open_.cookie(datagram.path, header.spi_i, ni));
        return false;
    }
    if (half_open_.room(settings_, peer)) return true;
    ignore(Ignored::half_open_limit);
    return false;
}

void Engine::receive_initial_request(const Header& header, Datagram& datagram) {
    if (header.message_id != 0 || header.spi_r != 0 || !header.initiator) return ignore(Ignored::bad_init_header);
    const Digest digest = half_open_.digest(datagram.path, datagram.octets);
    if (const auto known = sas_.find(half_open_.find(digest)); known != sas_.end()) return repeated_initial(*known->second, datagram.path);

    Received request{.header = header, .path = datagram.path, .octets = std::move(datagram.octets)};
    request.clear_octets = Octets(request.octets).subspan(header_size);
    Parsed<Chain> chain = parse_chain(header.first, request.clear_octets);
    if (!chain) return ignore(Ignored::malformed);
    request.clear = *std::move(chain);
    if (!let_in(header, {request.path, {}}, request.clear)) return;

    const Exchange& row = *registry_.find(ExchangeType::ike_sa_init);
    Parsed<Contents> contents = parse_contents(request.clear);
    if (!contents) return ignore(Ignored::malformed);
    if (contents->unsupported) {
        ignore(Ignored::unsupported_critical);
        return unprotected(request.path, header, NotifyType::unsupported_critical_payload, Octets(&*contents->unsupported, 1));
    }
    if (!check(request.clear, row.request)) return ignore(Ignored::invalid_payloads);
    request.contents = *std::move(contents);

    IkeSa& sa = create(false, request.path);
    sa.peer_spi = header.spi_i;
    sa.initial->real_i = request.octets;
    half_open_.add(digest, sa.own_spi, request.path.remote.address);
    still_half_open(sa);
    serve(sa, row, std::move(request));
}

void Engine::repeated_initial(IkeSa& sa, const Path& path) {
    ignore(sa.in_work ? Ignored::in_work : Ignored::repeated);
    if (sa.state != IkeState::half_open || sa.expected != 1) return; // IKE_AUTH has come: it is an old copy
    still_half_open(sa);
    send(path, sa.answered.datagrams);
}

/// The peer has said something: it has time again.
void Engine::still_half_open(IkeSa& sa) {
    if (sa.state != IkeState::half_open) return;
    const bool pressed = half_open_.cookie_wanted(settings_, sa.path.remote.address);
    const Time until = std::min(now_ + (pressed ? settings_.half_open_pressed : settings_.half_open_timeout),
                                sa.initial->began + settings_.half_open_longest);
    timers_.start(sa.life, until, {sa.own_spi, TimerKind::half_open, 0, "the peer is not authenticated"});
}

/// The flow that asked judges it and may go on waiting (RFC 7296 2.21.1).
void Engine::receive_initial_response(IkeSa& sa, Received message) {
    message.clear_octets = Octets(message.octets).subspan(header_size);
    Parsed<Chain> chain = parse_chain(message.header.first, message.clear_octets);
    if (!chain) return ignore(Ignored::malformed);
    message.clear = *std::move(chain);
    Parsed<Contents> contents = parse_contents(message.clear);
    if (!contents) return ignore(Ignored::malformed);
    if (contents->unsupported) return ignore(Ignored::unsupported_critical);
    message.contents = *std::move(contents);
    give_reply(sa, std::move(message));
}

} // namespace sallyport::ike
