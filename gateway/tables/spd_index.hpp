// SPDX-License-Identifier: Apache-2.0
// Tuple-space search (Srinivasan, Suri, Varghese, SIGCOMM 1999) over the rules of one SPD and one family. Rules whose prefixes have the
// same lengths and that name protocol and ports alike make a tuple; within a tuple one probe of a hash table finds them. Where there are
// too many tuples they are joined (after TupleMerge, Daly et al., IEEE/ACM ToN 2019), and where many rules have one key a tree finds the
// first. Private to tables.
#pragma once

#include "gateway/tables/spd_rule.hpp"
#include "gateway/tables/spd_tree.hpp"

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace sallyport::tables {

/// Which bits of a packet make the key of a tuple.
struct Shape {
    std::uint8_t source_length = 0, destination_length = 0;
    bool protocol = false, source_port = false, destination_port = false;
    auto operator<=>(const Shape&) const = default;
};

/// The same, coarser: what has a coarse shape is found by fewer probes, among more rules. Level 0 leaves it as it is.
inline Shape coarse(Shape shape, unsigned level, unsigned bits) {
    constexpr std::array<unsigned, 5> steps{1, 8, 4, 4, 4}; // level 1: 8 lengths, further ones: 4
    const unsigned step = level == 0 ? 1 : bits / steps[level];
    shape.source_length = static_cast<std::uint8_t>(shape.source_length - shape.source_length % step);
    shape.destination_length = static_cast<std::uint8_t>(shape.destination_length - shape.destination_length % step);
    if (level >= 3) shape.source_port = shape.destination_port = false;
    if (level >= 4) shape.protocol = false;
    return shape;
}
inline constexpr unsigned coarsest = 4;

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
    SpdRules(std::vector<Draft> drafts, bool with_ports) : with_ports_(with_ports), trees_(rules_, with_ports) {
        if (!with_ports)
            for (Draft& draft : drafts) draft.shape.source_port = draft.shape.destination_port = false;
        join_tuples(drafts);
        lay_tuples(drafts);
        lay_rules(drafts);
    }
    SpdRules(const SpdRules&) = delete; // the trees know where the rules lie
    SpdRules& operator=(const SpdRules&) = delete;

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
        if (slot.first == nothing) return;
        if ((slot.first & is_tree) != 0)
            trees_.prefetch(slot.first & ~is_tree);
        else
            __builtin_prefetch(&rules_[slot.first]);
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
    static constexpr std::uint32_t is_tree = 0x80000000;
    static constexpr std::size_t longest_run = 8; // that is walked through
    static constexpr std::size_t most_tuples = 32;

    struct Tuple {
        Number source_mask, destination_mask;
        std::uint16_t source_port_mask, destination_port_mask;
        std::uint8_t protocol_mask;
        std::uint32_t salt;   // keeps the keys of different tuples apart
        std::uint32_t lowest; // order of its first rule; tuples are sorted by it
    };
    struct Slot {
        std::uint32_t tag = 0;
        std::uint32_t first = nothing; // of a run of rules with one key, by order; with is_tree: the root of its tree
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
            if ((slot.first & is_tree) != 0) [[unlikely]] {
                best = trees_.find(slot.first & ~is_tree, packet, best);
                continue;
            }
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

    static void join_tuples(std::vector<Draft>& drafts) {
        unsigned level = 0;
        for (; level < coarsest; ++level) {
            std::set<Shape> shapes;
            for (const Draft& draft : drafts) shapes.insert(coarse(draft.shape, level, Of::bits));
            if (shapes.size() <= most_tuples) break;
        }
        if (level != 0)
            for (Draft& draft : drafts) draft.shape = coarse(draft.shape, level, Of::bits);
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
            rules_.push_back(keyed[i].draft->rule);
            rules_.back().last = i + 1 == keyed.size() || keyed[i + 1].hash != keyed[i].hash;
        }
        for (std::size_t i = 0, end = 0; i < keyed.size(); i = end) {
            for (end = i + 1; end < keyed.size() && keyed[end].hash == keyed[i].hash;) ++end;
            std::uint64_t at = keyed[i].hash;
            while (slots_[at & mask_].first != nothing) ++at;
            slots_[at & mask_] = {tag_of(keyed[i].hash), run(static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(end))};
        }
        // Only now may the tuples move: their salts are in the hashes.
        std::ranges::sort(tuples_, {}, &Tuple::lowest);
        shapes_.clear();
    }

    /// What a slot says of a run: where it begins, or the root of its tree.
    [[nodiscard]] std::uint32_t run(std::uint32_t first, std::uint32_t end) {
        if (end - first <= longest_run) return first;
        bool one_protocol = true;
        for (std::uint32_t i = first; i < end; ++i) one_protocol = one_protocol && rules_[i].protocol == rules_[first].protocol;
        return trees_.add(first, end - first, one_protocol) | is_tree;
    }

    [[nodiscard]] std::uint64_t key_hash(const Draft& draft) const {
        const Rule<Number>& rule = draft.rule;
        return hash_of({draft.source, draft.destination, rule.source_ports.first, rule.destination_ports.first, rule.protocol, true},
                       tuples_[shapes_.find(draft.shape)->second]);
    }

    bool with_ports_;
    std::vector<Tuple> tuples_;
    std::vector<Slot, HugePages<Slot>> slots_;
    std::uint64_t mask_ = 0;
    Rules<Number> rules_;
    SpdTrees<Number> trees_;
    std::map<Shape, std::uint32_t> shapes_; // while building
};

} // namespace sallyport::tables
