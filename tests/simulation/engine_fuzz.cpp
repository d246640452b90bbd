// SPDX-License-Identifier: Apache-2.0
// A responder's engine against any peer. Octet 0 says how far the two have come: 0 nothing, 1 half-open, 2 established. Then messages: two
// octets of length, one of the exchange type, one of flags (bit 0 a response, bit 1 the next message id instead of the one that is due, bit
// 2 as it is: without protection; before it comes, bit 3 this side deletes its child, bit 4 the IKE SA), one of the first payload, then
// payloads. Protected ones carry a good ICV, so that what is behind it is reached. The engine must live, keep its promises about what is
// left over, and install nothing for a peer that is not authenticated.
#include "tests/simulation/quick_kex.hpp"
#include "tests/simulation/world.hpp"

#include <algorithm>
#include <cstdlib>

namespace {

using namespace sallyport::ike;
using namespace sallyport::ike::simulation;

void check(bool good) {
    if (!good) std::abort();
}

struct Piece {
    ExchangeType exchange{};
    std::uint8_t flags = 0;
    PayloadType first{};
    Octets payloads;
};

std::optional<Piece> take(Reader& reader) {
    const std::uint16_t length = reader.take16();
    Piece piece{static_cast<ExchangeType>(reader.take8()), reader.take8(), static_cast<PayloadType>(reader.take8()), {}};
    if (reader.short_of()) return std::nullopt;
    piece.payloads = reader.take(std::min<std::size_t>(length, reader.rest().size()));
    return piece;
}

/// Not a chain of its own making: the octets go in as they are.
Datagram unprotected(const Piece& piece, const IkeSa* from) {
    Header header{.spi_i = from != nullptr ? from->spi_i() : 0x1122334455667788,
                  .spi_r = from != nullptr ? from->spi_r() : 0,
                  .first = piece.first,
                  .exchange = piece.exchange,
                  .initiator = true,
                  .response = (piece.flags & 1) != 0,
                  .length = static_cast<std::uint32_t>(header_size + piece.payloads.size())};
    Message message(header_size);
    store(header, message.data());
    message.insert(message.end(), piece.payloads.begin(), piece.payloads.end());
    return {{{address_b, 500}, {address_a, 500}, 0}, std::move(message)};
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0 || size > 4096) return 0;
    World world(quick_settings(), product(), 1);
    Connection own = connection(0);
    own.proposals.erase(own.proposals.begin(), own.proposals.begin() + (data[0] & 0x80 ? 1 : 0));
    world.side(0).engine.set_connections({shared(std::move(own))});
    world.side(1).engine.set_connections({shared(connection(1))});
    const unsigned stage = (data[0] & 0x7fU) % 3;
    bool deaf = false;
    world.watch = [&](std::size_t, const Datagram& datagram) {
        const bool initial = parse_header(datagram.octets)->exchange == ExchangeType::ike_sa_init;
        return deaf || (stage == 1 && !initial) ? Fate::lose : Fate::deliver;
    };
    if (stage != 0) world.start(0, world.side(0).engine.connections().front());
    world.run(500);
    deaf = true;
    const std::size_t installed = world.side(1).gateway.inbound.size();
    check(installed == (stage == 2 ? 1U : 0U));

    Reader reader(Octets(data, size).subspan(1));
    for (unsigned count = 0; count < 16 && !reader.empty(); ++count) {
        const std::optional<Piece> piece = take(reader);
        if (!piece) break;
        const IkeSa* from = only_sa(world.side(0));
        const IkeSa* to = only_sa(world.side(1));
        if (to != nullptr && (piece->flags & 8) != 0 && !to->children.empty())
            world.close_child(1, to->own_spi, to->children.front().spi_in);
        if (to != nullptr && (piece->flags & 16) != 0) world.close(1, to->own_spi);
        to = only_sa(world.side(1));
        if (from == nullptr || to == nullptr || from->keys.empty() || (piece->flags & 4) != 0) {
            world.inject(1, unprotected(*piece, from));
        } else {
            const Inside payloads{piece->first, piece->payloads};
            const bool response = (piece->flags & 1) != 0;
            const std::uint32_t due = response && to->outstanding ? to->outstanding->id : to->expected;
            const std::uint32_t id = due + ((piece->flags & 2) != 0 ? 1U : 0U);
            world.inject(1, protected_by(*from, piece->exchange, id, response, payloads));
        }
        world.run(20);
    }
    // Nobody can have proved that he has the pre-shared key; but whose keys these are may delete.
    check(world.side(1).gateway.used.size() == installed && world.side(1).gateway.inbound.size() <= installed);
    if (stage != 2)
        for (const auto& [spi, sa] : world.side(1).engine.sas()) check(!sa->authenticated());
    // The peer is silent from here on: nothing stays, in the engine or in the gateway.
    world.run(700'000);
    for (const std::size_t which : {0U, 1U}) check(nothing_left(world.side(which)) && world.side(which).gateway.wrong == 0);
    return 0;
}
