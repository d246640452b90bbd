// SPDX-License-Identifier: Apache-2.0
// What the machine itself sends into its TUN devices goes to the workers, as if it had come in by a red port of the device's VPN.
#pragma once

#include "gateway/own/device.hpp"
#include "gateway/port/chunks.hpp"
#include "gateway/port/ring.hpp"
#include "gateway/port/waker.hpp"
#include "gateway/sa/address.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

namespace sallyport::own {

/// A device that is read.
struct Door {
    std::shared_ptr<Tun> tun;
    VpnNumber vpn = wan_vpn;
    std::set<Address> strangers; // own addresses of the gateway in other VPNs: what is sent from these does not belong here
};

struct ReaderCounters {
    std::array<std::uint64_t, drop_reason_count> dropped{}; // packets, by DropReason
    std::uint64_t sent = 0;                                 // packets given to the workers
};

/// Threads: set(), wake() and counters() any, the rest one.
class Reader {
public:
    /// `workers`: their inboxes, by number; they and the depot outlive the reader.
    Reader(Depot& depot, std::vector<FrameRing*> workers);
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    /// From now on these are read.
    void set(std::vector<Door> doors);
    /// Reads up to `batch` packets of each device; false: there were none.
    bool run_once();
    /// Rounds until `stop`, asleep in between. Set `stop`, then wake().
    void run(const std::atomic<bool>& stop);
    void wake() { waker_.wake(); }
    [[nodiscard]] ReaderCounters counters() const;

private:
    static constexpr unsigned batch = 64;

    [[nodiscard]] std::shared_ptr<const std::vector<Door>> doors();
    bool read(const Door& door);
    /// none: to a worker; the chunk is the frame's then.
    [[nodiscard]] DropReason carry(const Door& door, std::uint32_t chunk, std::size_t octets);
    void sleep();
    void count(DropReason reason) { dropped_[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed); }

    Depot& depot_;
    std::vector<FrameRing*> workers_;
    std::vector<bool> rung_; // which of them got something in this round
    Waker waker_;
    std::mutex mutex_;
    std::shared_ptr<const std::vector<Door>> doors_;
    std::array<std::atomic<std::uint64_t>, drop_reason_count> dropped_{};
    std::atomic<std::uint64_t> sent_{0};
};

} // namespace sallyport::own
