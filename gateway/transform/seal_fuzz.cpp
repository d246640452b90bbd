// SPDX-License-Identifier: Apache-2.0
// Sealing of malformed inner packets, and opening of what came out. Octet 0: algorithm; octet 1: engine, ESN, family, outer family, whose
// frame; then the inner packet.
#include "gateway/transform/testing.hpp"

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

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2 || size > 1600) return 0;
    SaSpec spec = transform::testing::plain_spec(static_cast<Algorithm>(data[0] % algorithms.size()));
    const crypto::Engine engine = (data[1] & 1) != 0 ? crypto::best_engine() : crypto::Engine::openssl;
    spec.sequence = (data[1] & 2) != 0 ? SequenceKind::extended_64 : SequenceKind::short_32;
    const std::uint8_t family = (data[1] & 4) != 0 ? 6 : 4;
    if ((data[1] & 8) != 0) {
        spec.outer_local = *parse_address("2001:db8::1");
        spec.outer_remote = *parse_address("2001:db8::2");
    }
    Pair pair(spec, engine);

    const std::vector<std::uint8_t> inner(data + 2, data + size);
    OwnedFrame owned;
    owned.put_packet(inner, family);
    if ((data[1] & 16) != 0) owned.frame.flags = frame_ours;
    const DropReason sealed = pair.seal(owned);
    if (sealed != DropReason::none) {
        require(sealed == DropReason::malformed_ip || sealed == DropReason::ttl_expired, "an unexpected reason");
        require(pair.sealed.errors == 1, "the error was not counted");
        return 0;
    }
    Frame& frame = owned.frame;
    const std::uint8_t* outer = frame.at(frame.network);
    const bool ipv4 = (data[1] & 8) == 0;
    require(outer[0] >> 4 == (ipv4 ? 4 : 6) && frame.family == (ipv4 ? 4 : 6), "the wrong outer family");
    require(frame.network_length() ==
                (ipv4 ? wire::load16(outer + wire::ipv4_total_length) : wire::ipv6_size + wire::load16(outer + wire::ipv6_payload_length)),
            "the outer length is wrong");
    require(!ipv4 || wire::checksum_raw(outer, wire::ipv4_size) == 0, "the outer checksum is wrong");
    frame.traffic_class = 0; // no congestion on the way
    const DropReason opened = pair.open(owned);
    require(opened == DropReason::none || opened == DropReason::malformed_inner, "what we sealed does not open");
    if (opened == DropReason::none && (data[1] & 16) != 0)
        require(std::equal(frame.at(frame.network), frame.at(frame.end), inner.begin()), "another packet came out");
    return 0;
}
