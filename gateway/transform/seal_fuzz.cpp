// SPDX-License-Identifier: Apache-2.0
// Sealing of malformed inner packets, and opening of what came out. Octet 0: row of the registry; octet 1: ESN, family, outer family, whose
// frame; then the inner packet.
#include "gateway/transform/testing.hpp"
#include "gateway/wire/parse.hpp"

#include <cstdio>

namespace {

using namespace sallyport;
using transform::testing::OwnedFrame;
using transform::testing::Pair;

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

bool is_expected(DropReason reason) {
    return reason == DropReason::malformed_ip || reason == DropReason::ttl_expired || reason == DropReason::fragment_transport ||
           reason == DropReason::header_before_ah;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2 || size > 1600) return 0;
    const auto row = static_cast<std::uint8_t>(data[0] % transform::row_count);
    const std::uint8_t family = (data[1] & 4) != 0 ? 6 : 4;
    const bool tunnel = transform::kind_of(row).mode == SaMode::tunnel;
    const bool outer_ipv6 = transform::kind_of(row).mode == SaMode::transport ? family == 6 : (data[1] & 8) != 0;
    SaSpec spec = transform::testing::spec_of_row(row, outer_ipv6, family == 6);
    spec.sequence = (data[1] & 2) != 0 ? SequenceKind::extended_64 : SequenceKind::short_32;
    Pair pair(spec, transform::engine_of(row));

    const std::vector<std::uint8_t> inner(data + 2, data + size);
    OwnedFrame owned;
    owned.put_packet(inner, family);
    if (!tunnel) { // only a tunnel takes what no parser has seen
        wire::parse_opened(owned.frame);
        if (owned.frame.reason != DropReason::none) return 0;
    }
    if ((data[1] & 16) != 0) owned.frame.flags |= frame_ours;
    const DropReason sealed = pair.seal(owned);
    if (sealed != DropReason::none) {
        require(is_expected(sealed), "an unexpected reason");
        require(pair.sealed.errors == (sealed == DropReason::fragment_transport ? 0 : 1), "the error was not counted");
        return 0;
    }
    Frame& frame = owned.frame;
    const std::uint8_t* outer = frame.at(frame.network);
    const bool ipv4 = !outer_ipv6;
    require(outer[0] >> 4 == (ipv4 ? 4 : 6) && frame.family == (ipv4 ? 4 : 6), "the wrong outer family");
    require(frame.network_length() ==
                (ipv4 ? wire::load16(outer + wire::ipv4_total_length) : wire::ipv6_size + wire::load16(outer + wire::ipv6_payload_length)),
            "the outer length is wrong");
    require(!ipv4 || wire::checksum_raw(outer, (outer[0] & 0xfU) * 4U) == 0, "the outer checksum is wrong");
    frame.traffic_class = 0; // no congestion on the way
    const DropReason opened = pair.open(owned);
    require(opened == DropReason::none || opened == DropReason::malformed_inner || opened == DropReason::dummy ||
                opened == DropReason::bad_next_header,
            "what we sealed does not open");
    if (tunnel && opened == DropReason::none && (data[1] & 16) != 0)
        require(std::equal(frame.at(frame.network), frame.at(frame.end), inner.begin()), "another packet came out");
    return 0;
}
