// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/status.hpp"

#include "gateway/control/keying_inside.hpp"
#include "gateway/xdp/verdict.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

namespace sallyport::control {

namespace {

std::string_view name_of(sp_action action) {
    switch (action) {
    case SP_KERNEL: return "kernel";
    case SP_SOCKET: return "socket";
    case SP_DROP: break;
    }
    return "drop";
}

SaStatus describe(const SaSpec& spec) {
    SaStatus result;
    result.name = spec.name;
    result.direction = spec.direction;
    result.child = spec.child;
    result.generation = spec.generation;
    result.spi = spec.spi;
    result.outer_local = spec.outer_local;
    result.outer_remote = spec.outer_remote;
    result.udp_port = spec.udp_port;
    result.outer_vpn = spec.outer_vpn;
    result.red_vpn = spec.red_vpn;
    result.protocol = spec.protocol;
    result.mode = spec.mode;
    result.algorithm = spec.algorithm;
    result.sequence = spec.sequence;
    result.window = spec.direction == Direction::inbound ? spec.window : 0;
    result.selectors = spec.selectors;
    return result;
}

void add_numbers(const store::Sa& sa, bool stopped, SaStatus& status) {
    const transform::SaCounters counters = sa.counters();
    status.worker = sa.worker;
    if (sa.outbound != nullptr) {
        const transform::Fit fit = transform::fit_of(*sa.outbound);
        status.path_mtu = fit.outer;
        status.largest_inner = fit.inner;
    }
    status.packets = counters.packets;
    status.octets = counters.octets;
    status.errors = counters.errors;
    status.number = sa.sequence_number();
    status.marked = sa.space().mark != nullptr && !stopped;
    if (status.marked) status.mark = std::atomic_ref(*sa.space().mark).load(std::memory_order_relaxed);
    if (sa.outbound == nullptr) return;
    const transform::Fit fit = transform::fit_of(*sa.outbound);
    status.path_mtu = fit.outer;
    status.largest_inner = fit.inner;
}

/// Why nothing can leave for the peer. The control thread, which swaps the Fib, may read it without more ado.
DropReason hindrance_of(const route::Fib& fib, const SaSpec& spec) {
    return spec.direction == Direction::outbound ? fib.hindrance(spec.outer_vpn, Role::black, spec.outer_remote) : DropReason::none;
}

} // namespace

ChunkStatus Gateway::count_chunks() const {
    const Inside& in = *inside_;
    ChunkStatus chunks{.all = in.depot->memory().count, .free = static_cast<std::uint32_t>(in.depot->size())};
    for (const auto& worker : in.workers) chunks.free += static_cast<std::uint32_t>(worker->counters().chunks);
    const xdp::Sockets& sockets = in.ports->sockets();
    for (std::size_t i = 0; i < sockets.count(); ++i) {
        chunks.receiving += sockets.queue(i).receive_held();
        chunks.transmitting += sockets.queue(i).transmit_held();
    }
    chunks.waiting = static_cast<std::uint32_t>(in.stage->counters().held);
    chunks.kept = sockets.kept();
    const std::uint32_t placed = chunks.free + chunks.receiving + chunks.transmitting + chunks.waiting + chunks.kept;
    chunks.in_hand = chunks.all - std::min(placed, chunks.all);
    return chunks;
}

Status Gateway::status() const {
    const Inside& in = *inside_;
    Status result;
    result.configuration = in.desired.source;
    result.generation = in.generation;
    result.key_generation = in.keying->generation;
    result.started = in.started;
    result.crypto = crypto::describe(transform::engine_in_use());
    result.zero_copy = in.ports->zero_copy();
    result.huge_pages = in.ports->huge_pages();
    result.chunks = count_chunks();
    result.units = in.units->capacity();
    result.units_used = in.units->used();
    for (std::size_t i = 0; i < in.desired.ports.size(); ++i) {
        const xdp::PortProgram& program = in.ports->program(i);
        PortStatus port{.interface = in.desired.ports[i].interface, .role = in.desired.ports[i].role};
        port.driver = program.device().driver;
        port.native = program.native();
        const auto link = in.mirror->picture().kernel_links().find(program.device().ifindex);
        if (link != in.mirror->picture().kernel_links().end()) {
            port.present = true;
            port.up = link->second.up;
            port.mtu = link->second.mtu;
            port.mac = link->second.mac;
        }
        result.ports.push_back(std::move(port));
    }
    for (const auto& worker : in.workers) {
        const worker::Counters counters = worker->counters();
        const std::vector<unsigned>& cores = in.cores[worker->number()];
        result.workers.push_back({.number = worker->number(),
                                  .core = cores.size() == 1 ? static_cast<int>(cores[0]) : -1,
                                  .rounds = counters.rounds,
                                  .sleeps = counters.sleeps,
                                  .sealed = counters.sealed,
                                  .opened = counters.opened,
                                  .bypassed = counters.bypassed,
                                  .handed_over = counters.handed_over});
    }
    result.sas = static_cast<unsigned>(in.store->size());
    result.sas_refused = static_cast<unsigned>(in.refused.size());
    result.policies = static_cast<unsigned>(in.desired.policies.size() + in.keying->policies.size());
    const route::MirrorCounters mirrored = in.mirror->counters();
    result.routes = mirrored.routes;
    result.neighbours = mirrored.neighbours;
    result.resyncs = mirrored.resyncs;
    if (const auto trouble = in.marks->trouble()) result.marks_trouble = to_string(*trouble);
    return result;
}

Counters Gateway::counters() const {
    const Inside& in = *inside_;
    Counters result;
    for (std::size_t i = 0; i < in.desired.ports.size(); ++i) {
        PortCounters port{.interface = in.desired.ports[i].interface, .role = in.desired.ports[i].role};
        if (const auto verdicts = in.ports->program(i).counters())
            for (std::size_t v = 0; v < verdicts->size(); ++v)
                port.verdicts.push_back({xdp::verdicts[v].name, name_of(xdp::verdicts[v].action), xdp::verdicts[v].meaning,
                                         (*verdicts)[v].packets, (*verdicts)[v].octets});
        if (in.desired.ports[i].role == Role::black) {
            const xdp::EgressCounters egress = in.ports->program(i).egress().counters();
            for (std::size_t v = 0; v < egress.size(); ++v)
                port.verdicts.push_back({xdp::egress_verdicts[v].name, name_of(xdp::egress_verdicts[v].action),
                                         xdp::egress_verdicts[v].meaning, egress[v].packets, egress[v].octets});
        }
        for (unsigned queue = 0; queue < in.ports->queues(); ++queue) {
            const PortStatistics kernel = in.ports->queue(i, queue).statistics();
            port.kernel_dropped += kernel.dropped;
            port.kernel_ring_full += kernel.ring_full;
            port.kernel_fill_empty += kernel.fill_empty;
            port.kernel_invalid_receive += kernel.invalid_receive;
            port.kernel_invalid_transmit += kernel.invalid_transmit;
        }
        result.ports.push_back(std::move(port));
    }
    for (const auto& worker : in.workers) {
        const worker::Counters counters = worker->counters();
        for (std::size_t i = 0; i < drop_reason_count; ++i) result.drops[i] += counters.drops[i];
        for (std::size_t i = 0; i < counters.ports.size(); ++i) {
            result.ports[i].received += counters.ports[i].received;
            result.ports[i].received_octets += counters.ports[i].received_octets;
            result.ports[i].transmitted += counters.ports[i].transmitted;
            result.ports[i].transmitted_octets += counters.ports[i].transmitted_octets;
        }
        result.sealed += counters.sealed;
        result.opened += counters.opened;
        result.bypassed += counters.bypassed;
        result.dummies += counters.dummies;
        result.keepalives += counters.keepalives;
        result.other_form += counters.other_form;
        result.handed_over += counters.handed_over;
        result.to_exceptions += counters.to_exceptions;
        result.events_left_out += counters.events_left_out;
    }
    const exception::StageCounters stage = in.stage->counters();
    for (std::size_t i = 0; i < drop_reason_count; ++i) result.drops[i] += stage.dropped[i];
    const own::ReaderCounters reader = in.own->reader().counters();
    for (std::size_t i = 0; i < drop_reason_count; ++i) result.drops[i] += reader.dropped[i];
    result.own_sent = reader.sent;
    result.own_delivered = in.to_kernel->delivered();
    result.waited = stage.returned;
    result.waiting = stage.held;
    const exception::IcmpErrorCounters errors = in.icmp_errors->counters();
    result.icmp_told = errors.told;
    result.icmp_limited = errors.limited;
    result.icmp_mute = errors.mute;
    if (in.courier) result.ike = in.courier->counters();
    return result;
}

std::size_t Gateway::sa_count() const {
    // Of the configuration's SAs those that were refused are not in the store.
    return inside_->store->size() + inside_->refused.size();
}

std::vector<SaStatus> Gateway::sas(std::size_t first, std::size_t count) const {
    const Inside& in = *inside_;
    std::vector<SaStatus> result;
    std::size_t at = 0;
    for (; at < in.desired.sas.size() && result.size() < count; ++at) {
        if (at < first) continue;
        const SaSpec& spec = in.desired.sas[at];
        SaStatus status = describe(spec);
        if (const store::Sa* sa = in.store->find(spec.name, spec.direction)) {
            add_numbers(*sa, in.stopped, status);
            status.hindrance = hindrance_of(in.fib->read(), spec);
            status.state = ChildState::outbound_switched;
        } else if (const auto why = in.refused.find(store::name_of(spec)); why != in.refused.end()) {
            status.refused = why->second.sentence;
            status.remedy = why->second.remedy;
        }
        result.push_back(std::move(status));
    }
    if (result.size() == count) return result;
    for (const store::Sa* sa : in.store->all()) {
        if (!sa->negotiated || at++ < first) continue;
        const SaSpec spec = sa->spec();
        SaStatus status = describe(spec);
        add_numbers(*sa, in.stopped, status);
        status.hindrance = hindrance_of(in.fib->read(), spec);
        status.state = in.keying->children.state(spec.name, spec.child);
        result.push_back(std::move(status));
        if (result.size() == count) break;
    }
    return result;
}

std::vector<PolicyStatus> Gateway::policies() const {
    const Inside& in = *inside_;
    std::vector<PolicyStatus> result;
    const auto add = [&](const PolicySpec& spec) {
        PolicyStatus status{.name = spec.name,
                            .vpn = spec.vpn,
                            .priority = spec.priority,
                            .action = spec.action,
                            .selectors = spec.selectors,
                            .sa = spec.sa,
                            .sa_usable = false,
                            .reach = spec.reach};
        const std::uint32_t child = in.keying->children.sender(spec.sa).value_or(0);
        status.sa_usable = spec.action == PolicyAction::protect && in.store->find(spec.sa, Direction::outbound, child) != nullptr;
        result.push_back(std::move(status));
    };
    for (const std::vector<PolicySpec>* list : {&in.desired.policies, &std::as_const(in.keying->policies)}) // numbered in this order
        for (const PolicySpec& spec : *list) add(spec);
    return result;
}

} // namespace sallyport::control
