// SPDX-License-Identifier: Apache-2.0
// How the control thread puts a new table in place of an old one under the eyes of the workers.
//     auto old = spd.swap(std::move(next));   // from now on workers take `next` with their next round
//     audience.settle();                      // wakes sleepers, returns when no worker reads `old` any more
//     old.reset();
#pragma once

#include "gateway/port/waker.hpp"
#include "gateway/tables/rcu.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

namespace sallyport::tables {

/// The workers, as those see them who publish. A sleeping worker is offline for RCU, so settle() never waits for one; it is woken so that
/// it takes what is new at once. Threads: any.
class Audience {
public:
    void join(Waker& waker);
    void leave(Waker& waker);
    /// Call after the swaps, from a thread that reads no table.
    void settle();

private:
    std::mutex mutex_;
    std::vector<Waker*> wakers_;
};

/// One table, immutable, replaced as a whole. Threads: read() by those who hold an rcu::Reader, swap() by one at a time.
template <class Table>
class Published {
public:
    /// Never empty: begin with an empty table.
    explicit Published(std::unique_ptr<const Table> first) : table_(first.release()) {}
    ~Published() { delete table_.load(std::memory_order_acquire); }
    Published(const Published&) = delete;
    Published& operator=(const Published&) = delete;

    /// Good until this thread's next quiescent state.
    [[nodiscard]] const Table& read() const { return *table_.load(std::memory_order_acquire); }
    /// Gives back the old table, which must live until Audience::settle() has returned.
    [[nodiscard]] std::unique_ptr<const Table> swap(std::unique_ptr<const Table> next) {
        std::unique_ptr<const Table> old(table_.exchange(next.release(), std::memory_order_acq_rel));
        version_.fetch_add(1, std::memory_order_acq_rel);
        return old;
    }
    /// Goes up with every swap. Who reads it before the table has never missed a change when it is the same the next time.
    [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

private:
    std::atomic<const Table*> table_;
    std::atomic<std::uint64_t> version_{0};
};

} // namespace sallyport::tables
