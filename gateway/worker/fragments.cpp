// SPDX-License-Identifier: Apache-2.0
// Frames that go no further as they are, and that the exception stage can help: fragments whose ports are not known or that their SA does
// not carry, packets that are larger than their way.
#include "gateway/mode/tunnel.hpp"
#include "gateway/wire/fragment.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/worker/selectors.hpp"
#include "gateway/worker/worker.hpp"

namespace sallyport::worker {

namespace {

/// May a router cut it (RFC 791 2.3)? IPv6 packets only their source (RFC 8200 4.5).
bool may_be_cut(const Frame& frame) {
    return frame.family == 4 && (wire::load16(frame.at(frame.network + wire::ipv4_fragment)) & wire::ipv4_dont_fragment) == 0;
}

/// A first fragment that came out of an SA: it shows what the SA's selectors ask for, or it is dropped (RFC 4301 7.3).
DropReason judge_first(const Frame& frame) {
    Frame shown = frame;
    if (const DropReason reason = wire::find_first_transport(shown); reason != DropReason::none) return reason;
    shown.flags &= static_cast<std::uint16_t>(~frame_fragment);
    return check_selectors({frame.inbound->selectors, frame.inbound->selector_count}, shown);
}

} // namespace

/// False: it is to be dropped, with frame.reason.
bool Worker::mend(Frame& frame) {
    if (frame.reason == DropReason::fragment_inner) return follow_first(frame);
    if (frame.reason == DropReason::fragment_transport) {
        send_on(frame, Errand::reassemble_inner, DropReason::fragment_transport);
        return true;
    }
    return frame.reason == DropReason::too_big && cut(frame);
}

/// RFC 4301 7: where a policy or an SA names ports, a fragment goes where the first one of its packet goes.
bool Worker::follow_first(Frame& frame) {
    const bool opened = (frame.flags & frame_to_red) != 0;
    frame.sequence = from_red(frame) ? way_red : way_black;
    if (opened) {
        if (wire::fragment_of(frame).offset == 0)
            if (frame.reason = judge_first(frame); frame.reason != DropReason::none) return false;
        if (frame.reason = mode::count_hop(frame); frame.reason != DropReason::none) return false;
        frame.sequence = way_opened + frame.inbound->number;
        frame.spi = flow_hash(frame);
    }
    send_on(frame, Errand::inner_fragment, DropReason::fragment_inner);
    return true;
}

/// RFC 4301 8.2.1, RFC 1812 5.2.6. What fits is in `spi`.
bool Worker::cut(Frame& frame) {
    const bool leaves = (frame.flags & (frame_cut | frame_to_red | frame_bypassed)) != 0; // else it is to be sealed, its pieces each
    if ((frame.flags & frame_cut) != 0)
        LiveCounters::add(counters_.now().sealed);
    else if (!may_be_cut(frame))
        return false;
    frame.sequence = frame.spi;
    if (leaves) frame.spi = flow_hash(frame);
    frame.flags |= leaves ? frame_onward : frame_from_red;
    send_on(frame, Errand::cut, DropReason::too_big);
    return true;
}

} // namespace sallyport::worker
