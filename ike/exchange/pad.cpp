// SPDX-License-Identifier: Apache-2.0
#include "ike/exchange/pad.hpp"

#include "ike/auth/method.hpp"

#include <algorithm>

namespace sallyport::ike::exchange {
namespace {

bool fits(const Connection& connection, const Path& path) {
    return connection.outer_vpn == path.vpn && (!connection.local || *connection.local == path.local.address) &&
           (!connection.remote || *connection.remote == path.remote.address);
}

unsigned exactness(const Connection& connection) { return (connection.remote ? 2U : 0U) + (connection.local ? 1U : 0U); }

} // namespace

std::vector<Proposal> ike_proposals(const Connection& connection, kex::Methods methods) {
    std::vector<Proposal> proposals;
    for (const Proposal& proposal : connection.proposals) {
        if (connection.require_post_quantum && !post_quantum(proposal, methods)) continue;
        proposals.push_back(proposal);
        proposals.back().number = static_cast<std::uint8_t>(proposals.size());
    }
    return proposals;
}

std::vector<ConnectionPointer> candidates(std::span<const ConnectionPointer> connections, const Path& path) {
    std::vector<ConnectionPointer> fitting;
    for (const ConnectionPointer& connection : connections)
        if (fits(*connection, path)) fitting.push_back(connection);
    std::ranges::stable_sort(fitting, std::ranges::greater{}, [](const ConnectionPointer& connection) { return exactness(*connection); });
    return fitting;
}

std::expected<Proposal, NoChoice> choose_ike(std::span<const ConnectionPointer> candidates, std::span<const Proposal> offered,
                                             bool additional, kex::Methods methods) {
    NoChoice why{.protocol = true};
    for (const ConnectionPointer& connection : candidates) {
        std::expected<Proposal, NoChoice> chosen = choose(ike_proposals(*connection, methods), offered, additional);
        if (chosen) return chosen;
        if (!chosen.error().protocol && (why.protocol || chosen.error().type > why.type)) why = chosen.error();
    }
    return std::unexpected(why);
}

bool takes(const Connection& connection, const Proposal& chosen, kex::Methods methods) {
    const auto again = choose(ike_proposals(connection, methods), {&chosen, 1}, true);
    return again && again->transforms == chosen.transforms;
}

ConnectionPointer pick(std::span<const ConnectionPointer> candidates, const Identification& idi, const Identification* idr,
                       AuthMethod method) {
    for (const ConnectionPointer& connection : candidates) {
        if (!same(connection->remote_id, idi.type, idi.data)) continue;
        if (idr != nullptr && !same(connection->local_id, idr->type, idr->data)) continue;
        const auth::Method* row = auth::find(method);
        if (row != nullptr && row->usable(*connection)) return connection;
    }
    return nullptr;
}

} // namespace sallyport::ike::exchange
