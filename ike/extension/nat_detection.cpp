// SPDX-License-Identifier: Apache-2.0
// Is there a NAT between the two (RFC 7296 2.23)? Each says in IKE_SA_INIT from where and to where it sends, as hashes.
#include "ike/extension/extensions.hpp"

#include "gateway/wire/octets.hpp"
#include "ike/engine/engine.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace sallyport::ike::extension {
namespace {

using Hash = std::array<std::uint8_t, 20>;

/// SHA-1(SPIi | SPIr | address | port): no secret is in it, and nothing rests on its strength.
Hash hash_of(Spi spi_i, Spi spi_r, const Endpoint& endpoint) {
    std::vector<std::uint8_t> octets(16);
    wire::store64(octets.data(), spi_i);
    wire::store64(octets.data() + 8, spi_r);
    octets.insert(octets.end(), endpoint.address.octets.begin(), endpoint.address.octets.begin() + endpoint.address.size());
    octets.resize(octets.size() + 2);
    wire::store16(octets.data() + octets.size() - 2, endpoint.port);
    Hash hash{};
    EVP_Q_digest(nullptr, "SHA1", nullptr, octets.data(), octets.size(), hash.data(), nullptr);
    return hash;
}

void say(Writer& message, const Path& path, Spi spi_i, Spi spi_r) {
    message.notify(NotifyType::nat_detection_source_ip, hash_of(spi_i, spi_r, path.local));
    message.notify(NotifyType::nat_detection_destination_ip, hash_of(spi_i, spi_r, path.remote));
}

/// There may be several for one side that does not know by which interface it sends: one that fits is enough.
struct Found {
    bool any = false, fits = false;
};
Found look(const Contents& contents, NotifyType type, const Hash& hash) {
    Found found;
    for (const Notify& notify : contents.notifies) {
        if (notify.type != type) continue;
        found.any = true;
        found.fits = found.fits || std::ranges::equal(notify.data, hash);
    }
    return found;
}

void judge(IkeSa& sa, const Received& message) {
    const Header& header = message.header;
    const Found source = look(message.contents, NotifyType::nat_detection_source_ip,
                              hash_of(header.spi_i, header.spi_r, message.path.remote));
    const Found destination = look(message.contents, NotifyType::nat_detection_destination_ip,
                                   hash_of(header.spi_i, header.spi_r, message.path.local));
    if (!source.any || !destination.any) return;
    sa.announced.add(Feature::nat_traversal);
    sa.agreed.add(Feature::nat_traversal);
    sa.peer_behind_nat = !source.fits;
    sa.behind_nat = !destination.fits;
}

Task<Verdict> offer(Context context, ExchangeType point, Writer& request) {
    if (point == ExchangeType::ike_sa_init) say(request, context.sa.path, context.sa.spi_i(), 0);
    co_return Verdict{};
}

Task<Verdict> examine(Context context, ExchangeType point, const Received& request) {
    if (point == ExchangeType::ike_sa_init) judge(context.sa, request);
    co_return Verdict{};
}

Task<Verdict> answer(Context context, ExchangeType point, const Received&, Writer& response) {
    const IkeSa& sa = context.sa;
    if (point == ExchangeType::ike_sa_init && sa.agreed.has(Feature::nat_traversal)) say(response, sa.path, sa.spi_i(), sa.spi_r());
    co_return Verdict{};
}

/// With a NAT both move to port 4500 with the next message, whichever exchange that is.
Task<Verdict> conclude(Context context, ExchangeType point, const Received& response) {
    IkeSa& sa = context.sa;
    if (point != ExchangeType::ike_sa_init) co_return Verdict{};
    judge(sa, response);
    if (sa.behind_nat || sa.peer_behind_nat) {
        sa.path.local.port = nat_traversal_port;
        sa.path.remote.port = sa.path.remote.port == ike_port ? nat_traversal_port : sa.path.remote.port;
    }
    co_return Verdict{};
}

} // namespace

constinit const Extension nat_detection{
    .name = "NAT detection", .source = "RFC 7296 section 2.23", .offer = offer, .examine = examine, .answer = answer, .conclude = conclude};

} // namespace sallyport::ike::extension
