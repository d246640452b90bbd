// SPDX-License-Identifier: Apache-2.0
// Many rules with one key of their tuple: a tree that halves the space of addresses and ports until few rules are left (after HyperSplit,
// Qi, Xu, Yang, Xue, Li, INFOCOM 2009). Without it 10,000 port ranges between the same two hosts would be compared one by one. What a rule
// covers whole hides the rules behind it, so rules that differ in one field make a tree of linear size; for those that overlap in several
// there is a budget, and what is over it stays a list. Private to tables.
#pragma once

#include "gateway/tables/spd_rule.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace sallyport::tables {

template <class Number>
class SpdTrees {
    using Of = NumberOf<Number>;

public:
    /// `rules` outlives the trees and stays where it is. `with_ports` as in SpdRules.
    SpdTrees(const Rules<Number>& rules, bool with_ports) : rules_(rules), with_ports_(with_ports) {}

    /// A tree over the rules from `first` on, which are in their order. Gives its root. `one_protocol`: all of them name the same.
    [[nodiscard]] std::uint32_t add(std::uint32_t first, std::uint32_t count, bool one_protocol) {
        std::deque<Part> parts;
        std::vector<std::uint32_t> all(count);
        for (std::uint32_t i = 0; i < count; ++i) all[i] = first + i;
        std::size_t left = budget * std::size_t{count} + 4096; // of references to rules
        const auto root = static_cast<std::uint32_t>(nodes_.size());
        nodes_.emplace_back();
        parts.push_back({root, whole(), std::move(all)});
        for (; !parts.empty(); parts.pop_front()) {
            Part& part = parts.front();
            hide(part, one_protocol);
            Part low, high;
            if (part.rules.size() <= leaf_size || !halve(part, low, high) ||
                low.rules.size() + high.rules.size() > left + part.rules.size()) {
                lay_leaf(part);
                continue;
            }
            left = left + part.rules.size() - low.rules.size() - high.rules.size();
            low.node = static_cast<std::uint32_t>(nodes_.size());
            high.node = low.node + 1;
            nodes_[part.node].next = low.node;
            nodes_.resize(nodes_.size() + 2);
            parts.push_back(std::move(low));
            parts.push_back(std::move(high));
        }
        return root;
    }

    void prefetch(std::uint32_t root) const { __builtin_prefetch(&nodes_[root]); }

    /// The first rule of the tree that matches and comes before `best`; else `best`.
    [[nodiscard]] const Rule<Number>* find(std::uint32_t root, const Packet<Number>& packet, const Rule<Number>* best) const {
        const std::array<Number, 4> at{packet.source, packet.destination, Of::small(packet.source_port),
                                       Of::small(packet.destination_port)};
        const Node* node = &nodes_[root];
        while (node->field != leaf) node = &nodes_[node->next + (at[node->field] >= node->cut)];
        for (std::uint32_t i = node->next; i < node->next + node->count; ++i) {
            const Rule<Number>& rule = rules_[leaves_[i]];
            if (best != nullptr && rule.order >= best->order) break;
            if (rule.matches(packet, with_ports_)) return &rule;
        }
        return best;
    }

private:
    static constexpr std::size_t leaf_size = 4;
    static constexpr std::size_t budget = 8; // references a rule
    static constexpr std::uint8_t leaf = 4;

    struct Node {
        Number cut{};           // below it: the first child
        std::uint32_t next = 0; // first child, the other one behind it; of a leaf: its first rule in leaves_
        std::uint32_t count = 0;
        std::uint8_t field = leaf; // source, destination, source port, destination port
    };
    struct Span {
        Number first{}, last{};
    };
    using Box = std::array<Span, 4>;
    struct Part {
        std::uint32_t node = 0;
        Box box;
        std::vector<std::uint32_t> rules;
    };

    static Box whole() {
        const Span address{Number{}, Of::mask(Of::bits)}, port{Number{}, Of::small(65535)};
        return {address, address, port, port};
    }
    [[nodiscard]] Span span_of(const Rule<Number>& rule, unsigned field) const {
        if (field == 0) return {rule.source_first, rule.source_last};
        if (field == 1) return {rule.destination_first, rule.destination_last};
        const PortRange& ports = field == 2 ? rule.source_ports : rule.destination_ports;
        if (!with_ports_ || ports.opaque()) return {Number{}, Of::small(65535)};
        return {Of::small(ports.first), Of::small(ports.last)};
    }
    /// Does the rule match every packet of the box that comes here?
    [[nodiscard]] bool covers(const Rule<Number>& rule, const Box& box, bool one_protocol) const {
        if (!one_protocol && rule.protocol != 0) return false;
        if (with_ports_ && !rule.any_ports && (!rule.names_ports() || !(has_ports(rule.protocol) || has_type(rule.protocol)))) return false;
        for (unsigned field = 0; field < 4; ++field) {
            const Span span = span_of(rule, field);
            if (span.first > box[field].first || span.last < box[field].last) return false;
        }
        return true;
    }
    void hide(Part& part, bool one_protocol) const {
        const auto covering = std::ranges::find_if(part.rules, [&](std::uint32_t i) { return covers(rules_[i], part.box, one_protocol); });
        if (covering != part.rules.end()) part.rules.erase(covering + 1, part.rules.end());
    }

    /// Where the rules' bounds in this field have their median, if any lies inside the box.
    [[nodiscard]] bool median(const Part& part, unsigned field, std::vector<Number>& bounds, Number& cut) const {
        bounds.clear();
        const Span& box = part.box[field];
        for (const std::uint32_t i : part.rules) {
            const Span span = span_of(rules_[i], field);
            if (span.first > box.first && span.first <= box.last) bounds.push_back(span.first);
            if (span.last >= box.first && span.last < box.last) bounds.push_back(Of::next(span.last));
        }
        if (bounds.empty()) return false;
        const auto middle = bounds.begin() + static_cast<std::ptrdiff_t>(bounds.size() / 2);
        std::ranges::nth_element(bounds, middle);
        cut = *middle;
        return true;
    }
    [[nodiscard]] bool halve(const Part& part, Part& low, Part& high) {
        std::vector<Number> bounds;
        std::size_t least = ~std::size_t{0};
        Node& node = nodes_[part.node];
        for (unsigned field = 0; field < (with_ports_ ? 4U : 2U); ++field) {
            Number cut;
            if (!median(part, field, bounds, cut)) continue;
            std::size_t below = 0, above = 0;
            for (const std::uint32_t i : part.rules) {
                const Span span = span_of(rules_[i], field);
                below += static_cast<std::size_t>(span.first < cut);
                above += static_cast<std::size_t>(span.last >= cut);
            }
            const std::size_t cost = below * below + above * above;
            if (cost >= least) continue;
            least = cost;
            node.field = static_cast<std::uint8_t>(field);
            node.cut = cut;
        }
        if (node.field == leaf) return false;
        low.box = high.box = part.box;
        low.box[node.field].last = Of::before(node.cut);
        high.box[node.field].first = node.cut;
        for (const std::uint32_t i : part.rules) {
            const Span span = span_of(rules_[i], node.field);
            if (span.first < node.cut) low.rules.push_back(i);
            if (span.last >= node.cut) high.rules.push_back(i);
        }
        return true;
    }
    void lay_leaf(const Part& part) {
        nodes_[part.node] = {{}, static_cast<std::uint32_t>(leaves_.size()), static_cast<std::uint32_t>(part.rules.size()), leaf};
        leaves_.insert(leaves_.end(), part.rules.begin(), part.rules.end());
    }

    const Rules<Number>& rules_;
    bool with_ports_;
    std::vector<Node> nodes_;
    std::vector<std::uint32_t> leaves_; // indices of rules
};

} // namespace sallyport::tables
