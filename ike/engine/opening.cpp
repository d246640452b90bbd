// SPDX-License-Identifier: Apache-2.0
// Protected messages: opened, put together from fragments, and shown to whoever stands between codec and cipher.
#include "ike/engine/engine.hpp"
#include "ike/engine/fragments.hpp"

#include "gateway/wire/octets.hpp"

namespace sallyport::ike {
namespace {

/// The extensions that look at what is inside, in their order.
void show(const Registry& registry, IkeSa& sa, const Received& message, std::uint8_t flags) {
    const PlainMessage seen{message.header, false, message.clear_octets, message.clear.inner, flags, message.plain};
    for (const Extension* extension : registry.extensions)
        if (extension->plain != nullptr) extension->plain(sa, seen);
}

} // namespace

bool Engine::open_message(IkeSa& sa, Received& message) {
    Parsed<Chain> chain = parse_chain(message.header.first, Octets(message.octets).subspan(header_size));
    if (!chain || chain->payloads.empty()) {
        ignore(chain ? Ignored::not_protected : Ignored::malformed);
        return false;
    }
    const Payload last = chain->payloads.back();
    const auto body = static_cast<std::size_t>(last.body.data() - message.octets.data());
    message.clear = *std::move(chain);
    message.clear.payloads.pop_back();
    message.clear_octets = Octets(message.octets).subspan(header_size, body - header_size - payload_header_size);
    switch (last.type) {
    case PayloadType::encrypted: return open_whole(sa, message, body);
    case PayloadType::encrypted_fragment: return open_fragment(sa, message, body);
    default: ignore(Ignored::not_protected); return false;
    }
}

/// A request that was answered, in other octets: whole where it came in fragments, or cut anew (RFC 7383 2.4, 2.5.2). The first fragment is
/// enough, so that it is answered once (2.6.1).
bool Engine::is_answered_request(const IkeSa& sa, const Received& request) const {
    const Parsed<Chain> chain = parse_chain(request.header.first, Octets(request.octets).subspan(header_size));
    if (!chain || chain->payloads.empty()) return false;
    const Payload& last = chain->payloads.back();
    auto body = static_cast<std::size_t>(last.body.data() - request.octets.data());
    if (last.type == PayloadType::encrypted_fragment) {
        if (last.body.size() < fragment_header_size || wire::load16(last.body.data()) != 1) return false;
        body += fragment_header_size;
    } else if (last.type != PayloadType::encrypted) {
        return false;
    }
    // After a key exchange the request before it still has the keys of before.
    const bool before = sa.initial && !sa.initial->before.empty();
    const SkKeys& keys = before ? sa.initial->before : sa.keys;
    Message copy = request.octets;
    return open(sa.suite.protection, sa.initiator ? keys.responder() : keys.initiator(), copy, body).has_value();
}

bool Engine::open_whole(IkeSa& sa, Received& message, std::size_t body) {
    const std::uint8_t flags = message.octets[body - payload_header_size + 1];
    // A copy: by the octets as they came a repeated request is known.
    Message opened = message.octets;
    const std::optional<Octets> plain = open(sa.suite.protection, sa.inbound(), opened, body);
    if (!plain) {
        ignore(Ignored::bad_icv);
        return false;
    }
    message.plain.assign(plain->begin(), plain->end());
    (message.header.response ? sa.responses : sa.requests) = {}; // some fragments of it may have come before
    show(registry_, sa, message, flags);
    return true;
}

bool Engine::open_fragment(IkeSa& sa, Received& message, std::size_t body) {
    const auto refused = [&](Ignored reason) {
        ignore(reason);
        return false;
    };
    if (!sa.agreed.has(Feature::fragmentation) || message.octets.size() < body + fragment_header_size)
        return refused(Ignored::bad_fragment);
    const Fragment fragment{message.header.message_id, wire::load16(message.octets.data() + body),
                            wire::load16(message.octets.data() + body + 2), message.clear.inner,
                            message.octets[body - payload_header_size + 1]};
    Fragments& fragments = message.header.response ? sa.responses : sa.requests;
    if (const auto judged = judge(fragments, fragment); !judged) return refused(judged.error());
    Message opened = message.octets;
    const std::optional<Octets> plain = open(sa.suite.protection, sa.inbound(), opened, body + fragment_header_size);
    if (!plain) return refused(Ignored::bad_icv);
    const auto kept = keep(fragments, fragment, *plain, sa.authenticated() ? longest_fragmented : longest_fragmented_unauthenticated);
    if (!kept) return refused(kept.error());
    still_half_open(sa);
    if (fragment.number == 1) {
        fragments.first = std::move(message.octets);
        fragments.clear = message.clear_octets.size();
    }
    if (!*kept) return false;
    // The whole stands for its first fragment from here on.
    message.octets = std::move(fragments.first);
    message.clear_octets = Octets(message.octets).subspan(header_size, fragments.clear);
    message.clear.payloads.clear();
    message.clear.inner = fragments.inner;
    const std::uint8_t flags = fragments.flags;
    message.plain = join(fragments);
    show(registry_, sa, message, flags);
    return true;
}

} // namespace sallyport::ike
