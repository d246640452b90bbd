// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/to_kernel.hpp"

#include "gateway/wire/checksum.hpp"
#include "gateway/wire/ip.hpp"

#include <cstring>

namespace sallyport::exception {

namespace {

/// Frame::hop_limit is what the packet came out of the tunnel with.
void restore_hop_limit(const Frame& frame) {
    std::uint8_t* header = frame.at(frame.network);
    if (frame.family == 6) {
        header[wire::ipv6_hop_limit] = frame.hop_limit;
        return;
    }
    const std::uint16_t before = wire::load16(header + wire::ipv4_ttl); // with the protocol, as one word of the checksum
    header[wire::ipv4_ttl] = frame.hop_limit;
    const std::uint16_t after = wire::load16(header + wire::ipv4_ttl);
    wire::store16(header + wire::ipv4_checksum, wire::update_checksum(wire::load16(header + wire::ipv4_checksum), before, after));
}

Address destination_of(const Frame& frame) {
    Address result;
    result.family = frame.family == 4 ? Family::ipv4 : Family::ipv6;
    std::memcpy(result.octets.data(), frame.at(frame.network + (frame.family == 4 ? wire::ipv4_destination : wire::ipv6_destination)),
                result.size());
    return result;
}

} // namespace

void ToKernel::take(const Frame& frame, std::uint64_t /*now*/, Exits& exits) {
    restore_hop_limit(frame);
    const DropReason reason = machine_.deliver(frame.vpn, destination_of(frame), {frame.at(frame.network), frame.network_length()});
    if (reason != DropReason::none) return exits.drop(frame, reason);
    delivered_.fetch_add(1, std::memory_order_relaxed);
    exits.used_up(frame);
}

} // namespace sallyport::exception
