// SPDX-License-Identifier: Apache-2.0
// What is asked for when an SA or a policy is installed: plain values, whoever asks (manual configuration now, IKE later).
#pragma once

#include "gateway/sa/algorithm.hpp"
#include "gateway/sa/selector.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport {

using VpnNumber = std::uint16_t; // 0 is the VPN `wan`, the kernel's main table; the configuration numbers the others
inline constexpr VpnNumber wan_vpn = 0;

/// The key material of one SA. Wiped when it goes; never printed, never copied into a string.
class KeyMaterial {
public:
    KeyMaterial() = default;
    KeyMaterial(const KeyMaterial&) = default;
    KeyMaterial& operator=(const KeyMaterial&) = default;
    ~KeyMaterial();
    std::array<std::uint8_t, maximum_key_material> octets{};
    std::uint8_t size = 0; // info(algorithm).material()
};

/// Overwrites what earlier calls left of keys on this thread's stack, 256 KiB below the caller, and in its vector registers. After whatever
/// handled keys.
void wipe_stack();

enum class SaProtocol : std::uint8_t { esp, ah };                 // RFC 4303, RFC 4302
enum class SaMode : std::uint8_t { tunnel, transport, beet };     // RFC 4301 4.1; RFC 7402 appendix B
enum class SequenceKind : std::uint8_t { short_32, extended_64 }; // RFC 4303 2.2, 2.2.1
enum class DscpRule : std::uint8_t { copy, set };                 // RFC 4301 5.1.2.1; ECN always follows RFC 6040
enum class DfRule : std::uint8_t { copy, set, clear };            // RFC 4301 8.1, IPv4 outside
enum class FragmentRule : std::uint8_t { before, after };         // sealing: where IPv4 that may be fragmented is cut (RFC 4301 8.2.1)

inline constexpr std::uint16_t longest_keepalive = 3600;    // seconds
inline constexpr std::uint64_t longest_life = 0xffff'ffffU; // seconds, of a Lifetime

/// SaSpec::tfc_padding is 0, a multiple of tfc_step of which there are at most 254, or tfc_full: always to what fits into a packet.
inline constexpr std::uint16_t tfc_step = 16, tfc_full = 65535;
[[nodiscard]] constexpr bool is_tfc_padding(std::uint64_t octets) {
    return octets == tfc_full || (octets % tfc_step == 0 && octets / tfc_step < 255);
}

/// SaSpec::clamp_mss besides a number of octets.
inline constexpr std::uint16_t clamp_mss_off = 0, clamp_mss_by_path = 65535;

/// How much an SA may do (RFC 4301 4.4.2.1). 0: as much as there is.
struct Lifetime {
    std::uint64_t packets = 0;
    std::uint64_t octets = 0; // of inner packets
    std::uint64_t seconds = 0;
    [[nodiscard]] bool any() const { return packets != 0 || octets != 0 || seconds != 0; }
    bool operator==(const Lifetime&) const = default;
};

/// One direction of a child SA (RFC 4301 4.1: an SA is simplex). Name, direction and child together are its own.
struct SaSpec {
    std::string name; // "connection" of the configuration; also the key of its durable marks
    Direction direction = Direction::outbound;
    std::uint32_t child = 0;      // which child SA of the connection: 0 one with keys given by hand, else counted by who negotiates
    std::uint64_t generation = 0; // of the keying call that installed it; 0: the configuration did
    std::uint32_t spi = 0;        // at least 256; inbound: chosen by us, unique among inbound SAs
    Address outer_local;          // our address on the black side
    Address outer_remote;         // the peer's, of the same family
    VpnNumber outer_vpn = wan_vpn;
    VpnNumber red_vpn = wan_vpn;
    SaProtocol protocol = SaProtocol::esp;
    SaMode mode = SaMode::tunnel;
    Algorithm algorithm = Algorithm::aes_256_cbc_hmac_sha2_256_128;
    KeyMaterial key;
    SequenceKind sequence = SequenceKind::extended_64;
    std::uint32_t window = 1024;     // packets, inbound, a power of two from 32 to 65536
    std::vector<Selector> selectors; // what an opened packet must match, and for display. Transport mode: of the two outer addresses
                                     // alone; BEET: of one local and one remote address, the inner ones
    DscpRule dscp = DscpRule::copy;
    std::uint8_t dscp_value = 0; // with DscpRule::set, 0 to 63
    DfRule df = DfRule::copy;
    FragmentRule fragment = FragmentRule::before;
    std::uint8_t hop_limit = 64;                 // of the outer header
    std::uint16_t udp_port = 0;                  // the peer's, of ESP in UDP (RFC 3948); ours is 4500. 0: what we send is not in UDP
    Address original_local;                      // transport mode behind a NAT, inbound: what the peer takes our address and its own to be,
    Address original_remote;                     // by which it makes checksums (RFC 7296 2.23.1); none: the outer ones
    std::uint16_t keepalive = 0;                 // seconds of silence before a NAT keepalive goes out (RFC 3948 4), outbound; 0: never
    std::uint16_t tfc_padding = 0;               // inner packets are filled up to a multiple of so many octets (RFC 4303 2.7); see tfc_full
    std::uint16_t mtu = 0;                       // octets of the largest outer packet, 0: of the route
    std::uint16_t clamp_mss = clamp_mss_by_path; // the MSS of TCP connections inside is lowered to this, or to what fits
    std::uint32_t dummies_per_second = 0;        // dummy packets (RFC 4303 2.6), outbound
    Lifetime soft;                               // an event tells when one of these is reached: time for new keys
    Lifetime hard;                               // no packet passes beyond one of these; the SA stays until it is removed
    std::uint8_t jitter = 0;                     // percent: the soft one is shortened by up to so much, at random
    std::uint64_t begun = 0;                     // since when its seconds count, those of CLOCK_BOOTTIME; 0: since it is installed
    std::uint16_t idle = 0;                      // seconds without a packet of which an event tells, inbound; 0: of none
    bool follow = false;                         // inbound, with udp_port: taken from other sources too (RFC 7296 2.23); an event tells
    std::int16_t owner = -1;                     // worker, -1: chosen by the gateway
    bool manual = true;                          // goes on from durable marks
    std::string place;                           // who asked for it: "file:line" of the configuration; for display
};

/// "tunnel", "transport", "beet"; "esp", "ah".
[[nodiscard]] std::string_view name_of(SaMode mode);
[[nodiscard]] std::string_view name_of(SaProtocol protocol);

/// What contradicts itself in it, a sentence; empty: nothing.
[[nodiscard]] std::string_view fault(const SaSpec& sa);
/// The same, but only where it is a matter of protocol and mode.
[[nodiscard]] std::string_view fault_of_kind(const SaSpec& sa);

enum class PolicyAction : std::uint8_t { protect, bypass, discard }; // RFC 4301 4.4.1

/// Which traffic a bypass or discard entry speaks of (SPD-O, SPD-I of RFC 4301 4.4.1); one that protects always of both.
enum class PolicyReach : std::uint8_t { both, outbound, inbound };

[[nodiscard]] constexpr bool reaches(PolicyReach reach, Direction direction) {
    return reach == PolicyReach::both || (reach == PolicyReach::outbound) == (direction == Direction::outbound);
}

struct PolicySpec {
    std::string name;
    VpnNumber vpn = wan_vpn;    // red VPN
    std::uint32_t priority = 0; // the lowest that matches decides; equal ones in the order given
    PolicyAction action = PolicyAction::discard;
    std::vector<Selector> selectors;
    std::string sa; // with protect: name of the SA pair
    PolicyReach reach = PolicyReach::both;
    std::string place; // as SaSpec::place
};

/// A mode that does not carry the inner addresses gives them to every packet: may this policy send by such an SA (RFC 7402 B.5)?
[[nodiscard]] bool may_send_by(const PolicySpec& policy, const SaSpec& sa);

} // namespace sallyport
