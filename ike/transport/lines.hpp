// SPDX-License-Identifier: Apache-2.0
// IKE messages by way of the gateway, which has the network: the other end of gateway/courier's two sockets. Nothing here waits; what finds
// no room is lost as on any network, and counted.
#pragma once

#include "ike/engine/engine.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::ike::transport {

/// By which a message came. Its own messages sallyport-ike sends by the first.
enum class Line : std::uint8_t { known, first };
inline constexpr std::size_t line_count = 2;

struct LineCounters {
    std::uint64_t received = 0, sent = 0;
    std::uint64_t malformed = 0; // records that cannot be read
    std::uint64_t lost = 0;      // messages that could not be given to the gateway
};

class Lines {
public:
    /// `directory`: the gateway's run directory.
    explicit Lines(std::string directory);
    ~Lines();
    Lines(const Lines&) = delete;
    Lines& operator=(const Lines&) = delete;

    /// Connects what is not connected. True: both lines are there.
    bool connect();
    [[nodiscard]] bool connected() const { return descriptors_[0] >= 0 && descriptors_[1] >= 0; }
    /// To be waited for; -1: not connected.
    [[nodiscard]] int descriptor(Line line) const { return descriptors_[static_cast<std::size_t>(line)]; }

    /// The next message of a line. Nothing: there is none now, or the gateway has gone, which connected() tells.
    [[nodiscard]] std::optional<Datagram> receive(Line line);
    void send(const Datagram& datagram);
    [[nodiscard]] const LineCounters& counters() const { return counters_; }

private:
    void hang_up();

    std::string directory_;
    std::array<int, line_count> descriptors_{-1, -1};
    std::vector<std::uint8_t> record_;
    LineCounters counters_;
};

} // namespace sallyport::ike::transport
