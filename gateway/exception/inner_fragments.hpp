// SPDX-License-Identifier: Apache-2.0
// Errand inner_fragment: fragments that meet a policy or an SA that names ports follow the first fragment of their packet, the only one
// that shows them (RFC 4301 7.3, 7.4). They are not put together: each goes on as it came, once the first is known.
#pragma once

#include "gateway/exception/fragments.hpp"

#include <array>
#include <cstdint>

namespace sallyport::exception {

/// What a first fragment lends to the others: what a policy or an SA looks at.
struct Shown {
    std::array<std::uint8_t, 8> transport{}; // first octets of the upper-layer header
    std::uint8_t protocol = 0;
    std::uint16_t flags = 0; // frame_ports and its like
    bool operator==(const Shown&) const = default;
};

/// Of a frame whose upper-layer header parse() or find_first_transport() found.
[[nodiscard]] Shown shown_of(const Frame& frame);
/// Makes a frame with frame_gathered: the octets go to the begin of its chunk, where no stage writes.
void lend(const Shown& shown, Frame& frame);

/// Takes frames as wire::parse() left them, with frame_fragment, and in `sequence` the way that they are on. What came out of an SA goes on
/// to routing: of such packets the worker sends the first fragment only after it has passed the SA's selectors. Everything else is looked
/// up again, with frame_gathered.
class InnerFragments final : public Handler {
public:
    explicit InnerFragments(const FragmentLimits& limits = {}) : waiting_(limits) {}

    void take(const Frame& frame, std::uint64_t now, Exits& exits) override;
    void look(std::uint64_t now, Exits& exits) override { waiting_.expire(now, DropReason::fragment_inner, exits); }
    [[nodiscard]] std::uint64_t next() const override { return waiting_.next(); }
    [[nodiscard]] std::size_t held() const override { return waiting_.held(); }
    void leave(Exits& exits) override { waiting_.expire(never, DropReason::fragment_inner, exits); }

private:
    struct First {
        bool known = false;
        Shown shown;
        unsigned octets = 0; // that have gone on or wait
        unsigned whole = 0;  // that the packet has, 0: the last fragment has not come
    };
    using Packet = Fragments<First>::Packet;

    void first(Packet& packet, Frame frame, Exits& exits);
    void later(Packet& packet, Frame frame, Exits& exits);
    void forget_if_whole(Packet& packet);

    Fragments<First> waiting_;
};

} // namespace sallyport::exception
