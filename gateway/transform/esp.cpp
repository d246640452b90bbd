// SPDX-License-Identifier: Apache-2.0
// ESP in tunnel mode (RFC 4303), in place: SPI 4 | sequence number 4 | IV | inner packet, padding, pad length, next header | ICV.
#include "gateway/transform/esp.hpp"

#include "gateway/mode/tunnel.hpp"

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

void add(std::uint64_t& counter, std::uint64_t amount) {
    const std::atomic_ref live(counter);
    live.store(live.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

std::uint64_t load(std::uint64_t& word) { return std::atomic_ref(word).load(std::memory_order_relaxed); }

/// No further packet passes, however small.
void end_life(SaCounters& counters) {
    for (std::uint64_t* limit : {&counters.packet_limit, &counters.octet_limit})
        std::atomic_ref(*limit).store(0, std::memory_order_relaxed);
}

void fail(Frame& frame, SaCounters& counters, DropReason reason) {
    frame.reason = reason;
    const bool error = reason != DropReason::dummy && reason != DropReason::too_big; // what is too big may yet be cut
    add(counters.errors, error ? 1 : 0);
}

constexpr std::array<std::uint8_t, 16> padding_octets{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0};

/// A packet larger than what fits. none: it is sealed whole all the same, to be cut after that.
DropReason judge_large(Frame& frame, const OutboundSa& sa, const Fit& fit) {
    if (frame.end <= chunk_size - tail_room && mode::is_cut_after(frame, sa.rules)) {
        frame.flags |= frame_cut;
        return DropReason::none;
    }
    frame.spi = std::min<std::uint32_t>(fit.inner, chunk_size - tail_room - frame.network);
    return DropReason::too_big;
}

/// What is in UDP over IPv6 gets its checksum, now that all of it is there.
void sum_encapsulated(std::span<Frame* const> frames) {
    for (const Frame* frame : frames)
        if (frame->family == 6 && frame->outbound->udp != 0 && frame->reason == DropReason::none) [[unlikely]]
            mode::sum_udp(*frame);
}

/// Sealed packets that must be cut go no further as they are.
void hold_large(std::span<Frame* const> frames) {
    for (Frame* frame : frames) {
        if ((frame->flags & frame_cut) == 0 || frame->reason != DropReason::none) continue;
        frame->spi = fit_of(*frame->outbound).outer;
        frame->reason = DropReason::too_big;
    }
}

/// What may stop a packet before it gets a number, and its padding and trailer (RFC 4303 2.4, 3.3.2). `large` is set where a packet is to
/// be cut after sealing.
template <Shape shape>
DropReason prepare(Frame& frame, bool& large) {
    const OutboundSa& sa = *frame.outbound;
    unsigned inner = frame.network_length();
    const Fit fit = fit_of(sa);
    if (inner > fit.inner || frame.end > chunk_size - tail_room) [[unlikely]] {
        if (const DropReason reason = judge_large(frame, sa, fit); reason != DropReason::none) return reason;
        large = true;
    }
    if ((frame.flags & frame_ours) == 0) {
        if (inner < (frame.family == 4 ? wire::ipv4_size : wire::ipv6_size)) [[unlikely]]
            return DropReason::malformed_ip;
        if (const DropReason reason = mode::count_hop(frame); reason != DropReason::none) [[unlikely]]
            return reason;
        mode::clamp_segment(frame, fit.segment_ipv4, fit.segment_ipv6);
    }
    if (sa.tfc != 0) [[unlikely]]
        inner = mode::fill_up(frame, sa.tfc != 255 ? sa.tfc * unsigned{tfc_step} : fit.inner, fit.inner);
    const unsigned plain = (inner + wire::esp_trailer_size + shape.block - 1) & ~(shape.block - 1);
    std::uint8_t* end = frame.at(frame.end);
    const unsigned padding = plain - inner - wire::esp_trailer_size;
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
template <Shape shape>
void dress(Frame& frame, std::uint64_t number, Packet& packet) {
    const OutboundSa& sa = *frame.outbound;
    const mode::Inner inner = mode::inner_of(frame);
    const unsigned length = frame.network_length();
    const unsigned plain = (length + wire::esp_trailer_size + shape.block - 1) & ~(shape.block - 1);
    std::uint8_t* text = frame.at(frame.network);
    std::uint8_t* esp = text - shape.iv - wire::esp_size;
    text[plain - 1] = inner.next_header;

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

    const unsigned whole = sa.before_esp() + shape.around() + plain;
    std::uint8_t* outer = esp - sa.before_esp();
    if (sa.udp != 0) [[unlikely]]
        mode::put_udp(esp - sa.udp, sa.outer.data() + sa.outer_length, whole - sa.outer_length);
    if (sa.outer_length == wire::ipv4_size)
        mode::put_outer_ipv4(outer, sa.outer.data(), whole, static_cast<std::uint16_t>(number), inner, sa.rules);
    else
        mode::put_outer_ipv6(outer, sa.outer.data(), whole, inner, sa.rules);
    add(sa.counters->packets, 1);
    add(sa.counters->octets, length);
    frame.sequence = number;
    frame.transport = static_cast<std::uint16_t>(esp - frame.chunk);
    frame.network = static_cast<std::uint16_t>(outer - frame.chunk);
    frame.end = static_cast<std::uint16_t>(frame.network + whole);
    frame.family = sa.outer_length == wire::ipv4_size ? 4 : 6;
    frame.protocol = wire::protocol_esp;
    frame.vpn = sa.outer_vpn;
}

/// How many of a run of frames of one SA, from the first on, its hard lifetime lets through.
unsigned within_lifetime(SaCounters& counters, std::span<Frame* const> run) {
    const std::uint64_t packet_limit = load(counters.packet_limit), octet_limit = load(counters.octet_limit);
    const auto wanted = static_cast<unsigned>(run.size());
    // The longest frames that there can be: only near the end each is looked at.
    if (counters.packets + wanted <= packet_limit && counters.octets + std::uint64_t{wanted} * chunk_size <= octet_limit) [[likely]]
        return wanted;
    std::uint64_t octets = counters.octets;
    for (unsigned i = 0; i < wanted; ++i) {
        octets += run[i]->network_length();
        if (counters.packets + i < packet_limit && octets <= octet_limit) continue;
        end_life(counters);
        return i;
    }
    return wanted;
}

/// Gives numbers to runs of frames of one SA and dresses them. Returns how many; `frames` holds these, in order.
template <Shape shape>
unsigned number(Frame** frames, unsigned count, Packet* packets) {
    unsigned dressed = 0;
    for (unsigned begin = 0; begin < count;) {
        const OutboundSa& sa = *frames[begin]->outbound;
        unsigned end = begin + 1;
        while (end < count && frames[end]->outbound == &sa) ++end;
        const unsigned alive = within_lifetime(*sa.counters, {frames + begin, end - begin});
        for (unsigned i = begin + alive; i < end; ++i) fail(*frames[i], *sa.counters, DropReason::lifetime_over);
        const sequence::Numbers numbers = sequence::take(sa.space, alive);
        for (unsigned i = 0; i < numbers.count; ++i) {
            frames[dressed] = frames[begin + i];
            dress<shape>(*frames[dressed], numbers.first + i, packets[dressed]);
            ++dressed;
        }
        for (unsigned i = begin + numbers.count; i < begin + alive; ++i) fail(*frames[i], *sa.counters, numbers.reason);
        begin = end;
    }
    return dressed;
}

template <Shape shape>
void seal(std::span<Frame* const> frames, const crypto::Suite& suite) {
    std::array<Frame*, batch_size> ready;
    std::array<Packet, batch_size> packets;
    unsigned count = 0;
    bool large = false;
    for (const Frame* frame : frames) { // look-up has fetched the SAs
        __builtin_prefetch(frame->outbound->space.memory, 1);
        __builtin_prefetch(frame->outbound->counters, 1);
    }
    for (Frame* frame : frames) {
        if (const DropReason reason = prepare<shape>(*frame, large); reason == DropReason::none) [[likely]]
            ready[count++] = frame;
        else
            fail(*frame, *frame->outbound->counters, reason);
    }
    count = number<shape>(ready.data(), count, packets.data());
    if constexpr (shape.random_iv()) {
        std::array<std::uint8_t*, batch_size> ivs;
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
    sum_encapsulated({ready.data(), count});
    if (large) [[unlikely]]
        hold_large({ready.data(), count});
}

/// Length and number, before the ICV (RFC 4303 3.4.3), then what the cipher needs.
template <Shape shape>
DropReason undress(Frame& frame, Packet& packet) {
    const InboundSa& sa = *frame.inbound;
    std::uint8_t* esp = frame.at(frame.transport);
    const unsigned length = static_cast<unsigned>(frame.end - frame.transport);
    constexpr unsigned around = shape.around();
    // A stream's text need not be a multiple of 4: that is the sender's duty.
    if (length < around + shape.block || (shape.random_iv() && (length - around) % shape.block != 0)) [[unlikely]]
        return DropReason::malformed_esp;
    if (load(sa.counters->packet_limit) == 0) [[unlikely]]
        return DropReason::lifetime_over;
    const auto low = wire::load32(esp + wire::esp_sequence);
    if (const DropReason reason = sequence::check(sa.space, low, frame.sequence); reason != DropReason::none) [[unlikely]]
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
DropReason take_opened(Frame& frame, const Packet& packet) {
    if (!packet.good) return DropReason::bad_icv;
    const InboundSa& sa = *frame.inbound;
    if (const DropReason reason = sequence::accept(sa.space, frame.sequence); reason != DropReason::none) return reason;
    const auto begin = static_cast<unsigned>(packet.text - frame.chunk);
    if (const DropReason reason = mode::take_inner(frame, begin, begin + packet.length); reason != DropReason::none) return reason;
    SaCounters& counters = *sa.counters;
    if (counters.packets >= load(counters.packet_limit) || counters.octets + frame.network_length() > load(counters.octet_limit))
        [[unlikely]] {
        end_life(counters);
        return DropReason::lifetime_over;
    }
    frame.vpn = sa.red_vpn;
    add(counters.packets, 1);
    add(counters.octets, frame.network_length());
    return DropReason::none;
}

template <Shape shape>
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
        if (const DropReason reason = take_opened(*ready[i], packets[i]); reason != DropReason::none) [[unlikely]]
            fail(*ready[i], *ready[i]->inbound->counters, reason);
}

// --- the registry ---

template <std::uint8_t row>
void seal_row(std::span<Frame* const> frames) {
    seal<shape_of(info(algorithm_of(row)))>(frames, suite_of(row));
}

template <std::uint8_t row>
void open_row(std::span<Frame* const> frames) {
    open<shape_of(info(algorithm_of(row)))>(frames, suite_of(row));
}

template <std::uint8_t row>
constexpr Transform make_row() {
    constexpr Shape shape = shape_of(info(algorithm_of(row)));
    static_assert(shape.block + largest_icv + wire::esp_trailer_size <= tail_room);
    return {seal_row<row>, open_row<row>, static_cast<std::uint8_t>(shape.around() + wire::esp_trailer_size),
            static_cast<std::uint8_t>(shape.block)};
}

constexpr std::array rows = []<std::uint8_t... row>(std::integer_sequence<std::uint8_t, row...>) {
    return std::array{make_row<row>()...};
}(std::make_integer_sequence<std::uint8_t, row_count>{});

crypto::Engine& chosen() {
    static crypto::Engine engine = crypto::best_engine();
    return engine;
}

} // namespace

void use(crypto::Engine engine) { chosen() = engine; }

crypto::Engine engine_in_use() { return chosen(); }

std::uint8_t row_of(Algorithm algorithm) { return row_of(chosen(), algorithm); }

const Transform& transform(std::uint8_t row) { return rows[row]; }

unsigned largest_inner(const OutboundSa& sa, unsigned outer_mtu) {
    const Transform& row = rows[sa.transform];
    const unsigned around = sa.before_esp() + row.overhead_fixed - wire::esp_trailer_size;
    if (outer_mtu < around + row.block) return 0;
    return (outer_mtu - around) / row.block * row.block - wire::esp_trailer_size;
}

std::uint32_t key_size(std::uint8_t row) { return suite_of(row).key_size; }

} // namespace sallyport::transform
