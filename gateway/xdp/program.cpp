// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/program.hpp"

#include "bpf/options.hpp"
#include "gateway/xdp/bound.hpp"
#include "gateway/xdp/names.hpp"
#include "gateway/xdp/pins.hpp"
#include "gateway/xdp/skeleton.hpp"

#include <algorithm>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <linux/if_link.h>
#include <unistd.h>

namespace sallyport::xdp {
namespace {

sp_rate rate_of(std::uint32_t rate, std::uint32_t burst) {
    if (rate == 0) return {};
    const std::uint64_t interval = 1'000'000'000ULL / rate;
    return {.interval_ns = interval, .window_ns = interval * (burst > 0 ? burst - 1 : 0)};
}

// IKE messages of exchanges that are under way come in numbers that follow from the requests; the bucket only bounds a flood.
constexpr std::uint32_t other_rate_factor = 20;

bool has_vlans(const PortSpec& port) {
    return std::ranges::any_of(port.vlans, [](const VlanSpec& vlan) { return vlan.id != 0; });
}

sp_port settings_of(const PortSpec& port, const Device& device, const ProgramOptions& options) {
    sp_port settings{};
    settings.ifindex = device.ifindex;
    settings.role = static_cast<std::uint32_t>(port.role);
    for (const auto& vlan : port.vlans) {
        if (vlan.id == 0) {
            settings.untagged = 1;
            settings.untagged_vpn = vlan.vpn;
        }
    }
    settings.tagged = has_vlans(port) ? 1 : 0;
    settings.ike_served = options.ike_served ? 1 : 0;
    const IkeLimits& limits = options.limits;
    settings.rates = {.peer = rate_of(limits.peer_rate, limits.peer_burst),
                      .prefix = rate_of(limits.prefix_rate, limits.prefix_burst),
                      .machine = rate_of(limits.machine_rate, limits.machine_burst),
                      .other = rate_of(limits.prefix_rate * other_rate_factor, limits.prefix_burst * other_rate_factor)};
    return settings;
}

// "name (id N)" as far as we may know it.
std::string name_of_program(std::uint32_t id) {
    const std::string name = program_name(id);
    return (name.empty() ? "" : "\"" + name + "\" ") + "(id " + std::to_string(id) + ")";
}

struct Attachment {
    Descriptor link; // ours, pinned; none: nothing is attached
    bool native = false;
};

// What is attached to the device: our pinned link or nothing. Anything else is an error.
Result<Attachment> attachment_of(const std::string& pin, const Device& device) {
    bpf_xdp_query_opts query;
    clear(query);
    if (const int error = bpf_xdp_query(static_cast<int>(device.ifindex), 0, &query); error != 0)
        return std::unexpected(system_error(-error, "The kernel does not say which XDP program is attached", device.name));
    const std::uint32_t id = std::max({query.prog_id, query.drv_prog_id, query.skb_prog_id, query.hw_prog_id});
    if (id == 0) return Attachment{};
    Descriptor link(bpf_obj_get(pin.c_str()));
    bpf_link_info info{};
    std::uint32_t size = sizeof(info);
    if (link && bpf_link_get_info_by_fd(link.get(), &info, &size) == 0 && info.type == BPF_LINK_TYPE_XDP &&
        info.xdp.ifindex == device.ifindex && info.prog_id == id && query.attach_mode != XDP_ATTACHED_MULTI)
        return Attachment{.link = std::move(link), .native = query.attach_mode == XDP_ATTACHED_DRV};
    return std::unexpected(Error{ErrorCode::conflict,
                                 "Another XDP program is attached: " + name_of_program(id) + ", and it is not pinned by us.", device.name,
                                 "Detach it, for instance by: ip link set dev " + device.name + " xdp off"});
}

Result<VerdictCounters> counters_of(int map, const Device& device) {
    VerdictCounters sums{};
    const int cpus = libbpf_num_possible_cpus();
    if (cpus < 1) return std::unexpected(system_error(-cpus, "The number of processors cannot be found"));
    std::vector<sp_counter> each(static_cast<std::size_t>(cpus));
    for (std::uint32_t verdict = 0; verdict < SP_VERDICT_COUNT; verdict++) {
        if (bpf_map_lookup_elem(map, &verdict, each.data()) != 0)
            return std::unexpected(system_error(errno, "The counters of the port cannot be read", device.name));
        for (const auto& one : each) {
            sums[verdict].packets += one.packets;
            sums[verdict].octets += one.octets;
        }
    }
    return sums;
}

} // namespace

struct PortProgram::Loaded {
    Skeleton skeleton;
    const bpf_program* entry = nullptr; // the one of its two that is loaded
};

struct PortProgram::Start {
    std::string folder; // of the pins
    const PortSpec& port;
    const SharedMaps& maps;
    const ProgramOptions& options;
};

PortProgram::PortProgram() = default;
PortProgram::PortProgram(PortProgram&&) noexcept = default;
PortProgram& PortProgram::operator=(PortProgram&&) noexcept = default;
PortProgram::~PortProgram() = default;

// True: our pinned link is attached to this device, and its program is ours now.
Result<bool> PortProgram::take_over(const std::string& folder) {
    const std::string path = folder + "/link";
    auto there = attachment_of(path, device_);
    if (!there) return std::unexpected(there.error());
    if (!there->link) { // of a device that is gone
        unlink(path.c_str());
        return false;
    }
    // The kernel would put it there without a word, and then read a description of the frame that is none.
    if (bound_ && !there->native)
        return std::unexpected(
            Error{ErrorCode::conflict, "The pinned link is in generic mode since a moment ago.", device_.name, "Try again."});
    if (bpf_link_update(there->link.get(), bpf_program__fd(loaded_->entry), nullptr) != 0)
        return std::unexpected(system_error(errno, "The pinned link cannot be given the new program", path));
    link_ = std::move(there->link);
    native_ = there->native;
    notes_.push_back("The program of " + device_.name + " was still attached and is taken over.");
    return true;
}

Result<void> PortProgram::attach_mode(std::uint32_t flags) {
    bpf_link_create_opts options;
    clear(options);
    options.flags = flags;
    link_ = Descriptor(bpf_link_create(bpf_program__fd(loaded_->entry), static_cast<int>(device_.ifindex), BPF_XDP, &options));
    if (!link_) return std::unexpected(system_error(errno, "The XDP program cannot be attached", device_.name));
    return {};
}

Result<void> PortProgram::attach(const Start& start) {
    if (!start.options.generic) {
        auto attached = attach_mode(XDP_FLAGS_DRV_MODE);
        native_ = attached.has_value();
        if (!native_) add_note("Native XDP does not work on " + device_.name + ", generic mode is used: " + attached.error().sentence);
    }
    if (!native_ && bound_)
        if (auto loaded = load_first(start, "native XDP does not work on it"); !loaded) return loaded;
    if (!native_)
        if (auto attached = attach_mode(XDP_FLAGS_SKB_MODE); !attached) return attached;
    const std::string path = start.folder + "/link";
    if (bpf_obj_pin(link_.get(), path.c_str()) != 0) return std::unexpected(system_error(errno, "The link cannot be pinned", path));
    return {};
}

Result<void> PortProgram::check(const std::string& directory, const PortSpec& port, const Device& device) {
    if (has_vlans(port) && device.tags_beside) {
        const std::string why = port.tags_beside_frame ? why_not_bound(device) : "";
        if (!port.tags_beside_frame || !why.empty()) return std::unexpected(tags_beside_error(device, why));
    }
    auto there = attachment_of(directory + "/" + device.name + "/link", device);
    return there ? Result<void>{} : std::unexpected(there.error());
}

// The maps of this port alone: those that are pinned, where they may be taken over, else new ones.
Result<void> PortProgram::use_own_maps(const std::string& folder, bool pinned) {
    struct Own {
        const char* name;
        bpf_map* map;
        Descriptor& descriptor;
    };
    const auto& maps = loaded_->skeleton->maps;
    for (auto& [name, map, descriptor] : {Own{"xsks", maps.xsks, xsks_}, Own{"counters", maps.counters, counters_}}) {
        const std::string path = folder + "/" + name;
        if (!pinned) unlink(path.c_str());
        descriptor = open_pinned_map(path, map);
        if (!descriptor) {
            auto made = make_pinned_map(path, map);
            if (!made) return std::unexpected(made.error());
            descriptor = std::move(*made);
        }
        if (bpf_map__reuse_fd(map, descriptor.get()) != 0) return std::unexpected(system_error(errno, "A pinned map cannot be used", path));
    }
    return {};
}

void PortProgram::add_note(std::string sentence) {
    if (std::ranges::find(notes_, sentence) == notes_.end()) notes_.push_back(std::move(sentence));
}

Result<void> PortProgram::prepare(bool generic) {
    auto notes = prepare_device(device_, generic);
    if (!notes) return std::unexpected(notes.error());
    for (auto& note : *notes) add_note(std::move(note));
    return {};
}

// A port that was black once has the lock still.
Result<void> PortProgram::close_egress(const Start& start) {
    if (start.port.role != Role::black) return Egress::open(device_.name);
    auto closed = Egress::close(start.folder, start.port, device_, start.maps);
    if (!closed) return std::unexpected(std::move(closed.error()));
    egress_ = std::move(*closed);
    return {};
}

// With one of the two entries.
Result<void> PortProgram::load_entry(const Start& start, bool bound) {
    LibbpfLog log;
    loaded_ = std::make_unique<Loaded>(Skeleton(port_bpf::open()));
    port_bpf* skeleton = loaded_->skeleton.get();
    if (!skeleton) return std::unexpected(system_error(errno, "The BPF program cannot be opened: " + log.tail(), device_.name));
    const sp_port settings = settings_of(start.port, device_, start.options);
    std::memcpy(const_cast<sp_port*>(&skeleton->rodata->port), &settings, sizeof(settings)); // .rodata: constant only once it is loaded
    if (auto lent = start.maps.lend(*skeleton); !lent) return lent;
    if (auto used = use_own_maps(start.folder, start.maps.taken_over()); !used) return used;
    bound_ = bound;
    loaded_->entry = bound ? skeleton->progs.sallyport_bound : skeleton->progs.sallyport_port;
    if (bound) {
        auto room = load_bound(*skeleton, device_);
        if (!room) return std::unexpected(room.error());
        room_ = *room;
    } else if (port_bpf::load(skeleton) != 0) {
        return std::unexpected(system_error(errno, "The BPF program cannot be loaded: " + log.tail(), device_.name));
    }
    set_macs({&device_.mac, 1});
    return {};
}

// Without sight of VLAN tags beside the frame: where VLANs need it the port is refused, else a note says what can come in.
Result<void> PortProgram::load_first(const Start& start, const std::string& why_not_bound) {
    loaded_.reset(); // first: a bound program that is given up goes at once
    if (device_.tags_beside && has_vlans(start.port)) return std::unexpected(tags_beside_error(device_, why_not_bound));
    if (device_.tags_beside) add_note(tags_beside_warning(device_, why_not_bound));
    return load_entry(start, false);
}

Result<void> PortProgram::load(const Start& start) {
    if (!device_.tags_beside || !start.port.tags_beside_frame) return load_first(start, "");
    if (start.options.generic) return load_first(start, "that needs native mode");
    auto there = attachment_of(start.folder + "/link", device_);
    if (!there) return std::unexpected(there.error());
    if (there->link && !there->native) return load_first(start, "the program that is taken over runs in generic mode");
    if (const std::string why = why_not_bound(device_); !why.empty()) return load_first(start, why);
    if (auto loaded = load_entry(start, true); !loaded) return load_first(start, loaded.error().sentence);
    add_note("VLAN tags that the driver (" + device_.driver + ") of " + device_.name + " keeps beside the frame are seen.");
    return {};
}

Result<PortProgram> PortProgram::start(const std::string& directory, const PortSpec& port, const Device& device, const SharedMaps& maps,
                                       const ProgramOptions& options) {
    const Start start{.folder = directory + "/" + device.name, .port = port, .maps = maps, .options = options};
    if (auto checked = check_pin_directory(start.folder); !checked) return std::unexpected(checked.error());
    PortProgram program;
    program.device_ = device;
    if (auto prepared = program.prepare(options.generic); !prepared) return std::unexpected(prepared.error());
    if (auto closed = program.close_egress(start); !closed) return std::unexpected(closed.error());
    if (auto loaded = program.load(start); !loaded) return std::unexpected(loaded.error());
    auto taken = program.take_over(start.folder);
    if (!taken) return std::unexpected(taken.error());
    if (!*taken)
        if (auto attached = program.attach(start); !attached) return std::unexpected(attached.error());
    if (!program.native_ && !options.generic)
        if (auto prepared = program.prepare(true); !prepared) return std::unexpected(prepared.error());
    return program;
}

Result<void> PortProgram::set_socket(unsigned queue, int socket) {
    if (bpf_map_update_elem(xsks_.get(), &queue, &socket, BPF_ANY) != 0)
        return std::unexpected(system_error(errno, "The socket of queue " + std::to_string(queue) + " cannot be registered", device_.name));
    return {};
}

void PortProgram::set_macs(std::span<const MacAddress> macs) {
    auto& numbers = loaded_->skeleton->bss->port_macs;
    for (std::size_t i = SP_MAX_PORT_MACS; i-- > 0;) { // the first last: without it all are taken
        std::uint64_t number = 0;
        if (i < macs.size())
            for (std::size_t k = 0; k < 6; k++) number |= std::uint64_t{macs[i][k]} << (8 * k); // as mac_number() in bpf/parse.h
        __atomic_store_n(&numbers[i], number, __ATOMIC_RELAXED);
    }
}

Result<VerdictCounters> PortProgram::counters() const { return counters_of(counters_.get(), device_); }

Result<sp_verdict> PortProgram::judge(std::span<const std::uint8_t> frame, const PortSpec& port, const SharedMaps& maps,
                                      const ProgramOptions& options) const {
    LibbpfLog log;
    const Skeleton twin(port_bpf::open());
    if (!twin) return std::unexpected(system_error(errno, "The BPF program cannot be opened: " + log.tail(), device_.name));
    const sp_port settings = settings_of(port, device_, options);
    std::memcpy(const_cast<sp_port*>(&twin->rodata->port), &settings, sizeof(settings));
    if (auto lent = maps.lend(*twin, false); !lent) return std::unexpected(lent.error());
    if (bpf_map__reuse_fd(twin->maps.xsks, xsks_.get()) != 0 || port_bpf::load(twin.get()) != 0)
        return std::unexpected(system_error(errno, "The BPF program cannot be loaded: " + log.tail(), device_.name));
    std::memcpy(twin->bss->port_macs, loaded_->skeleton->bss->port_macs, sizeof(twin->bss->port_macs));
    xdp_md context{.data = 0, .data_end = static_cast<std::uint32_t>(frame.size()), .data_meta = 0, .ingress_ifindex = device_.ifindex};
    bpf_test_run_opts run;
    clear(run);
    run.data_in = frame.data();
    run.data_size_in = static_cast<std::uint32_t>(frame.size());
    run.ctx_in = &context;
    run.ctx_size_in = sizeof(context);
    if (bpf_prog_test_run_opts(bpf_program__fd(twin->progs.sallyport_port), &run) != 0)
        return std::unexpected(system_error(errno, "The kernel does not run the BPF program on this frame", device_.name));
    auto counted = counters_of(bpf_map__fd(twin->maps.counters), device_);
    if (!counted) return std::unexpected(counted.error());
    for (unsigned verdict = 0; verdict < SP_VERDICT_COUNT; ++verdict)
        if ((*counted)[verdict].packets != 0) return static_cast<sp_verdict>(verdict);
    return std::unexpected(Error{ErrorCode::system, "The BPF program counted nothing", device_.name, {}});
}

namespace {

std::string inside(const std::string& folder, const std::string& name) { return folder + "/" + name; }

std::vector<std::string> names_in(const std::string& directory) {
    std::vector<std::string> names;
    DIR* open = opendir(directory.c_str());
    if (!open) return names;
    while (const dirent* entry = readdir(open)) {
        std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(std::move(name));
    }
    closedir(open);
    std::ranges::sort(names);
    return names;
}

} // namespace

Result<std::vector<std::string>> detach(const std::string& directory) {
    std::vector<std::string> ports;
    for (const auto& name : names_in(directory)) {
        const std::string folder = inside(directory, name);
        for (const auto& pin : names_in(folder)) {
            const std::string path = inside(folder, pin);
            if (pin == "link") {
                // Now, although a living process may hold the link too. A device that is gone has taken the attachment with it (ENOLINK).
                Descriptor link(bpf_obj_get(path.c_str()));
                if (link && bpf_link_detach(link.get()) != 0 && errno != ENOLINK)
                    return std::unexpected(system_error(errno, "The program cannot be detached", name));
                ports.push_back(name);
            }
            if (pin == egress_pin)
                if (auto opened = Egress::open(name); !opened) return std::unexpected(std::move(opened.error()));
            if (unlink(path.c_str()) != 0) return std::unexpected(system_error(errno, "The pin cannot be removed", path));
        }
        rmdir(folder.c_str());
    }
    return ports;
}

} // namespace sallyport::xdp
