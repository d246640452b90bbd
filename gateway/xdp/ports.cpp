// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/ports.hpp"

#include <algorithm>
#include <sched.h>
#include <utility>

namespace sallyport::xdp {
namespace {

unsigned allowed_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? static_cast<unsigned>(std::max(1, CPU_COUNT(&set))) : 1;
}

// Worker k has queue k of every port, so all ports have the same number.
unsigned queues_of(const Settings& settings, const std::vector<Device>& devices) {
    if (settings.queues != 0) return settings.queues;
    if (!settings.cores.empty()) return static_cast<unsigned>(settings.cores.size());
    unsigned queues = allowed_cores();
    for (const auto& device : devices) queues = std::min(queues, device.receive_queues);
    return queues;
}

// Where neighbours look for our IPv6 addresses on VLANs that the kernel does not know: 33:33:ff and the last three octets (RFC 2464 7, RFC
// 4291 2.7.1).
std::vector<MacAddress> solicited_groups(const PortSpec& port) {
    std::vector<MacAddress> groups;
    for (const VlanSpec& vlan : port.vlans)
        for (const InterfaceAddress& own : vlan.addresses)
            if (const auto& octets = own.address.octets; own.address.family == Family::ipv6)
                groups.push_back({0x33, 0x33, 0xff, octets[13], octets[14], octets[15]});
    return groups;
}

} // namespace

std::string pin_directory(const Settings& settings) { return settings.run_directory + "/bpf"; }

Ports::Ports(SharedMaps maps, std::vector<PortProgram> programs, Taken taken)
    : maps_(std::move(maps)), programs_(std::move(programs)), umem_(std::move(taken.umem)), sockets_(std::move(taken.sockets)),
      notes_(std::move(taken.notes)) {}

Result<std::unique_ptr<Ports>> Ports::start(const Desired& desired, SharedMaps maps, const PortsOptions& options) {
    std::vector<Device> devices;
    std::vector<PortVlan> vlans;
    for (const auto& port : desired.ports) {
        auto device = find_device(port.interface);
        if (!device) return std::unexpected(device.error());
        for (const auto& vlan : port.vlans)
            if (vlan.id != 0) vlans.push_back({.ifindex = device->ifindex, .id = vlan.id, .vpn = vlan.vpn, .own = !vlan.addresses.empty()});
        if (auto checked = PortProgram::check(pin_directory(desired.settings), port, *device); !checked)
            return std::unexpected(checked.error()); // before anything is attached anywhere
        devices.push_back(std::move(*device));
    }
    if (auto set = maps.set_vlans(vlans); !set) return std::unexpected(set.error());

    const unsigned queues = queues_of(desired.settings, devices);
    std::vector<PortProgram> programs;
    for (std::size_t i = 0; i < devices.size(); i++) {
        if (auto set = set_receive_queues(devices[i], queues); !set) return std::unexpected(set.error());
        auto program = PortProgram::start(pin_directory(desired.settings), desired.ports[i], devices[i], maps,
                                          {.ike_served = options.ike_served, .generic = options.generic, .limits = desired.ike});
        if (!program) return std::unexpected(program.error());
        programs.push_back(std::move(*program));
    }
    state::NoKeeper nobody;
    auto taken = adopt_or_open(options.keeper ? *options.keeper : nobody, programs, queues, desired.settings.frames);
    if (!taken) return std::unexpected(taken.error());
    std::unique_ptr<Ports> ports(new Ports(std::move(maps), std::move(programs), std::move(*taken)));
    for (std::size_t i = 0; i < devices.size(); i++) {
        if (std::ranges::all_of(desired.ports[i].vlans, [](const VlanSpec& vlan) { return vlan.addresses.empty(); })) continue;
        auto filter = open_filter(devices[i], solicited_groups(desired.ports[i]));
        if (!filter) return std::unexpected(filter.error());
        ports->filters_.push_back(std::move(*filter));
    }
    return ports;
}

Result<void> Ports::close_anew(const Desired& desired, std::size_t port, const SharedMaps& maps, const PortsOptions& options) {
    const PortSpec& spec = desired.ports[port];
    const auto device = find_device(spec.interface);
    if (!device) return std::unexpected(device.error());
    const auto program = PortProgram::start(pin_directory(desired.settings), spec, *device, maps,
                                            {.ike_served = options.ike_served, .generic = options.generic, .limits = desired.ike});
    if (!program) return std::unexpected(program.error());
    return {}; // pinned, it stays
}

std::vector<std::string> Ports::notes() const {
    std::vector<std::string> all = notes_;
    for (const auto& program : programs_) all.insert(all.end(), program.notes().begin(), program.notes().end());
    return all;
}

} // namespace sallyport::xdp
