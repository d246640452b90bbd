// SPDX-License-Identifier: Apache-2.0
// In a process of its own: OpenSSL lets its memory be chosen only before it has taken any.
#include "gateway/crypto/locked_heap.hpp"

#include "gateway/crypto/crypto.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace sallyport;
using namespace sallyport::crypto;

namespace {

const bool chosen = lock_openssl_memory();

struct Found {
    unsigned locked = 0, elsewhere = 0; // how often
};

struct Area {
    std::uintptr_t first, last;
    bool locked; // VmFlags lo and dd
};

/// What this process may write, by /proc/self/smaps.
std::vector<Area> areas() {
    std::ifstream smaps("/proc/self/smaps");
    std::vector<Area> result;
    bool writable = false;
    for (std::string line; std::getline(smaps, line);) {
        Area area{};
        char rights[8] = {};
        if (std::sscanf(line.c_str(), "%lx-%lx %7s", &area.first, &area.last, rights) == 3) {
            writable = rights[1] == 'w';
            if (writable) result.push_back(area);
        } else if (writable && line.starts_with("VmFlags:"))
            result.back().locked = line.find(" lo") != std::string::npos && line.find(" dd") != std::string::npos;
    }
    return result;
}

/// Everywhere but at `octets` themselves.
Found search(std::span<const std::uint8_t> octets) {
    static const int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    Found found;
    for (const Area& area : areas()) {
        std::vector<std::uint8_t> copy(area.last - area.first);
        const ssize_t size = pread(memory, copy.data(), copy.size(), static_cast<off_t>(area.first));
        if (size <= 0) continue;
        const std::uint8_t* const end = copy.data() + size;
        const std::uint8_t* at = copy.data();
        while ((at = static_cast<const std::uint8_t*>(memmem(at, static_cast<std::size_t>(end - at), octets.data(), octets.size()))) !=
               nullptr) {
            if (area.first + static_cast<std::size_t>(at - copy.data()) != reinterpret_cast<std::uintptr_t>(octets.data()))
                ++(area.locked ? found.locked : found.elsewhere);
            ++at;
        }
        explicit_bzero(copy.data(), copy.size());
    }
    return found;
}

struct alignas(key_alignment) Context {
    std::array<std::uint8_t, 256> octets{};
};

} // namespace

TEST(LockedHeap, IsChosenInTime) { EXPECT_TRUE(chosen); }

TEST(LockedHeap, KeysOfOpenSslLieNowhereElse) {
    for (const AlgorithmInfo& row : algorithms) {
        std::array<std::uint8_t, maximum_key_material> material{};
        std::mt19937 random(static_cast<unsigned>(row.algorithm) + 77);
        for (std::uint8_t& octet : material) octet = static_cast<std::uint8_t>(random());
        const Suite& suite = crypto::suite(Engine::openssl, row.algorithm);
        auto context = std::make_unique<Context>();
        ASSERT_LE(suite.key_size, sizeof(Context));
        ASSERT_TRUE(suite.expand(Direction::outbound, std::span(material).first(row.material()), context.get()));
        const std::span<const std::uint8_t> key = std::span(material).first(row.key != 0 ? row.key : row.integrity_key);
        const Found now = search(key);
        EXPECT_EQ(now.elsewhere, 0U) << row.name;
        EXPECT_GT(now.locked, 0U) << row.name << ": the first round keys of a schedule are the key itself";
        suite.wipe(context.get());
        EXPECT_EQ(search(key).locked, 0U) << row.name;
    }
}

TEST(LockedHeap, BlocksKeepTheirOctetsThroughEverything) {
    const auto work = [](unsigned seed) {
        std::mt19937 random(seed);
        std::vector<std::pair<std::uint8_t*, std::size_t>> blocks;
        for (int round = 0; round < 20'000; ++round) {
            const std::size_t size = 1 + random() % (round % 100 == 0 ? 100'000 : 300);
            if (blocks.size() < 50) {
                auto* block = static_cast<std::uint8_t*>(OPENSSL_malloc(size));
                ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block) % 16, 0U);
                std::memset(block, static_cast<int>(size % 251), size);
                blocks.emplace_back(block, size);
                continue;
            }
            auto& [block, old] = blocks[random() % blocks.size()];
            for (std::size_t i = 0; i < old; ++i) ASSERT_EQ(block[i], old % 251);
            block = static_cast<std::uint8_t*>(OPENSSL_realloc(block, size));
            for (std::size_t i = 0; i < std::min(size, old); ++i) ASSERT_EQ(block[i], old % 251);
            std::memset(block, static_cast<int>(size % 251), size);
            old = size;
            if (random() % 3 != 0) continue;
            std::swap(blocks.back(), blocks[random() % blocks.size()]);
            OPENSSL_free(blocks.back().first);
            blocks.pop_back();
        }
        for (const auto& [block, size] : blocks) OPENSSL_free(block);
    };
    std::thread other(work, 1);
    work(2);
    other.join();
    EXPECT_EQ(OPENSSL_malloc(std::size_t{1} << 40), nullptr);
    EXPECT_EQ(OPENSSL_malloc(0), nullptr);
    OPENSSL_free(nullptr);
}
