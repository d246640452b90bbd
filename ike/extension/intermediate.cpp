// SPDX-License-Identifier: Apache-2.0
// IKE_INTERMEDIATE is agreed upon (RFC 9242 3.1), and what went through it is made part of AUTH (3.3).
#include "ike/extension/extensions.hpp"
#include "ike/extension/support.hpp"

#include "gateway/wire/octets.hpp"
#include "ike/crypto/keys.hpp"

namespace sallyport::ike::extension {
namespace {

/// The message from its header to the generic header of SK, as if it had not been encrypted and never been cut (RFC 9242 3.3.2). Marker,
/// IV, padding and ICV do not count, and the first payload is never SKF.
std::vector<std::uint8_t> adjusted(const PlainMessage& message) {
    Header header = message.header;
    if (message.clear.empty()) header.first = PayloadType::encrypted;
    const std::size_t before = header_size + message.clear.size() + payload_header_size;
    header.length = static_cast<std::uint32_t>(before + message.plain.size());
    std::vector<std::uint8_t> octets(header_size);
    store(header, octets.data());
    octets.insert(octets.end(), message.clear.begin(), message.clear.end());
    const std::size_t sk = octets.size();
    octets.resize(before);
    octets[sk] = static_cast<std::uint8_t>(message.inner);
    octets[sk + 1] = message.flags;
    wire::store16(octets.data() + sk + 2, static_cast<std::uint16_t>(payload_header_size + message.plain.size()));
    return octets;
}

/// By the keys that protected the message.
void authenticate(IkeSa& sa, const PlainMessage& message) {
    if (message.header.exchange != ExchangeType::ike_intermediate || !sa.initial) return;
    const bool of_initiator = message.header.initiator;
    std::vector<std::uint8_t>& so_far = of_initiator ? sa.initial->intauth_i : sa.initial->intauth_r;
    so_far = intauth(sa.suite.prf, of_initiator ? sa.keys.pi() : sa.keys.pr(), so_far, adjusted(message), message.plain);
}

using Agreed = Support<NotifyType::intermediate_exchange_supported, Feature::intermediate>;

} // namespace

constinit const Extension intermediate{.name = "intermediate exchange",
                                       .source = "RFC 9242",
                                       .offer = Agreed::offer,
                                       .examine = Agreed::examine,
                                       .answer = Agreed::answer,
                                       .conclude = Agreed::conclude,
                                       .plain = authenticate};

} // namespace sallyport::ike::extension
