// SPDX-License-Identifier: Apache-2.0
// Which SPIs are given out and not yet installed, so that a packet on one of them is told from a stray one. Workers ask it only for frames
// that no SA takes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

namespace sallyport::tables {

/// A hash table of one cache line a bucket: a look-up reads one line, whatever a flood of strangers asks for. Threads: put(), take_out()
/// and take_met() by one; meet() by any.
class ReservedSpis {
public:
    /// `spi` has its top bit clear. False: its bucket is full, another SPI must do.
    [[nodiscard]] bool put(std::uint32_t spi) {
        for (std::atomic<std::uint32_t>& slot : bucket(spi)) {
            if (slot.load(std::memory_order_relaxed) != 0) continue;
            slot.store(spi, std::memory_order_relaxed);
            return true;
        }
        return false;
    }
    void take_out(std::uint32_t spi) {
        for (std::atomic<std::uint32_t>& slot : bucket(spi))
            if ((slot.load(std::memory_order_relaxed) & ~met) == spi) slot.store(0, std::memory_order_relaxed);
    }

    /// Is it reserved? A packet that meets one is remembered for take_met().
    [[nodiscard]] bool meet(std::uint32_t spi) {
        for (std::atomic<std::uint32_t>& slot : bucket(spi)) {
            std::uint32_t found = slot.load(std::memory_order_relaxed);
            if ((found & ~met) != spi) continue;
            // A word that changed meanwhile was taken out, or another worker was quicker.
            if ((found & met) == 0 && slot.compare_exchange_strong(found, spi | met, std::memory_order_relaxed))
                any_.store(true, std::memory_order_release);
            return true;
        }
        return false;
    }

    /// SPIs that packets came for since they were put in or last told. Costs nothing where there are none.
    [[nodiscard]] std::vector<std::uint32_t> take_met() {
        std::vector<std::uint32_t> result;
        if (!any_.exchange(false, std::memory_order_acquire)) return result;
        for (Bucket& bucket : table_)
            for (std::atomic<std::uint32_t>& slot : bucket)
                if (const std::uint32_t found = slot.load(std::memory_order_relaxed); (found & met) != 0) {
                    slot.store(found & ~met, std::memory_order_relaxed);
                    result.push_back(found & ~met);
                }
        return result;
    }

private:
    static constexpr std::uint32_t met = 0x80000000; // beside an SPI: a packet came
    static constexpr unsigned buckets = 4096;
    struct alignas(64) Bucket : std::array<std::atomic<std::uint32_t>, 16> {};
    [[nodiscard]] static std::size_t place_of(std::uint32_t spi) { return (spi * 0x9e3779b1U) >> 20; } // Knuth, volume 3, 6.4
    [[nodiscard]] Bucket& bucket(std::uint32_t spi) { return table_[place_of(spi)]; }
    [[nodiscard]] const Bucket& bucket(std::uint32_t spi) const { return table_[place_of(spi)]; }

    std::vector<Bucket> table_{buckets};
    std::atomic<bool> any_{false};
};

} // namespace sallyport::tables
