// SPDX-License-Identifier: Apache-2.0
// Errand to_kernel: packets that came out of a tunnel and are for the gateway itself. Whole and unchanged, fragments too, which its kernel
// puts together.
#pragma once

#include "gateway/exception/handler.hpp"
#include "gateway/sa/address.hpp"
#include "gateway/sa/sa.hpp"

#include <atomic>
#include <cstdint>
#include <span>

namespace sallyport::exception {

/// The kernel of the machine.
class Machine {
public:
    virtual ~Machine() = default;
    Machine() = default;
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    /// An IP packet for this own address in that VPN. none: it is there; else why not. Never blocks.
    [[nodiscard]] virtual DropReason deliver(VpnNumber vpn, const Address& destination, std::span<const std::uint8_t> packet) = 0;
};

/// Takes opened frames as they were routed: their hop limit is counted down, which is undone, since nobody passes them on. (That of a
/// packet with hop limit 1 was not.)
class ToKernel final : public Handler {
public:
    explicit ToKernel(Machine& machine) : machine_(machine) {}
    void take(const Frame& frame, std::uint64_t now, Exits& exits) override;
    /// Packets that the kernel took.
    [[nodiscard]] std::uint64_t delivered() const { return delivered_.load(std::memory_order_relaxed); }

private:
    Machine& machine_;
    std::atomic<std::uint64_t> delivered_{0};
};

} // namespace sallyport::exception
