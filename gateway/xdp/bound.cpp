// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/bound.hpp"

#include "gateway/state/descriptor.hpp"
#include "gateway/xdp/pins.hpp"
#include "gateway/xdp/skeleton.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstdint>
#include <linux/netdev.h>
#include <memory>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

namespace sallyport::xdp {
namespace {

struct Free {
    void operator()(nl_sock* socket) const { nl_socket_free(socket); }
    void operator()(nl_msg* message) const { nlmsg_free(message); }
};

int take_metadata(nl_msg* message, void* to) {
    nlattr* attributes[NETDEV_A_DEV_MAX + 1] = {};
    if (genlmsg_parse(nlmsg_hdr(message), 0, attributes, NETDEV_A_DEV_MAX, nullptr) != 0) return NL_SKIP;
    if (const nlattr* features = attributes[NETDEV_A_DEV_XDP_RX_METADATA_FEATURES])
        *static_cast<std::uint64_t*>(to) = nla_get_u64(features);
    return NL_OK;
}

// What the driver tells a program bound to the device: enum netdev_xdp_rx_metadata. Nothing also where the kernel is too old to say it.
std::uint64_t metadata_of(const Device& device) {
    std::uint64_t told = 0;
    const std::unique_ptr<nl_sock, Free> socket(nl_socket_alloc());
    if (!socket || genl_connect(socket.get()) != 0) return 0;
    const int family = genl_ctrl_resolve(socket.get(), NETDEV_FAMILY_NAME);
    const std::unique_ptr<nl_msg, Free> message(nlmsg_alloc());
    if (family < 0 || !message || !genlmsg_put(message.get(), 0, 0, family, 0, 0, NETDEV_CMD_DEV_GET, NETDEV_FAMILY_VERSION) ||
        nla_put_u32(message.get(), NETDEV_A_DEV_IFINDEX, device.ifindex) != 0 ||
        nl_socket_modify_cb(socket.get(), NL_CB_VALID, NL_CB_CUSTOM, take_metadata, &told) != 0 ||
        nl_send_auto(socket.get(), message.get()) < 0 || nl_recvmsgs_default(socket.get()) < 0)
        return 0;
    return told;
}

// Octets of the program as the kernel has it; 0: it does not say.
std::uint32_t length_in_kernel(int program) {
    bpf_prog_info info{};
    std::uint32_t size = sizeof(info);
    return bpf_prog_get_info_by_fd(program, &info, &size) == 0 ? info.xlated_prog_len : 0;
}

// net.core.bpf_jit_harden = 2, which only CAP_SYS_ADMIN may read, and only in the first network namespace. A program with one constant
// shows it: it becomes longer.
bool constants_are_blinded() {
    const bpf_insn constant[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0x12345678},
                                 {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    const Descriptor program(bpf_prog_load(BPF_PROG_TYPE_XDP, "sallyport_probe", "GPL", constant, 2, nullptr));
    return program && length_in_kernel(program.get()) > sizeof(constant);
}

} // namespace

std::string why_not_bound(const Device& device) {
    if ((metadata_of(device) & NETDEV_XDP_RX_METADATA_VLAN_TAG) == 0)
        return "the driver (" + device.driver + ") does not tell them, or the kernel is older than Linux 6.8";
    // Blinding makes a copy of the program, and the device would go on pointing to the one that is gone (bpf/port.bpf.c).
    if (constants_are_blinded())
        return "the kernel blinds constants (net.core.bpf_jit_harden = 2), which a program bound to a device does not survive";
    return {};
}

Result<std::size_t> load_bound(port_bpf& skeleton, const Device& device) {
    bpf_program* bound = skeleton.progs.sallyport_bound;
    LibbpfLog log;
    if (bpf_program__set_autoload(skeleton.progs.sallyport_port, false) != 0 || bpf_program__set_autoload(bound, true) != 0 ||
        bpf_program__set_flags(bound, bpf_program__flags(bound) | BPF_F_XDP_DEV_BOUND_ONLY) != 0)
        return std::unexpected(system_error(errno, "The BPF program cannot be prepared", device.name));
    bpf_program__set_ifindex(bound, device.ifindex);
    if (port_bpf::load(&skeleton) != 0)
        return std::unexpected(system_error(errno, "The BPF program cannot be loaded: " + log.tail(), device.name));
    // Every step that makes it longer comes after the dead code is gone, so one that ended no longer than it began never was.
    const std::size_t given = bpf_program__insn_cnt(bound) * sizeof(bpf_insn);
    const std::uint32_t made = length_in_kernel(bpf_program__fd(bound));
    if (made == 0 || made > given)
        return std::unexpected(Error{ErrorCode::unsupported,
                                     "The kernel made the BPF program longer (" + std::to_string(given) + " octets, then " +
                                         std::to_string(made) + "), which a program bound to a device does not survive.",
                                     device.name, ""});
    return given - made;
}

} // namespace sallyport::xdp
