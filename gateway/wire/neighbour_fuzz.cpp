// SPDX-License-Identifier: Apache-2.0
// Any octets as ARP and as neighbour discovery: nothing past the end is read, and what is accepted can be written again.
#include "gateway/wire/arp.hpp"
#include "gateway/wire/nd.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sallyport::wire;
    if (size > 2000) return 0;
    const auto copy = std::make_unique<std::uint8_t[]>(size);
    if (size != 0) std::memcpy(copy.get(), data, size);
    if (const auto arp = read_arp(copy.get(), static_cast<unsigned>(size))) {
        std::uint8_t again[arp_size];
        write_arp(again, *arp);
        if (std::memcmp(again, data, arp_size) != 0) std::abort();
    }
    // The checksum is no wall for the fuzzer: it is put right.
    if (size > 44 && size - 40 >= 24) {
        std::memset(copy.get() + 42, 0, 2);
        const unsigned length = load16(copy.get() + 4);
        if (length >= 24 && length <= size - 40) store_raw(copy.get() + 42, icmpv6_checksum(copy.get(), copy.get() + 40, length));
    }
    if (auto message = read_neighbour_message(copy.get(), static_cast<unsigned>(size))) {
        if (!message->mac) message->mac.emplace();
        const bool unspecified = message->source.octets == sallyport::Address{}.octets;
        std::uint8_t again[neighbour_message_size];
        write_neighbour_message(again, *message);
        if (!unspecified && !read_neighbour_message(again, neighbour_message_size)) std::abort();
    }
    return 0;
}
