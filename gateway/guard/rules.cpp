// SPDX-License-Identifier: Apache-2.0
#include "gateway/guard/rules.hpp"

#include <algorithm>
#include <format>

namespace sallyport::guard {
namespace {

// Before connection tracking, and before what other tables say at the usual places.
constexpr std::string_view forward = "type filter hook forward priority -310;";
constexpr std::string_view input = "type filter hook input priority -310;";
constexpr std::string_view output = "type filter hook output priority -310;";

constexpr std::size_t longest_name = 15; // of an interface

bool can_be_said(const std::string& interface) { return interface.find_first_of("\"\\*") == std::string::npos; }

std::string list(const std::vector<std::string>& items) {
    std::string text;
    for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
    return "{ " + text + " }";
}

std::string quoted(const std::vector<std::string>& names) {
    std::vector<std::string> items;
    for (const std::string& name : names)
        if (can_be_said(name)) items.push_back('"' + name + '"');
    return list(items);
}

std::string text_of(const Prefix& prefix) { return std::format("{}/{}", to_string(prefix.address), prefix.length); }

std::string_view word(Family family) { return family == Family::ipv4 ? "ip" : "ip6"; }

constexpr Family families[] = {Family::ipv4, Family::ipv6};

std::vector<std::string> of_family(const std::vector<Prefix>& prefixes, Family family) {
    std::vector<std::string> result;
    for (const Prefix& prefix : prefixes)
        if (prefix.address.family == family) result.push_back(text_of(prefix));
    return result;
}

// A set that may hold networks inside each other.
std::string set(const std::string& name, Family family, const std::vector<std::string>& elements) {
    return std::format("  set {} {{ type {}; flags interval; auto-merge; elements = {}; }}\n", name,
                       family == Family::ipv4 ? "ipv4_addr" : "ipv6_addr", list(elements));
}

class Text {
public:
    std::string sets, forwarding, coming, leaving;

    // "ip saddr @name" of the networks of a family; empty: there are none.
    std::string match(std::string_view field, Family family, const std::vector<std::string>& elements) {
        if (elements.empty()) return {};
        const std::string name = std::format("networks{}", ++count_);
        sets += set(name, family, elements);
        return std::format("{} {} @{} ", word(family), field, name);
    }

    [[nodiscard]] std::string table_text(std::string_view forward_policy) const {
        return std::format("add table inet {0}\ndelete table inet {0}\ntable inet {0} {{\n{1}  chain forward {{ {2} policy {3};\n{4}  }}\n"
                           "  chain input {{ {5} policy accept;\n{6}  }}\n  chain output {{ {7} policy accept;\n{8}  }}\n}}\n",
                           table, sets, forward, forward_policy, forwarding, input, coming, output, leaving);
    }

private:
    unsigned count_ = 0;
};

// The longest prefixes first, and neighbours of one kind together: then the first rule that matches is the longest prefix.
void add_way(const Way& way, Text& text) {
    const std::string by = way.interface.empty() ? "" : std::format("oifname \"{}\" ", way.interface);
    for (const Family family : families) {
        std::vector<Destination> ordered;
        for (const Destination& one : way.destinations)
            if (one.prefix.address.family == family) ordered.push_back(one);
        std::ranges::stable_sort(ordered, std::ranges::greater{}, [](const Destination& one) { return one.prefix.length; });
        for (auto at = ordered.begin(); at != ordered.end();) {
            const auto end = std::find_if(at, ordered.end(), [&](const Destination& one) { return one.exempt != at->exempt; });
            std::vector<std::string> elements;
            for (auto one = at; one != end; ++one) elements.push_back(text_of(one->prefix));
            text.leaving += std::format("    {}{}{}\n", by, text.match("daddr", family, elements), at->exempt ? "return" : "counter drop");
            at = end;
        }
    }
}

// ICMP errors of the kernel quote what it does not forward: before it asks the chain above, when a hop limit is used up.
std::string no_errors(const std::string& by) {
    return std::format("    {0}icmp type {{ destination-unreachable, time-exceeded, parameter-problem, redirect }} counter drop\n"
                       "    {0}icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem, nd-redirect }} "
                       "counter drop\n",
                       by);
}

} // namespace

std::string raise(const Wall& wall) {
    Text text;
    bool all_said = true;
    for (const std::string& port : wall.ports) {
        if (!can_be_said(port)) {
            all_said = false;
            continue;
        }
        for (const std::string_view direction : {"iifname", "oifname"}) {
            text.forwarding += std::format("    {} \"{}\" counter drop\n", direction, port);
            if (port.size() < longest_name) text.forwarding += std::format("    {} \"{}.*\" counter drop\n", direction, port);
        }
    }
    for (const Family family : families) {
        const std::vector<std::string> networks = of_family(wall.networks, family);
        for (const std::string_view field : {"saddr", "daddr"})
            if (const std::string match = text.match(field, family, networks); !match.empty())
                text.forwarding += std::format("    {}counter drop\n", match);
    }
    std::vector<std::string> within = wall.tunnels;
    within.emplace_back("lo");
    text.coming = std::format("    iifname {} accept\n", quoted(within));
    text.leaving = std::format("    oifname {} accept\n", quoted(within));
    if (!wall.networks.empty())
        for (const std::string& port : wall.ports)
            if (can_be_said(port)) text.leaving += no_errors(std::format("oifname \"{}\" ", port));
    for (const Family family : families)
        if (const std::string match = text.match("saddr", family, of_family(wall.sources, family)); !match.empty())
            text.coming += std::format("    {}counter drop\n", match);
    for (const Way& way : wall.ways)
        if (way.interface.empty() || can_be_said(way.interface)) add_way(way, text);
    return text.table_text(all_said ? "accept" : "drop");
}

std::string raise_blindly() {
    Text text;
    text.leaving = "    oifname \"lo\" accept\n" + no_errors("");
    return text.table_text("drop");
}

std::string lower() { return std::format("add table inet {0}\ndelete table inet {0}\n", table); }

} // namespace sallyport::guard
