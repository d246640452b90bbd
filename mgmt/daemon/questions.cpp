// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/questions.hpp"

#include "gateway/wire/ip.hpp"
#include "gateway/wire/make.hpp"

#include <algorithm>
#include <format>

namespace sallyport::daemon {
namespace {

Result<Flow> flow_of(const varlink::QuestionView& question) {
    const auto from = parse_address(question.from), to = parse_address(question.to);
    for (const auto& [address, text] : {std::pair(from, question.from), std::pair(to, question.to)})
        if (!address)
            return std::unexpected(Error{ErrorCode::invalid, std::format("\"{}\" is no address", text), {}, "give --from and --to"});
    if (from->family != to->family)
        return std::unexpected(Error{ErrorCode::invalid, "one address is IPv4 and the other IPv6", {}, "give two of one family"});
    return Flow{*from, *to, question.source_port, question.destination_port, question.protocol, wire::has_ports(question.protocol)};
}

} // namespace

Result<std::vector<AskedAs>> questions_of(const varlink::QuestionView& question, const std::vector<control::PortStatus>& ports) {
    const auto port = std::ranges::find(ports, question.port, &control::PortStatus::interface);
    if (port == ports.end())
        return std::unexpected(
            Error{ErrorCode::missing, std::format("{} is no port", question.port), {}, "sallyport status shows the ports"});
    const std::string_view role = port->role == Role::red ? "red" : "black";
    const std::string heading = std::format("as a frame that comes in by {} ({})", question.port, role);
    if (!question.octets.empty() && !wire::is_packet(question.octets))
        return std::vector<AskedAs>{{heading, {question.port, question.octets}}};
    std::vector<std::uint8_t> packet = question.octets;
    if (packet.empty()) {
        const Result<Flow> flow = flow_of(question);
        if (!flow) return std::unexpected(flow.error());
        packet = wire::make_packet(
            *flow,
            {.hop_limit = question.hop_limit, .icmp_type = question.icmp_type, .icmp_code = question.icmp_code, .length = question.length});
    }
    const control::Question whole{question.port, wire::make_frame(packet, port->mac, question.vlan)};
    if (port->role == Role::red || !question.octets.empty()) return std::vector<AskedAs>{{heading, whole}};
    control::Question opened = whole;
    opened.opened = true;
    return std::vector<AskedAs>{{"as a packet that comes out of a tunnel", opened},
                                {std::format("as a clear packet that comes in by {} (black)", question.port), whole}};
}

} // namespace sallyport::daemon
