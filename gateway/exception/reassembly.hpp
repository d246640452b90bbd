// SPDX-License-Identifier: Apache-2.0
// Errand reassemble_outer: fragments of packets to the gateway itself (ESP, AH, IKE) become whole packets before they are opened (RFC 4303
// 3.4.1). Errand reassemble_inner: fragments become whole packets before an SA in transport mode seals them (RFC 4301 7). Fragments that
// overlap take their packet with them, in both families (RFC 5722; IPv4 leaves the choice open, and nobody who cuts a packet once makes
// overlaps).
#pragma once

#include "gateway/exception/fragments.hpp"

#include <cstdint>
#include <vector>

namespace sallyport::exception {

/// Takes frames as wire::parse() left them, with frame_fragment. The whole packet lies in the chunk of its first fragment, and is what
/// the parser makes of it; it comes from where its fragments came from.
class Reassembly final : public Handler {
public:
    /// `late`: why fragments of a packet are dropped that stays incomplete.
    explicit Reassembly(const FragmentLimits& limits = {}, DropReason late = DropReason::fragment_outer) : waiting_(limits), late_(late) {}

    void take(const Frame& frame, std::uint64_t now, Exits& exits) override;
    void look(std::uint64_t now, Exits& exits) override { waiting_.expire(now, late_, exits); }
    [[nodiscard]] std::uint64_t next() const override { return waiting_.next(); }
    [[nodiscard]] std::size_t held() const override { return waiting_.held(); }
    void leave(Exits& exits) override { waiting_.expire(never, late_, exits); }

private:
    struct Pieces {
        unsigned octets = 0;  // that are here
        unsigned whole = 0;   // that the packet has, 0: the last fragment has not come
        std::uint8_t ecn = 0; // 1 << ECN of every fragment
    };
    using Packet = Fragments<Pieces>::Packet;

    void join(Packet& packet, Exits& exits);

    Fragments<Pieces> waiting_;
    DropReason late_;
};

} // namespace sallyport::exception
