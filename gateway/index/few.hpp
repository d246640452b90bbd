// SPDX-License-Identifier: Apache-2.0
// A list that has mostly very few entries, of which there are very many: 8 octets beside the entries that lie inside it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace sallyport::index {

/// `Inside` of them lie in place, more of them elsewhere. As std::vector otherwise, as far as it goes.
template <class Thing, std::uint32_t Inside>
class Few {
    static_assert(std::is_trivially_copyable_v<Thing> && sizeof(Thing) * Inside >= sizeof(void*) && alignof(Thing) <= 8);

public:
    Few() = default;
    Few(const Few& other) {
        reserve(other.size_);
        std::memcpy(place(), other.place(), other.size_ * sizeof(Thing));
        size_ = other.size_;
    }
    Few(Few&& other) noexcept { swap(other); }
    Few& operator=(Few other) noexcept {
        swap(other);
        return *this;
    }
    ~Few() {
        if (room_ != Inside) delete[] elsewhere();
    }

    [[nodiscard]] std::uint32_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] Thing* begin() { return static_cast<Thing*>(place()); }
    [[nodiscard]] Thing* end() { return begin() + size_; }
    [[nodiscard]] const Thing* begin() const { return static_cast<const Thing*>(place()); }
    [[nodiscard]] const Thing* end() const { return begin() + size_; }
    [[nodiscard]] const Thing& front() const { return *begin(); }

    Thing* insert(const Thing* before, const Thing& thing) {
        const std::ptrdiff_t at = before - begin();
        if (size_ == room_) reserve(2 * room_);
        Thing* to = begin() + at;
        std::memmove(static_cast<void*>(to + 1), to, (size_ - static_cast<std::size_t>(at)) * sizeof(Thing));
        std::memcpy(static_cast<void*>(to), &thing, sizeof(Thing));
        ++size_;
        return to;
    }
    void push_back(const Thing& thing) { insert(end(), thing); }
    void erase(const Thing* thing) {
        Thing* to = begin() + (thing - begin());
        std::memmove(static_cast<void*>(to), to + 1, static_cast<std::size_t>(end() - to - 1) * sizeof(Thing));
        --size_;
    }

private:
    [[nodiscard]] std::byte* elsewhere() const {
        std::byte* memory = nullptr;
        std::memcpy(&memory, inside_, sizeof memory);
        return memory;
    }
    [[nodiscard]] void* place() { return room_ == Inside ? inside_ : elsewhere(); }
    [[nodiscard]] const void* place() const { return room_ == Inside ? inside_ : elsewhere(); }
    void reserve(std::uint32_t room) {
        if (room <= room_) return;
        auto* memory = new std::byte[room * sizeof(Thing)];
        std::memcpy(memory, place(), size_ * sizeof(Thing));
        if (room_ != Inside) delete[] elsewhere();
        std::memcpy(inside_, &memory, sizeof memory);
        room_ = room;
    }
    void swap(Few& other) noexcept {
        std::swap(size_, other.size_);
        std::swap(room_, other.room_);
        std::swap_ranges(inside_, inside_ + sizeof inside_, other.inside_);
    }

    std::uint32_t size_ = 0, room_ = Inside;
    alignas(8) std::byte inside_[sizeof(Thing) * Inside]{}; // or where they lie
};

} // namespace sallyport::index
