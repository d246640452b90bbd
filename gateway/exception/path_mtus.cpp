// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/path_mtus.hpp"

#include "gateway/wire/ip.hpp"

#include <algorithm>
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

template <class Members, class Sa>
void take_out(Members& members, const Sa& sa) {
    const auto [first, last] = members.equal_range(spi_of(sa));
    const auto at = std::find_if(first, last, [&](const auto& entry) { return entry.second.sa == &sa; });
    if (at != last) members.erase(at);
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

void PathMtus::fit(const Tunnel& tunnel) {
    const std::uint16_t present = tunnel.present();
    for (const auto& [spi, member] : tunnel.outbound) {
        const transform::Fit before = transform::fit_of(*member.sa);
        fit_one(member, present);
        const transform::Fit now = transform::fit_of(*member.sa);
        if (now.outer == before.outer) continue;
        if (changes_.each.size() < most_changes)
            changes_.each.push_back({member.sa->number, before, now});
        else
            ++changes_.more;
    }
    for (const auto& [spi, member] : tunnel.inbound) fit_one(member, present);
}

PathMtus::Tunnel& PathMtus::tunnel_of(const TunnelEnds& ends, const route::Fib& fib) {
    const auto [at, fresh] = tunnels_.try_emplace(ends);
    if (fresh) at->second.way = fib.mtu(ends.outer_vpn, Role::black, ends.remote.family, ends.remote.octets.data());
    return at->second;
}

void PathMtus::add(const transform::OutboundSa& sa, std::uint16_t mtu, std::uint16_t clamp, const route::Fib& fib) {
    const std::lock_guard lock(mutex_);
    Tunnel& tunnel = tunnel_of(ends_of(sa), fib);
    fit_one(tunnel.outbound.emplace(spi_of(sa), Member<transform::OutboundSa>{&sa, mtu, clamp})->second, tunnel.present());
}

void PathMtus::add(const transform::InboundSa& sa, std::uint16_t mtu, std::uint16_t clamp, const route::Fib& fib) {
    const std::lock_guard lock(mutex_);
    Tunnel& tunnel = tunnel_of(ends_of(sa), fib);
    fit_one(tunnel.inbound.emplace(spi_of(sa), Member<transform::InboundSa>{&sa, mtu, clamp})->second, tunnel.present());
}

void PathMtus::remove(const transform::OutboundSa& sa) {
    const std::lock_guard lock(mutex_);
    const auto at = tunnels_.find(ends_of(sa));
    if (at == tunnels_.end()) return;
    take_out(at->second.outbound, sa);
    if (at->second.empty()) tunnels_.erase(at);
}

void PathMtus::remove(const transform::InboundSa& sa) {
    const std::lock_guard lock(mutex_);
    const auto at = tunnels_.find(ends_of(sa));
    if (at == tunnels_.end()) return;
    take_out(at->second.inbound, sa);
    if (at->second.empty()) tunnels_.erase(at);
}

void PathMtus::follow(const route::Fib& fib) {
    const std::lock_guard lock(mutex_);
    for (auto& [ends, tunnel] : tunnels_) {
        const std::uint16_t way = fib.mtu(ends.outer_vpn, Role::black, ends.remote.family, ends.remote.octets.data());
        if (way == tunnel.way) continue;
        tunnel.way = way;
        fit(tunnel);
    }
}

DropReason PathMtus::learn(const MtuReport& report, std::uint64_t now) {
    const std::lock_guard lock(mutex_);
    const auto at = tunnels_.find(report.ends);
    if (at == tunnels_.end()) return DropReason::icmp_mtu_unproven;
    Tunnel& tunnel = at->second;
    const auto [first, last] = tunnel.outbound.equal_range(report.spi);
    if (std::none_of(first, last, [&](const auto& entry) { return sent_lately(*entry.second.sa, report.sequence); }))
        return DropReason::icmp_mtu_unproven;
    const std::uint16_t present = tunnel.present();
    const std::optional<std::uint16_t> value = believed(report.ends.local.family, present, report.mtu);
    if (!value) return report.mtu >= present ? DropReason::icmp_mtu_known : DropReason::icmp_mtu_unproven;
    tunnel.learned = *value;
    tunnel.until = now + lifetime;
    next_ = std::min(next_, tunnel.until);
    fit(tunnel);
    return DropReason::icmp_mtu_taken;
}

void PathMtus::age(std::uint64_t now) {
    const std::lock_guard lock(mutex_);
    if (now < next_) return;
    next_ = ~std::uint64_t{0};
    for (auto at = tunnels_.begin(); at != tunnels_.end();) {
        Tunnel& tunnel = at->second;
        if (tunnel.learned != 0 && tunnel.until <= now) {
            tunnel.learned = 0;
            fit(tunnel);
        }
        if (tunnel.learned != 0) next_ = std::min(next_, tunnel.until);
        at = tunnel.empty() ? tunnels_.erase(at) : std::next(at);
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
    const auto at = tunnels_.find(ends);
    return at == tunnels_.end() ? std::uint16_t{0} : at->second.learned;
}

} // namespace sallyport::exception
