// SPDX-License-Identifier: Apache-2.0
// Any frames as fragments, outer and inner ones: nothing is read or written past a chunk, no chunk is lost, what was put together is a
// packet that parses and is no fragment, and what follows a first fragment shows its ports. Input: for each frame one octet of kind, two
// octets of length (big-endian), the frame. Kind: bits 0 and 1 the errand (reassemble_outer, inner_fragment, cut); bits 2 and 3 the way, or
// for cut the flags; bit 4 time goes on by a second; bits 5 to 7 the size of a cut.
#include "gateway/exception/cutter.hpp"
#include "gateway/exception/inner_fragments.hpp"
#include "gateway/exception/reassembly.hpp"
#include "gateway/exception/testing.hpp"
#include "gateway/wire/fragment.hpp"

#include <algorithm>
#include <cstdlib>

namespace {

using namespace sallyport;
using exception::testing::Bench;
using exception::testing::Octets;

void check(bool good) {
    if (!good) std::abort();
}

struct Run {
    Bench bench{64};
    exception::Reassembly reassembly{{.packets = 8, .frames = 24, .each = 8, .share = 2}};
    exception::InnerFragments inner{{.packets = 8, .frames = 24, .each = 8, .share = 2}};
    exception::Cutter cutter{0};
    std::uint64_t now = 0;

    void feed(std::uint8_t kind, const Octets& octets) {
        if ((kind & 16) != 0) now += 1'000'000'000;
        Frame frame;
        check(bench.make(frame));
        frame.begin = frame_headroom;
        frame.end = static_cast<std::uint16_t>(frame_headroom + octets.size());
        std::ranges::copy(octets, frame.data());
        wire::parse(frame);
        const unsigned errand = kind & 3;
        const bool fragment = (frame.flags & frame_fragment) != 0;
        if (frame.reason != DropReason::none || errand == 3 || (errand != 2 && !fragment)) return bench.used_up(frame);
        errand == 0 ? outer(frame) : errand == 1 ? follow(frame, kind >> 2 & 3) : cut(frame, kind);
    }

    void outer(const Frame& frame) {
        reassembly.take(frame, now, bench);
        for (const Frame& whole : bench.back) {
            Frame again = whole;
            again.flags = 0;
            wire::parse(again);
            check(again.reason == DropReason::none && (again.flags & frame_fragment) == 0 && again.end == whole.end);
            check(whole.end <= chunk_size - tail_room && whole.begin >= frame_headroom);
        }
        bench.returned();
    }

    void follow(Frame frame, unsigned way) {
        frame.sequence = way;
        const Octets packet = exception::testing::packet_in(frame);
        inner.take(frame, now, bench);
        for (const Frame& one : bench.back) {
            check(way >= way_opened ? (one.flags & frame_onward) != 0 : (one.flags & (frame_gathered | frame_fragment)) == frame_gathered);
            const Flow flow = wire::flow_of(one);
            check(flow.ports_known == ((one.flags & (frame_ports | frame_type)) != 0)); // of ICMP: type and code
        }
        bench.returned();
    }

    void cut(Frame frame, std::uint8_t kind) {
        constexpr std::array<std::uint16_t, 4> flags{frame_from_red, frame_onward, frame_onward | frame_cut, 0};
        frame.flags |= flags[kind >> 2 & 3];
        frame.sequence = 40U << (kind >> 5);
        cutter.take(frame, now, bench);
        for (const Frame& piece : bench.back) {
            check(piece.network_length() <= frame.sequence);
            check(piece.end <= chunk_size - tail_room && piece.network >= head_room);
            if (piece.family == 4) check(wire::checksum_raw(piece.at(piece.network), (*piece.at(piece.network) & 15U) * 4U) == 0);
        }
        bench.returned();
    }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Run run;
    for (unsigned frames = 0; size >= 3 && frames < 32; ++frames) {
        const std::uint8_t kind = data[0];
        const std::size_t wanted = std::size_t{data[1]} << 8 | data[2];
        const std::size_t length = std::min({wanted, size - 3, std::size_t{largest_frame}});
        run.feed(kind, Octets(data + 3, data + 3 + length));
        data += 3 + length;
        size -= 3 + length;
    }
    run.reassembly.leave(run.bench);
    run.inner.leave(run.bench);
    check(run.bench.out() == 0);
    return 0;
}
