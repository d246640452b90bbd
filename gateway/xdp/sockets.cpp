// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/sockets.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <linux/if_xdp.h>
#include <numeric>
#include <sys/socket.h>
#include <unistd.h>

namespace sallyport::xdp {
namespace {

constexpr unsigned bind_retry_microseconds = 10'000;
constexpr unsigned bind_tries = 200; // two seconds in all

// In copy mode one sendto() sends 32 frames at most, unless XDP_MAX_TX_SKB_BUDGET (Linux 6.17) says otherwise.
constexpr unsigned least_budget = 32;
constexpr int option_transmit_budget = 9;
constexpr int transmit_budget = 256;

// By the only writer.
void add(std::atomic<std::uint32_t>& counter, std::uint32_t amount) {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

std::uint32_t chunk_of(std::uint64_t address) { return static_cast<std::uint32_t>(address / chunk_size); }

// A socket with rings of its own, not bound yet; the first one has the UMEM.
Result<Descriptor> make_socket(const Umem& umem, bool first) {
    Descriptor made(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!made) return std::unexpected(system_error(errno, "No AF_XDP socket can be made"));
    xdp_umem_reg memory{};
    memory.addr = reinterpret_cast<std::uintptr_t>(umem.memory().base);
    memory.len = umem.octets();
    memory.chunk_size = chunk_size;
    if (first && setsockopt(made.get(), SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory)) != 0)
        return std::unexpected(system_error(errno, "The packet memory cannot be registered with the kernel", "frames"));
    for (const int ring : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING})
        if (setsockopt(made.get(), SOL_XDP, ring, &ring_entries, sizeof(ring_entries)) != 0)
            return std::unexpected(system_error(errno, "The rings of an AF_XDP socket cannot be made"));
    // Both for copy mode, where a frame on its way is a packet of the kernel's that counts against the send buffer; who cannot have them
    // loses nothing but system calls.
    const int budget = transmit_budget;
    const int send_buffer = static_cast<int>(ring_entries * chunk_size);
    (void)setsockopt(made.get(), SOL_XDP, option_transmit_budget, &budget, sizeof(budget));
    (void)setsockopt(made.get(), SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof(send_buffer));
    return made;
}

// `first`: the socket that has the UMEM and decides the mode; -1: this one is it.
Result<void> bind_socket(int socket, const Device& device, unsigned queue, int first, bool zero_copy) {
    sockaddr_xdp address{};
    address.sxdp_family = AF_XDP;
    address.sxdp_ifindex = device.ifindex;
    address.sxdp_queue_id = queue;
    if (first >= 0) {
        address.sxdp_flags = XDP_SHARED_UMEM;
        address.sxdp_shared_umem_fd = static_cast<std::uint32_t>(first);
    } else {
        address.sxdp_flags = static_cast<std::uint16_t>(XDP_USE_NEED_WAKEUP | (zero_copy ? XDP_ZEROCOPY : XDP_COPY));
    }
    int error = EBUSY;
    for (unsigned tries = 0; tries < bind_tries && error == EBUSY; tries++) {
        if (tries > 0) usleep(bind_retry_microseconds);
        error = bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ? 0 : errno;
    }
    if (error == 0) return {};
    return std::unexpected(system_error(error, "No AF_XDP socket can be bound to queue " + std::to_string(queue), device.name,
                                        error == EBUSY ? "Another process holds it: stop that." : ""));
}

// Half of the chunks may wait for frames; the other half is on its way.
std::uint32_t most_receive_of(PacketMemory memory, std::size_t sockets) {
    return std::max(1U, memory.count / 2 / static_cast<std::uint32_t>(sockets));
}

// The device is there, or is down; it was not taken away from under the socket.
bool is_bound(int socket) { return sendto(socket, nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0 || (errno != ENXIO && errno != EBADF); }

} // namespace

XskQueue::XskQueue(PacketMemory memory, std::uint32_t most_receive, Descriptor socket, Rings rings)
    : memory_(memory), most_receive_(std::min(most_receive, ring_entries)),
      transmit_pending_(rings.transmit.cached_prod != rings.transmit.cached_cons - ring_entries),
      receive_held_(rings.fill.cached_prod - rings.receive.cached_cons),
      transmit_held_(rings.transmit.cached_prod - rings.completion.cached_cons), socket_(std::move(socket)), rings_(std::move(rings)) {}

unsigned XskQueue::receive(std::span<Frame> frames) {
    std::uint32_t at = 0;
    const unsigned count = xsk_ring_cons__peek(&rings_.receive, static_cast<std::uint32_t>(frames.size()), &at);
    for (unsigned i = 0; i < count; i++) {
        const xdp_desc* descriptor = xsk_ring_cons__rx_desc(&rings_.receive, at + i);
        Frame frame;
        frame.index = static_cast<std::uint32_t>(descriptor->addr / chunk_size);
        frame.chunk = memory_.chunk(frame.index);
        frame.begin = static_cast<std::uint16_t>(descriptor->addr % chunk_size);
        frame.end = static_cast<std::uint16_t>(frame.begin + descriptor->len);
        frames[i] = frame;
    }
    if (count == 0) return 0;
    xsk_ring_cons__release(&rings_.receive, count);
    add(receive_held_, 0U - count);
    received_.store(received_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
    return count;
}

void XskQueue::refill(Chunks& free) {
    const std::uint32_t held = receive_held();
    if (held >= most_receive_) return;
    const std::uint32_t room = std::min(most_receive_ - held, xsk_prod_nb_free(&rings_.fill, ring_entries));
    std::uint32_t at = 0;
    std::uint32_t given = 0;
    for (std::uint32_t chunk = 0; given < room && free.take(chunk); given++) {
        if (xsk_ring_prod__reserve(&rings_.fill, 1, &at) != 1) {
            free.give(chunk);
            break;
        }
        *xsk_ring_prod__fill_addr(&rings_.fill, at) = std::uint64_t{chunk} * chunk_size;
        free.lend(chunk);
    }
    if (given == 0) return;
    xsk_ring_prod__submit(&rings_.fill, given);
    add(receive_held_, given);
}

unsigned XskQueue::transmit(std::span<const Frame> frames) {
    std::uint32_t at = 0;
    const auto count = std::min(static_cast<std::uint32_t>(frames.size()),
                                xsk_prod_nb_free(&rings_.transmit, static_cast<std::uint32_t>(frames.size())));
    if (count == 0 || xsk_ring_prod__reserve(&rings_.transmit, count, &at) != count) return 0;
    for (std::uint32_t i = 0; i < count; i++) {
        xdp_desc* descriptor = xsk_ring_prod__tx_desc(&rings_.transmit, at + i);
        descriptor->addr = std::uint64_t{frames[i].index} * chunk_size + frames[i].begin;
        descriptor->len = frames[i].length();
        descriptor->options = 0;
    }
    xsk_ring_prod__submit(&rings_.transmit, count);
    add(transmit_held_, count);
    transmit_pending_ = true;
    transmitted_.store(transmitted_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
    return count;
}

// A chunk may be given on only when it has left the ring, or a process killed in between would leave it in two places.
void XskQueue::complete(Chunks& free) {
    if (transmit_held() == 0) return;
    std::array<std::uint32_t, 64> done;
    std::uint32_t at = 0;
    while (const std::uint32_t count = xsk_ring_cons__peek(&rings_.completion, done.size(), &at)) {
        for (std::uint32_t i = 0; i < count; i++)
            done[i] = static_cast<std::uint32_t>(*xsk_ring_cons__comp_addr(&rings_.completion, at + i) / chunk_size);
        xsk_ring_cons__release(&rings_.completion, count);
        add(transmit_held_, 0U - count);
        for (std::uint32_t i = 0; i < count; i++) free.take_back(done[i]);
        if (owed_ != 0) [[unlikely]]
            owed_ -= unsettled_->settle(std::span(done).first(count), free);
    }
}

// One call: 0, or why the kernel has left frames on the ring. EAGAIN: it has sent one budget's worth, or the socket's send buffer is full;
// EBUSY: the device dropped one. A link that is down says ENETDOWN.
int XskQueue::wake_transmit() { return sendto(socket_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0 ? 0 : errno; }

void XskQueue::flush() {
    if (transmit_pending_ && xsk_ring_prod__needs_wakeup(&rings_.transmit)) {
        // The consumer's index tells nothing in between: until Linux 6.17 it moves only when the kernel looks for more than it has seen.
        unsigned calls = transmit_held() / least_budget + 1;
        int error = EAGAIN;
        while (calls-- > 0 && (error == EAGAIN || error == EBUSY)) error = wake_transmit();
        transmit_pending_ = error != 0;
    } else if (transmit_pending_) {
        transmit_pending_ = __atomic_load_n(rings_.transmit.consumer, __ATOMIC_ACQUIRE) != rings_.transmit.cached_prod;
    }
    if (xsk_ring_prod__needs_wakeup(&rings_.fill)) recvfrom(socket_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

PortStatistics XskQueue::statistics() const {
    PortStatistics statistics;
    statistics.received = received_.load(std::memory_order_relaxed);
    statistics.transmitted = transmitted_.load(std::memory_order_relaxed);
    xdp_statistics kernel{};
    socklen_t size = sizeof(kernel);
    if (getsockopt(socket_.get(), SOL_XDP, XDP_STATISTICS, &kernel, &size) == 0) {
        statistics.dropped = kernel.rx_dropped;
        statistics.ring_full = kernel.rx_ring_full;
        statistics.fill_empty = kernel.rx_fill_ring_empty_descs;
        statistics.invalid_receive = kernel.rx_invalid_descs;
        statistics.invalid_transmit = kernel.tx_invalid_descs;
    }
    return statistics;
}

std::uint32_t XskQueue::completions() const {
    return __atomic_load_n(rings_.completion.producer, __ATOMIC_ACQUIRE) - rings_.completion.cached_cons;
}

// In copy mode the kernel gives frames to the receive ring in the order in which it takes chunks from the fill ring; one that it could not
// give (the ring was full) it keeps for the next frame. So the n-th frame received lies in the n-th chunk filled, and the chunks of the
// receive side, those in the kernel's hand included, are those from our place in the receive ring to our place in the fill ring, both
// written by us alone. The fill ring still shows them all, for they are never more than it has entries.
Result<void> XskQueue::audit(ChunkPlaces& places) const {
    const auto wrong = [](std::string what) { return std::unexpected(Error{ErrorCode::invalid, std::move(what), "", ""}); };
    const std::uint32_t first = rings_.receive.cached_cons, end = rings_.fill.cached_prod;
    const std::uint32_t waiting = __atomic_load_n(rings_.receive.producer, __ATOMIC_ACQUIRE) - first;
    const auto* filled = static_cast<const std::uint64_t*>(rings_.fill.ring);
    if (end - first > ring_entries || waiting > end - first) return wrong("a receive ring holds more than was filled");
    const std::uint32_t completed = completions();
    if (transmit_held() > 2 * ring_entries || completed > std::min(ring_entries, transmit_held()))
        return wrong("a completion ring holds more than was transmitted");
    for (std::uint32_t at = first; at != end; at++) {
        const std::uint32_t chunk = chunk_of(filled[at & rings_.fill.mask]);
        if (at - first < waiting && chunk_of(xsk_ring_cons__rx_desc(&rings_.receive, at)->addr) != chunk)
            return wrong("a receive ring has another order than its fill ring");
        places.put(chunk, ChunkPlace::receive);
    }
    for (std::uint32_t i = 0; i < completed; i++)
        places.put(chunk_of(*xsk_ring_cons__comp_addr(&rings_.completion, rings_.completion.cached_cons + i)), ChunkPlace::completed);
    if (!places.fault().empty()) return wrong(places.fault());
    return {};
}

void XskQueue::audit_transmit(ChunkPlaces& places) const {
    const auto* sent = static_cast<const xdp_desc*>(rings_.transmit.ring);
    const std::uint32_t end = rings_.transmit.cached_prod;
    for (std::uint32_t at = end - std::min(transmit_held() - completions(), ring_entries); at != end; at++)
        places.put(chunk_of(sent[at & rings_.transmit.mask].addr), ChunkPlace::transmit);
}

Result<void> Sockets::bind_all(Umem& umem, std::span<PortProgram> ports, unsigned queues, bool zero_copy) {
    per_port_ = queues;
    const std::size_t count = ports.size() * queues;
    for (std::size_t i = 0; i < count; i++) {
        auto made = make_socket(umem, i == 0);
        if (!made) return std::unexpected(made.error());
        const int first = i == 0 ? -1 : queues_.front()->descriptor();
        const auto queue = static_cast<unsigned>(i % queues);
        auto rings = Rings::map(made->get()); // before it is bound: older kernels (6.1) map none afterwards
        if (!rings) return std::unexpected(rings.error());
        if (auto bound = bind_socket(made->get(), ports[i / queues].device(), queue, first, zero_copy); !bound) return bound;
        queues_.push_back(
            std::make_unique<XskQueue>(umem.memory(), most_receive_of(umem.memory(), count), std::move(*made), std::move(*rings)));
    }
    if (auto done = register_all(ports); !done) return done;
    zero_copy_ = zero_copy;
    free_.resize(umem.memory().count);
    std::iota(free_.rbegin(), free_.rend(), 0U); // the first chunks go first
    return {};
}

Result<void> Sockets::register_all(std::span<PortProgram> ports) {
    for (std::size_t i = 0; i < queues_.size(); i++)
        if (auto set = ports[i / per_port_].set_socket(static_cast<unsigned>(i % per_port_), queues_[i]->descriptor()); !set) return set;
    return {};
}

Result<Sockets> Sockets::open(Umem& umem, std::span<PortProgram> ports, unsigned queues) {
    if (ports.empty() || queues == 0 || queues > SP_MAX_QUEUES)
        return std::unexpected(
            Error{ErrorCode::invalid, "At least one port and 1 to " + std::to_string(SP_MAX_QUEUES) + " queues are needed.", "", ""});
    Sockets sockets;
    const bool may_zero_copy = std::ranges::all_of(ports, &PortProgram::native); // generic mode always copies
    if (may_zero_copy && sockets.bind_all(umem, ports, queues, true)) return sockets;
    sockets.queues_.clear();
    if (auto bound = sockets.bind_all(umem, ports, queues, false); !bound) return std::unexpected(bound.error());
    return sockets;
}

Result<Sockets> Sockets::adopt(const Umem& umem, std::span<PortProgram> ports, unsigned queues, std::vector<Descriptor> left) {
    const auto wrong = [](std::string what) { return std::unexpected(Error{ErrorCode::invalid, std::move(what), "", ""}); };
    if (queues == 0 || left.size() != ports.size() * queues) return wrong("there are sockets too few or too many");
    Sockets sockets;
    sockets.per_port_ = queues;
    for (Descriptor& socket : left) {
        if (!is_bound(socket.get())) return wrong("a socket has lost its device");
        auto rings = Rings::map(socket.get());
        if (!rings) return std::unexpected(rings.error());
        sockets.queues_.push_back(
            std::make_unique<XskQueue>(umem.memory(), most_receive_of(umem.memory(), left.size()), std::move(socket), std::move(*rings)));
    }
    if (auto done = sockets.account(umem.memory().count); !done) return std::unexpected(done.error());
    if (auto done = sockets.register_all(ports); !done) return std::unexpected(done.error());
    return sockets;
}

// What the rings do not show is free, once no frame of the dead process is on its way out any more.
Result<void> Sockets::account(std::uint32_t chunks) {
    ChunkPlaces places(chunks);
    std::uint32_t owed = 0;
    for (const auto& queue : queues_) {
        if (auto good = queue->audit(places); !good) return good;
        owed += queue->transmit_held();
    }
    const std::vector<std::uint32_t> completed = places.chunks_at(ChunkPlace::completed);
    std::vector<std::uint32_t> unknown = places.chunks_at(ChunkPlace::unknown);
    if (owed > unknown.size() + completed.size())
        return std::unexpected(Error{ErrorCode::invalid, "more frames are being transmitted than there are chunks", "", ""});
    if (owed == completed.size()) { // all that were transmitted lie in the completion rings
        free_ = std::move(unknown);
        return {};
    }
    unknown.insert(unknown.end(), completed.begin(), completed.end());
    unsettled_ = std::make_unique<Unsettled>(chunks, unknown, owed);
    for (const auto& queue : queues_) {
        queue->owed_ = queue->transmit_held();
        queue->unsettled_ = unsettled_.get();
    }
    return {};
}

} // namespace sallyport::xdp
