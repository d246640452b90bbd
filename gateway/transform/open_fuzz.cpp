// SPDX-License-Identifier: Apache-2.0
// Opening of hostile ESP packets. Octet 0: algorithm; octet 1: engine, ESN, raw or sealed, outer ECN; then an ESP packet as it came from
// the wire, or a plain text that the harness seals properly with the SA's key, so that only what is inside is wrong.
#include "gateway/transform/testing.hpp"

#include <cstdio>

namespace {

using namespace sallyport;
using transform::testing::OwnedFrame;
using transform::testing::Pair;

constexpr std::uint64_t highest = 0x5'0000'0008ULL;

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

/// What an opened frame promises to the stages behind.
void check_opened(const OwnedFrame& owned, unsigned first, unsigned end) {
    const Frame& frame = owned.frame;
    require(frame.network >= first && frame.end <= end, "the inner packet lies outside of what was opened");
    require(frame.family == 4 || frame.family == 6, "no family");
    const std::uint8_t* header = frame.at(frame.network);
    require(header[0] >> 4 == frame.family, "the version is not the family");
    const unsigned length = frame.network_length();
    require(length >= (frame.family == 4 ? wire::ipv4_size : wire::ipv6_size), "shorter than its header");
    require(length == (frame.family == 4 ? wire::load16(header + wire::ipv4_total_length)
                                         : wire::ipv6_size + wire::load16(header + wire::ipv6_payload_length)),
            "not cut to its own length");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2 || size > 1600) return 0;
    SaSpec spec = transform::testing::plain_spec(static_cast<Algorithm>(data[0] % algorithms.size()));
    const crypto::Engine engine = (data[1] & 1) != 0 ? crypto::best_engine() : crypto::Engine::openssl;
    spec.sequence = (data[1] & 2) != 0 ? SequenceKind::extended_64 : SequenceKind::short_32;
    const bool sealed = (data[1] & 4) != 0;
    const std::uint64_t top = spec.sequence == SequenceKind::extended_64 ? highest : highest & 0xffffffffU;
    Pair pair(spec, engine, top, top);

    std::vector<std::uint8_t> content(data + 2, data + size);
    if (sealed) {
        const unsigned block = info(spec.algorithm).block;
        while (content.size() < block || content.size() % block != 0) content.insert(content.begin(), std::uint8_t{0});
        content = pair.seal_raw(content, top + 1);
    }
    OwnedFrame owned;
    owned.put_esp(content);
    owned.frame.traffic_class = data[1] >> 6;
    const unsigned first = owned.frame.transport, end = owned.frame.end;
    const DropReason reason = pair.open(owned);
    require(reason == owned.frame.reason, "another reason");
    if (sealed)
        require(reason != DropReason::bad_icv && reason != DropReason::malformed_esp, "a properly sealed packet was not authentic");
    else
        require(reason != DropReason::dummy && reason != DropReason::bad_padding, "a forged packet was taken as authentic");
    if (reason == DropReason::none) check_opened(owned, first, end);
    require(pair.opened.packets == (reason == DropReason::none ? 1U : 0U), "the packet was not counted");
    for (unsigned i = 0; i < tail_room; ++i) require(owned.frame.chunk[end + i] == 0xee, "written behind the frame");
    return 0;
}
