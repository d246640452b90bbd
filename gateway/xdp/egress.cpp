// SPDX-License-Identifier: Apache-2.0
#include "bpf/shared.h" // first: the skeleton names its structures

#include "gateway/xdp/egress.hpp"

#include "gateway/xdp/pins.hpp"

#include "bpf/egress.skel.h"
#include "bpf/options.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <net/if.h>
#include <unistd.h>
#include <vector>

namespace sallyport::xdp {
namespace {

// Filters are asked in the order of their priorities, and among equal ones the newest first. The handle says that it is ours.
constexpr std::uint32_t our_priority = 1;
constexpr std::uint32_t our_handle = 0x5a11;

struct Destroy {
    void operator()(egress_bpf* skeleton) const { egress_bpf::destroy(skeleton); }
};

bpf_tc_hook hook_of(std::uint32_t ifindex) {
    bpf_tc_hook hook;
    clear(hook);
    hook.ifindex = static_cast<int>(ifindex);
    hook.attach_point = BPF_TC_EGRESS;
    return hook;
}

bpf_tc_opts our_filter() {
    bpf_tc_opts filter;
    clear(filter);
    filter.handle = our_handle;
    filter.priority = our_priority;
    return filter;
}

sp_port settings_of(const PortSpec& port, const Device& device) {
    sp_port settings{};
    settings.ifindex = device.ifindex;
    settings.role = static_cast<std::uint32_t>(port.role);
    for (const auto& vlan : port.vlans)
        if (vlan.id == 0) {
            settings.untagged = 1;
            settings.untagged_vpn = vlan.vpn;
        }
    return settings;
}

// Gives the id of the program.
Result<std::uint32_t> attach(const std::string& interface, std::uint32_t ifindex, int program) {
    LibbpfLog log;
    bpf_tc_hook hook = hook_of(ifindex);
    bpf_tc_opts filter = our_filter();
    filter.prog_fd = program;
    filter.flags = BPF_TC_F_REPLACE;
    if (const int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST)
        return std::unexpected(system_error(-error,
                                            "The clsact qdisc, on which the lock of what the machine itself sends stands, cannot be "
                                            "made: " +
                                                log.tail(),
                                            interface));
    if (const int error = bpf_tc_attach(&hook, &filter); error != 0)
        return std::unexpected(system_error(-error, "The lock of what the machine itself sends cannot be put on: " + log.tail(), interface,
                                            "Leave priority 1 of the egress filters to it: tc filter show dev " + interface + " egress"));
    return filter.prog_id;
}

} // namespace

Result<Egress> Egress::close(const std::string& folder, const PortSpec& port, const Device& device, const SharedMaps& maps) {
    LibbpfLog log;
    const std::unique_ptr<egress_bpf, Destroy> skeleton(egress_bpf::open());
    if (!skeleton) return std::unexpected(system_error(errno, "The BPF program cannot be opened: " + log.tail(), device.name));
    const sp_port settings = settings_of(port, device);
    std::memcpy(const_cast<sp_port*>(&skeleton->rodata->port), &settings, sizeof(settings)); // .rodata: constant only once it is loaded
    if (auto lent = maps.lend(*skeleton); !lent) return std::unexpected(std::move(lent.error()));

    Egress egress;
    const std::string path = folder + "/" + egress_pin;
    egress.counters_ = open_pinned_map(path, skeleton->maps.egress_counters);
    if (!egress.counters_) {
        auto made = make_pinned_map(path, skeleton->maps.egress_counters);
        if (!made) return std::unexpected(std::move(made.error()));
        egress.counters_ = std::move(*made);
    }
    if (bpf_map__reuse_fd(skeleton->maps.egress_counters, egress.counters_.get()) != 0)
        return std::unexpected(system_error(errno, "A pinned map cannot be used", path));
    if (egress_bpf::load(skeleton.get()) != 0)
        return std::unexpected(system_error(errno, "The BPF program cannot be loaded: " + log.tail(), device.name));
    egress.interface_ = device.name;
    egress.ifindex_ = device.ifindex;
    egress.program_ = Descriptor(fcntl(bpf_program__fd(skeleton->progs.sallyport_egress), F_DUPFD_CLOEXEC, 3));
    if (auto closed = egress.close_again(); !closed) return std::unexpected(std::move(closed.error()));
    return egress;
}

Result<void> Egress::close_again() {
    const auto id = attach(interface_, ifindex_, program_.get());
    if (!id) return std::unexpected(id.error());
    program_id_ = *id;
    return {};
}

Result<void> Egress::open(const std::string& interface) {
    const std::uint32_t ifindex = if_nametoindex(interface.c_str());
    if (ifindex == 0) return {};
    LibbpfLog log;
    const bpf_tc_hook hook = hook_of(ifindex);
    bpf_tc_opts filter = our_filter();
    if (bpf_tc_query(&hook, &filter) != 0) return {}; // no qdisc, or no filter of ours
    filter = our_filter();
    if (const int error = bpf_tc_detach(&hook, &filter); error != 0)
        return std::unexpected(
            system_error(-error, "The lock of what the machine itself sends cannot be taken off: " + log.tail(), interface));
    return {};
}

bool Egress::stands() const {
    LibbpfLog log;
    const bpf_tc_hook hook = hook_of(ifindex_);
    bpf_tc_opts filter = our_filter();
    return ifindex_ == 0 || (bpf_tc_query(&hook, &filter) == 0 && filter.prog_id == program_id_);
}

EgressCounters Egress::counters() const {
    EgressCounters sums{};
    const int cpus = libbpf_num_possible_cpus();
    if (!counters_ || cpus < 1) return sums;
    std::vector<sp_counter> each(static_cast<std::size_t>(cpus));
    for (std::uint32_t verdict = 0; verdict < SP_EGRESS_VERDICT_COUNT; verdict++) {
        if (bpf_map_lookup_elem(counters_.get(), &verdict, each.data()) != 0) continue;
        for (const auto& one : each) {
            sums[verdict].packets += one.packets;
            sums[verdict].octets += one.octets;
        }
    }
    return sums;
}

} // namespace sallyport::xdp
