// SPDX-License-Identifier: Apache-2.0
// Keys and what they are made of, in memory that is locked, left out of core dumps and wiped when it is given back: OpenSSL's secure heap,
// in which OpenSSL keeps private numbers of its own too.
#pragma once

#include "ike/codec/octets.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace sallyport::ike {

/// Sets the arena up, once in a process and before the first Secret. `octets` is a power of two. False: the memory cannot be had or cannot
/// be locked (RLIMIT_MEMLOCK). Without it secrets lie on the ordinary heap, which is for tests.
[[nodiscard]] bool lock_arena(std::size_t octets);
[[nodiscard]] std::size_t arena_used(); // octets; 0 without an arena

/// Octets nobody else may see. Movable, never copied by accident.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::size_t size); // zeros; empty() where the arena is full
    explicit Secret(Octets octets);    // a copy; empty() likewise
    Secret(Secret&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Secret& operator=(Secret&& other) noexcept;
    ~Secret();

    [[nodiscard]] std::uint8_t* data() { return data_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] Octets octets() const { return {data_, size_}; }
    [[nodiscard]] Octets part(std::size_t begin, std::size_t count) const { return octets().subspan(begin, count); }
    [[nodiscard]] std::span<std::uint8_t> writable() { return {data_, size_}; }
    [[nodiscard]] Secret copy() const { return Secret(octets()); }

private:
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

/// In a time that does not depend on the octets.
[[nodiscard]] bool equal(Octets one, Octets other);

} // namespace sallyport::ike
