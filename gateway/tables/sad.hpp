// SPDX-License-Identifier: Apache-2.0
// The SA database as receipt needs it (RFC 4301 4.4.2): from outer VPN, family and SPI to the inbound SA.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/address.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/tables/huge_pages.hpp"
#include "gateway/tables/published.hpp"
#include "gateway/tables/reserved.hpp"
#include "gateway/transform/transform.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sallyport::tables {

/// A hash table that grows in place, under the eyes of its readers: an SA is added or taken out without copying the others. It does not own
/// the SAs. Threads: add() and remove() one at a time; find() by those who hold an rcu::Reader.
class Sad {
public:
    explicit Sad(Audience& audience);
    ~Sad();
    Sad(const Sad&) = delete;
    Sad& operator=(const Sad&) = delete;

    /// Keyed by (outer_vpn, outer_family, ESP or AH, spi). False: one with this key is there. When the table has to grow it waits for the
    /// readers.
    [[nodiscard]] bool add(const transform::InboundSa& sa);
    /// False: not there. The SA's memory may be freed after Audience::settle().
    bool remove(const transform::InboundSa& sa);
    [[nodiscard]] std::size_t size() const { return used_; }
    /// Room for so many more, so that add() waits for nobody.
    void make_room(std::size_t more);
    [[nodiscard]] ReservedSpis& reserved() { return reserved_; }

    /// One SA, null: none.
    [[nodiscard]] const transform::InboundSa* find(VpnNumber outer_vpn, std::uint8_t family, std::uint32_t spi, bool ah = false) const;
    /// Up to 64 parsed frames with ESP or AH: sets `inbound`, or reason unknown_spi. The SAs, their counters' memory included, are being
    /// fetched into the cache when it returns.
    void find(std::span<Frame* const> frames) const;
    /// Why there is no SA of this SPI: reserved_spi or unknown_spi.
    [[nodiscard]] DropReason why_missing(std::uint32_t spi) const;

private:
    struct Slot {
        std::atomic<std::uint64_t> key{0};                    // 0: never used, ends a search
        std::atomic<const transform::InboundSa*> sa{nullptr}; // null: taken out; the slot keeps its key
    };
    struct Table {
        explicit Table(std::size_t count);
        std::vector<Slot, HugePages<Slot>> slots; // a power of two
        std::uint64_t mask;
        std::size_t taken = 0; // slots with a key
    };
    [[nodiscard]] const transform::InboundSa* find(std::uint64_t key) const;
    [[nodiscard]] static Slot& slot_of(Table& table, std::uint64_t key);
    void grow(std::size_t more);

    Audience& audience_;
    std::atomic<Table*> table_;
    std::size_t used_ = 0;
    mutable ReservedSpis reserved_; // who finds one there marks it
};

} // namespace sallyport::tables
