// SPDX-License-Identifier: Apache-2.0
#include "bench/veth.hpp"

#include "gateway/xdp/program.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sallyport::bench::veth {
namespace {

bool shell(const std::string& command) {
    if (std::system(command.c_str()) == 0) // NOLINT(concurrency-mt-unsafe)
        return true;
    std::fprintf(stderr, "failed: %s\n", command.c_str());
    return false;
}

std::string pins() { return std::string(run_directory) + "/bpf"; }

/// return XDP_DROP;
bool drop_all(const char* device) {
    const bpf_insn program[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = XDP_DROP},
                                {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    const int descriptor = bpf_prog_load(BPF_PROG_TYPE_XDP, "sink", "GPL", program, 2, nullptr);
    const bool good = descriptor >= 0 && bpf_xdp_attach(static_cast<int>(index_of(device)), descriptor, 0, nullptr) == 0;
    if (!good) std::perror(device);
    if (descriptor >= 0) close(descriptor);
    return good;
}

} // namespace

bool enter() {
    const bool apart = unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                       mount("tmpfs", "/run", "tmpfs", 0, nullptr) == 0 && mkdir(run_directory, 0700) == 0 &&
                       mkdir(pins().c_str(), 0700) == 0 && mount("bpf", pins().c_str(), "bpf", 0, nullptr) == 0;
    if (!apart) {
        std::perror("namespaces of the benchmark (root rights?)");
        return false;
    }
    return shell("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6;"
                 "for pair in black0:wan0 red0:lan0; do near=${pair%:*} far=${pair#*:};"
                 "ip link add $near type veth peer name $far && ip link set $near up && ip link set $far up || exit 1; done") &&
           drop_all("wan0") && drop_all("lan0");
}

bool address_ports() {
    return shell("echo 0 >/proc/sys/net/ipv4/ip_forward;"
                 "ip address add 192.0.2.1/24 dev black0 && ip address add 10.0.0.1/8 dev red0 &&"
                 "ip neighbour replace 192.0.2.2 dev black0 nud permanent "
                 "lladdr $(ip -o link show wan0 | sed 's/.*ether \\([^ ]*\\).*/\\1/') && ip route add default via 192.0.2.2");
}

void leave() {
    if (const auto detached = xdp::detach(pins()); !detached) std::fprintf(stderr, "%s\n", to_string(detached.error()).c_str());
    static_cast<void>(shell("ip link del black0; ip link del red0"));
}

std::uint32_t index_of(const char* device) { return if_nametoindex(device); }

route::Mac mac_of(const char* device) {
    const auto found = xdp::find_device(device);
    return found ? found->mac : route::Mac{};
}

void rest() { usleep(1500); }

Generator::Generator(const char* device) : socket_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(index_of(device));
    const int bypass = 1; // no queueing discipline
    if (socket_ < 0 || bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        setsockopt(socket_, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof bypass) != 0) {
        std::perror(device);
        std::exit(1);
    }
}

Generator::~Generator() { close(socket_); }

void Generator::send(std::span<const Frame> frames) {
    parts_.clear();
    messages_.clear();
    for (const Frame& frame : frames) parts_.push_back({frame.data(), frame.length()});
    for (iovec& part : parts_) {
        mmsghdr message{};
        message.msg_hdr.msg_iov = &part;
        message.msg_hdr.msg_iovlen = 1;
        messages_.push_back(message);
    }
    for (std::size_t sent = 0; sent < messages_.size();) {
        const auto most = static_cast<unsigned>(std::min<std::size_t>(64, messages_.size() - sent));
        const int count = sendmmsg(socket_, &messages_[sent], most, 0);
        if (count <= 0 && errno != ENOBUFS) {
            std::perror("sendmmsg");
            return;
        }
        sent += static_cast<std::size_t>(std::max(count, 1));
    }
}

} // namespace sallyport::bench::veth
