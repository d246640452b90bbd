// SPDX-License-Identifier: Apache-2.0
#include "ike/selector/narrow.hpp"

#include <algorithm>

namespace sallyport::ike {
namespace {

std::optional<AddressRange> common(const AddressRange& one, const AddressRange& other) {
    if (one.first.family != other.first.family) return std::nullopt;
    const AddressRange both{std::max(one.first, other.first), std::min(one.last, other.last)};
    return both.first <= both.last ? std::optional(both) : std::nullopt;
}

std::optional<PortRange> common(const PortRange& one, const PortRange& other) {
    if (one.any()) return other;
    if (other.any()) return one;
    if (one.opaque() || other.opaque()) return one == other ? std::optional(one) : std::nullopt;
    const PortRange both{std::max(one.first, other.first), std::min(one.last, other.last)};
    return both.first <= both.last ? std::optional(both) : std::nullopt;
}

/// Can a packet match one on each side?
bool pair_up(const TrafficSelector& one, const TrafficSelector& other) {
    return one.addresses.first.family == other.addresses.first.family &&
           (one.protocol == 0 || other.protocol == 0 || one.protocol == other.protocol);
}

/// Each entry once, none that another contains; the order stays.
void tidy(std::vector<TrafficSelector>& selectors) {
    std::vector<TrafficSelector> kept;
    for (std::size_t i = 0; i < selectors.size(); ++i) {
        const auto contained = [&](std::size_t by) {
            return by != i && covers(selectors[by], selectors[i]) && (by < i || !covers(selectors[i], selectors[by]));
        };
        bool needless = false;
        for (std::size_t by = 0; by < selectors.size() && !needless; ++by) needless = contained(by);
        if (!needless) kept.push_back(selectors[i]);
    }
    selectors = std::move(kept);
}

std::vector<TrafficSelector> common(std::span<const TrafficSelector> policy, std::span<const TrafficSelector> proposed) {
    std::vector<TrafficSelector> both;
    if (policy.size() * proposed.size() > most_narrowed) return both;
    for (const TrafficSelector& asked : proposed)
        for (const TrafficSelector& allowed : policy)
            if (const auto shared = common(asked, allowed)) both.push_back(*shared);
    tidy(both);
    return both;
}

void drop_lonely(std::vector<TrafficSelector>& selectors, const std::vector<TrafficSelector>& others) {
    std::erase_if(selectors, [&](const TrafficSelector& one) {
        return std::ranges::none_of(others, [&](const TrafficSelector& other) { return pair_up(one, other); });
    });
}

} // namespace

std::optional<TrafficSelector> common(const TrafficSelector& one, const TrafficSelector& other) {
    if (one.protocol != 0 && other.protocol != 0 && one.protocol != other.protocol) return std::nullopt;
    const auto addresses = common(one.addresses, other.addresses);
    const auto ports = common(one.ports, other.ports);
    if (!addresses || !ports) return std::nullopt;
    return TrafficSelector{one.protocol != 0 ? one.protocol : other.protocol, *ports, *addresses};
}

bool covers(const TrafficSelector& outer, const TrafficSelector& inner) {
    return outer.addresses.first.family == inner.addresses.first.family && outer.addresses.first <= inner.addresses.first &&
           inner.addresses.last <= outer.addresses.last && (outer.protocol == 0 || outer.protocol == inner.protocol) &&
           outer.ports.covers(inner.ports);
}

bool covers(std::span<const TrafficSelector> outer, const TrafficSelector& inner) {
    return std::ranges::any_of(outer, [&](const TrafficSelector& one) { return covers(one, inner); });
}

SelectorPair narrow(const SelectorPair& policy, const SelectorPair& proposed) {
    SelectorPair answer{common(policy.local, proposed.local), common(policy.remote, proposed.remote)};
    drop_lonely(answer.local, answer.remote);
    drop_lonely(answer.remote, answer.local);
    return answer;
}

bool within(const SelectorPair& asked, const SelectorPair& answer) {
    const auto all = [](const std::vector<TrafficSelector>& outer, const std::vector<TrafficSelector>& inner) {
        return std::ranges::all_of(inner, [&](const TrafficSelector& one) { return covers(outer, one); });
    };
    return !answer.empty() && all(asked.local, answer.local) && all(asked.remote, answer.remote);
}

std::vector<Selector> pairs(const SelectorPair& selectors) {
    std::vector<Selector> all;
    for (const TrafficSelector& local : selectors.local)
        for (const TrafficSelector& remote : selectors.remote) {
            if (!pair_up(local, remote)) continue;
            Selector pair{local.addresses, remote.addresses, local.protocol != 0 ? local.protocol : remote.protocol, local.ports,
                          remote.ports};
            if (!std::ranges::contains(all, pair)) all.push_back(pair);
        }
    return all;
}

std::string to_string(std::span<const TrafficSelector> selectors) {
    std::string text;
    for (const TrafficSelector& one : selectors) {
        if (!text.empty()) text += ", ";
        text += to_string(one.addresses);
        if (one.protocol != 0) text += " protocol " + std::to_string(static_cast<unsigned>(one.protocol));
        if (one.ports.opaque())
            text += " opaque ports";
        else if (!one.ports.any())
            text += " ports " + std::to_string(one.ports.first) + "-" + std::to_string(one.ports.last);
    }
    return text.empty() ? "nothing" : text;
}

} // namespace sallyport::ike
