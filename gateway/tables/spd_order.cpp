// SPDX-License-Identifier: Apache-2.0
#include "gateway/tables/spd_order.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

namespace sallyport::tables {

namespace {

constexpr std::uint32_t nobody = 0;           // no policy so far
constexpr std::uint32_t several = 0xffffffff; // bypass, discard, or more than one connection

/// Who has been seen at which addresses. A key holds from itself up to the next one; neighbours differ, so that a range that covers many
/// makes them one, and n ranges take n log n in all.
class Seen {
public:
    /// The range is `whose` now, too. True: somewhere in it another one was before.
    bool take(const Address& first, const Address& last, std::uint32_t whose) {
        const auto begin = split(first);
        const auto end = successor(last) ? split(*successor(last)) : owner_.end();
        bool other = false;
        for (auto at = begin; at != end; ++at) {
            if (at->second == nobody)
                at->second = whose;
            else if (at->second != whose)
                other = true, at->second = several;
        }
        join(begin, end);
        return other;
    }

private:
    using Map = std::map<Address, std::uint32_t>;

    static std::optional<Address> successor(Address address) {
        for (unsigned i = address.size(); i-- > 0;)
            if (++address.octets[i] != 0) return address;
        return std::nullopt;
    }
    Map::iterator split(const Address& at) {
        const auto after = owner_.upper_bound(at);
        const std::uint32_t owner = after == owner_.begin() ? nobody : std::prev(after)->second;
        return owner_.try_emplace(after, at, owner);
    }
    void join(Map::iterator at, Map::iterator end) {
        if (at != owner_.begin()) --at;
        for (auto next = std::next(at); next != owner_.end();) {
            const bool last = next == end;
            if (next->second == at->second)
                next = owner_.erase(next);
            else
                at = next++;
            if (last) break;
        }
    }
    Map owner_;
};

} // namespace

std::vector<OfConnection> overlapped_connections(std::span<const Policy> policies) {
    std::map<std::pair<VpnNumber, Family>, Seen> seen;
    std::set<OfConnection> found;
    for (const Policy& policy : policies) {
        if (!reaches(policy.reach, Direction::inbound)) continue;
        const std::uint32_t whose = policy.action == PolicyAction::protect && policy.connection != 0 ? policy.connection : several;
        for (const Selector& selector : policy.selectors)
            if (seen[{policy.vpn, selector.remote.first.family}].take(selector.remote.first, selector.remote.last, whose) &&
                whose != several)
                found.insert({policy.vpn, whose});
    }
    return {found.begin(), found.end()};
}

} // namespace sallyport::tables
