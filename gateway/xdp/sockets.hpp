// SPDX-License-Identifier: Apache-2.0
// The AF_XDP sockets of a gateway: one for each queue of each port, all on one UMEM; bound by this process, or taken over from a dead one.
//
// The story of a chunk: refill() takes it from the worker's free chunks and puts it on the fill ring; the kernel writes a frame into it and
// puts it on the receive ring; receive() makes it a Frame, and it is the worker's. transmit() puts it on the transmit ring of whatever port
// the frame leaves by; the kernel sends it and puts it on the completion ring; complete() gives it back to the worker's free chunks.
//
// A process may die between any two instructions, and the next reads what it left from the rings. So a chunk leaves one ring before it can
// get to another: the index of the first is written before the chunk is given to whoever may write that of the second.
#pragma once

#include "gateway/port/port.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/state/descriptor.hpp"
#include "gateway/xdp/program.hpp"
#include "gateway/xdp/rings.hpp"
#include "gateway/xdp/umem.hpp"
#include "gateway/xdp/unsettled.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sallyport::xdp {

/// One queue of one port (PortQueue has the rules).
class XskQueue final : public PortQueue {
public:
    /// `most_receive`: chunks that the receive side may hold. The rings are those of the bound socket, as new or as they were left.
    XskQueue(PacketMemory memory, std::uint32_t most_receive, Descriptor socket, Rings rings);

    unsigned receive(std::span<Frame> frames) override;
    void refill(Chunks& free) override;
    unsigned transmit(std::span<const Frame> frames) override;
    void complete(Chunks& free) override;
    void flush() override;
    [[nodiscard]] int descriptor() const override { return socket_.get(); }
    [[nodiscard]] PortStatistics statistics() const override;

    /// Chunks that this queue has now, on its rings or in the kernel, to receive into and to send. Threads: any.
    [[nodiscard]] std::uint32_t receive_held() const { return receive_held_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint32_t transmit_held() const { return transmit_held_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint32_t held() const { return receive_held() + transmit_held(); }

    /// Names the chunks whose places are certain: those of the receive side and those completed. An error: the rings contradict themselves.
    /// In copy mode only. Threads: the queue's worker, or none beside.
    [[nodiscard]] Result<void> audit(ChunkPlaces& places) const;
    /// Names those being transmitted, as far as the device completes them in order and the ring still shows them.
    void audit_transmit(ChunkPlaces& places) const;
    /// Completions that lie in the ring.
    [[nodiscard]] std::uint32_t completions() const;

private:
    friend class Sockets;
    int wake_transmit();

    PacketMemory memory_;
    std::uint32_t most_receive_;
    bool transmit_pending_;                   // on the ring, and the kernel was not told or has not taken all
    std::atomic<std::uint32_t> receive_held_; // the worker alone writes these
    std::atomic<std::uint32_t> transmit_held_;
    std::uint32_t owed_ = 0; // completions of frames that a process before this one transmitted; while there are any, unsettled_ counts
    Unsettled* unsettled_ = nullptr;
    Descriptor socket_;
    Rings rings_;
    std::atomic<std::uint64_t> received_{0}; // written by the worker, read by whoever asks
    std::atomic<std::uint64_t> transmitted_{0};
};

class Sockets {
public:
    /// Binds queues 0 to queues-1 of every port and registers them with the ports' programs. Zero-copy if all ports can, else copy: sockets
    /// on one UMEM have one mode. A queue that a dying process still holds is tried again for two seconds.
    [[nodiscard]] static Result<Sockets> open(Umem& umem, std::span<PortProgram> ports, unsigned queues);
    /// Takes over the sockets of a dead process, bound in copy mode to just these queues over this memory, port by port, and accounts for
    /// every chunk. Error: they are not what they should be; nothing has been changed then, but that some may be registered.
    [[nodiscard]] static Result<Sockets> adopt(const Umem& umem, std::span<PortProgram> ports, unsigned queues,
                                               std::vector<Descriptor> left);
    Sockets(Sockets&&) noexcept = default;
    Sockets& operator=(Sockets&&) noexcept = default;

    [[nodiscard]] XskQueue& queue(std::size_t port, unsigned queue) { return *queues_[port * per_port_ + queue]; }
    [[nodiscard]] const XskQueue& queue(std::size_t port, unsigned queue) const { return *queues_[port * per_port_ + queue]; }
    /// All of them, port by port.
    [[nodiscard]] XskQueue& queue(std::size_t number) { return *queues_[number]; }
    [[nodiscard]] const XskQueue& queue(std::size_t number) const { return *queues_[number]; }
    [[nodiscard]] std::size_t count() const { return queues_.size(); }
    [[nodiscard]] unsigned queues_per_port() const { return per_port_; }
    [[nodiscard]] bool zero_copy() const { return zero_copy_; }
    /// Chunks that were free when the sockets were opened or adopted: what a depot begins with.
    [[nodiscard]] const std::vector<std::uint32_t>& free_chunks() const { return free_; }
    /// Chunks kept back until completions have caught up with what a process before this one transmitted.
    [[nodiscard]] std::uint32_t kept() const { return unsettled_ ? unsettled_->kept() : 0; }

private:
    Sockets() = default;
    Result<void> bind_all(Umem& umem, std::span<PortProgram> ports, unsigned queues, bool zero_copy);
    Result<void> register_all(std::span<PortProgram> ports);
    Result<void> account(std::uint32_t chunks);

    std::vector<std::unique_ptr<XskQueue>> queues_; // port by port
    std::unique_ptr<Unsettled> unsettled_;          // none: nothing was owed
    std::vector<std::uint32_t> free_;
    unsigned per_port_ = 0;
    bool zero_copy_ = false;
};

} // namespace sallyport::xdp
