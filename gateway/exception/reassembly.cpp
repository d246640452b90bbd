// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/reassembly.hpp"

#include "gateway/wire/fragment.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/parse.hpp"

#include <algorithm>
#include <cstring>

namespace sallyport::exception {

namespace {

enum class Fit : std::uint8_t { good, copy, contradicts };

/// How a fragment goes with one that is there. An exact copy is the network's doing (RFC 8200 4.5).
Fit fit(const Frame& frame, const wire::Fragment& fragment, const Frame& other) {
    const wire::Fragment there = wire::fragment_of(other);
    if (fragment.offset >= there.offset + there.length || there.offset >= fragment.offset + fragment.length) return Fit::good;
    const bool same = fragment.offset == there.offset && fragment.length == there.length && fragment.more == there.more &&
                      std::memcmp(frame.at(frame.transport), other.at(other.transport), fragment.length) == 0;
    return same ? Fit::copy : Fit::contradicts;
}

Fit fit(const Frame& frame, const wire::Fragment& fragment, const std::vector<Frame>& others) {
    for (const Frame& other : others)
        if (const Fit one = fit(frame, fragment, other); one != Fit::good) return one;
    return Fit::good;
}

/// Every fragment but the last ends where the next can begin (RFC 791 3.2, RFC 8200 4.5).
bool malformed(const wire::Fragment& fragment) { return fragment.length == 0 || (fragment.more && fragment.length % 8 != 0); }

/// RFC 3168 5.3: congestion that one fragment met is the packet's; with one that cannot say so the packet must go.
DropReason merge_ecn(Frame& first, std::uint8_t seen) {
    constexpr std::uint8_t congestion = 3, not_ect = 0;
    if ((seen & 1U << congestion) == 0) return DropReason::none;
    if ((seen & 1U << not_ect) != 0) return DropReason::ecn_illegal;
    wire::set_ecn(first.at(first.network), first.family, congestion);
    return DropReason::none;
}

/// Parsed anew as it would have come. One of the gateway itself has no Ethernet header.
DropReason parse_whole(Frame& frame) {
    frame.flags &= frame_ours | frame_from_red;
    (frame.flags & frame_ours) != 0 ? wire::parse_opened(frame) : wire::parse(frame);
    if (frame.reason == DropReason::none && (frame.flags & frame_fragment) != 0) return DropReason::malformed_extension;
    return frame.reason;
}

} // namespace

FragmentKey fragment_key(const Frame& frame, std::uint32_t identification, std::uint64_t way) {
    const std::uint8_t* header = frame.at(frame.network);
    const std::uint8_t protocol = frame.family == 4 ? header[wire::ipv4_protocol] : std::uint8_t{0};
    return {identification, frame.vpn, protocol, way, wire::source_of(header, frame.family), wire::destination_of(header, frame.family)};
}

void Reassembly::take(const Frame& frame, std::uint64_t now, Exits& exits) {
    const wire::Fragment fragment = wire::fragment_of(frame);
    if (malformed(fragment)) return exits.drop(frame, late_);
    Packet& packet = waiting_.packet(fragment_key(frame, fragment.identification), now, exits);
    const auto refuse = [&](DropReason reason) {
        waiting_.refuse(packet, reason, exits);
        exits.drop(frame, reason);
    };
    if (packet.refused != DropReason::none) return exits.drop(frame, packet.refused);
    Pieces& pieces = packet.state;
    const unsigned end = fragment.offset + fragment.length;
    // The first fragment's header may lie a little further on in its chunk: join() has the exact say.
    if (end > chunk_size - frame_headroom - tail_room) return refuse(DropReason::fragment_too_big);
    const Fit how = fit(frame, fragment, packet.frames);
    if (how == Fit::copy) return exits.drop(frame, DropReason::fragment_overlap);
    const bool ends_twice = pieces.whole != 0 && (end > pieces.whole || !fragment.more);
    const bool ends_early = !fragment.more && std::ranges::any_of(packet.frames, [&](const Frame& other) {
        const wire::Fragment there = wire::fragment_of(other);
        return there.offset + there.length > end;
    });
    if (how == Fit::contradicts || ends_twice || ends_early) return refuse(DropReason::fragment_overlap);
    if (!waiting_.hold(packet, frame, exits)) return;
    pieces.octets += fragment.length;
    if (!fragment.more) pieces.whole = end;
    pieces.ecn |= static_cast<std::uint8_t>(1U << (frame.traffic_class & 3U));
    if (pieces.octets == pieces.whole) join(packet, exits);
}

void Reassembly::join(Packet& packet, Exits& exits) {
    const Pieces pieces = packet.state;
    std::vector<Frame> frames = waiting_.take(packet);
    waiting_.forget(packet);
    const auto at = std::ranges::find_if(frames, [](const Frame& frame) { return wire::fragment_of(frame).offset == 0; });
    Frame whole = *at; // it is there: no two overlap, and together they are as long as the packet
    frames.erase(at);
    DropReason reason = DropReason::none;
    if (whole.transport + pieces.whole > chunk_size - tail_room)
        reason = DropReason::fragment_too_big;
    else
        reason = merge_ecn(whole, pieces.ecn);
    for (const Frame& frame : frames) {
        if (reason != DropReason::none) {
            exits.drop(frame, reason);
            continue;
        }
        const wire::Fragment fragment = wire::fragment_of(frame);
        std::memcpy(whole.at(whole.transport + fragment.offset), frame.at(frame.transport), fragment.length);
        exits.used_up(frame);
    }
    if (reason == DropReason::none) {
        whole.end = static_cast<std::uint16_t>(whole.transport + pieces.whole);
        wire::make_whole(whole);
        reason = parse_whole(whole);
    }
    reason == DropReason::none ? exits.again(whole) : exits.drop(whole, reason);
}

} // namespace sallyport::exception
