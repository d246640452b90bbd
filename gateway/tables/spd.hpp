// SPDX-License-Identifier: Apache-2.0
// The security policy database (RFC 4301 4.4.1), ordered, by VPN: what becomes of a red packet, and of a clear one from the black side.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/transform/transform.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sallyport::tables {

/// A policy as the SPD is built from it. The first of the list that matches decides.
struct Policy {
    VpnNumber vpn = wan_vpn; // red VPN
    PolicyAction action = PolicyAction::discard;
    std::span<const Selector> selectors;       // read while building only
    const transform::OutboundSa* sa = nullptr; // with protect; null: no_sa
    std::uint32_t number = 0;                  // for display: PolicyVerdict::number
};

struct PolicyVerdict {
    DropReason reason = DropReason::no_policy; // none: protect by `sa`, or bypass where `sa` is null
    VpnNumber vpn = wan_vpn;                   // red VPN of the policy
    const transform::OutboundSa* sa = nullptr;
    std::uint32_t number = no_policy_number; // of the policy that decided
    static constexpr std::uint32_t no_policy_number = 0xffffffff;
};

class SpdIndex; // rules of one VPN, by tuples of prefix lengths: spd.cpp

/// Immutable; does not own the SAs. Build a new one for every change and publish it.
class Spd {
public:
    Spd(); // no policy: everything is dropped with no_policy
    ~Spd();
    Spd(Spd&&) noexcept;
    Spd(const Spd&) = delete;
    Spd& operator=(const Spd&) = delete;

    /// Policies of all VPNs, the first that matches first. Error: more than 2^24 rules.
    [[nodiscard]] static Result<std::unique_ptr<const Spd>> build(std::span<const Policy> policies);

    /// Up to 64 parsed red frames with `vpn` set. Sets `outbound` (protect), or outbound null with reason none (bypass), or the reason. The
    /// SAs are being fetched into the cache when it returns.
    void decide_outbound(std::span<Frame* const> frames) const;

    /// A parsed clear frame from the black side (RFC 4301 5.2 step 3b): reason none: bypass, into `vpn` of the verdict;
    /// else should_be_protected, policy_discard, transit_from_black or fragment_inner.
    [[nodiscard]] PolicyVerdict decide_inbound(const Frame& frame) const;

    /// One packet, for display and tests.
    [[nodiscard]] PolicyVerdict decide_outbound(const Frame& frame) const;

private:
    std::vector<std::unique_ptr<SpdIndex>> by_vpn_; // by VPN number; null: no policy
    std::unique_ptr<SpdIndex> inbound_;             // all VPNs together, seen from the black side
};

} // namespace sallyport::tables
