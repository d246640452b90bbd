// SPDX-License-Identifier: Apache-2.0
// ESP (RFC 4303), in place: SPI 4 | sequence number 4 | IV | payload, padding, pad length, next header | ICV.
#include "gateway/transform/passage.hpp"
#include "gateway/transform/registry.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sallyport::transform {
namespace {

using crypto::Packet;

/// That of an algorithm by which the code differs; octets.
struct Shape {
    Construction construction;
    unsigned salt, iv, block, icv;
    /// RFC 8750: the nonce is made of the salt and the sequence number, and no IV is sent.
    [[nodiscard]] constexpr bool implicit_iv() const { return unique_nonce() && iv == 0; }
    [[nodiscard]] constexpr bool unique_nonce() const { return construction == Construction::aead || construction == Construction::gmac; }
    [[nodiscard]] constexpr bool random_iv() const { return construction == Construction::encrypt_then_mac; }
    /// Octets from the SPI on that are authenticated before the text, without ESN.
    [[nodiscard]] constexpr unsigned associated() const { return unique_nonce() ? wire::esp_size : wire::esp_size + iv; }
    /// Octets around the text, from the SPI to the ICV.
    [[nodiscard]] constexpr unsigned around() const { return wire::esp_size + iv + icv; }
};

constexpr Shape shape_of(const AlgorithmInfo& row) { return {row.construction, row.salt, row.iv, row.block, row.icv}; }

constexpr std::array<std::uint8_t, 16> padding_octets{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0};

/// Octets of a payload with its padding and trailer.
template <Shape shape>
constexpr unsigned padded(unsigned payload) {
    return (payload + wire::esp_trailer_size + shape.block - 1) & ~(shape.block - 1);
}

/// What is in UDP over IPv6 gets its checksum, now that all of it is there.
void sum_encapsulated(std::span<Frame* const> frames) {
    for (const Frame* frame : frames)
        if (frame->family == 6 && frame->outbound->udp != 0 && frame->reason == DropReason::none) [[unlikely]]
            mode::sum_udp(*frame);
}

/// What may stop a packet before it gets a number, and its padding and trailer (RFC 4303 2.4, 3.3.2). `large` is set where a packet is to
/// be cut after sealing.
template <Shape shape, SaMode mode>
[[gnu::always_inline]] inline DropReason prepare(Frame& frame, bool& large) {
    const OutboundSa& sa = *frame.outbound;
    const Fit fit = fit_of(sa);
    if (const DropReason reason = judge_outbound<mode>(frame, fit, large); reason != DropReason::none) [[unlikely]]
        return reason;
    if constexpr (mode == SaMode::tunnel)
        if (sa.tfc != 0) [[unlikely]]
            mode::fill_up(frame, sa.tfc != 255 ? sa.tfc * unsigned{tfc_step} : fit.inner, fit.inner);
    const unsigned payload = frame.end - Way<mode>::begin(frame);
    std::uint8_t* end = frame.at(frame.end);
    const unsigned padding = padded<shape>(payload) - payload - wire::esp_trailer_size;
    std::memcpy(end, padding_octets.data(), shape.block == 4 ? 4 : 16); // at most 15 count; the room behind the frame takes the others
    end[padding] = static_cast<std::uint8_t>(padding);
    return DropReason::none;
}

/// Salt, then IV; `iv` is in network order as it lies in memory. A salt of three octets (RFC 4309 4) ends where the IV begins.
template <Shape shape>
void put_nonce(Packet& packet, std::uint32_t salt, std::uint64_t iv) {
    std::memcpy(packet.nonce.data(), &salt, 4);
    std::memcpy(packet.nonce.data() + shape.salt, &iv, 8);
}

/// What is authenticated besides the text: the header, and with ESN the number's high half, between SPI and low half (RFC 4106 5) or behind
/// everything (RFC 4303 2.2.1).
template <Shape shape>
void associate(Packet& packet, const std::uint8_t* esp, bool extended, std::uint64_t number) {
    packet.aad = esp;
    packet.aad_length = shape.associated();
    packet.tail_length = 0;
    if (!extended) return;
    const auto high = wire::swapped(static_cast<std::uint32_t>(number >> 32));
    if constexpr (shape.unique_nonce()) {
        std::memcpy(packet.extra.data(), esp, 4);
        wire::store_raw(packet.extra.data() + 4, high);
        std::memcpy(packet.extra.data() + 8, esp + wire::esp_sequence, 4);
        packet.aad = packet.extra.data();
        packet.aad_length = 12;
    } else {
        wire::store_raw(packet.extra.data(), high);
        packet.tail_length = 4;
    }
}

/// ESP header, IV, trailer and outer header around a prepared packet that has its number. The frame ends as the whole outer packet.
template <Shape shape, SaMode mode>
[[gnu::always_inline]] inline void dress(Frame& frame, std::uint64_t number, Packet& packet) {
    const OutboundSa& sa = *frame.outbound;
    const unsigned octets = frame.network_length();
    const Wrapped wrapped = Way<mode>::wrap(frame, sa, sa.udp + wire::esp_size + shape.iv);
    const unsigned plain = padded<shape>(frame.end - wrapped.begin);
    std::uint8_t* text = frame.at(wrapped.begin);
    std::uint8_t* esp = text - shape.iv - wire::esp_size;
    text[plain - 1] = wrapped.next_header;

    std::memcpy(esp, sa.outer.data() + sa.before_esp(), 4);
    const auto low = wire::swapped(static_cast<std::uint32_t>(number));
    wire::store_raw(esp + wire::esp_sequence, low);
    packet.key = sa.space.key;
    packet.text = text;
    packet.icv = text + plain;
    packet.length = plain;
    if constexpr (shape.unique_nonce()) {
        const std::uint64_t iv = wire::swapped(shape.implicit_iv() ? number : std::uint64_t{sa.iv_prefix} << 32 | number);
        if constexpr (!shape.implicit_iv()) wire::store_raw(esp + wire::esp_size, iv);
        put_nonce<shape>(packet, sa.salt, iv);
    }
    associate<shape>(packet, esp, sa.space.extended, number);

    const unsigned whole = wrapped.header + sa.udp + shape.around() + plain;
    std::uint8_t* outer = esp - sa.udp - wrapped.header;
    if (sa.udp != 0) [[unlikely]]
        mode::put_udp(esp - sa.udp, sa.outer.data() + sa.outer_length, whole - wrapped.header);
    Way<mode>::finish(outer, sa, wrapped, whole, number);
    leave_sealed(frame, outer, whole, esp, wire::protocol_esp, number, octets);
}

template <Shape shape, SaMode mode>
void seal(std::span<Frame* const> frames, const crypto::Suite& suite) {
    std::array<Frame*, batch_size> ready;
    std::array<Packet, batch_size> packets;
    unsigned count = 0;
    bool large = false, in_udp = false;
    for (const Frame* frame : frames) { // look-up has fetched the SAs
        __builtin_prefetch(frame->outbound->space.memory, 1);
        __builtin_prefetch(frame->outbound->counters, 1);
        in_udp |= frame->outbound->udp != 0;
    }
    for (Frame* frame : frames) {
        if (const DropReason reason = prepare<shape, mode>(*frame, large); reason == DropReason::none) [[likely]]
            ready[count++] = frame;
        else
            fail(*frame, *frame->outbound->counters, reason);
    }
    count = number(ready.data(), count, [&](Frame& frame, std::uint64_t given, unsigned place) __attribute__((always_inline)) {
        dress<shape, mode>(frame, given, packets[place]);
    });
    if constexpr (shape.random_iv()) {
        std::array<std::uint8_t*, batch_size> ivs{};
        for (unsigned i = 0; i < count; ++i) ivs[i] = packets[i].text - shape.iv;
        if (!crypto::random_ivs(ivs.data(), count)) [[unlikely]] {
            for (unsigned i = 0; i < count; ++i) fail(*ready[i], *ready[i]->outbound->counters, DropReason::crypto_failed);
            return;
        }
    }
    suite.seal(packets.data(), count);
    for (unsigned i = 0; i < count; ++i)
        if (!packets[i].good) [[unlikely]]
            fail(*ready[i], *ready[i]->outbound->counters, DropReason::crypto_failed);
    if (in_udp) [[unlikely]]
        sum_encapsulated({ready.data(), count});
    if (large) [[unlikely]]
        hold_large({ready.data(), count});
}

/// Length and number, before the ICV (RFC 4303 3.4.3), then what the cipher needs.
template <Shape shape>
[[gnu::always_inline]] inline DropReason undress(Frame& frame, Packet& packet) {
    const InboundSa& sa = *frame.inbound;
    std::uint8_t* esp = frame.at(frame.transport);
    const unsigned length = static_cast<unsigned>(frame.end - frame.transport);
    constexpr unsigned around = shape.around();
    // A stream's text need not be a multiple of 4: that is the sender's duty.
    if (length < around + shape.block || (shape.random_iv() && (length - around) % shape.block != 0)) [[unlikely]]
        return DropReason::malformed_esp;
    if (const DropReason reason = judge_inbound(frame, esp + wire::esp_sequence); reason != DropReason::none) [[unlikely]]
        return reason;
    packet.key = sa.space.key;
    packet.text = esp + wire::esp_size + shape.iv;
    packet.length = length - around;
    packet.icv = packet.text + packet.length;
    if constexpr (shape.unique_nonce()) {
        std::uint64_t iv = wire::swapped(frame.sequence);
        if constexpr (!shape.implicit_iv()) std::memcpy(&iv, esp + wire::esp_size, sizeof iv);
        put_nonce<shape>(packet, sa.salt, iv);
    }
    associate<shape>(packet, esp, sa.space.extended, frame.sequence);
    return DropReason::none;
}

/// After the ICV: enters the number, then looks at what came out.
template <SaMode mode>
[[gnu::always_inline]] inline DropReason take_opened(Frame& frame, const Packet& packet) {
    if (!packet.good) return DropReason::bad_icv;
    const InboundSa& sa = *frame.inbound;
    if (const DropReason reason = sequence::accept(sa.space, frame.sequence); reason != DropReason::none) return reason;
    const auto begin = static_cast<unsigned>(packet.text - frame.chunk);
    unsigned end = begin + packet.length;
    std::uint8_t next_header = 0;
    if (const DropReason reason = mode::take_trailer(frame, begin, end, next_header); reason != DropReason::none) return reason;
    const unsigned at = frame.transport - ((frame.flags & frame_in_udp) != 0 ? wire::udp_size : 0U);
    if (const DropReason reason = Way<mode>::unwrap(frame, sa, at, begin, end, next_header); reason != DropReason::none) return reason;
    return enter_opened(frame);
}

template <Shape shape, SaMode mode>
void open(std::span<Frame* const> frames, const crypto::Suite& suite) {
    std::array<Frame*, batch_size> ready;
    std::array<Packet, batch_size> packets;
    unsigned count = 0;
    for (const Frame* frame : frames) { // look-up has fetched the SAs
        if (frame->end - frame->transport >= static_cast<int>(wire::esp_size)) [[likely]]
            sequence::prefetch(frame->inbound->space, wire::load32(frame->at(frame->transport) + wire::esp_sequence));
        __builtin_prefetch(frame->inbound->counters, 1);
    }
    for (Frame* frame : frames) {
        if (const DropReason reason = undress<shape>(*frame, packets[count]); reason == DropReason::none) [[likely]]
            ready[count++] = frame;
        else
            fail(*frame, *frame->inbound->counters, reason);
    }
    suite.open(packets.data(), count);
    for (unsigned i = 0; i < count; ++i)
        if (const DropReason reason = take_opened<mode>(*ready[i], packets[i]); reason != DropReason::none) [[unlikely]]
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
    static_assert(shape.block + largest_icv + wire::esp_trailer_size <= tail_room);
    constexpr auto around = static_cast<std::uint8_t>(shape.around());
    return {.seal = seal_row<row>,
            .open = open_row<row>,
            .around_ipv4 = around,
            .around_ipv6 = around,
            .block = static_cast<std::uint8_t>(shape.block),
            .trailer = static_cast<std::uint8_t>(wire::esp_trailer_size)};
}

} // namespace

constinit const std::array<Transform, esp_rows> esp_transforms = []<std::size_t... row>(std::index_sequence<row...>) {
    return std::array{make_row<static_cast<std::uint8_t>(row)>()...};
}(std::make_index_sequence<esp_rows>{});

} // namespace sallyport::transform
