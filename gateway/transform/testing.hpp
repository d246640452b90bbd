// SPDX-License-Identifier: Apache-2.0
// An SA pair with all the memory it stands on, and frames to send through it: for tests, fuzz targets and benchmarks.
#pragma once

#include "gateway/mode/tunnel.hpp"
#include "gateway/transform/registry.hpp"
#include "gateway/wire/ah.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace sallyport::transform::testing {

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

template <class T>
using Aligned = std::unique_ptr<T, Free>;

template <class T>
[[nodiscard]] Aligned<T> allocate(std::size_t octets) {
    auto* memory = static_cast<T*>(std::aligned_alloc(64, (octets + 63) & ~std::size_t{63}));
    std::memset(static_cast<void*>(memory), 0, (octets + 63) & ~std::size_t{63});
    return Aligned<T>(memory);
}

/// A chunk and the frame in it.
struct OwnedFrame {
    Aligned<std::uint8_t> memory = allocate<std::uint8_t>(chunk_size);
    Frame frame;

    OwnedFrame() {
        std::memset(memory.get(), 0xee, chunk_size);
        frame.chunk = memory.get();
    }
    /// An IP packet where a received one would lie, behind its Ethernet header.
    void put_packet(std::span<const std::uint8_t> octets, std::uint8_t family) {
        frame.begin = frame_headroom;
        frame.network = frame_headroom + 14;
        frame.end = static_cast<std::uint16_t>(frame.network + octets.size());
        frame.family = family;
        std::ranges::copy(octets, frame.at(frame.network));
    }
    /// An ESP packet as the parser leaves it behind an outer IPv4 header.
    void put_esp(std::span<const std::uint8_t> octets) {
        frame.begin = frame_headroom;
        frame.network = frame_headroom + 14;
        frame.transport = frame.network + wire::ipv4_size;
        frame.end = static_cast<std::uint16_t>(frame.transport + octets.size());
        frame.family = 4;
        frame.protocol = wire::protocol_esp;
        std::ranges::copy(octets, frame.at(frame.transport));
    }
    [[nodiscard]] std::vector<std::uint8_t> packet() const { return {frame.at(frame.network), frame.at(frame.end)}; }
};

/// Outbound and inbound SA of one key.
class Pair {
public:
    explicit Pair(SaSpec spec, crypto::Engine engine = crypto::best_engine(), std::uint64_t sent = 0, std::uint64_t highest = 0)
        : row_(row_of(Kind{.protocol = spec.protocol, .mode = spec.mode, .engine = engine, .algorithm = spec.algorithm})) {
        spec.key.size = static_cast<std::uint8_t>(info(spec.algorithm).material());
        const unsigned units = sequence::units_of(Direction::inbound, spec.window);
        seal_key_ = allocate<std::uint8_t>(key_size(row_));
        open_key_ = allocate<std::uint8_t>(key_size(row_));
        seal_unit_ = allocate<sequence::Unit>(sizeof(sequence::Unit));
        open_units_ = allocate<sequence::Unit>(sizeof(sequence::Unit) * units);
        sequence::prepare(seal_unit_.get(), Direction::outbound, 0, sent);
        sequence::prepare(open_units_.get(), Direction::inbound, spec.window, highest);
        spec.direction = Direction::outbound;
        const Address original_local = std::exchange(spec.original_local, {}), original_remote = std::exchange(spec.original_remote, {});
        outbound = must(build_outbound(spec, {.row = row_, .key = seal_key_.get(), .units = seal_unit_.get(), .counters = &sealed}));
        spec.direction = Direction::inbound;
        if (spec.mode != SaMode::tunnel) turn_round(spec);
        if (!spec.selectors.empty()) selectors_ = spec.selectors;
        spec.original_local = original_local;
        spec.original_remote = original_remote;
        inbound = must(
            build_inbound(spec, {.row = row_, .key = open_key_.get(), .units = open_units_.get(), .counters = &opened}, selectors_));
    }
    ~Pair() {
        wipe_key(row_, seal_key_.get());
        wipe_key(row_, open_key_.get());
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;

    DropReason seal(OwnedFrame& owned) { return seal(std::vector{&owned}); }
    DropReason open(OwnedFrame& owned) { return open(std::vector{&owned}); }
    /// A batch; the reason of the last frame.
    DropReason seal(const std::vector<OwnedFrame*>& owned) {
        for (OwnedFrame* one : owned) one->frame.outbound = &outbound;
        return call(transform(row_).seal, owned);
    }
    DropReason open(const std::vector<OwnedFrame*>& owned) {
        for (OwnedFrame* one : owned) one->frame.inbound = &inbound;
        return call(transform(row_).open, owned);
    }
    /// A whole ESP packet around any plain text (trailer included, a multiple of the block), properly sealed with the SA's key.
    [[nodiscard]] std::vector<std::uint8_t> seal_raw(std::span<const std::uint8_t> plain, std::uint64_t number) const {
        const AlgorithmInfo& algorithm = info(algorithm_of(row_));
        const unsigned head = wire::esp_size + algorithm.iv;
        std::vector<std::uint8_t> esp(head + plain.size() + algorithm.icv);
        wire::store32(esp.data(), inbound.spi);
        wire::store32(esp.data() + 4, static_cast<std::uint32_t>(number));
        if (algorithm.iv != 0) wire::store64(esp.data() + 8, number); // CBC: the other half stays zero
        std::ranges::copy(plain, esp.begin() + head);
        crypto::Packet packet{};
        packet.key = outbound.space.key;
        packet.text = esp.data() + head;
        packet.icv = packet.text + plain.size();
        packet.length = static_cast<std::uint32_t>(plain.size());
        packet.aad = esp.data();
        packet.aad_length = static_cast<std::uint16_t>(algorithm.unique_nonce() ? wire::esp_size : head);
        std::memcpy(packet.nonce.data(), &outbound.salt, 4);
        wire::store64(packet.nonce.data() + algorithm.salt, number);
        if (outbound.space.extended) {
            std::uint8_t* extra = packet.extra.data();
            if (algorithm.unique_nonce()) {
                std::memcpy(extra, esp.data(), 4);
                wire::store64(extra + 4, number);
                packet.aad = extra;
                packet.aad_length = 12;
            } else {
                wire::store32(extra, static_cast<std::uint32_t>(number >> 32));
                packet.tail_length = 4;
            }
        }
        suite_of(row_).seal(&packet, 1);
        return esp;
    }

    /// Fills in the IV and the ICV of the AH at `at` of a whole outer packet (RFC 4302 3.3.3, RFC 4543 4). False: it cannot be told what
    /// changes on the way.
    bool authenticate(std::vector<std::uint8_t>& whole, unsigned at, std::uint64_t number) const {
        const AlgorithmInfo& algorithm = info(algorithm_of(row_));
        const bool gmac = algorithm.construction == Construction::gmac;
        const std::uint8_t family = whole[0] >> 4;
        const unsigned icv = at + wire::ah_size + algorithm.iv;
        if (gmac) wire::store64(whole.data() + at + wire::ah_size, number);
        std::fill_n(whole.begin() + icv, algorithm.icv, std::uint8_t{0});
        std::vector<std::uint8_t> covered = whole;
        if (!wire::mute(covered.data(), at, family)) return false;
        if (outbound.space.extended) {
            covered.resize(whole.size() + 4);
            wire::store32(covered.data() + whole.size(), static_cast<std::uint32_t>(number >> 32));
        }
        const unsigned text = gmac ? icv : at + wire::ah_length(family, algorithm.iv + algorithm.icv);
        crypto::Packet packet{};
        packet.key = outbound.space.key;
        packet.aad = covered.data();
        packet.aad_length = static_cast<std::uint16_t>(gmac ? at + wire::ah_size : text);
        packet.text = covered.data() + text;
        packet.length = static_cast<std::uint32_t>(covered.size() - text);
        packet.icv = whole.data() + icv;
        std::memcpy(packet.nonce.data(), &outbound.salt, 4);
        wire::store64(packet.nonce.data() + algorithm.salt, number);
        suite_of(row_).seal(&packet, 1);
        return true;
    }

    OutboundSa outbound;
    InboundSa inbound;
    SaCounters sealed, opened;

private:
    /// As the receiver sees it.
    static void turn_round(SaSpec& spec) {
        std::swap(spec.outer_local, spec.outer_remote);
        for (Selector& selector : spec.selectors) std::swap(selector.local, selector.remote);
    }
    template <class T>
    static T must(Result<T> result) {
        if (!result) std::abort();
        return *result;
    }
    static DropReason call(void (*function)(std::span<Frame* const>), const std::vector<OwnedFrame*>& owned) {
        std::vector<Frame*> frames;
        for (OwnedFrame* one : owned) frames.push_back(&one->frame);
        function(frames);
        return frames.back()->reason;
    }

    std::uint8_t row_;
    std::vector<Selector> selectors_{Selector{}};
    Aligned<std::uint8_t> seal_key_, open_key_;
    Aligned<sequence::Unit> seal_unit_, open_units_;
};

/// 192.0.2.1 -> 192.0.2.2, SPI 0x1234, ESN; key material 0, 1, 2, ...
[[nodiscard]] inline SaSpec plain_spec(Algorithm algorithm) {
    SaSpec spec;
    spec.name = "test";
    spec.algorithm = algorithm;
    spec.spi = 0x1234;
    spec.outer_local = *parse_address("192.0.2.1");
    spec.outer_remote = *parse_address("192.0.2.2");
    spec.key.size = static_cast<std::uint8_t>(info(algorithm).material());
    for (unsigned i = 0; i < spec.key.size; ++i) spec.key.octets[i] = static_cast<std::uint8_t>(i);
    return spec;
}

/// An SA of a row of the registry as its mode wants it, between two addresses.
[[nodiscard]] inline SaSpec spec_of_row(std::uint8_t row, bool outer_ipv6, bool inner_ipv6) {
    const Kind kind = kind_of(row);
    SaSpec spec = plain_spec(kind.algorithm);
    spec.protocol = kind.protocol;
    spec.mode = kind.mode;
    if (outer_ipv6) {
        spec.outer_local = *parse_address("2001:db8::1");
        spec.outer_remote = *parse_address("2001:db8::2");
    }
    const auto range = [](const Address& address) { return AddressRange{address, address}; };
    const auto inner = [&](const char* ipv4, const char* ipv6) { return range(*parse_address(inner_ipv6 ? ipv6 : ipv4)); };
    if (kind.mode == SaMode::transport) spec.selectors = {{range(spec.outer_local), range(spec.outer_remote)}};
    if (kind.mode == SaMode::beet) spec.selectors = {{inner("10.1.0.1", "2001:db8:1::1"), inner("10.2.0.1", "2001:db8:2::1")}};
    return spec;
}

/// UDP, 10.1.0.1 -> 10.2.0.1 or 2001:db8:1::1 -> 2001:db8:2::1, hop limit 64; `length` octets in all.
[[nodiscard]] inline std::vector<std::uint8_t> ip_packet(std::uint8_t family, unsigned length, std::uint8_t traffic_class = 0) {
    std::vector<std::uint8_t> packet(length);
    for (unsigned i = 0; i < length; ++i) packet[i] = static_cast<std::uint8_t>(i);
    std::uint8_t* header = packet.data();
    if (family == 4) {
        header[0] = 0x45;
        header[wire::ipv4_tos] = traffic_class;
        wire::store16(header + wire::ipv4_total_length, static_cast<std::uint16_t>(length));
        wire::store16(header + wire::ipv4_fragment, 0);
        header[wire::ipv4_ttl] = 64;
        header[wire::ipv4_protocol] = wire::protocol_udp;
        wire::store32(header + wire::ipv4_source, 0x0a010001);
        wire::store32(header + wire::ipv4_destination, 0x0a020001);
        wire::write_ipv4_checksum(header, wire::ipv4_size);
        return packet;
    }
    wire::store32(header, 0x60012345U | std::uint32_t{traffic_class} << 20);
    wire::store16(header + wire::ipv6_payload_length, static_cast<std::uint16_t>(length - wire::ipv6_size));
    header[wire::ipv6_next_header] = wire::protocol_udp;
    header[wire::ipv6_hop_limit] = 64;
    std::ranges::copy(parse_address("2001:db8:1::1")->octets, header + wire::ipv6_source);
    std::ranges::copy(parse_address("2001:db8:2::1")->octets, header + wire::ipv6_destination);
    return packet;
}

} // namespace sallyport::transform::testing
