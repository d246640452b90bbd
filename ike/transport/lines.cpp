// SPDX-License-Identifier: Apache-2.0
#include "ike/transport/lines.hpp"

#include "gateway/sa/ike_datagram.hpp"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace sallyport::ike::transport {
namespace {

constexpr std::array names{"/ike-known", "/ike-first"};

int connected_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return -1;
    std::memcpy(address.sun_path, path.data(), path.size());
    const int descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -1;
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return descriptor;
    close(descriptor);
    return -1;
}

Datagram datagram_of(const ike_datagram::Datagram& given) {
    return {.path = {.local = {given.local, given.local_port}, .remote = {given.remote, given.remote_port}, .vpn = given.vpn},
            .octets = {given.message.begin(), given.message.end()}};
}

} // namespace

Lines::Lines(std::string directory)
    : directory_(std::move(directory)), record_(sizeof(ike_datagram::RecordHeader) + ike_datagram::most_message + 1) {}

Lines::~Lines() { hang_up(); }

/// Both or none: a gateway that has gone is gone on either.
void Lines::hang_up() {
    for (int& descriptor : descriptors_)
        if (const int open = std::exchange(descriptor, -1); open >= 0) close(open);
}

bool Lines::connect() {
    for (std::size_t line = 0; line < line_count; ++line)
        if (descriptors_[line] < 0) descriptors_[line] = connected_to(directory_ + names[line]);
    return connected();
}

std::optional<Datagram> Lines::receive(Line line) {
    while (descriptor(line) >= 0) {
        const ssize_t size = recv(descriptor(line), record_.data(), record_.size(), MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) return std::nullopt;
        if (size <= 0) {
            hang_up();
            return std::nullopt;
        }
        const auto octets = static_cast<std::size_t>(size);
        const auto parsed = octets <= record_.size() ? ike_datagram::parse({record_.data(), octets})
                                                     : std::unexpected(std::string_view("too long"));
        if (!parsed) {
            ++counters_.malformed;
            continue;
        }
        ++counters_.received;
        return datagram_of(*parsed);
    }
    return std::nullopt;
}

void Lines::send(const Datagram& datagram) {
    const ike_datagram::Datagram given{.local = datagram.path.local.address,
                                       .remote = datagram.path.remote.address,
                                       .local_port = datagram.path.local.port,
                                       .remote_port = datagram.path.remote.port,
                                       .vpn = datagram.path.vpn,
                                       .message = datagram.octets};
    const std::vector<std::uint8_t> record = record_of(given);
    if (descriptor(Line::known) >= 0 && ::send(descriptor(Line::known), record.data(), record.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        ++counters_.sent;
        return;
    }
    if (errno == EPIPE || errno == ECONNRESET) hang_up();
    ++counters_.lost;
}

} // namespace sallyport::ike::transport
