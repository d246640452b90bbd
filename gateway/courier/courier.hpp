// SPDX-License-Identifier: Apache-2.0
// Errand ike: IKE messages from the wire go to sallyport-ike, and its own go out. Neither waits for the other: what finds no room is
// dropped and counted, and IKE repeats it.
#pragma once

#include "gateway/courier/counters.hpp"
#include "gateway/courier/sockets.hpp"
#include "gateway/exception/handler.hpp"
#include "gateway/exception/token_bucket.hpp"
#include "gateway/port/chunks.hpp"
#include "gateway/port/ring.hpp"
#include "gateway/port/waker.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace sallyport::courier {

struct CourierLimits {
    std::uint32_t sent_a_second = 20'000, sent_at_once = 4'000; // messages of sallyport-ike
    std::uint64_t unknown_interval = 1'000'000'000;             // ns between two messages with an unknown SPI of one prefix
    std::size_t unknown_prefixes = 4'096;                       // that are remembered
};

/// Threads: take() the exception stage's; run() and run_once() one of its own; the rest any.
class Courier final : public exception::Handler {
public:
    /// `workers`: their inboxes, by number; they, the depot and the sockets outlive the courier.
    Courier(Sockets& sockets, Depot& depot, std::vector<FrameRing*> workers, CourierLimits limits = {});

    void take(const Frame& frame, std::uint64_t now, exception::Exits& exits) override;

    /// SPIs of sallyport-ike's own (RFC 7296 2.6): what carries one goes by Line::known.
    void know(std::span<const std::uint64_t> spis);
    void forget(std::span<const std::uint64_t> spis);
    /// The addresses from which it may send, with their outer VPNs.
    void set_sources(std::set<std::pair<VpnNumber, Address>> sources);

    /// Connections, and what sallyport-ike has sent. False: there was nothing.
    bool run_once(std::uint64_t now);
    /// Rounds until `stop`, asleep in between. Set `stop`, then wake().
    void run(const std::atomic<bool>& stop);
    void wake() { waker_.wake(); }
    [[nodiscard]] CourierCounters counters() const;

private:
    static constexpr unsigned batch = 64;

    [[nodiscard]] Line line_of(const ike_datagram::Datagram& datagram, std::uint64_t now, bool& unknown);
    [[nodiscard]] bool often(const Address& remote, std::uint64_t now);
    bool read(Line line, std::uint64_t now);
    void carry(std::span<const std::uint8_t> record, std::uint64_t now);
    [[nodiscard]] bool is_source(const ike_datagram::Datagram& datagram);
    void push(const ike_datagram::Datagram& datagram);
    void sleep();
    void refuse(Refused why) { refused_[static_cast<std::size_t>(why)].fetch_add(1, std::memory_order_relaxed); }

    Sockets& sockets_;
    Depot& depot_;
    std::vector<FrameRing*> workers_;
    CourierLimits limits_;
    Waker waker_;
    std::mutex mutex_; // of the next two
    std::unordered_set<std::uint64_t> known_;
    std::set<std::pair<VpnNumber, Address>> sources_;
    std::unordered_map<std::uint64_t, std::uint64_t> unknown_; // when a prefix sent an unknown SPI last; of take()
    exception::TokenBucket bucket_;                            // of run_once()
    std::vector<std::uint8_t> record_;                         // likewise
    std::array<std::atomic<std::uint64_t>, line_count> brought_{};
    std::array<std::atomic<std::uint64_t>, refused_reasons.size()> refused_{};
    std::atomic<std::uint64_t> sent_{0}, turned_away_{0};
};

} // namespace sallyport::courier
