// SPDX-License-Identifier: Apache-2.0
// The security policy database (RFC 4301 4.4.1), ordered, by VPN: what becomes of a red packet, and of a clear one from the black side.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/tables/acquires.hpp"
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
    PolicyReach reach = PolicyReach::both;     // of bypass and discard
    std::uint32_t connection = 0;              // with protect: whose traffic it is, as in Opening; 0: nobody's
};

/// An inbound SA of which the SPD knows, so that what comes out of it can be held against the order of the policies.
struct Opening {
    std::uint32_t number = 0;     // InboundSa::number
    VpnNumber vpn = wan_vpn;      // red VPN
    std::uint32_t connection = 0; // at least 1
};

struct PolicyVerdict {
    DropReason reason = DropReason::no_policy; // none: protect by `sa`, or bypass where `sa` is null
    VpnNumber vpn = wan_vpn;                   // red VPN of the policy
    const transform::OutboundSa* sa = nullptr;
    std::uint32_t number = no_policy_number; // of the policy that decided
    std::uint32_t connection = 0;            // of a policy that protects
    static constexpr std::uint32_t no_policy_number = 0xffffffff;
};

class SpdIndex; // rules of one VPN and direction, by tuples of prefix lengths: spd.cpp

/// Immutable; does not own the SAs. Build a new one for every change and publish it.
class Spd {
public:
    Spd(); // no policy: everything is dropped with no_policy
    ~Spd();
    Spd(Spd&&) noexcept;
    Spd(const Spd&) = delete;
    Spd& operator=(const Spd&) = delete;

    /// Policies of all VPNs, the first that matches first. Error: more than 2^24 rules.
    [[nodiscard]] static Result<std::unique_ptr<const Spd>> build(std::span<const Policy> policies, std::span<const Opening> openings = {});

    /// Up to 64 parsed red frames with `vpn` set. Sets `outbound` (protect), or outbound null with reason none (bypass), or the reason,
    /// with no_sa the policy's number in `spi`. The SAs are being fetched into the cache when it returns.
    void decide_outbound(std::span<Frame* const> frames) const;

    /// A parsed clear frame from the black side (RFC 4301 5.2 step 3b) with `vpn` set, the outer VPN: reason none: bypass, into `vpn` of
    /// the verdict; else should_be_protected, policy_discard, transit_from_black or fragment_inner. From the VPN `wan` a packet may come
    /// into every VPN, from another one into itself only: bypassed packets leave the same ways.
    [[nodiscard]] PolicyVerdict decide_inbound(const Frame& frame) const;

    /// Policies are an ordered list, so what matches an SA's selectors may still belong to an entry that stands before the SA's own, to be
    /// discarded, bypassed or sent into another connection. RFC 4301 4.4.1 ("Decorrelation") then asks for an ordered search on receipt.
    /// True: it is needed for some SA. Mostly no two policies overlap, and it is needed for none.
    [[nodiscard]] bool any_ordered() const { return !ordered_.empty(); }
    /// True: it is needed for this SA, by InboundSa::number, or the SA is newer than this table. Only where any_ordered().
    [[nodiscard]] bool ordered(std::uint32_t sa) const { return sa / 64 >= ordered_.size() || (ordered_[sa / 64] >> sa % 64 & 1U) != 0; }
    /// That search, for a parsed frame that `inbound` has opened and whose selectors it matches: none, policy_mismatch or fragment_inner.
    [[nodiscard]] DropReason check_opened(const Frame& frame) const;

    /// Who protects by an SA that is not there.
    [[nodiscard]] const Acquires& acquires() const { return acquires_; }

    /// One packet, for display and tests. A fragment that meets a policy which names ports, before one that decides without them:
    /// fragment_inner.
    [[nodiscard]] PolicyVerdict decide_outbound(const Frame& frame) const;

private:
    struct OfVpn {
        std::unique_ptr<SpdIndex> outbound, inbound; // null: no policy
    };
    [[nodiscard]] const OfVpn& of(VpnNumber vpn) const;
    void note_openings(std::span<const Policy> policies, std::span<const Opening> openings);

    std::vector<OfVpn> by_vpn_;             // by VPN number
    std::unique_ptr<SpdIndex> all_inbound_; // all VPNs together
    std::vector<std::uint64_t> ordered_;    // bits by number of the SA; empty: none
    std::vector<std::uint32_t> connection_; // by number of the SA, 64 for each of those; 0: not known
    Acquires acquires_;
};

} // namespace sallyport::tables
