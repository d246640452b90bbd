// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/rig.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sallyport::xdp::rig {

const std::string& run_directory() {
    static const std::string path = "/run/sallyport-xdp-test";
    return path;
}

bool shell(const std::string& command) {
    const int status = std::system(command.c_str()); // NOLINT(concurrency-mt-unsafe)
    if (status == 0) return true;
    std::fprintf(stderr, "failed (%d): %s\n", WEXITSTATUS(status), command.c_str());
    return false;
}

bool enter() {
    const std::string directory = run_directory() + "/bpf";
    bool ready = unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    // A tmpfs over /run, so that nothing of this test is seen outside.
    ready = ready && mount("tmpfs", "/run", "tmpfs", 0, nullptr) == 0 && mkdir(run_directory().c_str(), 0700) == 0 &&
            mkdir(directory.c_str(), 0700) == 0 && mount("bpf", directory.c_str(), "bpf", 0, nullptr) == 0;
    if (!ready) {
        std::perror("namespaces of the test");
        return false;
    }
    return shell(
        "/bin/ip link set lo up; echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
}

bool become_daemon() {
    constexpr uid_t user = 1000;
    const cap_value_t four[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_IPC_LOCK};
    cap_t caps = cap_init();
    const bool done = chown(run_directory().c_str(), user, user) == 0 && chown((run_directory() + "/bpf").c_str(), user, user) == 0 &&
                      prctl(PR_SET_KEEPCAPS, 1) == 0 && setresgid(user, user, user) == 0 && setresuid(user, user, user) == 0 &&
                      cap_set_flag(caps, CAP_PERMITTED, 4, four, CAP_SET) == 0 &&
                      cap_set_flag(caps, CAP_EFFECTIVE, 4, four, CAP_SET) == 0 && cap_set_proc(caps) == 0;
    cap_free(caps);
    return done;
}

Wire::Wire(const std::string& device) : socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
    if (!socket_ || bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) std::perror(device.c_str());
    const int ours = 1; // not what this end sends itself
    (void)setsockopt(socket_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &ours, sizeof(ours));
}

bool Wire::send(const Octets& frame) { return ::send(socket_.get(), frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size()); }

Octets Wire::receive(int milliseconds) {
    pollfd wait{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    Octets frame(65536);
    if (poll(&wait, 1, milliseconds) != 1) return {};
    const ssize_t octets = recv(socket_.get(), frame.data(), frame.size(), 0);
    frame.resize(octets > 0 ? static_cast<std::size_t>(octets) : 0);
    return frame;
}

} // namespace sallyport::xdp::rig
