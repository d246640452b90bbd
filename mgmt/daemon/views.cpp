// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/views.hpp"

#include <algorithm>
#include <format>
#include <map>

namespace sallyport::daemon {
namespace {

using namespace varlink;

std::string vpn_name(VpnNumber number, const Desired& desired) {
    for (const VpnSpec& vpn : desired.vpns)
        if (vpn.number == number) return vpn.name;
    return std::to_string(number);
}

std::string_view name_of(Role role) { return role == Role::red ? "red" : "black"; }

std::string_view name_of(Direction direction) { return direction == Direction::outbound ? "outbound" : "inbound"; }

std::string_view name_of(PolicyAction action) {
    switch (action) {
    case PolicyAction::protect: return "protect";
    case PolicyAction::bypass: return "bypass";
    case PolicyAction::discard: return "discard";
    }
    return "discard";
}

std::string_view name_of(PolicyReach reach) {
    return reach == PolicyReach::both ? "both" : name_of(reach == PolicyReach::outbound ? Direction::outbound : Direction::inbound);
}

std::vector<std::string> texts(const std::vector<Selector>& selectors) {
    std::vector<std::string> result;
    result.reserve(selectors.size());
    for (const Selector& selector : selectors) result.push_back(to_string(selector));
    return result;
}

PortView view_of(const control::PortStatus& port, const Desired& desired) {
    PortView view;
    view.interface = port.interface;
    view.role = name_of(port.role);
    view.present = port.present;
    view.up = port.up;
    view.mode = port.native ? "native" : "generic";
    view.driver = port.driver;
    for (const std::uint8_t octet : port.mac) view.mac += std::format("{}{:02x}", view.mac.empty() ? "" : ":", octet);
    view.mtu = port.mtu;
    for (const PortSpec& spec : desired.ports)
        if (spec.interface == port.interface)
            for (const VlanSpec& vlan : spec.vlans) view.vlans.push_back({vlan.id, vpn_name(vlan.vpn, desired)});
    return view;
}

/// Is a port of this role up on which the VPN is?
bool reachable(Role role, VpnNumber vpn, const std::vector<control::PortStatus>& ports, const Desired& desired) {
    for (const PortSpec& spec : desired.ports) {
        if (spec.role != role || std::ranges::none_of(spec.vlans, [&](const VlanSpec& vlan) { return vlan.vpn == vpn; })) continue;
        for (const control::PortStatus& port : ports)
            if (port.interface == spec.interface && port.up) return true;
    }
    return false;
}

/// Before the peer's address.
std::string_view hindrance_text(DropReason reason) {
    switch (reason) {
    case DropReason::no_route: return "no route to the peer";
    case DropReason::route_not_ours: return "no black port of the outer VPN leads to the peer";
    case DropReason::route_refused: return "the route to the peer says unreachable, prohibit or blackhole";
    case DropReason::for_gateway: return "the peer's address is one of this machine";
    case DropReason::link_down: return "the link to the peer is down";
    default: return "no way to the peer";
    }
}

CounterView packets(std::string_view name, std::uint64_t value, std::string_view meaning) {
    return {"packets", "", std::string(name), value, std::string(meaning), ""};
}

void add_port(const control::PortCounters& port, std::vector<CounterView>& to) {
    const auto socket = [&](std::string_view name, std::uint64_t value, std::string_view meaning, std::string_view remedy = "") {
        to.push_back({"socket", port.interface, std::string(name), value, std::string(meaning), std::string(remedy)});
    };
    for (const control::VerdictCount& verdict : port.verdicts) {
        const std::string_view where = verdict.action == "drop"     ? "dropped"
                                       : verdict.action == "kernel" ? "to the kernel"
                                                                    : "to the gateway";
        to.push_back(
            {"kernel", port.interface, std::string(verdict.name), verdict.packets, std::format("{}: {}", where, verdict.meaning), ""});
    }
    socket("received", port.received, "frames taken from the device");
    socket("received_octets", port.received_octets, "octets of them");
    socket("transmitted", port.transmitted, "frames given to the device");
    socket("transmitted_octets", port.transmitted_octets, "octets of them");
    socket("dropped", port.kernel_dropped, "frames that the kernel could not put into the socket",
           "look for frames larger than the port's MTU");
    socket("ring_full", port.kernel_ring_full, "frames lost because the receive ring was full",
           "the workers are too slow for this load: use more queues or cores");
    socket("fill_empty", port.kernel_fill_empty, "times that the kernel had no chunk for a frame", "enlarge frames in [gateway]");
    socket("invalid_receive", port.kernel_invalid_receive, "chunks that the kernel refused to receive into",
           "report it: this is a mistake of the gateway");
    socket("invalid_transmit", port.kernel_invalid_transmit, "frames that the kernel refused to send",
           "report it: this is a mistake of the gateway");
}

} // namespace

std::vector<ConnectionView> connections_of(const std::vector<control::PortStatus>& ports, const std::vector<control::SaStatus>& sas,
                                           const Desired& desired) {
    std::map<std::string, ConnectionView> by_name;
    std::vector<std::string> order;
    for (const control::SaStatus& sa : sas) {
        const auto [at, fresh] = by_name.try_emplace(sa.name);
        ConnectionView& view = at->second;
        if (fresh) {
            order.push_back(sa.name);
            view = {sa.name, to_string(sa.outer_remote), vpn_name(sa.red_vpn, desired), true, ""};
            if (!reachable(Role::black, sa.outer_vpn, ports, desired))
                view.reason = std::format("no black port of the VPN {} is up", vpn_name(sa.outer_vpn, desired));
            else if (!reachable(Role::red, sa.red_vpn, ports, desired))
                view.reason = std::format("no red port of the VPN {} is up", view.vpn);
        }
        if (view.reason.empty() && sa.hindrance != DropReason::none)
            view.reason = std::format("{}: {}", hindrance_text(sa.hindrance), view.peer);
        if (!sa.refused.empty()) view.reason = sa.remedy.empty() ? sa.refused : std::format("{}; {}", sa.refused, sa.remedy);
        view.up = view.reason.empty();
    }
    std::vector<ConnectionView> result;
    for (const std::string& name : order) result.push_back(by_name.at(name));
    return result;
}

StatusView view_of(const control::Status& status, const std::vector<control::SaStatus>& sas, const Desired& desired) {
    StatusView view;
    view.started = status.started;
    view.configuration = status.configuration;
    view.generation = status.generation;
    view.key_generation = status.key_generation;
    view.engine = status.crypto;
    view.zero_copy = status.zero_copy;
    view.huge_pages = status.huge_pages;
    const control::ChunkStatus& chunks = status.chunks;
    view.chunks = {chunks.all, chunks.free, chunks.receiving, chunks.transmitting, chunks.waiting, chunks.kept, chunks.in_hand};
    view.sas = status.sas;
    view.sas_refused = status.sas_refused;
    view.policies = status.policies;
    view.routes = status.routes;
    view.neighbours = status.neighbours;
    view.resyncs = status.resyncs;
    view.trouble = status.marks_trouble;
    for (const control::WorkerStatus& worker : status.workers)
        view.workers.push_back({worker.number, worker.core < 0 ? std::nullopt : std::optional<std::uint64_t>(worker.core), worker.sealed,
                                worker.opened, worker.bypassed, worker.handed_over, worker.rounds, worker.sleeps});
    for (const control::PortStatus& port : status.ports) view.ports.push_back(view_of(port, desired));
    view.connections = connections_of(status.ports, sas, desired);
    return view;
}

std::vector<SaView> view_of(const std::vector<control::SaStatus>& sas, const Desired& desired) {
    std::vector<SaView> result;
    result.reserve(sas.size());
    for (const control::SaStatus& sa : sas) {
        SaView view;
        view.name = sa.name;
        view.direction = name_of(sa.direction);
        view.child = sa.child;
        view.generation = sa.generation;
        view.state = name_of(sa.state);
        view.spi = sa.spi;
        view.local = to_string(sa.outer_local);
        view.remote = to_string(sa.outer_remote);
        view.udp_port = sa.udp_port;
        view.outer_vpn = vpn_name(sa.outer_vpn, desired);
        view.vpn = vpn_name(sa.red_vpn, desired);
        view.protocol = name_of(sa.protocol);
        view.mode = name_of(sa.mode);
        view.algorithm = info(sa.algorithm).name;
        view.esn = sa.sequence == SequenceKind::extended_64;
        view.refused = sa.refused;
        view.remedy = sa.remedy;
        view.sequence = sa.number;
        if (sa.marked) view.mark = sa.mark;
        view.window = sa.direction == Direction::inbound ? sa.window : 0;
        view.worker = sa.worker;
        view.path_mtu = sa.path_mtu;
        view.largest_inner = sa.largest_inner;
        view.packets = sa.packets;
        view.octets = sa.octets;
        view.errors = sa.errors;
        view.selectors = texts(sa.selectors);
        result.push_back(std::move(view));
    }
    return result;
}

std::vector<PolicyView> view_of(const std::vector<control::PolicyStatus>& policies, const Desired& desired) {
    std::vector<PolicyView> result;
    std::vector<const control::PolicyStatus*> ordered; // as they decide
    for (const control::PolicyStatus& policy : policies) ordered.push_back(&policy);
    std::ranges::stable_sort(ordered, {}, [](const control::PolicyStatus* policy) { return policy->priority; });
    for (const control::PolicyStatus* at : ordered) {
        const control::PolicyStatus& policy = *at;
        result.push_back({policy.name, vpn_name(policy.vpn, desired), policy.priority, std::string(name_of(policy.action)),
                          std::string(name_of(policy.reach)), policy.sa, policy.action != PolicyAction::protect || policy.sa_usable,
                          texts(policy.selectors)});
    }
    result.push_back({"(last)", "(all)", std::uint64_t{1} << 32, "discard", "both", "", true, {"everything else"}});
    return result;
}

ExplanationView view_of(const control::Explanation& explanation, const std::string& heading) {
    ExplanationView view{.heading = heading,
                         .decisions = {},
                         .ending = name_of(explanation.ending),
                         .counter = explanation.counter,
                         .remedy = explanation.remedy,
                         .port = explanation.port};
    for (const control::Decision& one : explanation.decisions) view.decisions.push_back({one.stage, one.text, one.rule, one.place});
    return view;
}

namespace {

void describe_flow(const Event& event, EventView& view) {
    view.source = to_string(event.flow.source);
    view.destination = to_string(event.flow.destination);
    view.protocol = event.flow.protocol;
    if (event.flow.ports_known && has_type(event.flow.protocol)) {
        view.type = event.flow.source_port >> 8U;
        view.code = event.flow.source_port & 255U;
    } else if (event.flow.ports_known) {
        view.source_port = event.flow.source_port;
        view.destination_port = event.flow.destination_port;
    }
}

bool is_of_sa(EventKind kind) {
    switch (kind) {
    case EventKind::dropped:
    case EventKind::acquire:
    case EventKind::port_up:
    case EventKind::port_down:
    case EventKind::committed: return false;
    default: return true;
    }
}

} // namespace

EventView view_of(const control::Told& told) {
    const Event& event = told.event;
    EventView view{.time = told.time,
                   .kind = std::string(info(event.kind).name),
                   .meaning = std::string(info(event.kind).meaning),
                   .connection = told.connection,
                   .peer = told.peer,
                   .port = told.port};
    const bool dropped = event.kind == EventKind::dropped;
    const bool of_sa = is_of_sa(event.kind);
    if (dropped || of_sa || event.kind == EventKind::acquire) view.vpn = told.vpn;
    if (of_sa || event.sa != 0) view.direction = name_of(event.direction);
    if (event.spi != 0) view.spi = event.spi;
    if (event.sequence != 0) view.sequence = event.sequence;
    if (dropped) {
        view.reason = info(event.reason).name;
        view.meaning = info(event.reason).meaning;
        view.remedy = info(event.reason).remedy;
    }
    view.policy = told.policy;
    if (event.kind == EventKind::address_changed) {
        view.udp_port = told.udp_port;
        view.new_peer = to_string(event.flow.source);
        view.new_udp_port = event.flow.source_port;
    } else if (event.has_flow) {
        describe_flow(event, view);
    }
    if (event.kind == EventKind::path_mtu && event.sa != 0) {
        view.old_path_mtu = event.old_mtu;
        view.path_mtu = event.mtu;
        view.largest_inner = event.largest_inner;
    }
    if (event.kind == EventKind::committed) view.generation = event.generation;
    view.count = event.count;
    view.left_out = event.left_out;
    return view;
}

std::vector<CounterView> view_of(const control::Counters& counters) {
    std::vector<CounterView> result{
        packets("sealed", counters.sealed, "packets sealed and sent into tunnels"),
        packets("opened", counters.opened, "packets that came out of tunnels"),
        packets("bypassed", counters.bypassed, "packets forwarded in clear, as a bypass policy says"),
        packets("dummies", counters.dummies, "dummy packets sent"),
        packets("keepalives", counters.keepalives, "NAT keepalives sent"),
        packets("other_form", counters.other_form, "ESP packets in UDP for an SA that sends without, or the reverse; they are taken"),
        packets("own_sent", counters.own_sent, "packets that the gateway itself sent into tunnels, or tried to"),
        packets("own_delivered", counters.own_delivered, "packets out of tunnels for the gateway itself"),
        packets("handed_over", counters.handed_over, "frames given to the worker that owns their SA"),
        packets("to_exceptions", counters.to_exceptions, "frames given to the exception stage"),
        packets("waited", counters.waited, "frames that came back from the exception stage, as after waiting for a link-layer address"),
        packets("waiting", counters.waiting, "frames that the exception stage holds now"),
        packets("icmp_told", counters.icmp_told, "ICMP errors sent to the sources of dropped packets"),
        packets("icmp_limited", counters.icmp_limited, "ICMP errors not sent, since there were too many (icmp-error-rate)"),
        packets("icmp_mute", counters.icmp_mute, "ICMP errors not sent for want of a red address, a way to the source or a chunk"),
        packets("events_left_out", counters.events_left_out, "audited drops that made no event, because so many came"),
        packets("ike_known", counters.ike.brought[0], "messages to sallyport-ike of IKE SAs that it has told"),
        packets("ike_first", counters.ike.brought[1], "all other messages to sallyport-ike"),
        packets("ike_sent", counters.ike.sent, "messages from sallyport-ike"),
        packets("ike_turned_away", counters.ike.turned_away, "processes that wanted IKE messages and are not sallyport-ike's user")};
    for (const courier::RefusedInfo& row : courier::refused_reasons)
        result.push_back(packets(row.name, counters.ike.refused[static_cast<std::size_t>(row.why)], row.meaning));
    for (std::size_t i = 1; i < drop_reasons.size(); ++i)
        result.push_back({"drop", "", std::string(drop_reasons[i].name), counters.drops[i], std::string(drop_reasons[i].meaning),
                          std::string(drop_reasons[i].remedy)});
    for (const control::PortCounters& port : counters.ports) add_port(port, result);
    return result;
}

} // namespace sallyport::daemon
