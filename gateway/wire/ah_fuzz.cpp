// SPDX-License-Identifier: Apache-2.0
// Any octets as the IP header before an AH: mute() touches nothing else, leaves what no router changes, finds nothing to do a second time,
// and comes to the same whatever routers did on the way. Octet 0: bit 0 the family; then the header.
#include "gateway/wire/ah.hpp"
#include "gateway/wire/ip.hpp"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace {

using namespace sallyport::wire;
using Octets = std::vector<std::uint8_t>;

void check(bool good) {
    if (!good) std::abort();
}

/// As the last router leaves it (RFC 4302 3.3.3.1.1.1, 3.3.3.1.2.1).
Octets routed(Octets header, std::uint8_t family) {
    if (family == 4) {
        for (const unsigned at : {ipv4_tos, ipv4_fragment, ipv4_fragment + 1, ipv4_ttl, ipv4_checksum, ipv4_checksum + 1})
            header[at] ^= 0xff;
        return header;
    }
    header[0] ^= 0x0f;
    for (const unsigned at : {1U, 2U, 3U, ipv6_hop_limit}) header[at] ^= 0xff;
    return header;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0 || size > most_before_ah + 16) return 0;
    const std::uint8_t family = (data[0] & 1) != 0 ? 6 : 4;
    const auto length = static_cast<unsigned>(size - 1);
    const Octets header(data + 1, data + size);
    Octets muted = header;
    if (!mute(muted.data(), length, family)) return 0;
    const unsigned source = family == 4 ? ipv4_source : ipv6_source, addresses = family == 4 ? 8 : 32;
    check(std::equal(muted.begin() + source, muted.begin() + source + addresses, header.begin() + source));
    check(muted[family == 4 ? ipv4_protocol : ipv6_next_header] == header[family == 4 ? ipv4_protocol : ipv6_next_header]);
    Octets again = muted, later = routed(header, family);
    check(mute(again.data(), length, family) && again == muted);
    check(mute(later.data(), length, family) && later == muted);
    return 0;
}
