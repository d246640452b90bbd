// SPDX-License-Identifier: Apache-2.0
// SA pairs with the memory that the gateway gives them (huge pages where they are to be had), and frames in the order in which SAs follow
// each other.
#pragma once

#include "gateway/transform/transform.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sallyport::bench {

/// Anonymous memory, in huge pages where the kernel gives them.
class Memory {
public:
    explicit Memory(std::size_t octets);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    [[nodiscard]] std::uint8_t* data() const { return data_; }

private:
    std::uint8_t* data_;
    std::size_t octets_;
};

/// `count` SA pairs, opened with the keys they are sealed with: what one sends the other may receive. Pair n protects 20.0.0.0 + 16 n /28.
class SaPairs {
public:
    SaPairs(Algorithm algorithm, unsigned count, unsigned window = 1024, SaProtocol protocol = SaProtocol::esp);
    ~SaPairs();
    SaPairs(const SaPairs&) = delete;
    SaPairs& operator=(const SaPairs&) = delete;

    [[nodiscard]] unsigned count() const { return count_; }
    [[nodiscard]] Algorithm algorithm() const { return algorithm_; }
    [[nodiscard]] SaProtocol protocol() const { return protocol_; }
    [[nodiscard]] std::uint8_t row() const { return row_; }
    [[nodiscard]] const transform::OutboundSa& outbound(unsigned pair) const { return *outbound_[pair]; }
    [[nodiscard]] const transform::InboundSa& inbound(unsigned pair) const { return *inbound_[pair]; }
    [[nodiscard]] std::span<const Selector> selectors() const { return selectors_; }
    [[nodiscard]] static std::uint32_t destination(unsigned pair) { return 0x14000000U + pair * 16 + 1; }

private:
    Algorithm algorithm_;
    SaProtocol protocol_;
    unsigned count_;
    std::uint8_t row_;
    Memory blocks_, units_; // as in gateway/store: hot part and key in one block; number, window and counters side by side
    Memory room_;           // of the selectors
    std::span<Selector> selectors_;
    std::vector<const transform::OutboundSa*> outbound_;
    std::vector<const transform::InboundSa*> inbound_;
};

/// One after the other, or random when there are more than 1,000.
class Order {
public:
    explicit Order(unsigned count) : count_(count) {}
    [[nodiscard]] unsigned next() {
        if (count_ <= 1000) return static_cast<unsigned>(state_++ % count_);
        state_ = state_ * 6364136223846793005U + 1442695040888963407U;
        return static_cast<unsigned>((state_ >> 33) % count_);
    }

private:
    unsigned count_;
    std::uint64_t state_ = 1;
};

/// Ethernet, IPv4 and UDP headers of a packet of `inner` octets to a pair's network: puts a frame's octets back as they came in.
void put_red_packet(Frame& frame, unsigned inner, unsigned pair);
inline constexpr unsigned ethernet = 14;

} // namespace sallyport::bench
