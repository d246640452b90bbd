// SPDX-License-Identifier: Apache-2.0
#include "gateway/route/mirror.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <utility>

namespace sallyport::route {

namespace {

constexpr int receive_buffer = 8 << 20;              // octets; notifications that wait while a Fib is made
constexpr std::size_t message_buffer = 65536;        // octets; the kernel fills up to 32 KiB a read of a dump
constexpr std::uint64_t shortest_pause = 5'000'000;  // ns from a change to the Fib that has it
constexpr std::uint64_t longest_pause = 500'000'000; // ns, where Fibs take long
constexpr unsigned reads_a_dispatch = 512;

// Time that this thread has had a processor.
std::uint64_t worked() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

Error netlink_error(int code, std::string sentence) {
    return {ErrorCode::system, std::move(sentence) + ": " + nl_geterror(code), "rtnetlink", {}};
}

Result<nl_sock*> connect() {
    nl_sock* socket = nl_socket_alloc();
    if (socket == nullptr) return std::unexpected(system_error(ENOMEM, "no netlink socket", "rtnetlink"));
    if (const int code = nl_connect(socket, NETLINK_ROUTE); code < 0) {
        nl_socket_free(socket);
        return std::unexpected(netlink_error(code, "cannot open a netlink socket"));
    }
    nl_socket_set_msg_buf_size(socket, message_buffer);
    nl_socket_disable_auto_ack(socket);
    return socket;
}

void set_timer(int timer, std::uint64_t first_ns, std::uint64_t every_ns) {
    const auto to_spec = [](std::uint64_t ns) {
        return timespec{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
    };
    const itimerspec spec{to_spec(every_ns), to_spec(first_ns)};
    timerfd_settime(timer, 0, &spec, nullptr);
}

// Of a timer or a bell.
bool take_expiry(int timer) {
    std::uint64_t count = 0;
    return read(timer, &count, sizeof count) == sizeof count;
}

} // namespace

Result<std::unique_ptr<NeighbourAsker>> NeighbourAsker::open() {
    Result<nl_sock*> socket = connect();
    if (!socket) return std::unexpected(std::move(socket.error()));
    nl_socket_set_nonblocking(*socket);
    return std::unique_ptr<NeighbourAsker>(new NeighbourAsker(*socket));
}

NeighbourAsker::~NeighbourAsker() { nl_socket_free(socket_); }

void NeighbourAsker::ask(std::uint32_t interface, const Address& address) {
    ndmsg header{};
    header.ndm_family = address.family == Family::ipv4 ? AF_INET : AF_INET6;
    header.ndm_ifindex = static_cast<int>(interface);
    header.ndm_state = NUD_NONE;
    header.ndm_flags = NTF_USE;
    nl_msg* message = nlmsg_alloc_simple(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_CREATE);
    if (message == nullptr) return;
    if (nlmsg_append(message, &header, sizeof header, NLMSG_ALIGNTO) == 0 &&
        nla_put(message, NDA_DST, static_cast<int>(address.size()), address.octets.data()) == 0)
        nl_send_auto(socket_, message);
    nlmsg_free(message);
    // Refusals (an interface that has just gone) come as messages that nobody wants.
    std::array<char, 1024> refusal;
    while (recv(nl_socket_get_fd(socket_), refusal.data(), refusal.size(), MSG_DONTWAIT) > 0) {
    }
}

Result<std::unique_ptr<Mirror>> Mirror::open(const std::vector<VpnSpec>& vpns, const std::vector<PortSpec>& ports,
                                             MirrorListener& listener) {
    std::unique_ptr<Mirror> mirror(new Mirror(listener));
    if (Result<void> opened = mirror->open_sockets(); !opened) return std::unexpected(std::move(opened.error()));
    if (Result<void> arranged = mirror->arrange(vpns, ports); !arranged) return std::unexpected(std::move(arranged.error()));
    set_timer(mirror->tick_timer_, 1'000'000'000, 1'000'000'000);
    return mirror;
}

Mirror::~Mirror() {
    nl_socket_free(events_);
    nl_socket_free(query_);
    for (const int descriptor : {epoll_, flush_timer_, tick_timer_, learned_bell_})
        if (descriptor >= 0) close(descriptor);
}

Result<void> Mirror::open_sockets() {
    Result<std::unique_ptr<NeighbourAsker>> asker = NeighbourAsker::open();
    if (!asker) return std::unexpected(std::move(asker.error()));
    asker_ = std::move(*asker);
    Result<nl_sock*> query = connect();
    if (!query) return std::unexpected(std::move(query.error()));
    query_ = *query;
    Result<nl_sock*> events = connect();
    if (!events) return std::unexpected(std::move(events.error()));
    events_ = *events;

    nl_socket_modify_cb(query_, NL_CB_VALID, NL_CB_CUSTOM, on_dumped, this);
    nl_socket_modify_cb(events_, NL_CB_VALID, NL_CB_CUSTOM, on_notification, this);
    nl_socket_disable_seq_check(events_);
    nl_socket_set_nonblocking(events_);
    // Beyond the system's limit by CAP_NET_ADMIN; without it what the limit gives.
    if (setsockopt(nl_socket_get_fd(events_), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) != 0)
        nl_socket_set_buffer_size(events_, receive_buffer, 0);
    const int code = nl_socket_add_memberships(events_, RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                               RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0);
    if (code < 0) return std::unexpected(netlink_error(code, "cannot follow links, addresses, routes and neighbours"));

    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    flush_timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    tick_timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    learned_bell_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    for (const int descriptor : {nl_socket_get_fd(events_), flush_timer_, tick_timer_, learned_bell_}) {
        epoll_event event{.events = EPOLLIN, .data = {.fd = descriptor}};
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0)
            return std::unexpected(system_error(errno, "cannot wait for netlink", "rtnetlink"));
    }
    return {};
}

Result<void> Mirror::arrange(const std::vector<VpnSpec>& vpns, const std::vector<PortSpec>& ports) {
    picture_.arrange(vpns, ports);
    if (Result<void> synced = resync(); !synced) return synced;
    flush();
    return {};
}

// One dump, again where something changed meanwhile so that it may have holes (NLM_F_DUMP_INTR).
Result<void> Mirror::dump(int what, unsigned char family) {
    int code = 0;
    for (unsigned attempt = 0; attempt < 10; ++attempt) {
        rtmsg header{};
        ndmsg neighbour_header{};
        header.rtm_family = family;
        neighbour_header.ndm_family = family;
        ifinfomsg link_header{};
        const bool neighbours = what == RTM_GETNEIGH;
        void* payload = &header;
        std::size_t size = sizeof header;
        if (neighbours) {
            payload = &neighbour_header;
            size = sizeof neighbour_header;
        } else if (what == RTM_GETLINK) {
            payload = &link_header;
            size = sizeof link_header;
        }
        code = nl_send_simple(query_, what, NLM_F_DUMP, payload, size);
        if (code >= 0) code = nl_recvmsgs_default(query_);
        if (code >= 0) return {};
        if (code != -NLE_DUMP_INTR) break;
    }
    if (code == -NLE_DUMP_INTR) { // the kernel changes faster than it can tell: take what came, notifications correct it
        lost_ = true;
        return {};
    }
    return std::unexpected(netlink_error(code, "cannot read the kernel's links, addresses, routes and neighbours"));
}

Result<void> Mirror::resync() {
    lost_ = false;
    picture_.begin_links();
    const Result<void> links = dump(RTM_GETLINK, AF_UNSPEC);
    picture_.end_links();
    if (!links) return links;
    picture_.forget_addresses();
    if (Result<void> done = dump(RTM_GETADDR, AF_UNSPEC); !done) return done;
    if (Result<void> done = resync_routes(); !done) return done;
    addresses_changed_ = true;
    return resync_neighbours();
}

Result<void> Mirror::resync_routes() {
    routes_stale_ = false;
    picture_.forget_routes();
    if (Result<void> done = dump(RTM_GETROUTE, AF_INET); !done) return done;
    return dump(RTM_GETROUTE, AF_INET6);
}

Result<void> Mirror::resync_neighbours() {
    links_generation_ = picture_.links_generation();
    picture_.begin_neighbours();
    if (Result<void> done = dump(RTM_GETNEIGH, AF_INET); !done) return done;
    if (Result<void> done = dump(RTM_GETNEIGH, AF_INET6); !done) return done;
    picture_.end_neighbours();
    neighbours_changed_ = true;
    return {};
}

int Mirror::on_notification(nl_msg* message, void* self) {
    static_cast<Mirror*>(self)->handle(nlmsg_hdr(message), false);
    return NL_OK;
}

int Mirror::on_dumped(nl_msg* message, void* self) {
    static_cast<Mirror*>(self)->handle(nlmsg_hdr(message), true);
    return NL_OK;
}

void Mirror::handle(nlmsghdr* message, bool dumped) {
    switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: return handle_link(message);
    case RTM_NEWADDR:
    case RTM_DELADDR: return handle_address(message);
    case RTM_NEWROUTE:
    case RTM_DELROUTE: return handle_route(message, dumped);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: return handle_neighbour(message, dumped);
    default: return;
    }
}

void Mirror::handle_link(nlmsghdr* message) {
    const std::optional<KernelLink> link = parse_link(message);
    if (!link) return;
    const auto known = picture_.kernel_links().find(link->interface);
    if (message->nlmsg_type == RTM_DELLINK) {
        picture_.link_gone(link->interface);
    } else {
        if (known != picture_.kernel_links().end() && known->second == *link) return;
        picture_.link(*link);
    }
    routes_stale_ = true;
    addresses_changed_ = true;
}

void Mirror::handle_address(nlmsghdr* message) {
    const std::optional<KernelAddress> address = parse_address_message(message);
    if (!address) return;
    if (message->nlmsg_type == RTM_DELADDR) {
        picture_.address_gone(*address);
        routes_stale_ = true; // those with this address as their source go without a word
    } else {
        picture_.address(*address);
    }
    addresses_changed_ = true;
}

void Mirror::handle_route(nlmsghdr* message, bool dumped) {
    const std::optional<KernelRoute> route = parse_route(message);
    if (!route) return;
    if (message->nlmsg_type == RTM_DELROUTE)
        picture_.route_gone(*route);
    else
        picture_.route(*route, dumped ? NLM_F_APPEND : message->nlmsg_flags);
}

void Mirror::handle_neighbour(nlmsghdr* message, bool dumped) {
    const std::optional<KernelNeighbour> neighbour = parse_neighbour(message);
    if (!neighbour) return;
    const bool changed = message->nlmsg_type == RTM_DELNEIGH ? picture_.neighbour_gone(*neighbour) : picture_.neighbour(*neighbour);
    neighbours_changed_ |= changed && !dumped;
}

void Mirror::learn(const KernelNeighbour& neighbour) {
    {
        const std::lock_guard lock(learned_mutex_);
        learned_.push_back(neighbour);
    }
    const std::uint64_t one = 1;
    (void)!write(learned_bell_, &one, sizeof one); // full: it rings already
}

void Mirror::take_learned() {
    if (!take_expiry(learned_bell_)) return;
    std::vector<KernelNeighbour> learned;
    {
        const std::lock_guard lock(learned_mutex_);
        learned.swap(learned_);
    }
    for (const KernelNeighbour& neighbour : learned)
        neighbours_changed_ |= neighbour.has_mac ? picture_.neighbour(neighbour) : picture_.neighbour_gone(neighbour);
}

void Mirror::dispatch() {
    read_notifications();
    take_learned();
    if (take_expiry(tick_timer_)) reask();
    if (take_expiry(flush_timer_)) {
        armed_ = false;
        if (catch_up()) flush();
    }
    if (neighbours_changed_) {
        neighbours_changed_ = false;
        listener_.neighbours_changed();
    }
    if (lost_ || routes_stale_ || addresses_changed_ || picture_.changed() || links_generation_ != picture_.links_generation()) arm();
}

void Mirror::read_notifications() {
    for (unsigned i = 0; i < reads_a_dispatch; ++i) {
        const int code = nl_recvmsgs_default(events_);
        if (code >= 0) continue;
        if (code == -NLE_AGAIN) return;
        // ENOBUFS: the kernel could not keep up telling us. What is left in the socket is read, then everything is asked for anew.
        if (!lost_) ++counters_.resyncs;
        lost_ = true;
        if (code != -NLE_NOMEM) return;
    }
}

// What fails here (no memory) is tried again with the next timer; until then the last Fib stands.
bool Mirror::catch_up() {
    if (!lost_) {
        if (routes_stale_ && !resync_routes()) {
            routes_stale_ = true;
            return false;
        }
        if (links_generation_ == picture_.links_generation() || resync_neighbours()) return true;
    } else if (resync()) {
        return true;
    }
    lost_ = true;
    return false;
}

void Mirror::arm() {
    if (armed_) return;
    armed_ = true;
    set_timer(flush_timer_, std::clamp(counters_.last_build_ns * 4, shortest_pause, longest_pause), 0);
}

void Mirror::flush() {
    if (picture_.changed()) {
        const std::uint64_t begin = worked();
        std::unique_ptr<const Fib> fib = picture_.build();
        counters_.last_build_ns = worked() - begin;
        ++counters_.published;
        listener_.publish(std::move(fib));
    }
    if (std::exchange(addresses_changed_, false)) listener_.addresses_changed(picture_);
}

// The kernel does not see our traffic, so to it our neighbours look unused: what we use it is told to confirm (RFC 4861 7.3.3), so that
// entries neither go stale for good nor vanish while frames flow.
void Mirror::reask() {
    for (const KernelNeighbour& neighbour : picture_.used_and_stale()) {
        asker_->ask(neighbour.interface, neighbour.address);
        ++counters_.asked;
    }
}

MirrorCounters Mirror::counters() const {
    MirrorCounters result = counters_;
    result.routes = picture_.routes();
    result.neighbours = picture_.neighbours();
    return result;
}

} // namespace sallyport::route
