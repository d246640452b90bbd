// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/inner_fragments.hpp"

#include "gateway/wire/fragment.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/parse.hpp"

#include <algorithm>
#include <cstring>

namespace sallyport::exception {

namespace {

/// Would this later fragment write over the upper-layer header that was judged (RFC 1858 3, RFC 3128)? Of IPv6 packets every first fragment
/// that shows the header shows it whole, and who overlaps it makes a packet that no host accepts (RFC 5722).
bool overwrites_header(const Frame& frame, const wire::Fragment& fragment) {
    return frame.family == 4 && fragment.offset < wire::minimum_transport(frame.protocol);
}

/// What came out of an SA has been judged: it is routed. Everything else is looked up again.
void go_on(Frame& frame, Exits& exits) {
    if (frame.sequence >= way_opened) frame.flags |= frame_onward;
    exits.again(frame);
}

void follow(const Shown& shown, Frame& frame, Exits& exits) {
    if (frame.sequence < way_opened) lend(shown, frame);
    go_on(frame, exits);
}

} // namespace

Shown shown_of(const Frame& frame) {
    Shown shown;
    const auto there = std::min<std::size_t>(shown.transport.size(), frame.end - frame.transport);
    std::memcpy(shown.transport.data(), frame.at(frame.transport), there);
    shown.protocol = frame.protocol;
    shown.flags = frame.flags & wire::shown_by(frame.protocol);
    return shown;
}

void lend(const Shown& shown, Frame& frame) {
    std::memset(frame.chunk, 0, head_room / 2); // whoever looks further than the ports sees nothing
    std::ranges::copy(shown.transport, frame.chunk);
    frame.transport = 0;
    frame.protocol = shown.protocol;
    frame.flags = static_cast<std::uint16_t>((frame.flags & ~frame_fragment) | shown.flags | frame_gathered);
}

void InnerFragments::take(const Frame& frame, std::uint64_t now, Exits& exits) {
    const wire::Fragment fragment = wire::fragment_of(frame);
    if (fragment.length == 0 || (fragment.more && fragment.length % 8 != 0)) return exits.drop(frame, DropReason::fragment_inner);
    Packet& packet = waiting_.packet(fragment_key(frame, fragment.identification, frame.sequence), now, exits);
    if (packet.refused != DropReason::none) return exits.drop(frame, packet.refused);
    First& state = packet.state;
    state.octets += fragment.length;
    if (!fragment.more) state.whole = fragment.offset + fragment.length;
    if (fragment.offset == 0) {
        first(packet, frame, exits);
    } else if (overwrites_header(frame, fragment)) {
        waiting_.refuse(packet, DropReason::fragment_tiny, exits);
        exits.drop(frame, DropReason::fragment_tiny);
    } else {
        later(packet, frame, exits);
    }
}

void InnerFragments::first(Packet& packet, Frame frame, Exits& exits) {
    const auto refuse = [&](DropReason reason) {
        waiting_.refuse(packet, reason, exits);
        exits.drop(frame, reason);
    };
    First& state = packet.state;
    if (frame.sequence < way_opened) {
        if (const DropReason reason = wire::find_first_transport(frame); reason != DropReason::none) return refuse(reason);
        const Shown shown = shown_of(frame);
        if (state.known && state.shown != shown) return refuse(DropReason::fragment_overlap);
        state.shown = shown;
        frame.flags = static_cast<std::uint16_t>((frame.flags & ~frame_fragment) | frame_gathered);
    }
    state.known = true;
    go_on(frame, exits);
    for (Frame& waiting : waiting_.take(packet)) follow(state.shown, waiting, exits);
    forget_if_whole(packet);
}

void InnerFragments::later(Packet& packet, Frame frame, Exits& exits) {
    if (!packet.state.known) {
        if (!waiting_.hold(packet, frame, exits)) return;
    } else {
        follow(packet.state.shown, frame, exits);
        forget_if_whole(packet);
    }
}

void InnerFragments::forget_if_whole(Packet& packet) {
    if (packet.state.octets == packet.state.whole) waiting_.forget(packet);
}

} // namespace sallyport::exception
