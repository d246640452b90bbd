// SPDX-License-Identifier: Apache-2.0
// Any octets as a TCP header (20 at least): clamp_mss() reads and writes within them, keeps the checksum as right or wrong as it was,
// changes nothing but MSS and checksum, and finds nothing to do a second time. Input: the MSS, two octets, then the header.
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/octets.hpp"
#include "gateway/wire/tcp.hpp"

#include <cstdlib>
#include <vector>

namespace {

using namespace sallyport::wire;

void check(bool good) {
    if (!good) std::abort();
}

/// The sum of all words, in which 0 and 0xffff are the same number.
std::uint16_t sum_of(const std::vector<std::uint8_t>& octets) {
    const std::uint16_t sum = checksum_raw(octets.data(), static_cast<unsigned>(octets.size()));
    return sum == 0xffff ? std::uint16_t{0} : sum;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2 + tcp_size || size > 2048) return 0;
    const std::uint16_t largest = load16(data);
    const std::vector<std::uint8_t> before(data + 2, data + size);
    std::vector<std::uint8_t> tcp = before;
    const bool lowered = clamp_mss(tcp.data(), static_cast<unsigned>(tcp.size()), largest);
    check(lowered == (tcp != before));
    if (!lowered) return 0;
    check(sum_of(tcp) == sum_of(before));
    unsigned differing = 0;
    for (std::size_t i = 0; i < tcp.size(); ++i) differing += tcp[i] != before[i] ? 1U : 0U;
    check(differing <= 4);
    check(!clamp_mss(tcp.data(), static_cast<unsigned>(tcp.size()), largest));
    return 0;
}
