// SPDX-License-Identifier: Apache-2.0
// One end of a veth pair in some network namespace: whole frames in and out, by the burst, and how many were lost on the way.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace sallyport::soak {

inline constexpr std::size_t frame_room = 2048; // octets
inline constexpr unsigned burst = 64;           // frames of one call

/// Octets of a frame in a buffer of somebody else's.
using Octets = std::span<std::uint8_t>;

/// Frames that are to be sent together, copied.
class Outbox {
public:
    void add(std::span<const std::uint8_t> frame) {
        std::memcpy(room(), frame.data(), frame.size());
        added(frame.size());
    }
    /// Where the next frame may be written, frame_room octets; then added().
    [[nodiscard]] std::uint8_t* room() { return data_[count_].data(); }
    void added(std::size_t octets) { sizes_[count_++] = octets; }
    [[nodiscard]] unsigned count() const { return count_; }
    [[nodiscard]] Octets operator[](unsigned i) { return {data_[i].data(), sizes_[i]}; }
    void clear() { count_ = 0; }

private:
    static constexpr unsigned most = 2 * burst;
    std::array<std::array<std::uint8_t, frame_room>, most> data_;
    std::array<std::size_t, most> sizes_{};
    unsigned count_ = 0;
};

class Link {
public:
    /// `where`: a path of a network namespace, then ":", then the interface. Ends the process when it cannot be had.
    explicit Link(const std::string& where);
    ~Link();
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// What has come, at most a burst; valid until the next call.
    [[nodiscard]] std::span<const Octets> receive();
    /// Sends all, in order. `refused` gets the places of those that the link did not take, because it is down.
    void send(Outbox& out, std::vector<unsigned>& refused);
    [[nodiscard]] int descriptor() const { return socket_; }
    /// Frames that came and found no room in the socket.
    [[nodiscard]] std::uint64_t overflown();

private:
    int socket_;
    std::vector<std::array<std::uint8_t, frame_room>> memory_;
    std::array<Octets, burst> come_;
    std::uint64_t overflown_ = 0;
};

} // namespace sallyport::soak
