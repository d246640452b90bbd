// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/link.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sallyport::soak {
namespace {

constexpr int buffer = 64 << 20; // octets of the kernel's for frames that wait

[[noreturn]] void fail(const std::string& what) {
    std::perror(what.c_str());
    std::exit(1);
}

bool set(int socket, int level, int option, int value) { return setsockopt(socket, level, option, &value, sizeof value) == 0; }

} // namespace

Link::Link(const std::string& where) : memory_(burst) {
    const std::size_t colon = where.rfind(':');
    const std::string name = where.substr(colon + 1);
    const int space = open(where.substr(0, colon).c_str(), O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET) != 0) fail(where);
    close(space);
    socket_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
    const bool good = socket_ >= 0 && set(socket_, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) &&
                      set(socket_, SOL_PACKET, PACKET_QDISC_BYPASS, 1) && set(socket_, SOL_SOCKET, SO_RCVBUFFORCE, buffer) &&
                      set(socket_, SOL_SOCKET, SO_SNDBUFFORCE, buffer) &&
                      bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    if (!good) fail(where);
}

Link::~Link() { close(socket_); }

std::span<const Octets> Link::receive() {
    std::array<iovec, burst> parts;
    std::array<mmsghdr, burst> messages{};
    for (unsigned i = 0; i < burst; ++i) {
        parts[i] = {memory_[i].data(), frame_room};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int count = recvmmsg(socket_, messages.data(), burst, MSG_DONTWAIT, nullptr);
    if (count < 0 && errno != EAGAIN && errno != ENETDOWN) fail("recvmmsg"); // that the link went down is said once
    for (int i = 0; i < count; ++i)
        come_[static_cast<unsigned>(i)] = {memory_[static_cast<unsigned>(i)].data(), messages[static_cast<unsigned>(i)].msg_len};
    return std::span(come_).first(count > 0 ? static_cast<unsigned>(count) : 0);
}

void Link::send(Outbox& out, std::vector<unsigned>& refused) {
    std::array<iovec, 2 * burst> parts;
    std::array<mmsghdr, 2 * burst> messages{};
    for (unsigned i = 0; i < out.count(); ++i) {
        parts[i] = {out[i].data(), out[i].size()};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    refused.clear();
    for (unsigned done = 0; done < out.count();) {
        const int count = sendmmsg(socket_, &messages[done], out.count() - done, 0);
        if (count > 0) {
            done += static_cast<unsigned>(count);
        } else if (errno == ENETDOWN || errno == ENOBUFS || errno == ENXIO) {
            refused.push_back(done++);
        } else {
            fail("sendmmsg");
        }
    }
}

std::uint64_t Link::overflown() {
    tpacket_stats statistics{};
    socklen_t size = sizeof statistics;
    if (getsockopt(socket_, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
        overflown_ += statistics.tp_drops; // since the last call
    return overflown_;
}

} // namespace sallyport::soak
