// SPDX-License-Identifier: Apache-2.0
// From what is asked for to the hot part of an SA.
#include "gateway/mode/tunnel.hpp"
#include "gateway/transform/esp.hpp"
#include "gateway/transform/transform.hpp"

#include <cstring>

namespace sallyport::transform {
namespace {

std::uint32_t salt_of(const SaSpec& spec) {
    const AlgorithmInfo& row = info(spec.algorithm);
    std::uint32_t salt = 0;
    if (row.salt == sizeof salt) std::memcpy(&salt, spec.key.octets.data() + row.key, sizeof salt);
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
    if (spec.direction != direction || algorithm_of(place.row) != spec.algorithm)
        return std::unexpected(
            Error{ErrorCode::invalid, "The SA is of another direction or algorithm than it is built for.", spec.name, {}});
    if (spec.outer_local.family != spec.outer_remote.family)
        return std::unexpected(Error{ErrorCode::invalid, "The outer addresses of an SA are of two families.", spec.name,
                                     "give two IPv4 or two IPv6 addresses"});
    if (direction == Direction::inbound && (spec.window < 32 || spec.window > 65536 || (spec.window & (spec.window - 1)) != 0))
        return std::unexpected(Error{ErrorCode::invalid, "The replay window is not a power of two from 32 to 65536.", spec.name,
                                     "choose another replay-window"});
    const std::span material(spec.key.octets.data(), std::min<std::size_t>(spec.key.size, spec.key.octets.size()));
    if (!suite_of(place.row).expand(direction, material, place.key))
        return std::unexpected(Error{ErrorCode::invalid, "The key of an SA has the wrong size, or the cryptographic library refused it.",
                                     spec.name, "look at the length of the key"});
    return {};
}

} // namespace

Result<OutboundSa> build_outbound(const SaSpec& spec, const Place& place) {
    if (auto good = check(spec, Direction::outbound, place); !good) return std::unexpected(std::move(good.error()));
    const mode::Outer outer = mode::make_outer(spec);
    OutboundSa sa;
    sa.space = space_of(spec, place);
    sa.counters = place.counters;
    sa.outer = outer.octets;
    sa.outer_length = outer.length;
    sa.transform = place.row;
    sa.worker = place.worker;
    sa.rules = outer.rules;
    sa.salt = salt_of(spec);
    sa.outer_vpn = spec.outer_vpn;
    sa.mtu = spec.mtu;
    sa.number = place.number;
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
