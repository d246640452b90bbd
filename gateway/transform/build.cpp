// SPDX-License-Identifier: Apache-2.0
// From what is asked for to the hot part of an SA.
#include "gateway/mode/transport.hpp"
#include "gateway/mode/tunnel.hpp"
#include "gateway/transform/registry.hpp"
#include "gateway/transform/transform.hpp"

#include <algorithm>
#include <cstring>

namespace sallyport::transform {
namespace {

std::uint32_t salt_of(const SaSpec& spec) {
    const AlgorithmInfo& row = info(spec.algorithm);
    std::uint32_t salt = 0;
    std::memcpy(&salt, spec.key.octets.data() + row.key, row.salt); // octets, 0, 3 or 4
    return salt;
}

sequence::Space space_of(const SaSpec& spec, const Place& place) {
    sequence::Space space;
    space.key = place.key;
    space.memory = place.units;
    space.mark = place.mark;
    space.extended = spec.sequence == SequenceKind::extended_64;
    space.window = spec.direction == Direction::inbound ? spec.window : 0;
    space.last = spec.direction == Direction::inbound ? place.floor : space.extended ? sequence::extended_end : sequence::short_end;
    return space;
}

Result<void> check(const SaSpec& spec, Direction direction, const Place& place) {
    if (const std::string_view why = fault(spec); !why.empty())
        return std::unexpected(Error{ErrorCode::invalid, std::string(why), spec.name, {}});
    const Kind kind = kind_of(place.row);
    if (spec.direction != direction || kind.algorithm != spec.algorithm || kind.mode != spec.mode || kind.protocol != spec.protocol)
        return std::unexpected(
            Error{ErrorCode::invalid, "The SA is of another direction, kind or algorithm than it is built for.", spec.name, {}});
    const std::span material(spec.key.octets.data(), std::min<std::size_t>(spec.key.size, spec.key.octets.size()));
    if (!suite_of(place.row).expand(direction, material, place.key))
        return std::unexpected(Error{ErrorCode::invalid, "The key of an SA has the wrong size, or the cryptographic library refused it.",
                                     spec.name, "look at the length of the key"});
    return {};
}

constexpr unsigned unbounded = 65535; // octets: no IP packet of ours is larger

constexpr unsigned tcp_headers(unsigned ip_header) { return ip_header + 20; } // RFC 9293 3.7.1: without options

} // namespace

Fit make_fit(const OutboundSa& sa, unsigned outer_mtu, std::uint16_t clamp) {
    Fit fit;
    fit.outer = static_cast<std::uint16_t>(std::min(outer_mtu, unbounded));
    fit.inner = static_cast<std::uint16_t>(largest_inner(sa, fit.outer));
    if (clamp == clamp_mss_off) return fit;
    // Every IPv6 link carries 1280 octets (RFC 8200 5), so that no segment need be smaller than these leave room for.
    const unsigned ipv6 = std::max<unsigned>(fit.inner, wire::ipv6_least_mtu);
    const unsigned ipv4 = std::max<unsigned>(fit.inner, wire::ipv4_least_mtu);
    fit.segment_ipv4 = clamp == clamp_mss_by_path ? static_cast<std::uint16_t>(ipv4 - tcp_headers(wire::ipv4_size)) : clamp;
    fit.segment_ipv6 = clamp == clamp_mss_by_path ? static_cast<std::uint16_t>(ipv6 - tcp_headers(wire::ipv6_size)) : clamp;
    return fit;
}

Fit make_fit(const InboundSa& sa, unsigned outer_mtu, std::uint16_t clamp) {
    OutboundSa back; // as much of it as sizes depend on
    back.transform = sa.transform;
    back.outer_length = static_cast<std::uint8_t>(sa.outer_family == Family::ipv4 ? wire::ipv4_size : wire::ipv6_size);
    back.udp = sa.udp;
    if (sa.selector_count != 0 && sa.selectors[0].local.first.family == Family::ipv6) back.rules = mode::beet_inner_ipv6;
    return make_fit(back, outer_mtu, clamp);
}

Result<OutboundSa> build_outbound(const SaSpec& spec, const Place& place) {
    if (auto good = check(spec, Direction::outbound, place); !good) return std::unexpected(std::move(good.error()));
    const mode::Outer outer = mode::make_outer(spec);
    OutboundSa sa;
    sa.space = space_of(spec, place);
    sa.counters = place.counters;
    sa.outer = outer.octets;
    sa.outer_length = outer.length;
    sa.udp = outer.udp;
    sa.tfc = static_cast<std::uint8_t>(std::min<unsigned>(spec.tfc_padding / tfc_step, 255));
    sa.transform = place.row;
    sa.worker = place.worker;
    sa.rules = outer.rules;
    sa.salt = salt_of(spec);
    sa.outer_vpn = spec.outer_vpn;
    sa.number = place.number;
    sa.fit = make_fit(sa, spec.mtu != 0 ? spec.mtu : unbounded, spec.clamp_mss);
    return sa;
}

Result<InboundSa> build_inbound(const SaSpec& spec, const Place& place, std::span<const Selector> selectors) {
    if (auto good = check(spec, Direction::inbound, place); !good) return std::unexpected(std::move(good.error()));
    InboundSa sa;
    sa.space = space_of(spec, place);
    sa.counters = place.counters;
    sa.selectors = selectors.data();
    sa.selector_count = static_cast<std::uint16_t>(selectors.size());
    sa.outer_vpn = spec.outer_vpn;
    sa.red_vpn = spec.red_vpn;
    sa.transform = place.row;
    sa.worker = place.worker;
    sa.salt = salt_of(spec);
    sa.spi = spec.spi;
    sa.number = place.number;
    sa.outer_family = spec.outer_local.family;
    sa.outer_remote = spec.outer_remote.octets;
    sa.outer_local = spec.outer_local.octets;
    sa.udp = static_cast<std::uint8_t>(spec.udp_port != 0 ? wire::udp_size : 0);
    sa.fit = make_fit(sa, spec.mtu != 0 ? spec.mtu : unbounded, spec.clamp_mss);
    if (spec.original_remote != Address{} || spec.original_local != Address{}) // of the two the one that is not given stands as it is
        sa.checksum_shift = mode::checksum_shift(spec.original_local != Address{} ? spec.original_local : spec.outer_local,
                                                 spec.original_remote != Address{} ? spec.original_remote : spec.outer_remote,
                                                 spec.outer_local, spec.outer_remote);
    return sa;
}

bool make_throwaway_key(std::uint8_t row, void* key) {
    constexpr unsigned piece = 16; // octets that random_ivs() gives
    KeyMaterial material;
    static_assert(maximum_key_material % piece == 0);
    std::array<std::uint8_t*, maximum_key_material / piece> places;
    for (unsigned i = 0; i < places.size(); ++i) places[i] = material.octets.data() + i * piece;
    if (!crypto::random_ivs(places.data(), places.size())) return false;
    return suite_of(row).expand(Direction::outbound, std::span(material.octets).first(info(algorithm_of(row)).material()), key);
}

void wipe_key(std::uint8_t row, void* key) { suite_of(row).wipe(key); }

} // namespace sallyport::transform
