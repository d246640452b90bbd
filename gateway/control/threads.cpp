// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/threads.hpp"

#include <csignal>
#include <pthread.h>
#include <sched.h>
#include <utility>

namespace sallyport::control {

struct Threads::Running {
    std::unique_ptr<Job> job;
    const std::atomic<bool>* stop = nullptr;
    pthread_t thread{};
};

std::vector<std::vector<unsigned>> cores_of_workers(unsigned workers, const std::vector<unsigned>& wanted,
                                                    const std::vector<unsigned>& allowed) {
    std::vector<std::vector<unsigned>> result(workers);
    if (!wanted.empty()) {
        for (unsigned i = 0; i < workers; ++i) result[i] = {wanted[i % wanted.size()]};
        return result;
    }
    if (workers > allowed.size()) return result;
    for (unsigned i = 0; i < allowed.size(); ++i) result[i % workers].push_back(allowed[i]);
    return result;
}

std::vector<unsigned> allowed_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> result;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return result;
    for (unsigned core = 0; core < CPU_SETSIZE; ++core)
        if (CPU_ISSET(core, &set)) result.push_back(core);
    return result;
}

Threads::Threads() = default;

Threads::~Threads() { stop(); }

Result<void> Threads::begin(std::unique_ptr<Job> job, const std::string& name, const std::vector<unsigned>& cores) {
    auto running = std::make_unique<Running>();
    running->job = std::move(job);
    running->stop = &stop_;
    const auto body = [](void* self) -> void* {
        auto* thread = static_cast<Running*>(self);
        thread->job->run(*thread->stop);
        return nullptr;
    };
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = pthread_create(&running->thread, nullptr, body, running.get());
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (code != 0) return std::unexpected(system_error(code, "A thread cannot be started", name));
    pthread_setname_np(running->thread, name.substr(0, 15).c_str());
    const pthread_t thread = running->thread;
    running_.push_back(std::move(running));
    if (cores.empty()) return {};
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const unsigned core : cores)
        if (core < CPU_SETSIZE) CPU_SET(core, &set);
    if (const int refused = pthread_setaffinity_np(thread, sizeof set, &set); refused != 0)
        return std::unexpected(
            system_error(refused, "Core " + std::to_string(cores.front()) + " is not to be had", name, "choose other cores"));
    return {};
}

void Threads::stop() {
    stop_.store(true, std::memory_order_release);
    for (const auto& running : running_) running->job->wake();
    for (const auto& running : running_) pthread_join(running->thread, nullptr);
    running_.clear();
    stop_.store(false, std::memory_order_release);
}

} // namespace sallyport::control
