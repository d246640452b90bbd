// SPDX-License-Identifier: Apache-2.0
// Errand icmp_error: the source of a packet is told why it was dropped (RFC 792, RFC 4443, RFC 1812 4.3). A packet from the red side is
// answered there, in its VPN; one that came out of a tunnel, or in clear from the black side, is answered as by a red packet of ours: the
// policy says what becomes of it.
#pragma once

#include "gateway/exception/handler.hpp"
#include "gateway/exception/token_bucket.hpp"
#include "gateway/route/fib.hpp"
#include "gateway/sa/address.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/tables/published.hpp"
#include "gateway/wire/icmp.hpp"

#include <atomic>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

namespace sallyport::exception {

/// An address of the gateway on the red side.
struct RedAddress {
    VpnNumber vpn = wan_vpn;
    std::uint32_t interface = 0; // kernel's number
    Address address;
    std::uint8_t length = 0; // of its network's prefix
};

using RedAddresses = std::vector<RedAddress>;

struct IcmpErrorCounters {
    std::uint64_t told = 0;    // errors made
    std::uint64_t limited = 0; // not made: too many
    std::uint64_t mute = 0;    // not made: no address to speak from, no way to the source, no chunk
};

class IcmpErrors final : public Handler {
public:
    /// `rate`: errors a second in one VPN, in all VPNs together ten times as many; 0: none. Packet Too Big has as many for itself, since
    /// traffic that waits for it stands still.
    IcmpErrors(const tables::Published<route::Fib>& fib, const tables::Published<RedAddresses>& addresses, std::uint32_t rate);

    void take(const Frame& frame, std::uint64_t now, Exits& exits) override;
    [[nodiscard]] IcmpErrorCounters counters() const; // threads: any

private:
    [[nodiscard]] bool tell(const Frame& frame, wire::IcmpCause cause, Exits& exits);
    [[nodiscard]] bool allowed(VpnNumber vpn, wire::IcmpCause cause, std::uint64_t now);
    [[nodiscard]] std::optional<Address> speaker(const Frame& frame) const;

    const tables::Published<route::Fib>& fib_;
    const tables::Published<RedAddresses>& addresses_;
    std::uint32_t rate_;
    TokenBucket all_;
    std::unordered_map<std::uint32_t, TokenBucket> buckets_; // by VPN, and whether it is Packet Too Big
    std::uint16_t identification_ = 0;                       // of IPv4
    std::atomic<std::uint64_t> told_{0}, limited_{0}, mute_{0};
};

} // namespace sallyport::exception
