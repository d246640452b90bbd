// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/tcp.hpp"

#include "gateway/wire/checksum.hpp"
#include "gateway/wire/octets.hpp"

namespace sallyport::wire {

namespace {

/// Offset of the MSS in the option, 0: there is none that may be changed.
unsigned find_mss(const std::uint8_t* tcp, unsigned header) {
    unsigned found = 0;
    for (unsigned at = tcp_size; at < header && tcp[at] != tcp_option_end;) {
        if (tcp[at] == tcp_option_nothing) {
            ++at;
            continue;
        }
        if (at + 2 > header) break;
        const unsigned length = tcp[at + 1];
        if (length < 2 || at + length > header) break;
        if (tcp[at] == tcp_option_authentication) return 0;
        if (tcp[at] == tcp_option_mss && length == 4 && found == 0) found = at + 2;
        at += length;
    }
    return found;
}

} // namespace

bool clamp_mss(std::uint8_t* tcp, unsigned there, std::uint16_t largest) {
    const unsigned header = (tcp[tcp_data_offset] >> 4) * 4U;
    if (header > there) return false;
    const unsigned at = find_mss(tcp, header);
    if (at == 0 || load16(tcp + at) <= largest) return false;
    std::uint16_t before = load16(tcp + at), after = largest;
    store16(tcp + at, largest);
    if (at % 2 != 0) { // it lies across two words of the sum (RFC 1071 2 B)
        before = std::byteswap(before);
        after = std::byteswap(after);
    }
    store16(tcp + tcp_checksum, update_checksum(load16(tcp + tcp_checksum), before, after));
    return true;
}

} // namespace sallyport::wire
