// SPDX-License-Identifier: Apache-2.0
// AH (RFC 4302), in place: the whole outer packet is authenticated, but what changes on the way counts as zero. While the ICV is computed
// these octets are zero in the frame itself, and the high half of an extended number lies behind it; both go back afterwards.
#include "gateway/wire/ah.hpp"
#include "gateway/transform/passage.hpp"
#include "gateway/transform/registry.hpp"

#include <cstring>
#include <utility>

namespace sallyport::transform {
namespace {

using crypto::Packet;

/// That of an algorithm by which the code differs; octets.
struct Shape {
    bool nonce; // GMAC (RFC 4543 4): an IV before the ICV
    unsigned salt, iv, icv;
    [[nodiscard]] constexpr unsigned length(std::uint8_t family) const { return wire::ah_length(family, iv + icv); }
};

constexpr Shape shape_of(const AlgorithmInfo& row) { return {row.construction == Construction::gmac, row.salt, row.iv, row.icv}; }

constexpr unsigned high_half = 4; // octets behind the packet (RFC 4302 3.3.3.2.2)

/// An IP header as it is on the wire, while its mutable octets are zero.
struct Kept {
    std::array<std::uint8_t, wire::most_before_ah> octets;
    std::array<std::uint8_t, largest_icv> icv; // as it came
};
using AllKept = std::array<Kept, batch_size>;

/// Mostly a bare header of its family: no call then.
[[gnu::always_inline]] inline void copy_header(std::uint8_t* to, const std::uint8_t* from, unsigned size) {
    if (size == wire::ipv4_size) [[likely]]
        std::memcpy(to, from, wire::ipv4_size);
    else if (size == wire::ipv6_size) [[likely]]
        std::memcpy(to, from, wire::ipv6_size);
    else
        std::memcpy(to, from, size);
}

/// From the IP header to the end of the packet: what the ICV covers. `ah`: the AH, whose ICV is zeroed, or is zero where it is new. False:
/// it cannot be told what changes on the way.
template <Shape shape, Direction direction>
[[gnu::always_inline]] inline bool cover(const Frame& frame, std::uint8_t* ah, const sequence::Space& space, std::uint32_t salt,
                                         std::uint64_t number, Kept& kept, Packet& packet) {
    std::uint8_t* header = frame.at(frame.network);
    const auto before = static_cast<unsigned>(ah - header);
    const unsigned length = shape.length(frame.family);
    if (before > kept.octets.size()) return false;
    copy_header(kept.octets.data(), header, before);
    if (!wire::mute(header, before, frame.family)) {
        copy_header(header, kept.octets.data(), before);
        return false;
    }
    std::uint8_t* icv = ah + wire::ah_size + shape.iv;
    packet.icv = icv;
    if constexpr (direction == Direction::inbound) {
        std::memcpy(kept.icv.data(), icv, shape.icv);
        std::memset(icv, 0, shape.icv);
        packet.icv = kept.icv.data();
    }
    packet.key = space.key;
    packet.aad = header;
    packet.text = shape.nonce ? icv : ah + length; // GMAC takes the IV before the text too
    packet.aad_length = static_cast<std::uint16_t>(shape.nonce ? before + wire::ah_size : before + length);
    packet.length = static_cast<std::uint32_t>(frame.at(frame.end) - packet.text);
    packet.tail_length = 0;
    if (space.extended) {
        wire::store32(frame.at(frame.end), static_cast<std::uint32_t>(number >> 32));
        packet.length += high_half;
    }
    if constexpr (shape.nonce) {
        std::memcpy(packet.nonce.data(), &salt, shape.salt);
        std::memcpy(packet.nonce.data() + shape.salt, ah + wire::ah_size, shape.iv);
    }
    return true;
}

// --- sealing ---

/// AH, and the outer header, around a packet that has its number. The frame ends as the whole outer packet.
template <Shape shape, SaMode mode>
[[gnu::always_inline]] inline void dress(Frame& frame, std::uint64_t number) {
    const OutboundSa& sa = *frame.outbound;
    const unsigned octets = frame.network_length();
    const unsigned length = shape.length(sa.outer_length == wire::ipv4_size ? 4 : 6);
    const Wrapped wrapped = Way<mode>::wrap(frame, sa, length);
    std::uint8_t* ah = frame.at(wrapped.begin) - length;
    std::memset(ah, 0, length);
    ah[wire::ah_next_header] = wrapped.next_header;
    ah[wire::ah_payload_length] = static_cast<std::uint8_t>(length / 4 - 2);
    std::memcpy(ah + wire::ah_spi, sa.outer.data() + sa.outer_length, 4);
    wire::store32(ah + wire::ah_sequence, static_cast<std::uint32_t>(number));
    if constexpr (shape.nonce) wire::store64(ah + wire::ah_size, std::uint64_t{sa.iv_prefix} << 32 | number);
    std::uint8_t* outer = ah - wrapped.header;
    const auto whole = static_cast<unsigned>(frame.at(frame.end) - outer);
    Way<mode>::finish(outer, sa, wrapped, whole, number);
    leave_sealed(frame, outer, whole, ah, wire::protocol_ah, number, octets);
}

/// Those that failed are no part of the batch any more. Returns how many are left.
unsigned leave_out(Frame** frames, unsigned count, AllKept& kept, Packet* packets) {
    unsigned left = 0;
    for (unsigned i = 0; i < count; ++i) {
        if (frames[i]->reason != DropReason::none) continue;
        frames[left] = frames[i];
        kept[left] = kept[i];
        packets[left++] = packets[i];
    }
    return left;
}

template <Shape shape, SaMode mode>
void seal(std::span<Frame* const> frames, const crypto::Suite& suite) {
    std::array<Frame*, batch_size> ready;
    std::array<Packet, batch_size> packets;
    AllKept kept;
    unsigned count = 0;
    bool large = false;
    for (const Frame* frame : frames) { // look-up has fetched the SAs
        __builtin_prefetch(frame->outbound->space.memory, 1);
        __builtin_prefetch(frame->outbound->counters, 1);
    }
    for (Frame* frame : frames) {
        const OutboundSa& sa = *frame->outbound;
        if (const DropReason reason = judge_outbound<mode>(*frame, fit_of(sa), large); reason == DropReason::none) [[likely]]
            ready[count++] = frame;
        else
            fail(*frame, *sa.counters, reason);
    }
    count = number(ready.data(), count, [](Frame& frame, std::uint64_t given, unsigned)
                                            __attribute__((always_inline)) { dress<shape, mode>(frame, given); });
    bool all = true;
    for (unsigned i = 0; i < count; ++i) { // not at once: a header that was just written octet by octet is slow to read
        Frame& frame = *ready[i];
        const OutboundSa& sa = *frame.outbound;
        if (cover<shape, Direction::outbound>(frame, frame.at(frame.transport), sa.space, sa.salt, frame.sequence, kept[i], packets[i]))
            [[likely]]
            continue;
        fail(frame, *sa.counters, DropReason::header_before_ah);
        all = false;
    }
    if (!all) [[unlikely]]
        count = leave_out(ready.data(), count, kept, packets.data());
    suite.seal(packets.data(), count);
    for (unsigned i = 0; i < count; ++i) {
        Frame& frame = *ready[i];
        copy_header(frame.at(frame.network), kept[i].octets.data(), static_cast<unsigned>(frame.transport - frame.network));
        if (!packets[i].good) [[unlikely]]
            fail(frame, *frame.outbound->counters, DropReason::crypto_failed);
    }
    if (large) [[unlikely]]
        hold_large({ready.data(), count});
}

// --- opening ---

/// Lengths and number, before the ICV (RFC 4302 3.4.3).
template <Shape shape>
[[gnu::always_inline]] inline DropReason undress(Frame& frame, Kept& kept, Packet& packet) {
    const InboundSa& sa = *frame.inbound;
    std::uint8_t* ah = frame.at(frame.transport);
    const unsigned length = shape.length(frame.family);
    if (static_cast<unsigned>(frame.end - frame.transport) < length || ah[wire::ah_payload_length] != length / 4 - 2) [[unlikely]]
        return DropReason::malformed_ah;
    if (const DropReason reason = judge_inbound(frame, ah + wire::ah_sequence); reason != DropReason::none) [[unlikely]]
        return reason;
    if (!cover<shape, Direction::inbound>(frame, ah, sa.space, sa.salt, frame.sequence, kept, packet)) [[unlikely]]
        return DropReason::header_before_ah;
    return DropReason::none;
}

/// After the ICV: enters the number, then takes the AH out.
template <Shape shape, SaMode mode>
[[gnu::always_inline]] inline DropReason take_opened(Frame& frame, const Kept& kept, const Packet& packet) {
    copy_header(frame.at(frame.network), kept.octets.data(), static_cast<unsigned>(frame.transport - frame.network));
    if (!packet.good) return DropReason::bad_icv;
    const InboundSa& sa = *frame.inbound;
    if (const DropReason reason = sequence::accept(sa.space, frame.sequence); reason != DropReason::none) return reason;
    const std::uint8_t next_header = frame.at(frame.transport)[wire::ah_next_header];
    const unsigned begin = frame.transport + shape.length(frame.family);
    if (const DropReason reason = Way<mode>::unwrap(frame, sa, frame.transport, begin, frame.end, next_header); reason != DropReason::none)
        return reason;
    return enter_opened(frame);
}

template <Shape shape, SaMode mode>
void open(std::span<Frame* const> frames, const crypto::Suite& suite) {
    std::array<Frame*, batch_size> ready;
    std::array<Packet, batch_size> packets;
    AllKept kept;
    unsigned count = 0;
    for (const Frame* frame : frames) { // look-up has fetched the SAs
        sequence::prefetch(frame->inbound->space, wire::load32(frame->at(frame->transport) + wire::ah_sequence));
        __builtin_prefetch(frame->inbound->counters, 1);
    }
    for (Frame* frame : frames) {
        if (const DropReason reason = undress<shape>(*frame, kept[count], packets[count]); reason == DropReason::none) [[likely]]
            ready[count++] = frame;
        else
            fail(*frame, *frame->inbound->counters, reason);
    }
    suite.open(packets.data(), count);
    for (unsigned i = 0; i < count; ++i)
        if (const DropReason reason = take_opened<shape, mode>(*ready[i], kept[i], packets[i]); reason != DropReason::none) [[unlikely]]
            fail(*ready[i], *ready[i]->inbound->counters, reason);
}

// --- the rows ---

template <std::uint8_t row>
void seal_row(std::span<Frame* const> frames) {
    seal<shape_of(info(algorithm_of(row))), kind_of(row).mode>(frames, suite_of(row));
}

template <std::uint8_t row>
void open_row(std::span<Frame* const> frames) {
    open<shape_of(info(algorithm_of(row))), kind_of(row).mode>(frames, suite_of(row));
}

template <std::uint8_t row>
constexpr Transform make_row() {
    constexpr Shape shape = shape_of(info(algorithm_of(row)));
    return {.seal = seal_row<row>,
            .open = open_row<row>,
            .around_ipv4 = static_cast<std::uint8_t>(shape.length(4)),
            .around_ipv6 = static_cast<std::uint8_t>(shape.length(6)),
            .block = 1,
            .trailer = 0};
}

} // namespace

constinit const std::array<Transform, ah_rows> ah_transforms = []<std::size_t... row>(std::index_sequence<row...>) {
    return std::array{make_row<static_cast<std::uint8_t>(esp_rows + row)>()...};
}(std::make_index_sequence<ah_rows>{});

} // namespace sallyport::transform
