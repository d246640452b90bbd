// SPDX-License-Identifier: Apache-2.0
// The steps of a rehearsal in words, with the names and places of the rules.
#include "gateway/control/explain.hpp"

#include "gateway/control/keying_inside.hpp"

#include <format>

namespace sallyport::control {

namespace {

using worker::Step;
using worker::StepKind;

std::string end_text(const Address& address, std::uint16_t port, bool with_port) {
    if (!with_port) return to_string(address);
    return address.family == Family::ipv4 ? std::format("{}:{}", to_string(address), port)
                                          : std::format("[{}]:{}", to_string(address), port);
}

/// "10.1.0.2:1000 > 10.2.0.2:53, protocol 17"
std::string text_of(const Flow& flow) {
    const bool ports = flow.ports_known && has_ports(flow.protocol);
    const bool icmp = flow.ports_known && !ports; // the type and code lie where ports would
    return std::format("{} > {}, protocol {}{}", end_text(flow.source, flow.source_port, ports),
                       end_text(flow.destination, flow.destination_port, ports), flow.protocol,
                       icmp ? std::format(", type {} code {}", flow.source_port >> 8, flow.source_port & 0xff) : "");
}

std::string text_of(const route::Mac& mac) {
    std::string text;
    for (const std::uint8_t octet : mac) text += std::format("{}{:02x}", text.empty() ? "" : ":", octet);
    return text;
}

std::string text_of(DropReason reason) { return std::format("{}: {}", info(reason).name, info(reason).meaning); }

std::string_view text_of(Errand errand) {
    switch (errand) {
    case Errand::neighbour: return "it waits until the kernel has found the link-layer address of the next hop";
    case Errand::own_vlan: return "for the gateway itself, on a VLAN that has no interface of the kernel";
    case Errand::icmp_received: return "an ICMP message to the gateway, which may tell of a path MTU";
    case Errand::icmp_error: return "its source is told why it is dropped";
    case Errand::reassemble_outer: return "a fragment of a packet to the gateway, which is put together";
    case Errand::inner_fragment: return "a fragment, which follows the first of its packet";
    case Errand::reassemble_inner: return "a fragment; its SA seals whole packets, so it is put together";
    case Errand::to_kernel: return "for the gateway itself: its kernel gets it";
    case Errand::cut: return "larger than its way: it is cut into pieces";
    case Errand::ike: return "an IKE message to the gateway: sallyport-ike gets it";
    case Errand::none: break;
    }
    return "the exception stage takes it over";
}

std::string_view name_of(PolicyAction action) {
    switch (action) {
    case PolicyAction::protect: return "protect";
    case PolicyAction::bypass: return "bypass";
    case PolicyAction::discard: break;
    }
    return "discard";
}

} // namespace

void Explainer::add(std::string stage, std::string text) { explanation_.decisions.push_back({std::move(stage), std::move(text), {}, {}}); }

void Explainer::add_rule(std::string stage, std::string text, const store::Sa* sa) {
    add(std::move(stage), std::move(text));
    if (sa == nullptr) return;
    explanation_.decisions.back().rule = sa->name();
    explanation_.decisions.back().place = place_of(*sa);
}

/// A reload may have moved the lines of an SA that it left alone; one that was negotiated stands in no file.
std::string Explainer::place_of(const store::Sa& sa) const {
    const SaSpec own = sa.spec();
    if (own.generation != 0) return std::format("negotiated, generation {}", own.generation);
    for (const SaSpec& spec : in_.desired.sas)
        if (spec.direction == own.direction && spec.name == own.name && spec.spi == own.spi) return spec.place;
    return {};
}

std::string Explainer::vpn(VpnNumber number) const {
    for (const VpnSpec& spec : in_.desired.vpns)
        if (spec.number == number) return spec.name;
    return std::to_string(number);
}

const std::string& Explainer::port_name(std::size_t port) const {
    static const std::string none = "no port";
    return port < in_.desired.ports.size() ? in_.desired.ports[port].interface : none;
}

void Explainer::tell(const Step& step) {
    const store::Sa* sa = step.sa != 0 ? in_.store->find(step.sa) : nullptr;
    switch (step.kind) {
    case StepKind::parsed:
        if (step.reason != DropReason::none) return; // the drop that follows says it
        return add("packet", std::format("{}, {} octets, VPN {}{}{}", text_of(step.flow), step.length, vpn(step.vpn),
                                         step.vlan != 0 ? std::format(", VLAN {}", step.vlan) : "",
                                         (step.flags & frame_fragment) != 0 ? ", a fragment" : ""));
    case StepKind::policy: return tell_policy(step);
    case StepKind::found: return tell_found(step);
    case StepKind::sealed:
        return add_rule("seal",
                        std::format("{} octets, {} > {}, SPI {:#010x}; its number would be {}", step.length, to_string(step.flow.source),
                                    to_string(step.flow.destination), step.spi, step.sequence),
                        sa);
    case StepKind::opened:
        return add_rule("open", std::format("number {} is new, the integrity check is good, {} octets inside", step.sequence, step.length),
                        sa);
    case StepKind::admitted: return tell_opened(step);
    case StepKind::way: return tell_way(step);
    case StepKind::sent:
        explanation_.ending = Ending::sent;
        explanation_.port = port_name(step.port);
        return add("send", std::format("{} octets by port {}", step.length, explanation_.port));
    case StepKind::excepted: return tell_exception(step);
    case StepKind::handed_over: return add("handover", std::format("to worker {}, which owns the SA", step.worker));
    case StepKind::dropped: return tell_dropped(step);
    }
}

/// Those of the configuration are numbered first, then those of who negotiates keys.
const PolicySpec* Explainer::policy_of(std::uint32_t number) const {
    const auto &configured = in_.desired.policies, &keyed = in_.keying->policies;
    if (number < configured.size()) return &configured[number];
    return number - configured.size() < keyed.size() ? &keyed[number - configured.size()] : nullptr;
}

void Explainer::tell_policy(const Step& step) {
    const PolicySpec* policy = policy_of(step.policy);
    if (policy == nullptr)
        return add("policy", step.reason == DropReason::no_policy || step.reason == DropReason::transit_from_black
                                 ? std::format("VPN {}: none matches, the last entry discards", vpn(step.vpn))
                                 : text_of(step.reason));
    std::string text = std::format("VPN {}, priority {}: {}", vpn(policy->vpn), policy->priority, name_of(policy->action));
    if (policy->action == PolicyAction::protect) text += std::format(" by connection {}", policy->sa);
    if (step.spi != 0) text += std::format(", SPI {:#010x}, worker {}", step.spi, step.worker);
    add("policy", std::move(text));
    explanation_.decisions.back().rule = policy->name;
    explanation_.decisions.back().place = policy->place.empty() ? "negotiated" : policy->place;
}

void Explainer::tell_found(const Step& step) {
    const store::Sa* sa = step.sa != 0 ? in_.store->find(step.sa) : nullptr;
    if (sa == nullptr) return add("sa", std::format("no inbound SA has SPI {:#010x}", step.spi));
    add_rule("sa",
             std::format("SPI {:#010x} from {}, worker {}, highest number {}, window {}", step.spi, to_string(sa->spec().outer_remote),
                         step.worker, sa->sequence_number(), sa->space().window),
             sa);
}

void Explainer::tell_opened(const Step& step) {
    add_rule("selectors", std::format("{} is what the SA may carry, VPN {}", text_of(step.flow), vpn(step.vpn)),
             step.sa != 0 ? in_.store->find(step.sa) : nullptr);
}

void Explainer::tell_way(const Step& step) {
    if (step.reason != DropReason::none && step.reason != DropReason::neighbour_unresolved)
        return add("route", std::format("VPN {}: {}", vpn(step.vpn), text_of(step.reason)));
    const std::string tag = step.vlan != 0 ? std::format(", VLAN {}", step.vlan) : "";
    const std::string hop = step.mac_known ? std::format("next hop {}", text_of(step.mac))
                                           : std::format("next hop {}, whose link-layer address is not known", to_string(step.gateway));
    add("route", std::format("VPN {}: port {}{}, MTU {}, {}", vpn(step.vpn), port_name(step.port), tag, step.mtu, hop));
}

void Explainer::tell_exception(const Step& step) {
    explanation_.ending = Ending::exception;
    add("exception", std::string(text_of(step.errand)));
    if (step.reason != DropReason::none)
        explanation_.decisions.back().text += std::format("; where that fails it is dropped ({})", info(step.reason).name);
}

void Explainer::tell_dropped(const Step& step) {
    const DropReasonInfo& about = info(step.reason);
    explanation_.ending = Ending::dropped;
    explanation_.counter = about.name;
    explanation_.remedy = about.remedy;
    add("drop", text_of(step.reason));
}

} // namespace sallyport::control
