// SPDX-License-Identifier: Apache-2.0
// `sallyport explain` and `sallyport drops`.
#include "gateway/sa/drop_reason.hpp"
#include "mgmt/cli/commands.hpp"
#include "mgmt/cli/table.hpp"
#include "mgmt/config/item.hpp"
#include "mgmt/control/client.hpp"

#include <algorithm>
#include <format>
#include <iostream>
#include <iterator>

namespace sallyport::cli {
namespace {

using varlink::Json;

/// Hexadecimal digits as people copy them: with blanks, colons, line ends, and 0x before.
std::string digits_of(std::string text) {
    if (text.starts_with("0x")) text.erase(0, 2);
    std::erase_if(text, [](char c) { return c == ' ' || c == ':' || c == '\n' || c == '\t' || c == '\r'; });
    return text;
}

std::string ending_text(const Json& explanation) {
    const std::string ending = explanation["ending"].text(), counter = explanation["counter"].text();
    if (ending == "sent") return std::format("It would be sent by {}.", explanation["port"].text());
    if (ending == "kernel") return std::format("It would be left to the kernel ({}).", counter);
    if (ending == "exception") return "It would be given to the exception stage.";
    if (counter.empty()) return "It would be dropped.";
    const std::string remedy = explanation["remedy"].text();
    return std::format("It would be dropped and counted as {}{}{}.", counter, remedy.empty() ? "" : "; what to do: ", remedy);
}

Json question(const Arguments& arguments, std::uint8_t protocol) {
    const Packet& packet = arguments.packet;
    const auto given = [](const std::string& text) { return text.empty() ? Json{} : Json(text); };
    return Json::object({{"port", arguments.name},
                         {"octets", given(digits_of(packet.octets))},
                         {"from", given(packet.from)},
                         {"to", given(packet.to)},
                         {"protocol", protocol},
                         {"sourcePort", packet.source_port},
                         {"destinationPort", packet.destination_port},
                         {"icmpType", packet.icmp_type},
                         {"icmpCode", packet.icmp_code},
                         {"hopLimit", packet.hop_limit},
                         {"vlan", packet.vlan},
                         {"length", packet.length}});
}

} // namespace

std::string explain_text(const Json& answer) {
    std::string text;
    for (const Json& explanation : answer["explanations"].items()) {
        Table table({"STAGE", "DECISION", "RULE", "PLACE"});
        for (const Json& one : explanation["decisions"].items())
            table.add({one["stage"].text(), one["text"].text(), one["rule"].text(), one["place"].text()});
        text += std::format("{}Taken {}:\n{}{}\n", text.empty() ? "" : "\n", explanation["heading"].text(), table.text(2),
                            ending_text(explanation));
    }
    return text;
}

ExitStatus explain(const Arguments& given, Printed& printed) {
    Arguments arguments = given;
    if (arguments.packet.octets == "-") arguments.packet.octets.assign(std::istreambuf_iterator<char>(std::cin), {});
    const auto protocol = config::protocol_of(arguments.packet.protocol);
    if (!protocol || arguments.packet.octets.empty() == arguments.packet.from.empty()) {
        printed.err += protocol ? "sallyport: give either the octets of a packet or --from and --to\n"
                                : std::format("sallyport: \"{}\" is no protocol\n", config::shown(arguments.packet.protocol));
        return bad_words;
    }
    auto client = varlink::Client::connect(arguments.socket);
    if (!client) return complain(client.error(), printed);
    const auto answer = client->call("Explain", question(arguments, *protocol));
    if (!answer) return complain(answer.error(), printed);
    printed.out += arguments.json ? answer->print() : explain_text(*answer);
    return done;
}

ExitStatus drops(const Arguments& arguments, Printed& printed) {
    std::vector<DropReasonInfo> reasons(drop_reasons.begin() + 1, drop_reasons.end());
    if (!arguments.name.empty()) std::erase_if(reasons, [&](const DropReasonInfo& one) { return one.name != arguments.name; });
    if (reasons.empty()) {
        printed.err += std::format("sallyport: nothing is dropped for \"{}\"; sallyport drops names every reason\n",
                                   config::shown(arguments.name));
        return failed;
    }
    const auto json_of = [](const DropReasonInfo& one) {
        return Json::object({{"name", one.name}, {"meaning", one.meaning}, {"remedy", one.remedy}, {"audited", Json(bool{one.audit})}});
    };
    if (arguments.json) {
        printed.out += Json::object({{"drops", Json::array_of(reasons, json_of)}}).print();
        return done;
    }
    Table table({"REASON", "EVENT", "MEANING", "WHAT TO DO"});
    for (const DropReasonInfo& one : reasons)
        table.add({std::string(one.name), one.audit ? "yes" : "no", std::string(one.meaning), std::string(one.remedy)});
    printed.out += table.text();
    return done;
}

} // namespace sallyport::cli
