// SPDX-License-Identifier: Apache-2.0
// Any octets as an IP packet: as an ICMP error nothing past its end is read, and what is made to answer it is a sound packet about it.
// Input: the packet, IPv4 or IPv6 by its first octet. Its checksums are put right, so that the fuzzer gets behind them.
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/icmp.hpp"
#include "gateway/wire/parse.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>

namespace {

using namespace sallyport;

void check(bool good) {
    if (!good) std::abort();
}

Frame frame_in(std::uint8_t* memory, std::size_t size, std::uint8_t family) {
    Frame frame;
    frame.chunk = memory;
    frame.begin = frame.network = frame_headroom;
    frame.end = static_cast<std::uint16_t>(frame_headroom + size);
    frame.family = family;
    return frame;
}

void mend_checksums(std::uint8_t* packet, std::size_t size) {
    const unsigned header = (packet[0] & 0xfU) * 4U;
    if (packet[0] >> 4 != 4 || header < wire::ipv4_size || header > size) return;
    wire::write_ipv4_checksum(packet, header);
    const std::size_t total = wire::load16(packet + wire::ipv4_total_length);
    if (total < header + wire::icmp_size || total > size || packet[wire::ipv4_protocol] != wire::protocol_icmp) return;
    std::uint8_t* message = packet + header;
    wire::store_raw<std::uint16_t>(message + wire::icmp_checksum, 0);
    wire::store_raw(message + wire::icmp_checksum, wire::checksum_raw(message, static_cast<unsigned>(total - header)));
}

void answer(const Frame& about) {
    const auto memory = std::make_unique<std::uint8_t[]>(chunk_size);
    Frame error = frame_in(memory.get(), 0, about.family);
    const Address source = *parse_address(about.family == 4 ? "192.0.2.1" : "2001:db8::1");
    wire::write_icmp_error(error, about, source, wire::IcmpCause::too_big, 1300, 1);
    check(error.network_length() <= (about.family == 4 ? 576U : 1280U));
    wire::parse_opened(error);
    check(error.reason == DropReason::none && !wire::may_be_told(error));
    const auto read = wire::parse_icmp_error(error);
    check(!read || (read->too_big && read->mtu == 1300));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0 || size > largest_frame) return 0;
    const auto memory = std::make_unique<std::uint8_t[]>(frame_headroom + size);
    std::memcpy(memory.get() + frame_headroom, data, size);
    mend_checksums(memory.get() + frame_headroom, size);
    Frame frame = frame_in(memory.get(), size, data[0] >> 4 == 6 ? 6 : 4);
    wire::parse_opened(frame);
    if (frame.reason != DropReason::none) return 0;
    if (frame.protocol == wire::protocol_icmp && frame.family == 4) (void)wire::parse_icmp_error(frame);
    if (frame.protocol == wire::protocol_icmpv6 && frame.family == 6) (void)wire::parse_icmp_error(frame);
    if (wire::may_be_told(frame)) answer(frame);
    return 0;
}
