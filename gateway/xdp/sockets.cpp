// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/sockets.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <linux/if_xdp.h>
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

} // namespace

XskQueue::XskQueue(PacketMemory memory, std::uint32_t most_receive)
    : memory_(memory), most_receive_(std::min(most_receive, ring_entries)) {}

XskQueue::~XskQueue() {
    if (socket_) xsk_socket__delete(socket_);
}

unsigned XskQueue::receive(std::span<Frame> frames) {
    std::uint32_t at = 0;
    const unsigned count = xsk_ring_cons__peek(&receive_, static_cast<std::uint32_t>(frames.size()), &at);
    for (unsigned i = 0; i < count; i++) {
        const xdp_desc* descriptor = xsk_ring_cons__rx_desc(&receive_, at + i);
        Frame frame;
        frame.index = static_cast<std::uint32_t>(descriptor->addr / chunk_size);
        frame.chunk = memory_.chunk(frame.index);
        frame.begin = static_cast<std::uint16_t>(descriptor->addr % chunk_size);
        frame.end = static_cast<std::uint16_t>(frame.begin + descriptor->len);
        frames[i] = frame;
    }
    if (count == 0) return 0;
    xsk_ring_cons__release(&receive_, count);
    receive_held_ -= count;
    received_.store(received_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
    return count;
}

void XskQueue::refill(Chunks& free) {
    if (receive_held_ >= most_receive_) return;
    const std::uint32_t room = std::min(most_receive_ - receive_held_, xsk_prod_nb_free(&fill_, ring_entries));
    std::uint32_t at = 0;
    std::uint32_t given = 0;
    for (std::uint32_t chunk = 0; given < room && free.take(chunk); given++) {
        if (xsk_ring_prod__reserve(&fill_, 1, &at) != 1) {
            free.give(chunk);
            break;
        }
        *xsk_ring_prod__fill_addr(&fill_, at) = std::uint64_t{chunk} * chunk_size;
    }
    if (given > 0) xsk_ring_prod__submit(&fill_, given);
    receive_held_ += given;
}

unsigned XskQueue::transmit(std::span<const Frame> frames) {
    std::uint32_t at = 0;
    const auto count = std::min(static_cast<std::uint32_t>(frames.size()),
                                xsk_prod_nb_free(&transmit_, static_cast<std::uint32_t>(frames.size())));
    if (count == 0 || xsk_ring_prod__reserve(&transmit_, count, &at) != count) return 0;
    for (std::uint32_t i = 0; i < count; i++) {
        xdp_desc* descriptor = xsk_ring_prod__tx_desc(&transmit_, at + i);
        descriptor->addr = std::uint64_t{frames[i].index} * chunk_size + frames[i].begin;
        descriptor->len = frames[i].length();
        descriptor->options = 0;
    }
    xsk_ring_prod__submit(&transmit_, count);
    transmit_held_ += count;
    transmit_pending_ = true;
    transmitted_.store(transmitted_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
    return count;
}

void XskQueue::complete(Chunks& free) {
    if (transmit_held_ == 0) return;
    std::uint32_t at = 0;
    const std::uint32_t count = xsk_ring_cons__peek(&completion_, ring_entries, &at);
    if (count == 0) return;
    for (std::uint32_t i = 0; i < count; i++)
        free.give(static_cast<std::uint32_t>(*xsk_ring_cons__comp_addr(&completion_, at + i) / chunk_size));
    xsk_ring_cons__release(&completion_, count);
    transmit_held_ -= count;
}

// One call: 0, or why the kernel has left frames on the ring. EAGAIN: it has sent one budget's worth, or the socket's send buffer is full;
// EBUSY: the device dropped one. A link that is down says ENETDOWN.
int XskQueue::wake_transmit() { return sendto(xsk_socket__fd(socket_), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0 ? 0 : errno; }

void XskQueue::flush() {
    if (transmit_pending_ && xsk_ring_prod__needs_wakeup(&transmit_)) {
        // The consumer's index tells nothing in between: until Linux 6.17 it moves only when the kernel looks for more than it has seen.
        unsigned calls = transmit_held_ / least_budget + 1;
        int error = EAGAIN;
        while (calls-- > 0 && (error == EAGAIN || error == EBUSY)) error = wake_transmit();
        transmit_pending_ = error != 0;
    } else if (transmit_pending_) {
        transmit_pending_ = __atomic_load_n(transmit_.consumer, __ATOMIC_ACQUIRE) != transmit_.cached_prod;
    }
    if (xsk_ring_prod__needs_wakeup(&fill_)) recvfrom(xsk_socket__fd(socket_), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

int XskQueue::descriptor() const { return xsk_socket__fd(socket_); }

PortStatistics XskQueue::statistics() const {
    PortStatistics statistics;
    statistics.received = received_.load(std::memory_order_relaxed);
    statistics.transmitted = transmitted_.load(std::memory_order_relaxed);
    xdp_statistics kernel{};
    socklen_t size = sizeof(kernel);
    if (getsockopt(xsk_socket__fd(socket_), SOL_XDP, XDP_STATISTICS, &kernel, &size) == 0) {
        statistics.dropped = kernel.rx_dropped;
        statistics.ring_full = kernel.rx_ring_full;
        statistics.fill_empty = kernel.rx_fill_ring_empty_descs;
        statistics.invalid_receive = kernel.rx_invalid_descs;
        statistics.invalid_transmit = kernel.tx_invalid_descs;
    }
    return statistics;
}

Sockets& Sockets::operator=(Sockets&& other) noexcept {
    std::swap(queues_, other.queues_);
    std::swap(umem_, other.umem_);
    std::swap(per_port_, other.per_port_);
    std::swap(zero_copy_, other.zero_copy_);
    return *this;
}

Sockets::~Sockets() { close_all(); }

void Sockets::close_all() {
    queues_.clear(); // before the UMEM that they stand on
    umem_.reset();
}

Result<void> Sockets::bind_all(Umem& umem, std::span<PortProgram> ports, unsigned queues, bool zero_copy) {
    per_port_ = queues;
    // Half of the chunks may wait for frames; the other half is on its way.
    const auto sockets = static_cast<std::uint32_t>(ports.size()) * queues;
    const std::uint32_t most_receive = std::max(1U, umem.memory().count / 2 / sockets);
    for (std::uint32_t i = 0; i < sockets; i++) queues_.push_back(std::make_unique<XskQueue>(umem.memory(), most_receive));

    xsk_umem_config memory{};
    memory.fill_size = ring_entries;
    memory.comp_size = ring_entries;
    memory.frame_size = chunk_size;
    xsk_umem* made = nullptr;
    XskQueue& first = *queues_.front(); // its rings are those of the UMEM itself
    if (int error = xsk_umem__create(&made, umem.memory().base, umem.octets(), &first.fill_, &first.completion_, &memory); error != 0)
        return std::unexpected(system_error(-error, "The packet memory cannot be registered with the kernel", "frames"));
    umem_.reset(made);

    xsk_socket_config config{};
    config.rx_size = ring_entries;
    config.tx_size = ring_entries;
    config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
    config.bind_flags = static_cast<std::uint16_t>(XDP_USE_NEED_WAKEUP | (zero_copy ? XDP_ZEROCOPY : XDP_COPY));
    for (std::uint32_t i = 0; i < sockets; i++) {
        XskQueue& queue = *queues_[i];
        PortProgram& port = ports[i / queues];
        const std::string& name = port.device().name;
        int error = -EBUSY;
        for (unsigned tries = 0; tries < bind_tries && error == -EBUSY; tries++) {
            if (tries > 0) usleep(bind_retry_microseconds);
            error = xsk_socket__create_shared(&queue.socket_, name.c_str(), i % queues, umem_.get(), &queue.receive_, &queue.transmit_,
                                              &queue.fill_, &queue.completion_, &config);
        }
        if (error != 0) {
            queue.socket_ = nullptr;
            return std::unexpected(system_error(-error, "No AF_XDP socket can be bound to queue " + std::to_string(i % queues), name,
                                                error == -EBUSY ? "Another process holds it: stop that." : ""));
        }
        // Both for copy mode, where a frame on its way is a packet of the kernel's that counts against the send buffer; who cannot have
        // them loses nothing but system calls.
        const int budget = transmit_budget;
        const int send_buffer = static_cast<int>(ring_entries * chunk_size);
        const int fd = xsk_socket__fd(queue.socket_);
        (void)setsockopt(fd, SOL_XDP, option_transmit_budget, &budget, sizeof(budget));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof(send_buffer));
        if (auto set = port.set_socket(i % queues, fd); !set) return set;
    }
    zero_copy_ = zero_copy;
    return {};
}

Result<Sockets> Sockets::open(Umem& umem, std::span<PortProgram> ports, unsigned queues) {
    if (ports.empty() || queues == 0 || queues > SP_MAX_QUEUES)
        return std::unexpected(
            Error{ErrorCode::invalid, "At least one port and 1 to " + std::to_string(SP_MAX_QUEUES) + " queues are needed.", "", ""});
    Sockets sockets;
    const bool may_zero_copy = std::ranges::all_of(ports, &PortProgram::native); // generic mode always copies
    if (may_zero_copy && sockets.bind_all(umem, ports, queues, true)) return sockets;
    sockets.close_all();
    if (auto bound = sockets.bind_all(umem, ports, queues, false); !bound) return std::unexpected(bound.error());
    return sockets;
}

} // namespace sallyport::xdp
