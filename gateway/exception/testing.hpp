// SPDX-License-Identifier: Apache-2.0
// Packet memory and exits without a stage, for the tests of handlers: what goes where is looked at, and every chunk is accounted for.
#pragma once

#include "gateway/exception/handler.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/wire/samples.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <vector>

namespace sallyport::exception::testing {

using wire::samples::Octets;

class Bench final : public Exits {
public:
    explicit Bench(std::uint32_t chunks = 4096)
        : memory_(static_cast<std::uint8_t*>(std::aligned_alloc(4096, std::size_t{chunks} * chunk_size)), &std::free),
          depot_(PacketMemory{memory_.get(), chunks}), chunks_(chunks) {}

    void again(const Frame& frame) override { back.push_back(frame); }
    void drop(const Frame& frame, DropReason reason) override {
        ++dropped[reason];
        depot_.give(&frame.index, 1);
    }
    void used_up(const Frame& frame) override { depot_.give(&frame.index, 1); }
    bool make(Frame& frame) override {
        frame = Frame{};
        if (depot_.take(&frame.index, 1) == 0) return false;
        frame.chunk = depot_.memory().chunk(frame.index);
        return true;
    }

    /// A packet as it is received and parsed.
    Frame receive(const Octets& packet) {
        Frame frame;
        if (!make(frame)) throw std::runtime_error("no chunk");
        std::memset(frame.chunk, 0xee, chunk_size);
        const Octets octets = wire::samples::ethernet(packet);
        frame.begin = frame_headroom;
        frame.end = static_cast<std::uint16_t>(frame_headroom + octets.size());
        std::memcpy(frame.data(), octets.data(), octets.size());
        wire::parse(frame);
        return frame;
    }

    /// What came back since the last call, its chunks free again.
    std::vector<Frame> returned() {
        for (const Frame& frame : back) depot_.give(&frame.index, 1);
        return std::exchange(back, {});
    }
    [[nodiscard]] unsigned drops() const {
        unsigned sum = 0;
        for (const auto& [reason, count] : dropped) sum += count;
        return sum;
    }
    [[nodiscard]] unsigned out() { return chunks_ - static_cast<unsigned>(depot_.size()); } // chunks that are not free
    [[nodiscard]] Depot& depot() { return depot_; }

    std::vector<Frame> back;
    std::map<DropReason, unsigned> dropped;

private:
    std::unique_ptr<std::uint8_t, void (*)(void*)> memory_;
    Depot depot_;
    std::uint32_t chunks_;
};

inline Octets packet_in(const Frame& frame) { return {frame.at(frame.network), frame.at(frame.end)}; }

/// One fragment of the packet with this payload: `octets` of it from `offset` on.
struct Cut {
    unsigned offset = 0, octets = 0;
    bool more = false;
};

inline Octets fragment4(const Octets& data, const Cut& cut, std::uint8_t protocol = wire::protocol_esp, std::uint16_t identification = 1,
                        std::uint8_t tos = 0) {
    const auto from = data.begin() + cut.offset;
    Octets packet = wire::samples::ipv4("192.0.2.2", "192.0.2.1", protocol, Octets(from, from + cut.octets), 64,
                                        static_cast<std::uint16_t>(cut.offset / 8 | (cut.more ? 0x2000U : 0U)));
    packet[wire::ipv4_tos] = tos;
    wire::store16(&packet[wire::ipv4_identification], identification);
    wire::write_ipv4_checksum(packet.data(), wire::ipv4_size);
    return packet;
}

inline Octets fragment6(const Octets& data, const Cut& cut, std::uint8_t protocol = wire::protocol_esp, std::uint32_t identification = 1,
                        std::uint8_t tos = 0) {
    const auto from = data.begin() + cut.offset;
    Octets header = wire::samples::fragment_header(protocol, static_cast<std::uint16_t>(cut.offset | (cut.more ? 1U : 0U)));
    wire::store32(&header[4], identification);
    wire::samples::append(header, Octets(from, from + cut.octets));
    Octets packet = wire::samples::ipv6("2001:db8::2", "2001:db8::1", wire::protocol_fragment, header);
    wire::store16(packet.data(), static_cast<std::uint16_t>(0x6000U | tos << 4U));
    return packet;
}

inline Octets fragment(unsigned family, const Octets& data, const Cut& cut, std::uint8_t protocol = wire::protocol_esp,
                       std::uint16_t identification = 1, std::uint8_t tos = 0) {
    return family == 4 ? fragment4(data, cut, protocol, identification, tos) : fragment6(data, cut, protocol, identification, tos);
}

} // namespace sallyport::exception::testing
