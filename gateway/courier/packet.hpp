// SPDX-License-Identifier: Apache-2.0
// IKE messages in UDP (RFC 7296 2, 2.23): out of a frame and into one. On port 4500 four zero octets go before each.
#pragma once

#include "gateway/port/frame.hpp"
#include "gateway/sa/ike_datagram.hpp"

#include <cstdint>
#include <optional>

namespace sallyport::courier {

/// What a parsed frame from the black side carries. Nothing: it has no whole IKE header, or its lengths contradict each other. Its UDP
/// checksum is not looked at: what a network card or the kernel beside us would have put in later is not there yet, and IKE has its own
/// ICV.
[[nodiscard]] std::optional<ike_datagram::Datagram> read_packet(const Frame& frame);

/// Octets of the longest message that fits into a chunk.
[[nodiscard]] std::size_t room_for_message(Family family);
/// The IP packet with this message, on its way out; chunk and index of the frame are set, and the message fits.
void write_packet(Frame& frame, const ike_datagram::Datagram& datagram);

/// The SPI in an IKE header by which the receiver knows its IKE SA (RFC 7296 2.6): 0: it is a first message.
[[nodiscard]] std::uint64_t own_spi(std::span<const std::uint8_t> message);

} // namespace sallyport::courier
