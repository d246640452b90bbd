// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/icmp_received.hpp"

#include "gateway/wire/icmp.hpp"

namespace sallyport::exception {

void IcmpReceived::take(const Frame& frame, std::uint64_t now, Exits& exits) { exits.drop(frame, judge(frame, now)); }

void IcmpReceived::look(std::uint64_t now, Exits& /*exits*/) { mtus_.age(now); }

DropReason IcmpReceived::judge(const Frame& frame, std::uint64_t now) {
    const std::optional<wire::IcmpError> error = wire::parse_icmp_error(frame);
    if (!error) return DropReason::icmp_malformed;
    if (!error->too_big || (error->protocol == wire::protocol_udp && !error->ipsec)) return DropReason::icmp_other; // IKE: RFC 7383
    if (!error->ipsec) return DropReason::icmp_mtu_unproven;
    return mtus_.learn({{frame.vpn, error->source, error->destination}, error->spi, error->sequence, error->mtu}, now);
}

} // namespace sallyport::exception
