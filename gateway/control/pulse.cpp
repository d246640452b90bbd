// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/pulse.hpp"

#include <algorithm>

namespace sallyport::control {

Pulse::Look Pulse::look(std::span<const std::uint64_t> rounds) {
    Look result;
    workers_.resize(rounds.size());
    for (unsigned number = 0; number < rounds.size(); ++number) {
        Worker& worker = workers_[number];
        if (rounds[number] == worker.rounds) {
            if (++worker.still == patience) result.stopped.push_back(number);
            continue;
        }
        if (worker.still >= patience) result.again.push_back(number);
        worker = {.rounds = rounds[number], .moved = true, .still = 0};
    }
    result.all = std::ranges::all_of(workers_, &Worker::moved);
    if (result.all)
        for (Worker& worker : workers_) worker.moved = false;
    return result;
}

} // namespace sallyport::control
