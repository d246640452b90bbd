// SPDX-License-Identifier: Apache-2.0
// Coroutines of the engine. A Flow is one exchange seen by one side, or several in a row; within it one Task awaits another. A flow stands
// at one place at a time and goes on only through the run queue: nothing is resumed from inside something else. Whatever it waits for finds
// it by its number, so a flow may be destroyed at any place where it waits.
#pragma once

#include <coroutine>
#include <cstdint>
#include <deque>
#include <exception>
#include <optional>
#include <utility>

namespace sallyport::ike {

using FlowId = std::uint64_t; // never used twice; 0: none

/// The flows that can go on, in the order in which they could.
using RunQueue = std::deque<FlowId>;

/// Where a flow stands.
struct Standing {
    FlowId id = 0;
    RunQueue* queue = nullptr;
    std::coroutine_handle<> at;
    bool done = false;
    /// It goes on at `at` when its turn comes.
    void wake() { queue->push_back(id); }
    void wake(std::coroutine_handle<> handle) {
        at = handle;
        wake();
    }
};

namespace detail {

struct PromiseBase {
    Standing* standing = nullptr;
    std::coroutine_handle<> parent;

    struct Final {
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> self) const noexcept {
            PromiseBase& promise = self.promise();
            if (promise.parent)
                promise.standing->wake(promise.parent);
            else
                promise.standing->done = true;
        }
        void await_resume() const noexcept {}
    };
    std::suspend_always initial_suspend() noexcept { return {}; }
    Final final_suspend() noexcept { return {}; }
    [[noreturn]] void unhandled_exception() { std::terminate(); }
};

template <class T>
struct Promise : PromiseBase {
    std::optional<T> value;
    template <class U>
    void return_value(U&& given) {
        value.emplace(std::forward<U>(given));
    }
    T take() { return *std::move(value); }
};

template <>
struct Promise<void> : PromiseBase {
    void return_void() {}
    void take() {}
};

} // namespace detail

/// What a coroutine of the engine returns. It begins when it is awaited, and is destroyed with this.
template <class T = void>
class [[nodiscard]] Task {
public:
    struct promise_type : detail::Promise<T> {
        Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    };

    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Task& operator=(Task&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Task() {
        if (handle_) handle_.destroy();
    }

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> caller) {
        handle_.promise().standing = caller.promise().standing;
        handle_.promise().parent = caller;
        caller.promise().standing->wake(handle_);
    }
    T await_resume() { return handle_.promise().take(); }

    /// As the first of a flow.
    void begin(Standing& standing) {
        handle_.promise().standing = &standing;
        standing.wake(handle_);
    }

private:
    explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
    std::coroutine_handle<promise_type> handle_;
};

} // namespace sallyport::ike
