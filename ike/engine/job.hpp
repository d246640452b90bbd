// SPDX-License-Identifier: Apache-2.0
// A computation that takes long (public keys), handed out to whoever has the threads and handed back when it is done. It works on what it
// owns and touches nothing of the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace sallyport::ike {

class Job {
public:
    Job() = default;
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;
    virtual ~Job() = default;
    /// On any thread, once.
    virtual void run() = 0;
    std::uint64_t flow = 0; // who waits for it
};

/// One that is a function without captures of others' memory. The result stands in `result` when it ran.
template <class Function>
class FunctionJob final : public Job {
public:
    explicit FunctionJob(Function function) : function_(std::move(function)) {}
    void run() override { result.emplace(function_()); }
    std::optional<decltype(std::declval<Function&>()())> result;

private:
    Function function_;
};

} // namespace sallyport::ike
