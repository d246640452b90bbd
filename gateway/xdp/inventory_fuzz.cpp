// SPDX-License-Identifier: Apache-2.0
// Any octets, as they are and with a right checksum behind them; what is read in the layout of today must be written the same again.
#include "gateway/state/checksum.hpp"
#include "gateway/xdp/inventory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace {

void check(std::span<const std::uint8_t> octets) {
    const auto read = sallyport::xdp::read_inventory(octets);
    std::uint32_t layout = 0;
    if (!read) return;
    std::memcpy(&layout, octets.data() + 8, sizeof layout);
    if (layout == sallyport::xdp::inventory_layout && !std::ranges::equal(sallyport::xdp::write_inventory(*read), octets)) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check({data, size});
    std::vector<std::uint8_t> octets(data, data + size);
    if (octets.size() < 24) return 0;
    const auto length = static_cast<std::uint32_t>(octets.size() + 8);
    std::memcpy(octets.data() + 12, &length, sizeof length);
    const std::uint64_t sum = sallyport::state::fnv1a(octets);
    const auto* from = reinterpret_cast<const std::uint8_t*>(&sum);
    octets.insert(octets.end(), from, from + sizeof sum);
    check(octets);
    return 0;
}
