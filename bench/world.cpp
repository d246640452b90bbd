// SPDX-License-Identifier: Apache-2.0
#include "bench/world.hpp"

#include "gateway/wire/checksum.hpp"
#include "gateway/wire/ip.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <sys/mman.h>

namespace sallyport::bench {
namespace {

constexpr std::size_t huge = std::size_t{2} << 20;

template <class T>
T must(Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "%s\n", to_string(result.error()).c_str());
        std::exit(1);
    }
    return std::move(*result);
}

Address ipv4(std::uint32_t value) {
    Address address;
    wire::store32(address.octets.data(), value);
    return address;
}

SaSpec spec_of(Algorithm algorithm, SaProtocol protocol, unsigned pair, unsigned window, Direction direction) {
    SaSpec spec;
    spec.protocol = protocol;
    spec.name = "bench";
    spec.direction = direction;
    spec.algorithm = algorithm;
    spec.spi = 0x1000 + pair;
    spec.outer_local = ipv4(direction == Direction::outbound ? 0xc0000201U : 0xc0000202U);
    spec.outer_remote = ipv4(direction == Direction::outbound ? 0xc0000202U : 0xc0000201U);
    spec.red_vpn = 1;
    spec.window = window;
    spec.key.size = static_cast<std::uint8_t>(info(algorithm).material());
    for (unsigned i = 0; i < spec.key.size; ++i) spec.key.octets[i] = static_cast<std::uint8_t>(pair >> i % 4 * 8 ^ i);
    return spec;
}

Selector selector_of(unsigned pair) {
    const std::uint32_t first = SaPairs::destination(pair) - 1;
    // Seen by whoever opens: what was sealed for the pair's network comes from the sender's.
    return {.local = {ipv4(first), ipv4(first + 15)}, .remote = {ipv4(0x0a000000), ipv4(0x0affffff)}};
}

} // namespace

Memory::Memory(std::size_t octets) : octets_((octets + huge - 1) & ~(huge - 1)) {
    // Twice as much address space, so that there is an aligned begin in it.
    void* place = mmap(nullptr, octets_ + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) {
        std::perror("mmap");
        std::exit(1);
    }
    auto* begin = static_cast<std::uint8_t*>(place);
    const std::size_t before = (huge - reinterpret_cast<std::uintptr_t>(begin) % huge) % huge;
    if (before != 0) munmap(begin, before);
    munmap(begin + before + octets_, huge - before);
    data_ = begin + before;
    madvise(data_, octets_, MADV_HUGEPAGE);
    std::fill_n(data_, octets_, std::uint8_t{0});
}

Memory::~Memory() { munmap(data_, octets_); }

SaPairs::SaPairs(Algorithm algorithm, unsigned count, unsigned window, SaProtocol protocol)
    : algorithm_(algorithm), protocol_(protocol), count_(count), row_(transform::row_of(algorithm, SaMode::tunnel, protocol)),
      blocks_(std::size_t{2} * count * (sizeof(transform::OutboundSa) + transform::key_size(row_))),
      units_(std::size_t{count} * (3 + sequence::units_of(Direction::inbound, window)) * sizeof(sequence::Unit)),
      room_(count * sizeof(Selector)), selectors_(reinterpret_cast<Selector*>(room_.data()), count) {
    std::uint8_t* block = blocks_.data();
    auto* units = reinterpret_cast<sequence::Unit*>(units_.data());
    const auto next_place = [&](Direction direction, unsigned pair) {
        const unsigned own = sequence::units_of(direction, window);
        transform::Place place{.row = row_,
                               .key = block + sizeof(transform::OutboundSa),
                               .units = units,
                               .counters = new (units + own) transform::SaCounters,
                               .number = pair};
        sequence::prepare(units, direction, window, 0);
        units += own + 1;
        return place;
    };
    const auto next_block = [&] {
        std::uint8_t* own = block;
        block += sizeof(transform::OutboundSa) + transform::key_size(row_);
        return own;
    };
    static_assert(sizeof(transform::OutboundSa) == sizeof(transform::InboundSa));
    for (unsigned pair = 0; pair < count; ++pair) {
        new (&selectors_[pair]) Selector(selector_of(pair));
        const auto out = next_place(Direction::outbound, pair);
        outbound_.push_back(new (next_block()) transform::OutboundSa(
            must(transform::build_outbound(spec_of(algorithm, protocol, pair, window, Direction::outbound), out))));
        const auto in = next_place(Direction::inbound, pair);
        inbound_.push_back(new (next_block()) transform::InboundSa(
            must(transform::build_inbound(spec_of(algorithm, protocol, pair, window, Direction::inbound), in, {&selectors_[pair], 1}))));
    }
}

SaPairs::~SaPairs() {
    for (const auto* sa : outbound_) transform::wipe_key(row_, sa->space.key);
    for (const auto* sa : inbound_) transform::wipe_key(row_, sa->space.key);
}

void put_red_packet(Frame& frame, unsigned inner, unsigned pair) {
    const std::uint8_t* chunk = frame.chunk;
    const std::uint32_t index = frame.index;
    frame = Frame{};
    frame.chunk = const_cast<std::uint8_t*>(chunk);
    frame.index = index;
    frame.begin = frame_headroom;
    frame.end = static_cast<std::uint16_t>(frame_headroom + ethernet + inner);
    std::uint8_t* octets = frame.data();
    std::fill_n(octets, 12, std::uint8_t{2});
    wire::store16(octets + 12, 0x0800);
    std::uint8_t* header = octets + ethernet;
    wire::store32(header, 0x45000000U | inner);
    wire::store32(header + wire::ipv4_identification, 0);
    wire::store32(header + wire::ipv4_ttl, 0x40110000U);
    wire::store32(header + wire::ipv4_source, 0x0a010001);
    wire::store32(header + wire::ipv4_destination, SaPairs::destination(pair));
    wire::write_ipv4_checksum(header, wire::ipv4_size);
    wire::store32(header + wire::ipv4_size, 0x13881388);
    wire::store32(header + wire::ipv4_size + 4, (inner - wire::ipv4_size) << 16);
}

} // namespace sallyport::bench
