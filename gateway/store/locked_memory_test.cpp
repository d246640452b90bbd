// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/locked_memory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <set>
#include <string>

using namespace sallyport;
using store::LockedMemory;

namespace {

std::uint64_t locked_kilobytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmLck:")) return std::stoull(line.substr(6));
    return 0;
}

} // namespace

TEST(LockedMemory, BlocksAreAlignedApartAndZero) {
    LockedMemory memory;
    std::set<std::uint8_t*> blocks;
    for (int i = 0; i < 3000; ++i) {
        const std::size_t size = i % 2 == 0 ? 1408 : 24;
        auto* block = static_cast<std::uint8_t*>(memory.allocate(size).value());
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block) % 64, 0U);
        ASSERT_TRUE(std::all_of(block, block + size, [](std::uint8_t octet) { return octet == 0; }));
        std::memset(block, 0xa5, size);
        const auto next = blocks.upper_bound(block);
        ASSERT_TRUE(next == blocks.end() || *next - block >= static_cast<std::ptrdiff_t>(size));
        ASSERT_TRUE(next == blocks.begin() || block - *std::prev(next) >= 64);
        blocks.insert(block);
    }
    EXPECT_EQ(memory.mapped(), 2 * LockedMemory::chunk_size);
}

TEST(LockedMemory, IsLocked) {
    const std::uint64_t before = locked_kilobytes();
    LockedMemory memory;
    (void)memory.allocate(64).value();
    EXPECT_EQ(locked_kilobytes() - before, LockedMemory::chunk_size / 1024);
}

TEST(LockedMemory, WhatIsGivenBackIsWipedAndUsedAgain) {
    LockedMemory memory;
    auto* block = static_cast<std::uint8_t*>(memory.allocate(100).value());
    std::memset(block, 0xa5, 100);
    memory.release(block, 100);
    const volatile std::uint8_t* left = block;
    for (unsigned i = 0; i < 100; ++i) ASSERT_EQ(left[i], 0) << i;
    EXPECT_EQ(memory.allocate(128).value(), block); // of one class with 100
}

TEST(LockedMemory, TooLargeIsSaid) {
    LockedMemory memory;
    EXPECT_FALSE(memory.allocate(LockedMemory::chunk_size + 1));
    EXPECT_TRUE(memory.allocate(LockedMemory::chunk_size));
}
