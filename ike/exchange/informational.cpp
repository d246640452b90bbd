// SPDX-License-Identifier: Apache-2.0
// INFORMATIONAL (RFC 7296 1.4, 1.4.1):
//
//     HDR, SK {}  -->                          is the peer there? (2.4)
//                                         <--  HDR, SK {}
//     HDR, SK {D(its SPIs)}  -->               child SAs, by the inbound SPIs of who sends it
//                                         <--  HDR, SK {[D(their SPIs)]}: of the same pairs, but those that it deletes itself just now
//     HDR, SK {D(IKE)}  -->                    the IKE SA with all its children
//                                         <--  HDR, SK {}
#include "ike/exchange/child.hpp"
#include "ike/exchange/exchanges.hpp"
#include "ike/exchange/seam.hpp"

#include "gateway/wire/octets.hpp"

#include <algorithm>
#include <array>

namespace sallyport::ike::exchange {
namespace {

constexpr std::uint8_t spi_size = 4; // octets, of ESP and AH

ProtocolId protocol_of(const ChildSa& child) { return child.suite.protocol == SaProtocol::ah ? ProtocolId::ah : ProtocolId::esp; }

void put_delete(Writer& payloads, ProtocolId protocol, std::span<const std::uint32_t> spis) {
    std::vector<std::uint8_t> octets(spis.size() * spi_size);
    for (std::size_t i = 0; i < spis.size(); ++i) wire::store32(octets.data() + i * spi_size, spis[i]);
    payloads.erase(protocol, spi_size, octets);
}

/// The child that the peer receives by this SPI; null: none.
const ChildSa* find_by_peer(const IkeSa& sa, ProtocolId protocol, std::uint32_t spi_out) {
    const auto meant = [&](const ChildSa& child) { return child.spi_out == spi_out && protocol_of(child) == protocol; };
    const auto found = std::ranges::find_if(sa.children, meant);
    return found != sa.children.end() ? &*found : nullptr;
}

/// Takes away what the peer deletes, of one protocol. What is unknown is left out, and so is what we delete ourselves: the peer has our D
/// for that, and our own flow waits for the answer to it.
void take_away(const Context& context, ProtocolId protocol, const Contents& request, Writer& response) {
    std::vector<std::uint32_t> own;
    for (const Delete& payload : request.deletes) {
        if (payload.protocol != protocol) continue;
        for (std::size_t at = 0; at < payload.spis.size(); at += spi_size) {
            const std::uint32_t spi_out = wire::load32(payload.spis.data() + at);
            const ChildSa* child = find_by_peer(context.sa, protocol, spi_out);
            if (child == nullptr) note_early_delete(context.sa, protocol, spi_out);
            if (child == nullptr || child->deleting) continue;
            own.push_back(child->spi_in);
            context.tell(Event::Kind::child_down, child->name + ": the peer deletes the child SA");
            context.remove_child(child->spi_in);
        }
    }
    if (!own.empty()) put_delete(response, protocol, own);
}

/// Why the IKE SA ends with this request; empty: it does not.
std::string end_of(const Contents& request) {
    const auto ends = [](const Delete& payload) { return payload.protocol == ProtocolId::ike; };
    if (std::ranges::any_of(request.deletes, ends)) return "the peer deletes the IKE SA";
    const Notify* error = request.find(NotifyType::authentication_failed);
    return error != nullptr ? said(*error) : std::string{};
}

bool known(const Delete& payload) {
    return payload.protocol == ProtocolId::ike || payload.protocol == ProtocolId::ah || payload.protocol == ProtocolId::esp;
}

} // namespace

Task<Answer> respond_informational(Context context, const Received& request) {
    if (Verdict verdict = co_await examine(context, ExchangeType::informational, request); !verdict)
        co_return refusal(std::move(verdict).error());
    const Contents& contents = request.contents;
    if (!std::ranges::all_of(contents.deletes, known))
        co_return refusal({NotifyType::invalid_syntax, {}, "the peer deletes SAs of a protocol that is not known here"});
    Answer answer;
    answer.sentence = end_of(contents);
    answer.end = !answer.sentence.empty();
    if (!answer.end)
        for (const ProtocolId protocol : {ProtocolId::esp, ProtocolId::ah}) take_away(context, protocol, contents, answer.payloads);
    if (Verdict verdict = co_await exchange::answer(context, ExchangeType::informational, request, answer.payloads); !verdict)
        co_return refusal(std::move(verdict).error());
    co_return answer;
}

Task<Reply> ask_delete(Context context, ProtocolId protocol, std::uint32_t spi_in) {
    Writer request;
    put_delete(request, protocol, {&spi_in, 1});
    co_return co_await context.ask(ExchangeType::informational, request);
}

Task<> delete_child(Context context, std::uint32_t spi_in) {
    co_await context.turn();
    const ChildSa* child = context.find_child(spi_in);
    // The peer was quicker, or it is not there yet.
    if (child == nullptr || child->deleting || child->state == ChildState::created) co_return;
    context.retire_child(spi_in);
    const std::string name = child->name;
    (void)co_await ask_delete(context, protocol_of(*child), spi_in);
    context.remove_child(spi_in);
    context.tell(Event::Kind::child_down, name + ": this side deletes the child SA");
}

Task<> delete_ike_sa(Context context) {
    if (context.sa.state != IkeState::established) co_return; // it is being done
    context.deleting();
    Writer request;
    request.erase(ProtocolId::ike, 0, {});
    const Reply reply = co_await context.ask(ExchangeType::informational, request);
    context.end("this side deletes the IKE SA" + (reply ? std::string{} : "; " + reply.error().sentence));
}

/// Any answer will do, but one that cannot be read: then the IKE SA is deleted (RFC 7296 2.21).
Task<> probe(Context context) {
    const Reply reply = co_await context.ask(ExchangeType::informational, Writer{});
    if (!reply) co_await delete_ike_sa(context);
}

} // namespace sallyport::ike::exchange
