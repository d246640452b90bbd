// SPDX-License-Identifier: Apache-2.0
// TCP, as far as a gateway meddles with it (RFC 9293 3.1): ports 2, 2 | sequence 4 | acknowledgement 4 | data offset 4 bits, flags | window
// 2 | checksum 2 | urgent pointer 2 | options.
#pragma once

#include <cstdint>

namespace sallyport::wire {

inline constexpr unsigned tcp_size = 20;        // without options
inline constexpr unsigned tcp_data_offset = 12; // in the upper four bits, in units of 4 octets
inline constexpr unsigned tcp_flags = 13;
inline constexpr unsigned tcp_checksum = 16;
inline constexpr std::uint8_t tcp_syn = 0x02;

inline constexpr std::uint8_t tcp_option_end = 0;
inline constexpr std::uint8_t tcp_option_nothing = 1;
inline constexpr std::uint8_t tcp_option_mss = 2;             // kind, length 4, MSS 2 (RFC 9293 3.7.1)
inline constexpr std::uint8_t tcp_option_authentication = 29; // TCP-AO (RFC 5925): a MAC over the options too

/// Lowers the MSS option of the TCP header at `tcp`, of which `there` octets are there (at least tcp_size), to `largest`, with the checksum
/// (RFC 1624). Nothing is changed where the option is not there, is no larger, or lies behind what is malformed, or where the options are
/// authenticated. True: it was lowered.
bool clamp_mss(std::uint8_t* tcp, unsigned there, std::uint16_t largest);

} // namespace sallyport::wire
