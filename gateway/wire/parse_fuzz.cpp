// SPDX-License-Identifier: Apache-2.0
// Any octets as a frame: nothing past the end is read, and what parse() promises holds; into ESP in UDP and back nothing is lost.
#include "gateway/wire/esp.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/wire/udp.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>

namespace {

using sallyport::DropReason;
using sallyport::Frame;

void check(bool good) {
    if (!good) std::abort();
}

void check_promises(const Frame& frame, unsigned end) {
    check(frame.end <= end && frame.begin <= frame.network && frame.network <= frame.transport && frame.transport <= frame.end);
    check(frame.family == 4 || frame.family == 6);
    check(frame.network_length() >= (frame.family == 4 ? 20U : 40U));
    if ((frame.flags & sallyport::frame_ports) != 0) check(frame.end - frame.transport >= 8);
    if ((frame.flags & sallyport::frame_type) != 0) check(frame.end - frame.transport >= 8);
    if (frame.protocol == sallyport::wire::protocol_esp && (frame.flags & sallyport::frame_fragment) == 0)
        check(frame.end - frame.transport >= 8);
    if (frame.protocol == sallyport::wire::protocol_ah && (frame.flags & sallyport::frame_fragment) == 0)
        check(frame.end - frame.transport >= 12);
    const sallyport::Flow flow = sallyport::wire::flow_of(frame);
    check(flow.protocol == frame.protocol);
}

void check_udp(Frame frame) {
    const Frame before = frame;
    if (!sallyport::wire::enter_udp(frame)) return;
    check(frame.end <= before.end && frame.end - frame.transport >= 8 && frame.spi != 0);
    sallyport::wire::leave_udp(frame);
    check(frame.end == before.end && frame.transport == before.transport && frame.flags == before.flags);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > sallyport::largest_frame) return 0;
    const auto memory = std::make_unique<std::uint8_t[]>(sallyport::frame_headroom + size);
    Frame frame;
    frame.chunk = memory.get();
    frame.begin = sallyport::frame_headroom;
    frame.end = static_cast<std::uint16_t>(sallyport::frame_headroom + size);
    if (size != 0) std::memcpy(frame.data(), data, size);
    const unsigned end = frame.end;
    sallyport::wire::parse(frame);
    if (frame.reason == DropReason::none) {
        check_promises(frame, end);
        check_udp(frame);
    }
    for (const std::uint8_t family : {std::uint8_t{4}, std::uint8_t{6}}) {
        Frame opened;
        opened.chunk = memory.get();
        opened.begin = opened.network = sallyport::frame_headroom;
        opened.end = static_cast<std::uint16_t>(end);
        opened.family = family;
        sallyport::wire::parse_opened(opened);
        if (opened.reason == DropReason::none) {
            check_promises(opened, end);
            check_udp(opened);
        }
    }
    return 0;
}
