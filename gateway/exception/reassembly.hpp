// SPDX-License-Identifier: Apache-2.0
// Errand reassemble_outer: fragments of packets to the gateway itself (ESP, AH, IKE) become whole packets before they are opened (RFC 4303
// 3.4.1). Fragments that overlap take their packet with them, in both families (RFC 5722; IPv4 leaves the choice open, and nobody who cuts
// a packet once makes overlaps).
#pragma once

#include "gateway/exception/fragments.hpp"

#include <cstdint>
#include <vector>

namespace sallyport::exception {

/// Takes frames as wire::parse() left them, with frame_fragment. The whole packet lies in the chunk of its first fragment, and is what
/// parse() makes of it.
class Reassembly final : public Handler {
public:
    explicit Reassembly(const FragmentLimits& limits = {}) : waiting_(limits) {}

    void take(const Frame& frame, std::uint64_t now, Exits& exits) override;
    void look(std::uint64_t now, Exits& exits) override { waiting_.expire(now, DropReason::fragment_outer, exits); }
    [[nodiscard]] std::uint64_t next() const override { return waiting_.next(); }
    [[nodiscard]] std::size_t held() const override { return waiting_.held(); }
    void leave(Exits& exits) override { waiting_.expire(never, DropReason::fragment_outer, exits); }

private:
    struct Pieces {
        unsigned octets = 0;  // that are here
        unsigned whole = 0;   // that the packet has, 0: the last fragment has not come
        std::uint8_t ecn = 0; // 1 << ECN of every fragment
    };
    using Packet = Fragments<Pieces>::Packet;

    void join(Packet& packet, Exits& exits);

    Fragments<Pieces> waiting_;
};

} // namespace sallyport::exception
