// SPDX-License-Identifier: Apache-2.0
// Tables for people.
#include "gateway/sa/features.hpp"
#include "mgmt/cli/commands.hpp"
#include "mgmt/cli/table.hpp"

#include <algorithm>
#include <format>
#include <map>

namespace sallyport::cli {
namespace {

using varlink::Json;

std::string number(const Json& value) { return std::to_string(value.number()); }

/// The elements of a list of texts, at most three of them.
std::string some(const Json& list) {
    const std::vector<Json> items = list.items();
    std::string result;
    for (std::size_t i = 0; i < items.size() && i < 3; ++i) result += (i == 0 ? "" : ", ") + items[i].text();
    if (items.size() > 3) result += std::format(" and {} more", items.size() - 3);
    return result;
}

std::string vlans(const Json& list) {
    std::string result;
    for (const Json& vlan : list.items()) {
        result += result.empty() ? "" : ", ";
        result += vlan["id"].number() == 0 ? vlan["vpn"].text() : std::format("{} = {}", vlan["id"].number(), vlan["vpn"].text());
    }
    return result;
}

std::string ports_text(const Json& status) {
    Table table({"PORT", "ROLE", "LINK", "XDP", ">MTU", "VPN", "DRIVER", "MAC"});
    for (const Json& port : status["ports"].items()) {
        const std::string link = !port["present"].flag() ? "gone" : port["up"].flag() ? "up" : "down";
        table.add({port["interface"].text(), port["role"].text(), link, port["mode"].text(), number(port["mtu"]), vlans(port["vlans"]),
                   port["driver"].text(), port["mac"].text()});
    }
    return table.text();
}

std::string workers_text(const Json& status) {
    Table table({"WORKER", ">CORE", ">SEALED", ">OPENED", ">BYPASSED", ">HANDED OVER", ">SLEEPS"});
    for (const Json& worker : status["workers"].items())
        table.add({number(worker["index"]), worker["core"].has_value() ? number(worker["core"]) : "any", number(worker["sealed"]),
                   number(worker["opened"]), number(worker["bypassed"]), number(worker["handedOver"]), number(worker["sleeps"])});
    return table.text();
}

std::string connections_text(const Json& status) {
    Table table({"CONNECTION", "PEER", "VPN", "STATE"});
    for (const Json& one : status["connections"].items())
        table.add({one["name"].text(), one["peer"].text(), one["vpn"].text(), one["up"].flag() ? "up" : "down: " + one["reason"].text()});
    return table.empty() ? "" : "\n" + table.text();
}

} // namespace

std::string status_text(const Json& status, std::uint64_t now) {
    const std::uint64_t started = status["started"].number();
    std::string text = std::format("sallyport-gateway {}, process {}", status["version"].text(), status["pid"].number());
    if (started != 0 && now >= started) text += std::format(", running for {}", duration(now - started));
    text += std::format("\nConfiguration  {}, generation {}\n", status["configuration"].text(), status["generation"].number());
    text += std::format("Cryptography   {}\n", status["engine"].text());
    const Json chunks = status["chunks"];
    text += std::format("Packet memory  {} of {} chunks free, {} to receive into, {} being sent, {} wait, {} kept back, {} in hand{}{}\n",
                        chunks["free"].number(), chunks["all"].number(), chunks["receiving"].number(), chunks["transmitting"].number(),
                        chunks["waiting"].number(), chunks["kept"].number(), chunks["inHand"].number(),
                        status["hugePages"].flag() ? ", huge pages" : "", status["zeroCopy"].flag() ? ", zero-copy" : "");
    text += std::format("Tables         {} SAs ({} refused), {} policies, {} routes, {} neighbours\n", status["sas"].number(),
                        status["sasRefused"].number(), status["policies"].number(), status["routes"].number(),
                        status["neighbours"].number());
    if (!status["trouble"].text().empty()) text += std::format("Trouble        {}\n", status["trouble"].text());
    return text + "\n" + ports_text(status) + "\n" + workers_text(status) + connections_text(status);
}

/// The peer's address, and its port where ESP goes to it in UDP.
std::string peer_text(const Json& sa) {
    std::string address = sa["remote"].text();
    if (sa["udpPort"].number() == 0) return address;
    return address.contains(':') ? std::format("[{}]:{}", address, sa["udpPort"].number())
                                 : std::format("{}:{}", address, sa["udpPort"].number());
}

std::string sa_text(const Json& list) {
    Table table({"CONNECTION", "DIRECTION", "SPI", "PEER", "VPN", "MODE", "ALGORITHM", "ESN", ">SEQUENCE", ">MARK", ">PACKETS", ">OCTETS",
                 ">ERRORS", ">MTU", ">WORKER", "STATE"});
    std::string refused;
    for (const Json& sa : list["sas"].items()) {
        table.add({sa["name"].text(), sa["direction"].text(), std::format("{:#010x}", sa["spi"].number()), peer_text(sa), sa["vpn"].text(),
                   (sa["protocol"].text() == "ah" ? "ah " : "") + sa["mode"].text(), sa["algorithm"].text(),
                   sa["esn"].flag() ? "yes" : "no", number(sa["sequence"]), sa["mark"].has_value() ? number(sa["mark"]) : "none",
                   number(sa["packets"]), number(sa["octets"]), number(sa["errors"]),
                   sa["pathMtu"].number() == 0 ? "" : number(sa["pathMtu"]),
                   sa["refused"].text().empty() ? number(sa["worker"]) : "refused", sa["state"].text()});
        if (!sa["refused"].text().empty())
            refused += std::format("\n{} {} is refused: {}{}{}\n", sa["name"].text(), sa["direction"].text(), sa["refused"].text(),
                                   sa["remedy"].text().empty() ? "" : "; ", sa["remedy"].text());
    }
    return table.empty() ? "There are no security associations.\n" : table.text() + refused;
}

std::string policy_text(const Json& list) {
    Table table({"POLICY", "VPN", ">PRIORITY", "ACTION", "CONNECTION", "LOCAL - REMOTE"});
    for (const Json& policy : list["policies"].items()) {
        const std::string sa = policy["sa"].text() + (policy["usable"].flag() ? "" : " (no SA in use)");
        const std::uint64_t priority = policy["priority"].number();
        table.add({policy["name"].text(), policy["vpn"].text(), priority >> 32 != 0 ? "last" : std::to_string(priority),
                   policy["action"].text() + (policy["direction"].text() == "both" ? "" : " " + policy["direction"].text()), sa,
                   some(policy["selectors"])});
    }
    return table.text();
}

std::string counters_text(const Json& list, bool all) {
    static constexpr std::pair<const char*, const char*> groups[] = {{"packets", "Packets"},
                                                                     {"drop", "Dropped by the gateway"},
                                                                     {"kernel", "Decided by the BPF program of each port"},
                                                                     {"socket", "AF_XDP sockets"}};
    std::string text;
    for (const auto& [group, heading] : groups) {
        Table table({"PORT", "COUNTER", ">VALUE", "MEANING", "WHAT TO DO"});
        for (const Json& counter : list["counters"].items())
            if (counter["group"].text() == group && (all || counter["value"].number() != 0))
                table.add({counter["port"].text(), counter["name"].text(), number(counter["value"]), counter["meaning"].text(),
                           counter["remedy"].text()});
        if (!table.empty()) text += std::format("{}{}\n{}", text.empty() ? "" : "\n", heading, table.text(2));
    }
    return text.empty() ? "Nothing was counted yet; --all shows every counter.\n" : text;
}

std::string features_text() {
    Table table({"FEATURE", "SOURCE", "STATE", "NOTE"});
    for (const Feature& feature : features)
        table.add({std::string(feature.name), std::string(feature.source), feature.state == FeatureState::complete ? "complete" : "partial",
                   std::string(feature.note)});
    return table.text();
}

} // namespace sallyport::cli
