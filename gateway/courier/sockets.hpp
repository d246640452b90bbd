// SPDX-License-Identifier: Apache-2.0
// Where sallyport-ike comes to the gateway: two SEQPACKET sockets by path, since it has no network. One for messages of IKE SAs that it
// has, one for all others, so that a flood of first messages never stands before those.
#pragma once

#include "gateway/courier/counters.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/sa/ike_datagram.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <sys/types.h>

namespace sallyport::courier {

/// The other end of a line. Nothing here waits.
class Peer {
public:
    explicit Peer(int descriptor) : descriptor_(descriptor) {}
    ~Peer();
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    /// False: its socket is full, or it is gone.
    [[nodiscard]] bool send(const ike_datagram::Datagram& datagram) const;
    enum class Came : std::uint8_t { record, nothing, gone };
    /// `size`: octets of the record, which may be more than there is room for; the rest is lost then.
    [[nodiscard]] Came receive(std::span<std::uint8_t> room, std::size_t& size) const;
    [[nodiscard]] int descriptor() const { return descriptor_; }

private:
    int descriptor_;
};

/// Threads: peer() any, the rest one.
class Sockets {
public:
    /// `directory`: it is there. `user`: whose processes are let in, and nobody else, root neither. What a gateway before left at the paths
    /// is taken away.
    [[nodiscard]] static Result<std::unique_ptr<Sockets>> open(const std::string& directory, uid_t user);
    ~Sockets();
    Sockets(const Sockets&) = delete;
    Sockets& operator=(const Sockets&) = delete;

    /// Takes whoever stands at a door; the one who was there before is no more heard. Returns those who were turned away.
    unsigned accept();
    void hang_up(Line line);
    [[nodiscard]] std::shared_ptr<const Peer> peer(Line line) const; // null: nobody
    [[nodiscard]] int door(Line line) const { return doors_[static_cast<std::size_t>(line)]; }

private:
    Sockets() = default;
    [[nodiscard]] Result<void> listen_at(Line line, const std::string& path);

    uid_t user_ = 0;
    std::array<int, line_count> doors_{-1, -1};
    std::array<std::string, line_count> paths_;
    mutable std::mutex mutex_; // of the next
    std::array<std::shared_ptr<const Peer>, line_count> peers_;
};

/// "DIRECTORY/ike-known", "DIRECTORY/ike-first".
[[nodiscard]] std::string path_of(const std::string& directory, Line line);

} // namespace sallyport::courier
