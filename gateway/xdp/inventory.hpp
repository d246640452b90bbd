// SPDX-License-Identifier: Apache-2.0
// What a gateway writes down about its packet memory and sockets, for the process that takes them over: a small memfd beside them.
#pragma once

#include "gateway/sa/error.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sallyport::xdp {

struct Inventory {
    struct Port {
        std::string interface;
        std::uint32_t ifindex = 0;
        friend bool operator==(const Port&, const Port&) = default;
    };
    std::uint32_t frames = 0; // as configured
    std::uint32_t chunks = 0; // as made
    std::uint32_t chunk_octets = 0;
    std::uint32_t ring_entries = 0; // of each of a socket's four rings
    bool huge_pages = false;
    std::uint32_t queues = 0; // of each port
    std::vector<Port> ports;
    std::uint64_t memory = 0;           // inode of the packet memory; 0: not known
    std::vector<std::uint64_t> sockets; // SO_COOKIE of each, port by port; empty: not known
    friend bool operator==(const Inventory&, const Inventory&) = default;
};

/// The layout that is written; it and the one before are read.
inline constexpr std::uint32_t inventory_layout = 2;

/// Octets in the machine's own order, for it does not leave the machine. 32 bits each, but magic, inode, cookies and checksum 64:
/// magic, layout, length of all in octets, frames, chunks, octets of a chunk, ring entries, flags (1: huge pages), queues, ports; by port
/// 16 octets of name, padded by zeros, and the ifindex; inode of the memory; by socket its cookie; FNV-1a checksum of all before it. Layout
/// 1 is the same without inode and cookies.
[[nodiscard]] std::vector<std::uint8_t> write_inventory(const Inventory& inventory);

/// Refused: a layout that is neither, a wrong length or checksum, counts out of range.
[[nodiscard]] Result<Inventory> read_inventory(std::span<const std::uint8_t> octets);

/// No inventory is longer, in octets.
inline constexpr std::size_t longest_inventory = std::size_t{1} << 20;

} // namespace sallyport::xdp
