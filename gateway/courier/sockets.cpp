// SPDX-License-Identifier: Apache-2.0
#include "gateway/courier/sockets.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sallyport::courier {
namespace {

constexpr std::array lines{Line::known, Line::first};
constexpr int buffer = 4 * 1024 * 1024; // octets that wait for a busy sallyport-ike; without CAP_NET_ADMIN what the system allows

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return std::unexpected(Error{ErrorCode::invalid, "The path of a socket is too long.", path, "choose a shorter runtime directory"});
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

/// Who is at the other end.
bool belongs_to(int descriptor, uid_t user) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    return getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 && credentials.uid == user;
}

} // namespace

Peer::~Peer() { close(descriptor_); }

bool Peer::send(const ike_datagram::Datagram& datagram) const {
    const std::vector<std::uint8_t> record = record_of(datagram);
    return ::send(descriptor_, record.data(), record.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

Peer::Came Peer::receive(std::span<std::uint8_t> room, std::size_t& size) const {
    const ssize_t octets = recv(descriptor_, room.data(), room.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (octets > 0) {
        size = static_cast<std::size_t>(octets);
        return Came::record;
    }
    return octets < 0 && (errno == EAGAIN || errno == EINTR) ? Came::nothing : Came::gone;
}

std::string path_of(const std::string& directory, Line line) { return directory + (line == Line::known ? "/ike-known" : "/ike-first"); }

Result<std::unique_ptr<Sockets>> Sockets::open(const std::string& directory, uid_t user) {
    std::unique_ptr<Sockets> sockets(new Sockets);
    sockets->user_ = user;
    for (const Line line : lines)
        if (auto done = sockets->listen_at(line, path_of(directory, line)); !done) return std::unexpected(std::move(done).error());
    return sockets;
}

Result<void> Sockets::listen_at(Line line, const std::string& path) {
    const auto failed = [&](const char* what) {
        return std::unexpected(system_error(errno, what, path, "see that the runtime directory is there and writable"));
    };
    const Result<sockaddr_un> address = address_of(path);
    if (!address) return std::unexpected(address.error());
    const int descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return failed("A socket for sallyport-ike cannot be made");
    doors_[static_cast<std::size_t>(line)] = descriptor;
    unlink(path.c_str());
    if (bind(descriptor, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
        return failed("A socket for sallyport-ike cannot be bound");
    paths_[static_cast<std::size_t>(line)] = path;
    // Who may come in is judged by accept(): the user is another one than the gateway's.
    if (chmod(path.c_str(), 0666) != 0 || listen(descriptor, 4) != 0) return failed("A socket for sallyport-ike cannot be opened");
    return {};
}

Sockets::~Sockets() {
    for (const Line line : lines) {
        const auto number = static_cast<std::size_t>(line);
        if (doors_[number] >= 0) close(doors_[number]);
        if (!paths_[number].empty()) unlink(paths_[number].c_str());
    }
}

unsigned Sockets::accept() {
    unsigned turned_away = 0;
    for (const Line line : lines) {
        for (;;) {
            const int descriptor = accept4(door(line), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (descriptor < 0) break;
            if (!belongs_to(descriptor, user_)) {
                close(descriptor);
                ++turned_away;
                continue;
            }
            if (setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) != 0)
                (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
            auto next = std::make_shared<const Peer>(descriptor);
            const std::lock_guard lock(mutex_);
            peers_[static_cast<std::size_t>(line)].swap(next);
        }
    }
    return turned_away;
}

void Sockets::hang_up(Line line) {
    std::shared_ptr<const Peer> gone;
    const std::lock_guard lock(mutex_);
    peers_[static_cast<std::size_t>(line)].swap(gone);
}

std::shared_ptr<const Peer> Sockets::peer(Line line) const {
    const std::lock_guard lock(mutex_);
    return peers_[static_cast<std::size_t>(line)];
}

} // namespace sallyport::courier
