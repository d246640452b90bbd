// SPDX-License-Identifier: Apache-2.0
// Follows the kernel's links, addresses, routes and neighbours over rtnetlink and keeps a Fib of them.
#pragma once

#include "gateway/route/picture.hpp"
#include "gateway/sa/desired.hpp"
#include "gateway/sa/error.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

struct nl_sock;
struct nl_msg;
struct nlmsghdr;

namespace sallyport::route {

/// Whom the mirror tells. All calls come from within Mirror::open(), arrange() and dispatch().
class MirrorListener {
public:
    virtual ~MirrorListener() = default;
    MirrorListener() = default;
    MirrorListener(const MirrorListener&) = delete;
    MirrorListener& operator=(const MirrorListener&) = delete;
    /// Routes or links have changed; the old Fib may be in use for as long as its readers need.
    virtual void publish(std::unique_ptr<const Fib> fib) = 0;
    /// Neighbours have changed in the Fib that was published last.
    virtual void neighbours_changed() = 0;
    /// The gateway's own addresses, or one of our links, have changed: picture().local_addresses(), links(), kernel_links().
    virtual void addresses_changed(const Picture& picture) = 0;
};

struct MirrorCounters {
    std::uint64_t published = 0; // Fibs
    std::uint64_t resyncs = 0;   // whole dumps because notifications were lost
    std::uint64_t asked = 0;     // neighbours asked to be confirmed
    std::uint64_t routes = 0, neighbours = 0;
    std::uint64_t last_build_ns = 0; // of processor, for the last Fib
};

/// Asks the kernel to look for a neighbour, or to confirm it: as if a packet were sent to it (NTF_USE). Never blocks. Threads: one each.
class NeighbourAsker {
public:
    [[nodiscard]] static Result<std::unique_ptr<NeighbourAsker>> open();
    ~NeighbourAsker();
    NeighbourAsker(const NeighbourAsker&) = delete;
    NeighbourAsker& operator=(const NeighbourAsker&) = delete;
    void ask(std::uint32_t interface, const Address& address);

private:
    explicit NeighbourAsker(nl_sock* socket) : socket_(socket) {}
    nl_sock* socket_;
};

/// Takes what is found out of neighbours on VLANs for which the gateway stands itself. Threads: any. Never blocks for long.
class Learner {
public:
    virtual ~Learner() = default;
    Learner() = default;
    Learner(const Learner&) = delete;
    Learner& operator=(const Learner&) = delete;
    /// Without a MAC: it is gone.
    virtual void learn(const KernelNeighbour& neighbour) = 0;
};

/// A change is published within some 5 ms, and a burst of changes as one; where a Fib takes long to make, the pauses grow with it. A change
/// of a neighbour is visible at once. Threads: one.
class Mirror final : public Learner {
public:
    /// Dumps everything and publishes the first Fib before it returns.
    [[nodiscard]] static Result<std::unique_ptr<Mirror>> open(const std::vector<VpnSpec>& vpns, const std::vector<PortSpec>& ports,
                                                              MirrorListener& listener);
    ~Mirror() override;
    void learn(const KernelNeighbour& neighbour) override;

    /// Other VPNs or ports. Dumps again and publishes.
    Result<void> arrange(const std::vector<VpnSpec>& vpns, const std::vector<PortSpec>& ports);

    /// Readable when dispatch() has something to do.
    [[nodiscard]] int descriptor() const { return epoll_; }
    void dispatch();

    [[nodiscard]] const Picture& picture() const { return picture_; }
    [[nodiscard]] MirrorCounters counters() const;

private:
    explicit Mirror(MirrorListener& listener) : listener_(listener) {}
    Result<void> open_sockets();
    Result<void> dump(int what, unsigned char family);
    Result<void> resync();
    Result<void> resync_routes();
    Result<void> resync_neighbours();
    void handle(nlmsghdr* message, bool dumped);
    void handle_link(nlmsghdr* message);
    void handle_address(nlmsghdr* message);
    void handle_route(nlmsghdr* message, bool dumped);
    void handle_neighbour(nlmsghdr* message, bool dumped);
    void read_notifications();
    void take_learned();
    bool catch_up();
    void flush();
    void arm();
    void reask();
    static int on_notification(nl_msg* message, void* self);
    static int on_dumped(nl_msg* message, void* self);

    MirrorListener& listener_;
    Picture picture_;
    std::unique_ptr<NeighbourAsker> asker_;
    nl_sock* events_ = nullptr;
    nl_sock* query_ = nullptr;
    int epoll_ = -1;
    int flush_timer_ = -1;
    int tick_timer_ = -1;
    int learned_bell_ = -1;
    std::mutex learned_mutex_;
    std::vector<KernelNeighbour> learned_;
    bool armed_ = false;
    bool lost_ = false;         // notifications: everything has to be dumped
    bool routes_stale_ = false; // the kernel drops IPv4 routes of a link or an address without a word
    bool addresses_changed_ = false;
    bool neighbours_changed_ = false;
    unsigned links_generation_ = 0; // whose neighbours we have
    MirrorCounters counters_;
};

} // namespace sallyport::route
