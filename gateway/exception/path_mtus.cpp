// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/path_mtus.hpp"

#include "gateway/wire/ip.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace sallyport::exception {

namespace {

constexpr std::uint16_t unbounded = 65535;
constexpr std::uint16_t floor_ipv4 = 576; // lower ones are forged rather than found (RFC 4301 6.1.1: a minimum should be set)
constexpr std::uint16_t floor_ipv6 = wire::ipv6_least_mtu;

TunnelEnds ends_of(const transform::OutboundSa& sa) {
    const std::uint8_t* header = sa.outer.data();
    const std::uint8_t family = sa.outer_length == wire::ipv4_size ? 4 : 6;
    return {sa.outer_vpn, wire::source_of(header, family), wire::destination_of(header, family)};
}

TunnelEnds ends_of(const transform::InboundSa& sa) {
    return {sa.outer_vpn, wire::address_at(sa.outer_local.data(), sa.outer_family),
            wire::address_at(sa.outer_remote.data(), sa.outer_family)};
}

std::uint32_t spi_of(const transform::OutboundSa& sa) { return sa.spi(); }

std::uint32_t spi_of(const transform::InboundSa& sa) { return sa.spi; }

std::uint64_t hash_of(const TunnelEnds& ends) {
    std::uint64_t hash = ends.outer_vpn;
    for (const Address* address : {&ends.local, &ends.remote})
        for (const std::uint64_t half : std::bit_cast<std::array<std::uint64_t, 2>>(address->octets)) hash = hash * 31 + half;
    return hash;
}

template <class Member>
void fit_one(const Member& member, std::uint16_t present) {
    const std::uint16_t mtu = member.mtu != 0 ? std::min(member.mtu, present) : present;
    const transform::Fit next = transform::make_fit(*member.sa, mtu, member.clamp);
    if (transform::fit_of(*member.sa) != next) transform::set_fit(*member.sa, next);
}

/// Was a packet of this number sent lately? Only the low half is known.
bool sent_lately(const transform::OutboundSa& sa, std::uint32_t low) {
    const std::uint64_t last = sequence::detail::load(sa.space.memory->words[sequence::number_word]);
    const std::uint32_t behind = static_cast<std::uint32_t>(last) - low;
    return behind < PathMtus::memory && behind < last;
}

} // namespace

std::optional<std::uint16_t> believed(Family outer, std::uint16_t present, std::uint32_t reported) {
    const std::uint16_t floor = outer == Family::ipv4 ? floor_ipv4 : floor_ipv6;
    if (reported < floor || reported >= present) return std::nullopt;
    return static_cast<std::uint16_t>(reported);
}

std::uint16_t PathMtus::Tunnel::present() const { return std::min(way != 0 ? way : unbounded, learned != 0 ? learned : unbounded); }

TunnelEnds PathMtus::Tunnel::ends() const { return outbound.empty() ? ends_of(*inbound.front().sa) : ends_of(*outbound.front().sa); }

void PathMtus::fit(const Tunnel& tunnel) {
    const std::uint16_t present = tunnel.present();
    for (const auto& member : tunnel.outbound) {
        const transform::Fit before = transform::fit_of(*member.sa);
        fit_one(member, present);
        const transform::Fit now = transform::fit_of(*member.sa);
        if (now.outer == before.outer) continue;
        if (changes_.each.size() < most_changes)
            changes_.each.push_back({member.sa->number, before, now});
        else
            ++changes_.more;
    }
    for (const auto& member : tunnel.inbound) fit_one(member, present);
}

std::optional<std::uint32_t> PathMtus::place_of(const TunnelEnds& ends) const {
    return by_ends_.find(hash_of(ends), [&](std::uint32_t place) { return tunnels_[place].ends() == ends; });
}

/// One that is new gets a member before anybody looks for it.
PathMtus::Tunnel& PathMtus::tunnel_of(const TunnelEnds& ends, const route::Fib& fib) {
    if (const auto place = place_of(ends)) return tunnels_[*place];
    Tunnel tunnel;
    tunnel.way = fib.mtu(ends.outer_vpn, Role::black, ends.remote.family, ends.remote.octets.data());
    if (const auto known = learned_.find(ends); known != learned_.end()) tunnel.learned = known->second.mtu;
    const std::uint32_t place = tunnels_.put(std::move(tunnel));
    by_ends_.insert(hash_of(ends), place);
    return tunnels_[place];
}

template <class Sa>
void PathMtus::add_to(Members<Sa> Tunnel::* members, const Sa& sa, std::uint16_t mtu, std::uint16_t clamp, const route::Fib& fib) {
    const std::lock_guard lock(mutex_);
    Tunnel& tunnel = tunnel_of(ends_of(sa), fib);
    const Member<Sa> member{&sa, spi_of(sa), mtu, clamp};
    (tunnel.*members).push_back(member);
    fit_one(member, tunnel.present());
}

template <class Sa>
void PathMtus::remove_from(Members<Sa> Tunnel::* members, const Sa& sa) {
    const std::lock_guard lock(mutex_);
    const TunnelEnds ends = ends_of(sa);
    const auto place = place_of(ends);
    if (!place) return;
    Tunnel& tunnel = tunnels_[*place];
    Members<Sa>& list = tunnel.*members;
    const auto* at = std::find_if(list.begin(), list.end(), [&](const Member<Sa>& member) { return member.sa == &sa; });
    if (at != list.end()) list.erase(at);
    if (!tunnel.outbound.empty() || !tunnel.inbound.empty()) return;
    by_ends_.erase(hash_of(ends), *place);
    tunnels_.erase(*place);
}

void PathMtus::add(const transform::OutboundSa& sa, std::uint16_t mtu, std::uint16_t clamp, const route::Fib& fib) {
    add_to(&Tunnel::outbound, sa, mtu, clamp, fib);
}

void PathMtus::add(const transform::InboundSa& sa, std::uint16_t mtu, std::uint16_t clamp, const route::Fib& fib) {
    add_to(&Tunnel::inbound, sa, mtu, clamp, fib);
}

void PathMtus::remove(const transform::OutboundSa& sa) { remove_from(&Tunnel::outbound, sa); }

void PathMtus::remove(const transform::InboundSa& sa) { remove_from(&Tunnel::inbound, sa); }

void PathMtus::follow(const route::Fib& fib) {
    const std::lock_guard lock(mutex_);
    by_ends_.each([&](std::uint32_t place) {
        Tunnel& tunnel = tunnels_[place];
        const TunnelEnds ends = tunnel.ends();
        const std::uint16_t way = fib.mtu(ends.outer_vpn, Role::black, ends.remote.family, ends.remote.octets.data());
        if (way == tunnel.way) return;
        tunnel.way = way;
        fit(tunnel);
    });
}

DropReason PathMtus::learn(const MtuReport& report, std::uint64_t now) {
    const std::lock_guard lock(mutex_);
    const auto place = place_of(report.ends);
    if (!place) return DropReason::icmp_mtu_unproven;
    Tunnel& tunnel = tunnels_[*place];
    const auto quoted = [&](const auto& member) { return member.spi == report.spi && sent_lately(*member.sa, report.sequence); };
    if (std::none_of(tunnel.outbound.begin(), tunnel.outbound.end(), quoted)) return DropReason::icmp_mtu_unproven;
    const std::uint16_t present = tunnel.present();
    const std::optional<std::uint16_t> value = believed(report.ends.local.family, present, report.mtu);
    if (!value) return report.mtu >= present ? DropReason::icmp_mtu_known : DropReason::icmp_mtu_unproven;
    tunnel.learned = *value;
    learned_[report.ends] = {*value, now + lifetime};
    next_ = std::min(next_, now + lifetime);
    fit(tunnel);
    return DropReason::icmp_mtu_taken;
}

void PathMtus::age(std::uint64_t now) {
    const std::lock_guard lock(mutex_);
    if (now < next_) return;
    next_ = ~std::uint64_t{0};
    for (auto at = learned_.begin(); at != learned_.end();) {
        if (at->second.until > now) {
            next_ = std::min(next_, at->second.until);
            ++at;
            continue;
        }
        if (const auto place = place_of(at->first)) {
            tunnels_[*place].learned = 0;
            fit(tunnels_[*place]);
        }
        at = learned_.erase(at);
    }
}

std::uint64_t PathMtus::next() const {
    const std::lock_guard lock(mutex_);
    return next_;
}

PathMtus::Changes PathMtus::take_changes() {
    const std::lock_guard lock(mutex_);
    return std::exchange(changes_, {});
}

std::uint16_t PathMtus::learned(const TunnelEnds& ends) const {
    const std::lock_guard lock(mutex_);
    const auto at = learned_.find(ends);
    return at == learned_.end() ? std::uint16_t{0} : at->second.mtu;
}

} // namespace sallyport::exception
