// SPDX-License-Identifier: Apache-2.0
#include "gateway/tables/spd.hpp"

#include "gateway/tables/spd_index.hpp"
#include "gateway/tables/spd_order.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/wire/udp.hpp"

#include <array>
#include <bit>

namespace sallyport::tables {

namespace {

constexpr std::size_t most_rules = std::size_t{1} << 24;
constexpr std::size_t most_prefixes = 4; // of one range; a range that needs more lies under its one enclosing prefix

template <class Number>
Packet<Number> packet_of(const Frame& frame) {
    const std::uint8_t* header = frame.at(frame.network);
    Packet<Number> packet;
    if constexpr (sizeof(Number) == 4) {
        packet.source = NumberOf<Number>::load(header + wire::ipv4_source);
        packet.destination = NumberOf<Number>::load(header + wire::ipv4_destination);
    } else {
        packet.source = NumberOf<Number>::load(header + wire::ipv6_source);
        packet.destination = NumberOf<Number>::load(header + wire::ipv6_destination);
    }
    packet.protocol = frame.protocol;
    if ((frame.flags & frame_ports) != 0) [[likely]] {
        packet.source_port = wire::load16(frame.at(frame.transport) + wire::source_port_offset);
        packet.destination_port = wire::load16(frame.at(frame.transport) + wire::destination_port_offset);
        packet.ports_known = true;
    } else if ((frame.flags & frame_type) != 0) {
        packet.source_port = wire::type_of(frame);
        packet.ports_known = true;
    }
    return packet;
}

/// The longest prefix that holds the whole range.
Prefix enclosing(const AddressRange& range) {
    unsigned length = 0;
    for (; length < range.first.bits(); ++length) {
        const unsigned bit = 0x80U >> (length % 8);
        if (((range.first.octets[length / 8] ^ range.last.octets[length / 8]) & bit) != 0) break;
    }
    Prefix prefix{range.first, static_cast<std::uint8_t>(length)};
    for (unsigned bit = length; bit < range.first.bits(); ++bit)
        prefix.address.octets[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> (bit % 8)));
    return prefix;
}

std::vector<Prefix> cover(const AddressRange& range) {
    std::vector<Prefix> prefixes = prefixes_of(range);
    if (prefixes.size() > most_prefixes) prefixes = {enclosing(range)};
    return prefixes;
}

DropReason outcome(const Policy& policy, Direction direction) {
    switch (policy.action) {
    case PolicyAction::bypass: return DropReason::none;
    case PolicyAction::discard: return DropReason::policy_discard;
    case PolicyAction::protect: break;
    }
    if (direction == Direction::inbound) return DropReason::should_be_protected;
    return policy.sa == nullptr ? DropReason::no_sa : DropReason::none;
}

template <class Number>
using Drafts = std::vector<typename SpdRules<Number>::Draft>;

template <class Number>
void draft(Drafts<Number>& drafts, const Policy& policy, const Selector& selector, Direction direction, std::uint32_t order) {
    const bool out = direction == Direction::outbound;
    const AddressRange& source = out ? selector.local : selector.remote;
    const AddressRange& destination = out ? selector.remote : selector.local;
    const auto load = [](const Address& address) { return NumberOf<Number>::load(address.octets.data()); };
    Rule<Number> rule;
    rule.source_first = load(source.first);
    rule.source_last = load(source.last);
    rule.destination_first = load(destination.first);
    rule.destination_last = load(destination.last);
    rule.source_ports = out ? selector.local_ports : selector.remote_ports;
    rule.destination_ports = out ? selector.remote_ports : selector.local_ports;
    if (has_type(selector.protocol)) rule.destination_ports = {};
    rule.any_ports = rule.source_ports.any() && rule.destination_ports.any();
    rule.protocol = selector.protocol;
    rule.reason = outcome(policy, direction);
    rule.sa = policy.action == PolicyAction::protect ? policy.sa : nullptr;
    rule.vpn = policy.vpn;
    rule.order = order;
    rule.number = policy.number;
    rule.connection = policy.action == PolicyAction::protect ? policy.connection : 0;
    for (const Prefix& from : cover(source))
        for (const Prefix& to : cover(destination))
            drafts.push_back({{from.length, to.length, rule.protocol != 0, rule.source_ports.first == rule.source_ports.last,
                               rule.destination_ports.first == rule.destination_ports.last},
                              load(from.address),
                              load(to.address),
                              rule});
}

/// The rules of one family: as packets meet them, and as fragments do, whose ports nobody knows.
template <class Number>
class FamilyIndex {
public:
    explicit FamilyIndex(Drafts<Number> drafts)
        : names_protocols_(std::ranges::any_of(drafts, [](const auto& one) { return one.rule.protocol != 0; })),
          ask_ports_(std::ranges::any_of(drafts, [](const auto& one) { return !one.rule.any_ports; })),
          fragments_(ask_ports_ ? drafts : Drafts<Number>{}, false), rules_(std::move(drafts), true) {}

    [[nodiscard]] const SpdRules<Number>& rules() const { return rules_; }
    /// For a fragment: null and `reason` set where a rule must be asked that names what is not known.
    [[nodiscard]] const Rule<Number>* find_fragment(const Packet<Number>& packet, DropReason& reason) const {
        const Rule<Number>* rule = (ask_ports_ ? fragments_ : rules_).find(packet);
        const bool opaque = rule != nullptr && rule->protocol == opaque_protocol;
        const bool unknown_protocol = packet.protocol == opaque_protocol && names_protocols_ && !opaque;
        if (unknown_protocol || (rule != nullptr && rule->names_ports())) {
            reason = DropReason::fragment_inner;
            return nullptr;
        }
        return rule;
    }

private:
    bool names_protocols_, ask_ports_;
    SpdRules<Number> fragments_;
    SpdRules<Number> rules_;
};

} // namespace

class SpdIndex {
public:
    struct Both {
        Drafts<std::uint32_t> ipv4;
        Drafts<Wide> ipv6;
    };
    explicit SpdIndex(Both drafts) : ipv4_(std::move(drafts.ipv4)), ipv6_(std::move(drafts.ipv6)) {}

    /// How many rules were added.
    static std::size_t add(Both& drafts, const Policy& policy, Direction direction, std::uint32_t order) {
        const std::size_t before = drafts.ipv4.size() + drafts.ipv6.size();
        for (const Selector& selector : policy.selectors) {
            if (selector.local.first.family == Family::ipv4)
                draft<std::uint32_t>(drafts.ipv4, policy, selector, direction, order);
            else
                draft<Wide>(drafts.ipv6, policy, selector, direction, order);
        }
        return drafts.ipv4.size() + drafts.ipv6.size() - before;
    }
    template <class Number>
    [[nodiscard]] const FamilyIndex<Number>& family() const {
        if constexpr (sizeof(Number) == 4)
            return ipv4_;
        else
            return ipv6_;
    }

private:
    FamilyIndex<std::uint32_t> ipv4_;
    FamilyIndex<Wide> ipv6_;
};

namespace {

template <class Number>
const Rule<Number>* decide(const SpdIndex& index, const Frame& frame, DropReason& reason) {
    const Packet<Number> packet = packet_of<Number>(frame);
    if ((frame.flags & frame_fragment) != 0) return index.family<Number>().find_fragment(packet, reason);
    return index.family<Number>().rules().find(packet);
}

template <class Number>
PolicyVerdict verdict(const SpdIndex& index, const Frame& frame, DropReason otherwise) {
    PolicyVerdict result;
    result.reason = otherwise;
    const Rule<Number>* rule = decide<Number>(index, frame, result.reason);
    if (rule == nullptr) return result;
    return {rule->reason, rule->vpn, rule->sa, rule->number, rule->connection};
}

PolicyVerdict verdict(const SpdIndex* index, const Frame& frame, DropReason otherwise) {
    if (index == nullptr) return {.reason = otherwise};
    return frame.family == 4 ? verdict<std::uint32_t>(*index, frame, otherwise) : verdict<Wide>(*index, frame, otherwise);
}

template <class Number>
void settle(Frame& frame, const Rule<Number>* rule) {
    if (rule == nullptr) {
        frame.reason = DropReason::no_policy;
        return;
    }
    frame.outbound = rule->sa;
    frame.reason = rule->reason;
    if (rule->sa != nullptr) {
        __builtin_prefetch(rule->sa);
        __builtin_prefetch(reinterpret_cast<const char*>(rule->sa) + 64);
    } else if (rule->reason == DropReason::no_sa) {
        frame.spi = rule->number;
    }
}

/// Frames of one VPN and family, none a fragment, in a table too large for the cache: look ahead, all frames a step at a time.
template <class Number>
void decide_ahead(const SpdRules<Number>& rules, std::span<Frame* const> frames) {
    std::array<std::uint64_t, 64> hashes;
    for (std::size_t i = 0; i < frames.size(); ++i) hashes[i] = rules.begin(packet_of<Number>(*frames[i]));
    for (std::size_t i = 0; i < frames.size(); ++i) rules.advance(hashes[i]);
    for (std::size_t i = 0; i < frames.size(); ++i) settle(*frames[i], rules.finish(packet_of<Number>(*frames[i]), hashes[i]));
}

template <class Number>
void decide_all(const SpdRules<Number>& rules, std::span<Frame* const> frames) {
    if (rules.empty()) {
        for (Frame* frame : frames) frame->reason = DropReason::no_policy;
        return;
    }
    if (!rules.small() && frames.size() > 1) return decide_ahead(rules, frames);
    Packet<Number> last;
    const Rule<Number>* rule = nullptr;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        const Packet<Number> packet = packet_of<Number>(*frames[i]);
        if (i == 0 || packet != last) rule = rules.find(packet);
        last = packet;
        settle(*frames[i], rule);
    }
}

} // namespace

Spd::Spd() = default;
Spd::~Spd() = default;
Spd::Spd(Spd&&) noexcept = default;

Result<std::unique_ptr<const Spd>> Spd::build(std::span<const Policy> policies, std::span<const Opening> openings) {
    struct Sides {
        SpdIndex::Both outbound, inbound;
    };
    std::vector<Sides> drafts;
    SpdIndex::Both all_inbound;
    std::vector<std::uint32_t> without_sa;
    std::size_t rules = 0;
    for (std::uint32_t order = 0; order < policies.size(); ++order) {
        const Policy& policy = policies[order];
        if (policy.action == PolicyAction::protect && policy.sa == nullptr) without_sa.push_back(policy.number);
        if (policy.vpn >= drafts.size()) drafts.resize(std::size_t{policy.vpn} + 1);
        if (reaches(policy.reach, Direction::outbound))
            rules += SpdIndex::add(drafts[policy.vpn].outbound, policy, Direction::outbound, order);
        if (reaches(policy.reach, Direction::inbound)) {
            rules += SpdIndex::add(drafts[policy.vpn].inbound, policy, Direction::inbound, order);
            SpdIndex::add(all_inbound, policy, Direction::inbound, order);
        }
        if (rules > most_rules)
            return std::unexpected(
                Error{ErrorCode::exhausted, "The policies make more than 16777216 rules.", {}, "use fewer or wider selectors"});
    }
    const auto index = [](SpdIndex::Both& both) {
        return both.ipv4.empty() && both.ipv6.empty() ? nullptr : std::make_unique<SpdIndex>(std::move(both));
    };
    auto spd = std::make_unique<Spd>();
    for (Sides& sides : drafts) {
        OfVpn& of_vpn = spd->by_vpn_.emplace_back();
        of_vpn.outbound = index(sides.outbound);
        of_vpn.inbound = index(sides.inbound);
    }
    spd->all_inbound_ = index(all_inbound);
    spd->acquires_ = Acquires(std::move(without_sa));
    spd->note_openings(policies, openings);
    return spd;
}

/// Marks the SAs of connections whose traffic meets policies of others first, and all that are still to come.
void Spd::note_openings(std::span<const Policy> policies, std::span<const Opening> openings) {
    const std::vector<OfConnection> overlapped = overlapped_connections(policies);
    if (overlapped.empty()) return;
    std::uint32_t known = 0;
    for (const Opening& opening : openings) known = std::max(known, opening.number + 1);
    ordered_.resize(known / 64 + 1);
    connection_.resize(64 * ordered_.size());
    ordered_.back() = ~std::uint64_t{0} << known % 64;
    for (const Opening& opening : openings) {
        connection_[opening.number] = opening.connection;
        if (std::ranges::binary_search(overlapped, OfConnection{opening.vpn, opening.connection}))
            ordered_[opening.number / 64] |= std::uint64_t{1} << opening.number % 64;
    }
}

const Spd::OfVpn& Spd::of(VpnNumber vpn) const {
    static const OfVpn none;
    return vpn < by_vpn_.size() ? by_vpn_[vpn] : none;
}

void Spd::decide_outbound(std::span<Frame* const> frames) const {
    for (std::size_t first = 0, next = 0; first < frames.size(); first = next) {
        const Frame& frame = *frames[first];
        const SpdIndex* index = of(frame.vpn).outbound.get();
        next = first + 1;
        if (index == nullptr || (frame.flags & frame_fragment) != 0) {
            const PolicyVerdict result = verdict(index, frame, DropReason::no_policy);
            frames[first]->outbound = result.sa;
            frames[first]->reason = result.reason;
            if (result.reason == DropReason::no_sa) frames[first]->spi = result.number;
            continue;
        }
        while (next < frames.size() && frames[next]->vpn == frame.vpn && frames[next]->family == frame.family &&
               (frames[next]->flags & frame_fragment) == 0)
            ++next;
        const std::span<Frame* const> run = frames.subspan(first, next - first);
        if (frame.family == 4)
            decide_all(index->family<std::uint32_t>().rules(), run);
        else
            decide_all(index->family<Wide>().rules(), run);
    }
}

PolicyVerdict Spd::decide_outbound(const Frame& frame) const { return verdict(of(frame.vpn).outbound.get(), frame, DropReason::no_policy); }

PolicyVerdict Spd::decide_inbound(const Frame& frame) const {
    const SpdIndex* index = frame.vpn == wan_vpn ? all_inbound_.get() : of(frame.vpn).inbound.get();
    return verdict(index, frame, DropReason::transit_from_black);
}

DropReason Spd::check_opened(const Frame& frame) const {
    const PolicyVerdict found = verdict(of(frame.vpn).inbound.get(), frame, DropReason::policy_mismatch);
    if (found.reason == DropReason::fragment_inner) return found.reason;
    const std::uint32_t number = frame.inbound->number, owner = number < connection_.size() ? connection_[number] : 0;
    const bool own = found.reason == DropReason::should_be_protected && owner != 0 && found.connection == owner;
    return own ? DropReason::none : DropReason::policy_mismatch;
}

} // namespace sallyport::tables
