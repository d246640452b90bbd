// SPDX-License-Identifier: Apache-2.0
#include "gateway/mode/transport.hpp"

#include <optional>

namespace sallyport::mode {
namespace {

std::uint16_t sum_of(const Address& address) { return static_cast<std::uint16_t>(~wire::checksum_raw(address.octets.data(), 16)); }

/// Where the checksum over a pseudo header of addresses lies (RFC 9293 3.1, RFC 768, RFC 3828 3.1, RFC 4340 5.1, RFC 4443 2.3).
std::optional<unsigned> checksum_of(std::uint8_t protocol) {
    switch (protocol) {
    case wire::protocol_tcp: return 16;
    case wire::protocol_udp:
    case wire::protocol_udp_lite:
    case wire::protocol_dccp: return 6;
    case wire::protocol_icmpv6: return 2;
    default: return std::nullopt;
    }
}

} // namespace

std::uint16_t checksum_shift(const Address& from_local, const Address& from_remote, const Address& to_local, const Address& to_remote) {
    std::uint64_t sum = 0;
    for (const Address* address : {&to_local, &to_remote}) sum += sum_of(*address);
    for (const Address* address : {&from_local, &from_remote}) sum += static_cast<std::uint16_t>(~sum_of(*address));
    const std::uint16_t shift = wire::fold(sum);
    return shift == 0xffff ? std::uint16_t{0} : shift; // both are nothing
}

void shift_checksum(std::uint8_t* at, unsigned octets, std::uint8_t protocol, std::uint16_t shift) {
    const std::optional<unsigned> place = checksum_of(protocol);
    if (shift == 0 || !place || octets < *place + 2) return;
    const auto before = wire::load_raw<std::uint16_t>(at + *place);
    const bool may_lack = protocol == wire::protocol_udp;
    if (may_lack && before == 0) return;
    const auto after = static_cast<std::uint16_t>(~wire::fold(std::uint64_t{static_cast<std::uint16_t>(~before)} + shift));
    wire::store_raw(at + *place, may_lack && after == 0 ? std::uint16_t{0xffff} : after);
}

} // namespace sallyport::mode
