// SPDX-License-Identifier: Apache-2.0
// Whether the workers go round: what the watchdog is fed by.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sallyport::control {

class Pulse {
public:
    static constexpr unsigned patience = 3; // looks without a round before a worker is said to stand still

    struct Look {
        bool all = false;              // each worker has finished a round since this was true for the last time
        std::vector<unsigned> stopped; // workers that stand still since now
        std::vector<unsigned> again;   // workers that did and go round again
    };

    /// About once a second, with the rounds that each worker has finished; a healthy one sleeps for a second at most.
    [[nodiscard]] Look look(std::span<const std::uint64_t> rounds);

private:
    struct Worker {
        std::uint64_t rounds = 0;
        bool moved = false; // since the last time that all had
        unsigned still = 0; // looks
    };
    std::vector<Worker> workers_;
};

} // namespace sallyport::control
