// SPDX-License-Identifier: Apache-2.0
// Errand cut: a packet that is larger than its way becomes fragments: IPv4 without Don't Fragment before sealing or in clear (RFC 791 2.3,
// RFC 1812 5.2.6), and the outer packet that we are the source of, in both families (RFC 8200 4.5).
#pragma once

#include "gateway/exception/handler.hpp"

#include <cstdint>

namespace sallyport::exception {

/// Takes IP packets from frame.network to frame.end, fragments of IPv4 too; `sequence`: the octets of the largest fragment. Fragments go
/// where the packet would go: with frame_onward to routing, else they are looked up again, as the packet would be: what it shows of its
/// ports goes with each. Without frame_onward or frame_from_red among its flags a packet is dropped, as is one that cannot be cut
/// (too_big).
class Cutter final : public Handler {
public:
    /// Where the identifications begin that outer packets get; random, so that they tell nothing (RFC 7739).
    explicit Cutter(std::uint32_t first_identification) : identification_(first_identification) {}

    void take(const Frame& frame, std::uint64_t now, Exits& exits) override;

private:
    void cut_ipv4(const Frame& packet, Exits& exits);
    void cut_ipv6(const Frame& packet, Exits& exits);

    std::uint32_t identification_;
};

} // namespace sallyport::exception
