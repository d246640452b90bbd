// SPDX-License-Identifier: Apache-2.0
// Messages out: header, SK or fragments of it, and what is kept to be sent again.
#include "ike/engine/engine.hpp"
#include "ike/engine/fragments.hpp"

#include "gateway/wire/octets.hpp"

#include <algorithm>
#include <utility>

namespace sallyport::ike {
namespace {

constexpr std::size_t udp_header_size = 8, marker_size = 4; // octets

/// Octets of the largest IKE message that fits into an IP packet of `packet` octets.
std::size_t message_room(const Path& path, std::size_t packet) {
    const std::size_t ip = path.remote.address.family == Family::ipv4 ? 20 : 40;
    return packet - ip - udp_header_size - (path.local.port != ike_port ? marker_size : 0);
}

struct SkHeader {
    PayloadType type = PayloadType::encrypted;
    PayloadType inner = PayloadType::none;
    unsigned number = 0, total = 0; // of SKF
    [[nodiscard]] std::size_t size() const { return payload_header_size + (type == PayloadType::encrypted ? 0 : fragment_header_size); }
};

/// One datagram: everything up to the body of SK, then the sealed plain text. Empty: the library failed.
Message seal_one(IkeSa& sa, Header header, const SkHeader& sk, Octets plain) {
    const std::size_t body = sa.suite.protection.sealed(plain.size()), whole = header_size + sk.size() + body;
    Message message(whole);
    header.first = sk.type;
    header.length = static_cast<std::uint32_t>(whole);
    store(header, message.data());
    std::uint8_t* at = message.data() + header_size;
    at[0] = static_cast<std::uint8_t>(sk.inner);
    wire::store16(at + 2, static_cast<std::uint16_t>(sk.size() + body));
    if (sk.type == PayloadType::encrypted_fragment) {
        wire::store16(at + 4, static_cast<std::uint16_t>(sk.number));
        wire::store16(at + 6, static_cast<std::uint16_t>(sk.total));
    }
    if (!seal(sa.suite.protection, sa.outbound(), ++sa.iv, plain, message)) return {};
    return message;
}

} // namespace

/// Empty: it could not be made.
std::vector<Message> Engine::protect(IkeSa& sa, Header header, const Writer& payloads) {
    const Octets plain = payloads.octets();
    const PlainMessage seen{header, true, {}, payloads.first(), 0, plain};
    for (const Extension* extension : registry_.extensions)
        if (extension->plain != nullptr) extension->plain(sa, seen);

    const Protection& protection = sa.suite.protection;
    const std::size_t room = message_room(sa.path, settings_.fragment_size);
    std::vector<Message> datagrams;
    if (header_size + payload_header_size + protection.sealed(plain.size()) <= room || !sa.agreed.has(Feature::fragmentation)) {
        if (payload_header_size + protection.sealed(plain.size()) > 0xffff) return {}; // the length has two octets
        datagrams.push_back(seal_one(sa, header, {PayloadType::encrypted, payloads.first()}, plain));
    } else {
        const std::size_t piece = protection.fits(room - header_size - payload_header_size - fragment_header_size);
        const auto total = static_cast<unsigned>((plain.size() + piece - 1) / piece);
        if (total > most_fragments || plain.size() > longest_fragmented) return {};
        for (unsigned i = 0; i < total; ++i)
            datagrams.push_back(seal_one(sa, header,
                                         {PayloadType::encrypted_fragment, i == 0 ? payloads.first() : PayloadType::none, i + 1, total},
                                         plain.subspan(i * piece, std::min(piece, plain.size() - i * piece))));
    }
    if (std::ranges::any_of(datagrams, &Message::empty)) return {};
    return datagrams;
}

void Engine::send(const Path& path, const std::vector<Message>& datagrams) {
    for (const Message& datagram : datagrams) outputs_.datagrams.push_back({path, datagram});
    counters_.sent += datagrams.size();
}

/// Nothing is in work, and the next request is expected.
void Engine::used_up(IkeSa& sa, std::uint32_t message_id) {
    sa.in_work = false;
    sa.expected = message_id + 1;
}

/// The answer to the request in work: kept, sent, and the next request is expected.
void Engine::answer(IkeSa& sa, const Received& request, const Answer& answer) {
    if (answer.silent) return drop(sa);
    Header header{.spi_i = sa.spi_i(),
                  .spi_r = answer.keyless ? 0 : sa.spi_r(),
                  .first = answer.payloads.first(),
                  .exchange = request.header.exchange,
                  .initiator = sa.initiator,
                  .response = true,
                  .message_id = request.header.message_id};
    std::vector<Message> datagrams;
    if (request.header.exchange == ExchangeType::ike_sa_init) {
        datagrams.push_back(assemble(header, answer.payloads));
        if (sa.initial) sa.initial->real_r = datagrams.front();
    } else {
        datagrams = protect(sa, header, answer.payloads);
    }
    if (sa.initial && !sa.initial->next.empty()) {
        sa.initial->before = std::exchange(sa.keys, std::exchange(sa.initial->next, {}));
    }
    used_up(sa, request.header.message_id);
    send(request.path, datagrams);
    sa.answered = {true, request.header.message_id, request.header.exchange, half_open_.digest({}, request.octets), std::move(datagrams)};
    if (answer.keyless) drop(sa);
}

/// Without an IKE SA: an error that the peer cannot rely on.
void Engine::unprotected(const Path& path, const Header& request, NotifyType type, Octets data) {
    Writer payloads;
    payloads.notify(type, data);
    const Header header{.spi_i = request.spi_i,
                        .spi_r = request.spi_r,
                        .first = payloads.first(),
                        .exchange = request.exchange,
                        .initiator = !request.initiator,
                        .response = true,
                        .message_id = request.message_id};
    send(path, {assemble(header, payloads)});
}

} // namespace sallyport::ike
