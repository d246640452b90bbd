// SPDX-License-Identifier: Apache-2.0
#include "mgmt/config/build.hpp"

#include <algorithm>
#include <format>
#include <map>
#include <optional>
#include <tuple>

namespace sallyport::config {
namespace {

/// The first overlap of two lists, of which both are sorted by family and first address.
std::optional<AddressRange> overlap(const std::vector<AddressRange>& a, const std::vector<AddressRange>& b, Family family) {
    for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
        if (i->first.family != family) {
            ++i;
        } else if (j->first.family != family) {
            ++j;
        } else if (i->first.octets <= j->last.octets && j->first.octets <= i->last.octets) {
            return AddressRange{std::max(i->first.octets, j->first.octets) == i->first.octets ? i->first : j->first,
                                std::min(i->last.octets, j->last.octets) == i->last.octets ? i->last : j->last};
        } else if (i->last.octets < j->last.octets) {
            ++i;
        } else {
            ++j;
        }
    }
    return std::nullopt;
}

bool overlap(const PortRange& a, const PortRange& b) {
    if (a.opaque() || b.opaque()) return !a.named() && !b.named();
    return a.first <= b.last && b.first <= a.last;
}

struct Overlap {
    AddressRange local, remote;
};

std::optional<Overlap> overlap(const Traffic& a, const Traffic& b) {
    if (a.protocol != 0 && b.protocol != 0 && a.protocol != b.protocol) return std::nullopt;
    if (a.reach != PolicyReach::both && b.reach != PolicyReach::both && a.reach != b.reach) return std::nullopt;
    if (!overlap(a.local_ports, b.local_ports) || !overlap(a.remote_ports, b.remote_ports)) return std::nullopt;
    for (const Family family : {Family::ipv4, Family::ipv6})
        if (const auto local = overlap(a.local, b.local, family))
            if (const auto remote = overlap(a.remote, b.remote, family)) return Overlap{*local, *remote};
    return std::nullopt;
}

void report(const Traffic& a, const Traffic& b, const Overlap& where, Problems& problems) {
    const bool a_later = std::tie(a.item->place.file, a.item->place.line) > std::tie(b.item->place.file, b.item->place.line);
    const Item& later = a_later ? *a.item : *b.item;
    const Item& earlier = a_later ? *b.item : *a.item;
    problems.add(later.place, later.path(),
                 std::format("it speaks of the same packets as {} in {}, with the same priority {}: {} to {}", earlier.path(),
                             problems.text(earlier.place), a.priority, to_string(where.local), to_string(where.remote)),
                 "give one a priority of its own, other networks or another VPN");
}

/// Sweeps over the remote addresses from low to high; only those that lie over each other there are compared.
void check_group(const std::vector<const Traffic*>& group, Family family, Problems& problems,
                 std::map<std::pair<const Item*, const Item*>, bool>& said) {
    struct Span {
        AddressRange range;
        const Traffic* traffic;
    };

    std::vector<Span> spans;
    for (const Traffic* one : group) {
        std::optional<AddressRange> range;
        for (const AddressRange& remote : one->remote) {
            if (remote.first.family != family) continue;
            if (!range) range = remote;
            range->last = std::max(range->last, remote.last);
        }
        if (range) spans.push_back({*range, one});
    }
    std::ranges::sort(spans, {}, [](const Span& span) { return span.range.first; });
    std::vector<Span> open;
    for (const Span& span : spans) {
        std::erase_if(open, [&](const Span& other) { return other.range.last < span.range.first; });
        for (const Span& other : open) {
            if (problems.full()) return;
            const Traffic& a = *other.traffic;
            const Traffic& b = *span.traffic;
            if (a.action == b.action && a.sa == b.sa) continue;
            if (const auto where = overlap(a, b))
                if (said.emplace(std::minmax(a.item, b.item), true).second) report(a, b, *where, problems);
        }
        open.push_back(span);
    }
}

bool covers(const std::vector<AddressRange>& outer, const std::vector<AddressRange>& inner) {
    return std::ranges::all_of(inner, [&](const AddressRange& one) {
        return std::ranges::any_of(outer, [&](const AddressRange& other) { return other.contains(one.first) && other.contains(one.last); });
    });
}

/// Does every packet of `b` match `a`?
bool covers(const Traffic& a, const Traffic& b) {
    if (a.vpn != b.vpn || (a.reach != PolicyReach::both && a.reach != b.reach) || (a.protocol != 0 && a.protocol != b.protocol))
        return false;
    return a.local_ports.covers(b.local_ports) && a.remote_ports.covers(b.remote_ports) && covers(a.local, b.local) &&
           covers(a.remote, b.remote);
}

std::vector<Traffic> sorted_by_address(std::vector<Traffic> traffic) {
    const auto by_address = [](const AddressRange& range) { return std::pair(range.first.family, range.first.octets); };
    for (Traffic& one : traffic) {
        std::ranges::sort(one.local, {}, by_address);
        std::ranges::sort(one.remote, {}, by_address);
    }
    return traffic;
}

bool lets_in(const Traffic& traffic) { return traffic.action == PolicyAction::bypass && reaches(traffic.reach, Direction::inbound); }

} // namespace

void check_hidden(const std::vector<Traffic>& traffic, Problems& problems) {
    constexpr unsigned most_pairs = 4'000'000;
    const std::vector<Traffic> sorted = sorted_by_address(traffic);
    std::vector<const Traffic*> ordered;
    for (const Traffic& one : sorted) ordered.push_back(&one);
    std::ranges::stable_sort(ordered, {}, [](const Traffic* one) { return one->priority; });
    unsigned pairs = 0;
    for (auto b = ordered.begin(); b != ordered.end(); ++b)
        for (auto a = ordered.begin(); a != b; ++a) {
            if (++pairs > most_pairs) return;
            const Traffic &before = **a, &behind = **b;
            if (covers(before, behind)) {
                problems.warn(behind.item->place, behind.item->path(),
                              std::format("it never matches: {} in {}, of priority {}, comes first and matches the same",
                                          before.item->path(), problems.text(before.item->place), before.priority),
                              "give it a lower priority, or remove it");
                break;
            }
            if (before.vpn != behind.vpn && lets_in(before) && lets_in(behind) && overlap(before, behind))
                problems.warn(
                    behind.item->place, behind.item->path(),
                    std::format("clear packets from the black side that it lets in belong to {} in {}, of another VPN, as well, and "
                                "go there",
                                before.item->path(), problems.text(before.item->place)),
                    "give the VPNs different addresses, or let one out only: direction = \"out\"");
        }
}

void check_overlaps(const std::vector<Traffic>& traffic, Problems& problems) {
    const std::vector<Traffic> sorted = sorted_by_address(traffic);
    std::map<std::pair<VpnNumber, std::uint32_t>, std::vector<const Traffic*>> groups;
    for (const Traffic& one : sorted) groups[{one.vpn, one.priority}].push_back(&one);
    std::map<std::pair<const Item*, const Item*>, bool> said;
    for (const auto& [key, group] : groups)
        for (const Family family : {Family::ipv4, Family::ipv6}) check_group(group, family, problems, said);
}

void check_unique(const std::vector<PlacedSa>& sas, Problems& problems) {
    std::map<std::pair<std::uint32_t, VpnNumber>, const PlacedSa*> inbound;
    std::map<std::tuple<std::uint32_t, Address, VpnNumber>, const PlacedSa*> outbound;
    for (const PlacedSa& one : sas) {
        const SaSpec& sa = *one.sa;
        const bool in = sa.direction == Direction::inbound;
        const Key key = in ? Key::connection_spi_in : Key::connection_spi_out;
        const auto [other, fresh] = in ? [&] {
            const auto [at, ok] = inbound.emplace(std::pair(sa.spi, sa.outer_vpn), &one);
            return std::pair(at->second, ok);
        }()
                                       : [&] {
                                             const auto [at, ok] = outbound.emplace(std::tuple(sa.spi, sa.outer_remote, sa.outer_vpn),
                                                                                    &one);
                                             return std::pair(at->second, ok);
                                         }();
        if (!fresh)
            problems.add(one.item->place_of(key), one.item->path(key),
                         std::format("SPI {:#x} is already that of {} in {}", sa.spi, other->item->path(),
                                     problems.text(other->item->place_of(key))),
                         in ? "every connection of an outer VPN receives on an SPI of its own"
                            : "a peer tells its connections apart by SPI");
    }
    // Equal keys: the same counter under the same key is a nonce used twice, and a packet sent back would be accepted.
    std::vector<const PlacedSa*> by_key;
    for (const PlacedSa& one : sas)
        if (one.sa->key.size != 0) by_key.push_back(&one);
    const auto octets = [](const PlacedSa* one) { return std::span(one->sa->key.octets).first(one->sa->key.size); };
    std::ranges::stable_sort(
        by_key, [&](const PlacedSa* a, const PlacedSa* b) { return std::ranges::lexicographical_compare(octets(a), octets(b)); });
    for (std::size_t i = 1; i < by_key.size(); ++i) {
        if (!std::ranges::equal(octets(by_key[i - 1]), octets(by_key[i]))) continue;
        const auto path = [](const PlacedSa* one) {
            const bool in = one->sa->direction == Direction::inbound;
            const Key key = in ? Key::connection_key_in : Key::connection_key_out;
            const Key file = in ? Key::connection_key_in_file : Key::connection_key_out_file;
            return one->item->given(key) ? key : file;
        };
        const PlacedSa* const a = by_key[i - 1];
        const PlacedSa* const b = by_key[i];
        problems.add(b->item->place_of(path(b)), b->item->path(path(b)),
                     std::format("the key is the same as {} in {}", a->item->path(path(a)), problems.text(a->item->place_of(path(a)))),
                     "every direction of every connection needs a key of its own, made at random");
    }
}

} // namespace sallyport::config
