// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/icmp_errors.hpp"

#include "gateway/wire/ip.hpp"
#include "gateway/wire/parse.hpp"

#include <algorithm>

namespace sallyport::exception {

namespace {

std::optional<wire::IcmpCause> cause_of(DropReason reason) {
    switch (reason) {
    case DropReason::too_big: return wire::IcmpCause::too_big;
    case DropReason::ttl_expired: return wire::IcmpCause::hop_limit;
    case DropReason::no_route: return wire::IcmpCause::no_route;
    case DropReason::neighbour_unresolved: return wire::IcmpCause::address_unreachable;
    case DropReason::no_policy:
    case DropReason::policy_discard: return wire::IcmpCause::prohibited;
    default: return std::nullopt;
    }
}

/// Only a packet that its sender forbids to fragment is too big for something.
bool forbids_fragments(const Frame& frame) {
    return frame.family == 6 || (wire::load16(frame.at(frame.network) + wire::ipv4_fragment) & wire::ipv4_dont_fragment) != 0;
}

/// What a host is told to send at most: IPv6 hosts go no lower than 1280 (RFC 8201 4).
std::uint32_t told_mtu(const Frame& frame) { return frame.family == 6 ? std::max(frame.spi, wire::ipv6_least_mtu) : frame.spi; }

/// Who sends a packet without a hop left breaks the rules (RFC 1122 3.2.1.7).
bool sent_dead(const Frame& frame) { return *frame.at(frame.network + (frame.family == 4 ? wire::ipv4_ttl : wire::ipv6_hop_limit)) == 0; }

Family family_of(const Frame& frame) { return frame.family == 4 ? Family::ipv4 : Family::ipv6; }

bool link_local(const Address& address) {
    return address.family == Family::ipv6 && address.octets[0] == 0xfe && (address.octets[1] & 0xc0) == 0x80;
}

} // namespace

IcmpErrors::IcmpErrors(const tables::Published<route::Fib>& fib, const tables::Published<RedAddresses>& addresses, std::uint32_t rate)
    // NOLINTNEXTLINE(bugprone-throw-keyword-missing): it is no exception, only its namespace is called so
    : fib_(fib), addresses_(addresses), rate_(rate), all_(rate * 10, rate) {}

void IcmpErrors::take(const Frame& frame, std::uint64_t now, Exits& exits) {
    const std::optional<wire::IcmpCause> cause = cause_of(frame.reason);
    const bool worthy = cause && (*cause != wire::IcmpCause::too_big || forbids_fragments(frame)) &&
                        (*cause != wire::IcmpCause::hop_limit || !sent_dead(frame)) && wire::may_be_told(frame);
    if (worthy && !allowed(frame.vpn, *cause, now))
        limited_.fetch_add(1, std::memory_order_relaxed);
    else if (worthy)
        (tell(frame, *cause, exits) ? told_ : mute_).fetch_add(1, std::memory_order_relaxed);
    exits.drop(frame, frame.reason);
}

bool IcmpErrors::allowed(VpnNumber vpn, wire::IcmpCause cause, std::uint64_t now) {
    const std::uint32_t key = std::uint32_t{vpn} << 1 | (cause == wire::IcmpCause::too_big ? 1U : 0U);
    TokenBucket& bucket = buckets_.try_emplace(key, rate_, std::max(rate_ / 4, 1U)).first->second;
    return bucket.take(now) && all_.take(now);
}

bool IcmpErrors::tell(const Frame& frame, wire::IcmpCause cause, Exits& exits) {
    const std::optional<Address> source = speaker(frame);
    Frame error;
    if (!source || !exits.make(error)) return false;
    error.begin = error.network = frame_headroom;
    error.worker = frame.worker;
    error.port = frame.port;
    error.vpn = frame.vpn;
    wire::write_icmp_error(error, frame, *source, cause, cause == wire::IcmpCause::too_big ? told_mtu(frame) : 0, ++identification_);
    wire::parse_opened(error);
    if ((frame.flags & frame_to_red) == 0)
        error.flags |= frame_ours | frame_to_red;
    else
        error.flags |= frame_ours | frame_from_red | ((frame.flags & frame_bypassed) == 0 ? frame_secret : 0);
    exits.again(error);
    return true;
}

/// Our address that the answer comes from: on the interface that the packet came from, or would have gone to, where it has one of the
/// family; in the network of whom we answer, where several have. Nothing: no such address, or the source is not to be reached.
std::optional<Address> IcmpErrors::speaker(const Frame& frame) const {
    const std::uint8_t* header = frame.at(frame.network);
    const bool back_to_red = (frame.flags & frame_to_red) == 0;
    const Address near = back_to_red ? wire::source_of(header, frame.family) : wire::destination_of(header, frame.family);
    const route::NextHop hop = fib_.read().lookup(frame.vpn, Role::red, family_of(frame), near.octets.data(), 0);
    if (back_to_red && hop.reason != DropReason::none && hop.reason != DropReason::neighbour_unresolved) return std::nullopt;
    const RedAddress* best = nullptr;
    unsigned best_rank = 0;
    for (const RedAddress& one : addresses_.read()) {
        if (one.vpn != frame.vpn || one.address.family != near.family || link_local(one.address)) continue;
        const unsigned rank = 1U + (one.interface == hop.interface ? 1U : 0U) + (contains({one.address, one.length}, near) ? 2U : 0U);
        if (rank <= best_rank) continue;
        best = &one;
        best_rank = rank;
    }
    return best == nullptr ? std::nullopt : std::optional(best->address);
}

IcmpErrorCounters IcmpErrors::counters() const {
    return {told_.load(std::memory_order_relaxed), limited_.load(std::memory_order_relaxed), mute_.load(std::memory_order_relaxed)};
}

} // namespace sallyport::exception
