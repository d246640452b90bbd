// SPDX-License-Identifier: Apache-2.0
#include "gateway/port/ring.hpp"

namespace sallyport {

template <class Item>
Ring<Item>::Ring(unsigned capacity, Waker& waker) : cells_(new Cell[capacity]), mask_(capacity - 1), waker_(waker) {
    for (unsigned i = 0; i < capacity; ++i) cells_[i].turn.store(i, std::memory_order_relaxed);
}

// A cell whose turn is its position may be written for that position; turn = position + 1: it may be read; then position + capacity.
template <class Item>
unsigned Ring<Item>::push(std::span<const Item> items) {
    unsigned done = 0;
    std::uint64_t position = tail_.load(std::memory_order_relaxed);
    while (done < items.size()) {
        Cell& cell = cells_[position & mask_];
        const std::uint64_t turn = cell.turn.load(std::memory_order_acquire);
        if (turn == position) {
            if (!tail_.compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) continue;
            cell.item = items[done++];
            cell.turn.store(position + 1, std::memory_order_release);
            ++position;
        } else if (turn < position) {
            return done; // full
        } else {
            position = tail_.load(std::memory_order_relaxed); // another writer was quicker
        }
    }
    return done;
}

template <class Item>
unsigned Ring<Item>::pop(std::span<Item> items) {
    unsigned done = 0;
    for (; done < items.size(); ++done, ++head_) {
        Cell& cell = cells_[head_ & mask_];
        if (cell.turn.load(std::memory_order_acquire) != head_ + 1) break;
        items[done] = cell.item;
        cell.turn.store(head_ + mask_ + 1, std::memory_order_release);
    }
    return done;
}

template <class Item>
bool Ring<Item>::empty() const {
    return cells_[head_ & mask_].turn.load(std::memory_order_acquire) != head_ + 1;
}

template class Ring<Frame>;
template class Ring<Event>;

} // namespace sallyport
