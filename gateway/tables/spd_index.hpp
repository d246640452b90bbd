// SPDX-License-Identifier: Apache-2.0
// Tuple-space search (Srinivasan, Suri, Varghese, SIGCOMM 1999) over the rules of one SPD and one family. Rules whose prefixes have the
// same lengths and that name protocol and ports alike make a tuple; within a tuple one probe of a hash table finds them. Private to tables.
#pragma once

#include "gateway/tables/spd.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/octets.hpp"

#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace sallyport::tables {

/// An IPv6 address in host order.
struct Wide {
    std::uint64_t high = 0, low = 0;
    auto operator<=>(const Wide&) const = default;
    bool operator==(const Wide&) const = default;
    Wide operator&(const Wide& other) const { return {high & other.high, low & other.low}; }
};

inline std::uint64_t mixed(std::uint64_t value) {
    value *= 0x9e3779b97f4a7c15U;
    return value ^ (value >> 32);
}

template <class Number>
struct NumberOf;

template <>
struct NumberOf<std::uint32_t> {
    static constexpr unsigned bits = 32;
    static std::uint32_t load(const std::uint8_t* octets) { return wire::load32(octets); }
    static std::uint32_t mask(unsigned length) { return length == 0 ? 0 : ~0U << (32 - length); }
    static std::uint64_t hash(std::uint32_t source, std::uint32_t destination) { return mixed(std::uint64_t{source} << 32 | destination); }
};

template <>
struct NumberOf<Wide> {
    static constexpr unsigned bits = 128;
    static Wide load(const std::uint8_t* octets) { return {wire::load64(octets), wire::load64(octets + 8)}; }
    static std::uint64_t half_mask(unsigned length) { return length == 0 ? 0 : ~std::uint64_t{0} << (64 - length); }
    static Wide mask(unsigned length) {
        return length <= 64 ? Wide{half_mask(length), 0} : Wide{~std::uint64_t{0}, half_mask(length - 64)};
    }
    static std::uint64_t hash(const Wide& source, const Wide& destination) {
        return mixed(mixed(mixed(mixed(source.high) + source.low) + destination.high) + destination.low);
    }
};

/// What of a packet rules look at.
template <class Number>
struct Packet {
    Number source{}, destination{};
    std::uint16_t source_port = 0, destination_port = 0; // 0 where they are not known
    std::uint8_t protocol = 0;
    bool ports_known = false;
    bool operator==(const Packet&) const = default;
};

/// A selector as it is compared, with what becomes of the packet beside it: one cache line with IPv4, two with IPv6.
template <class Number>
struct alignas(64) Rule {
    Number source_first{}, source_last{}, destination_first{}, destination_last{};
    PortRange source_ports, destination_ports;
    const transform::OutboundSa* sa = nullptr;
    std::uint32_t order = 0; // place of the policy: the lowest decides
    std::uint32_t number = 0;
    VpnNumber vpn = 0;
    std::uint8_t protocol = 0;
    DropReason reason = DropReason::none;
    bool names_ports = false;
    bool last = false; // of its run

    [[nodiscard]] bool matches(const Packet<Number>& packet, bool with_ports) const {
        if (packet.source < source_first || packet.source > source_last || packet.destination < destination_first ||
            packet.destination > destination_last || (protocol != 0 && protocol != packet.protocol))
            return false;
        return !names_ports || !with_ports ||
               (packet.ports_known && source_ports.contains(packet.source_port) && destination_ports.contains(packet.destination_port));
    }
};

/// Which bits of a packet make the key of a tuple.
struct Shape {
    std::uint8_t source_length = 0, destination_length = 0;
    bool protocol = false, source_port = false, destination_port = false;
    auto operator<=>(const Shape&) const = default;
};

template <class Number>
class SpdRules {
    using Of = NumberOf<Number>;

public:
    /// A rule before it is laid down: with its shape, once for each pair of prefixes that covers it.
    struct Draft {
        Shape shape;
        Number source{}, destination{}; // of the prefixes
        Rule<Number> rule;
    };

    /// `with_ports` false: for fragments; ports neither choose a tuple nor are they compared.
    SpdRules(std::vector<Draft> drafts, bool with_ports) : with_ports_(with_ports) {
        if (!with_ports)
            for (Draft& draft : drafts) draft.shape.source_port = draft.shape.destination_port = false;
        lay_tuples(drafts);
        lay_rules(drafts);
    }

    [[nodiscard]] bool empty() const { return rules_.empty(); }
    /// Everything fits the first-level cache: fetching ahead costs more than it gains.
    [[nodiscard]] bool small() const { return rules_.size() <= 64; }

    /// Hash for the first tuple, and its slot on its way to the cache.
    [[nodiscard]] std::uint64_t begin(const Packet<Number>& packet) const {
        const std::uint64_t hash = hash_of(packet, tuples_.front());
        __builtin_prefetch(&slots_[hash & mask_]);
        return hash;
    }
    /// The slot has come: its rules now.
    void advance(std::uint64_t hash) const {
        const Slot& slot = slots_[hash & mask_];
        if (slot.first != nothing) __builtin_prefetch(&rules_[slot.first]);
    }
    /// The first rule that matches, null: none. `hash` is from begin().
    [[nodiscard]] const Rule<Number>* finish(const Packet<Number>& packet, std::uint64_t hash) const {
        const Rule<Number>* best = probe(packet, hash, nullptr);
        for (std::size_t i = 1; i < tuples_.size() && (best == nullptr || tuples_[i].lowest < best->order); ++i)
            best = probe(packet, hash_of(packet, tuples_[i]), best);
        return best;
    }
    [[nodiscard]] const Rule<Number>* find(const Packet<Number>& packet) const {
        return rules_.empty() ? nullptr : finish(packet, hash_of(packet, tuples_.front()));
    }

private:
    static constexpr std::uint32_t nothing = 0xffffffff;
    struct Tuple {
        Number source_mask, destination_mask;
        std::uint16_t source_port_mask, destination_port_mask;
        std::uint8_t protocol_mask;
        std::uint32_t salt;   // keeps the keys of different tuples apart
        std::uint32_t lowest; // order of its first rule; tuples are sorted by it
    };
    struct Slot {
        std::uint32_t tag = 0;
        std::uint32_t first = nothing; // of a run of rules with one key, by order
    };

    [[nodiscard]] static std::uint64_t hash_of(const Packet<Number>& packet, const Tuple& tuple) {
        const std::uint64_t rest = std::uint64_t{tuple.salt} << 40 | std::uint64_t(packet.protocol & tuple.protocol_mask) << 32 |
                                   std::uint64_t(packet.source_port & tuple.source_port_mask) << 16 |
                                   std::uint64_t(packet.destination_port & tuple.destination_port_mask);
        return mixed(Of::hash(packet.source & tuple.source_mask, packet.destination & tuple.destination_mask) + rest);
    }
    [[nodiscard]] static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

    [[nodiscard]] const Rule<Number>* probe(const Packet<Number>& packet, std::uint64_t hash, const Rule<Number>* best) const {
        for (std::uint64_t at = hash;; ++at) {
            const Slot& slot = slots_[at & mask_];
            if (slot.first == nothing) return best;
            if (slot.tag != tag_of(hash)) continue;
            for (const Rule<Number>* rule = &rules_[slot.first];; ++rule) {
                if (best != nullptr && rule->order >= best->order) break;
                if (rule->matches(packet, with_ports_)) {
                    best = rule;
                    break;
                }
                if (rule->last) break;
            }
        }
    }

    void lay_tuples(const std::vector<Draft>& drafts) {
        std::map<Shape, std::uint32_t> lowest;
        for (const Draft& draft : drafts) {
            const auto [place, fresh] = lowest.try_emplace(draft.shape, draft.rule.order);
            if (!fresh) place->second = std::min(place->second, draft.rule.order);
        }
        for (const auto& [shape, order] : lowest) {
            shapes_.emplace(shape, static_cast<std::uint32_t>(shapes_.size()));
            tuples_.push_back({Of::mask(shape.source_length), Of::mask(shape.destination_length),
                               static_cast<std::uint16_t>(shape.source_port ? 0xffff : 0),
                               static_cast<std::uint16_t>(shape.destination_port ? 0xffff : 0),
                               static_cast<std::uint8_t>(shape.protocol ? 0xff : 0), static_cast<std::uint32_t>(tuples_.size()), order});
        }
    }

    void lay_rules(const std::vector<Draft>& drafts) {
        struct Keyed {
            std::uint64_t hash;
            const Draft* draft;
        };
        std::vector<Keyed> keyed;
        keyed.reserve(drafts.size());
        for (const Draft& draft : drafts) keyed.push_back({key_hash(draft), &draft});
        // Equal hashes of different keys make one run, too: rules are compared in full.
        std::ranges::sort(keyed, [](const Keyed& left, const Keyed& right) {
            return left.hash != right.hash ? left.hash < right.hash : left.draft->rule.order < right.draft->rule.order;
        });
        std::size_t count = 8;
        while (count < 2 * keyed.size() + 2) count *= 2;
        slots_.resize(count);
        mask_ = count - 1;
        rules_.reserve(keyed.size());
        for (std::size_t i = 0; i < keyed.size(); ++i) {
            if (i == 0 || keyed[i].hash != keyed[i - 1].hash) {
                std::uint64_t at = keyed[i].hash;
                while (slots_[at & mask_].first != nothing) ++at;
                slots_[at & mask_] = {tag_of(keyed[i].hash), static_cast<std::uint32_t>(i)};
            }
            rules_.push_back(keyed[i].draft->rule);
            rules_.back().last = i + 1 == keyed.size() || keyed[i + 1].hash != keyed[i].hash;
        }
        // Only now may the tuples move: their salts are in the hashes.
        std::ranges::sort(tuples_, {}, &Tuple::lowest);
        shapes_.clear();
    }

    [[nodiscard]] std::uint64_t key_hash(const Draft& draft) const {
        const Rule<Number>& rule = draft.rule;
        return hash_of({draft.source, draft.destination, rule.source_ports.first, rule.destination_ports.first, rule.protocol, true},
                       tuples_[shapes_.find(draft.shape)->second]);
    }

    bool with_ports_;
    std::vector<Tuple> tuples_;
    std::vector<Slot> slots_;
    std::uint64_t mask_ = 0;
    std::vector<Rule<Number>> rules_;
    std::map<Shape, std::uint32_t> shapes_; // while building
};

} // namespace sallyport::tables
