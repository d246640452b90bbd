// SPDX-License-Identifier: Apache-2.0
// The AF_XDP sockets of a gateway: one for each queue of each port, all on one UMEM.
//
// The story of a chunk: refill() takes it from the worker's free chunks and puts it on the fill ring; the kernel writes a frame into it and
// puts it on the receive ring; receive() makes it a Frame, and it is the worker's. transmit() puts it on the transmit ring of whatever port
// the frame leaves by; the kernel sends it and puts it on the completion ring; complete() gives it back to the worker's free chunks.
#pragma once

#include "gateway/port/port.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/xdp/program.hpp"
#include "gateway/xdp/umem.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>
#include <xdp/xsk.h>

namespace sallyport::xdp {

/// Entries of each of a socket's four rings, a power of two.
inline constexpr std::uint32_t ring_entries = 2048;

/// One queue of one port (PortQueue has the rules).
class XskQueue final : public PortQueue {
public:
    /// `most_receive`: chunks that the receive side may hold.
    XskQueue(PacketMemory memory, std::uint32_t most_receive);
    ~XskQueue() override;

    unsigned receive(std::span<Frame> frames) override;
    void refill(Chunks& free) override;
    unsigned transmit(std::span<const Frame> frames) override;
    void complete(Chunks& free) override;
    void flush() override;
    [[nodiscard]] int descriptor() const override;
    [[nodiscard]] PortStatistics statistics() const override;

    /// Chunks that this queue has now, on its rings or in the kernel. Threads: the queue's worker, or none beside.
    [[nodiscard]] std::uint32_t held() const { return receive_held_ + transmit_held_; }

private:
    friend class Sockets;
    int wake_transmit();

    PacketMemory memory_;
    std::uint32_t most_receive_;
    std::uint32_t receive_held_ = 0;
    std::uint32_t transmit_held_ = 0;
    bool transmit_pending_ = false; // on the ring, and the kernel was not told or has not taken all
    xsk_socket* socket_ = nullptr;
    xsk_ring_cons receive_{};
    xsk_ring_prod fill_{};
    xsk_ring_prod transmit_{};
    xsk_ring_cons completion_{};
    std::atomic<std::uint64_t> received_{0}; // written by the worker, read by whoever asks
    std::atomic<std::uint64_t> transmitted_{0};
};

class Sockets {
public:
    /// Binds queues 0 to queues-1 of every port and registers them with the ports' programs. Zero-copy if all ports can, else copy: sockets
    /// on one UMEM have one mode. A queue that a dying process still holds is tried again for two seconds.
    [[nodiscard]] static Result<Sockets> open(Umem& umem, std::span<PortProgram> ports, unsigned queues);
    Sockets(Sockets&&) noexcept = default;
    Sockets& operator=(Sockets&&) noexcept;
    ~Sockets();

    [[nodiscard]] XskQueue& queue(std::size_t port, unsigned queue) { return *queues_[port * per_port_ + queue]; }
    [[nodiscard]] const XskQueue& queue(std::size_t port, unsigned queue) const { return *queues_[port * per_port_ + queue]; }
    [[nodiscard]] unsigned queues_per_port() const { return per_port_; }
    [[nodiscard]] bool zero_copy() const { return zero_copy_; }

private:
    struct DeleteUmem {
        void operator()(xsk_umem* umem) const { xsk_umem__delete(umem); }
    };
    Sockets() = default;
    Result<void> bind_all(Umem& umem, std::span<PortProgram> ports, unsigned queues, bool zero_copy);
    void close_all();

    std::vector<std::unique_ptr<XskQueue>> queues_; // port by port
    std::unique_ptr<xsk_umem, DeleteUmem> umem_;
    unsigned per_port_ = 0;
    bool zero_copy_ = false;
};

} // namespace sallyport::xdp
