// SPDX-License-Identifier: Apache-2.0
// Errand neighbour: a next hop whose link-layer address is not known yet. The kernel is asked, the frame waits, and goes back to its
// worker, which routes it again.
#pragma once

#include "gateway/exception/handler.hpp"
#include "gateway/exception/waiting.hpp"
#include "gateway/route/fib.hpp"
#include "gateway/tables/published.hpp"

#include <cstdint>
#include <vector>

namespace sallyport::exception {

/// Asks the kernel for a neighbour's link-layer address; the answer comes by the Fib. Never blocks.
class Asker {
public:
    virtual ~Asker() = default;
    Asker() = default;
    Asker(const Asker&) = delete;
    Asker& operator=(const Asker&) = delete;
    virtual void ask(const Neighbour& neighbour) = 0;
};

/// Takes frames with all fields as at routing (vpn, family, network), and the flow hash with which they were routed in `spi`.
class Neighbours final : public Handler {
public:
    /// `errors`: who tells the sources of packets whose next hop was not found; null: nobody.
    Neighbours(const tables::Published<route::Fib>& fib, Asker& asker, Handler* errors = nullptr, const WaitingLimits& limits = {});

    void take(const Frame& frame, std::uint64_t now, Exits& exits) override;
    void look(std::uint64_t now, Exits& exits) override;
    [[nodiscard]] std::uint64_t next() const override;
    [[nodiscard]] std::size_t held() const override { return waiting_.size(); }
    void leave(Exits& exits) override;

private:
    void give(std::uint64_t now, Exits& exits);

    const tables::Published<route::Fib>& fib_;
    Asker& asker_;
    Handler* errors_;
    WaitingFrames waiting_;
    std::vector<Frame> found_;   // go back
    std::vector<Frame> dropped_; // have their reason
    std::vector<Neighbour> due_;
};

} // namespace sallyport::exception
