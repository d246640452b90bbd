// SPDX-License-Identifier: Apache-2.0
// What receipt asks of ESP in UDP (RFC 3948). Private to the worker.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/wire/octets.hpp"
#include "gateway/wire/udp.hpp"

#include <cstdint>

namespace sallyport::worker {

/// UDP over IPv6 has a checksum (RFC 8200 8.1; RFC 6935 is not offered). A wrong one is left to the ICV.
[[nodiscard]] inline bool lacks_checksum(const Frame& frame) {
    return (frame.flags & frame_in_udp) != 0 && frame.family == 6 &&
           wire::load_raw<std::uint16_t>(frame.at(frame.transport) - wire::udp_size + wire::udp_checksum) == 0;
}

} // namespace sallyport::worker
