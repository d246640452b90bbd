// SPDX-License-Identifier: Apache-2.0
// The threads of the gateway: where they run, how they begin and end.
#pragma once

#include "gateway/sa/error.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace sallyport::control {

/// Which cores each worker may use. `wanted`: one each, in turn; empty: the allowed cores are dealt out, so that each worker has some to
/// itself. Where workers outnumber the allowed cores there is no sense in it: no worker is bound (empty lists).
[[nodiscard]] std::vector<std::vector<unsigned>> cores_of_workers(unsigned workers, const std::vector<unsigned>& wanted,
                                                                  const std::vector<unsigned>& allowed);

/// Cores on which this process may run.
[[nodiscard]] std::vector<unsigned> allowed_cores();

/// What a thread does until `stop`; waking is the caller's.
class Job {
public:
    virtual ~Job() = default;
    Job() = default;
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;
    virtual void run(const std::atomic<bool>& stop) = 0;
    virtual void wake() = 0; // so that it looks at `stop`
};

/// Threads with all signals blocked: signals belong to the control thread. Threads: the control thread.
class Threads {
public:
    Threads();
    ~Threads(); // stops them
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;

    /// `name`: up to 15 characters, as ps shows it. `cores`: empty: any.
    [[nodiscard]] Result<void> begin(std::unique_ptr<Job> job, const std::string& name, const std::vector<unsigned>& cores);
    void stop();

private:
    struct Running;
    std::atomic<bool> stop_{false};
    std::vector<std::unique_ptr<Running>> running_;
};

} // namespace sallyport::control
