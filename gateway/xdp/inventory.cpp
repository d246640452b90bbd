// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/inventory.hpp"

#include "bpf/shared.h"
#include "gateway/state/checksum.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace sallyport::xdp {
namespace {

constexpr std::uint64_t magic = 0x4b53'584c'4c41'5350; // "PSALLXSK" in the memory of a little-endian machine
constexpr std::size_t name_octets = 16;                // IFNAMSIZ
constexpr std::uint32_t flag_huge_pages = 1;
constexpr std::uint32_t most_ports = 256;

struct Writer {
    std::vector<std::uint8_t> octets;
    template <class Integer>
    void put(Integer value) {
        const auto* from = reinterpret_cast<const std::uint8_t*>(&value);
        octets.insert(octets.end(), from, from + sizeof value);
    }
};

// Once something was missing, all that follows is 0 and `good` is false.
struct Reader {
    std::span<const std::uint8_t> left;
    bool good = true;
    template <class Integer>
    Integer get() {
        Integer value{};
        good = good && left.size() >= sizeof value;
        if (!good) return value;
        std::memcpy(&value, left.data(), sizeof value);
        left = left.subspan(sizeof value);
        return value;
    }
    std::string name() {
        std::array<char, name_octets> text = get<std::array<char, name_octets>>();
        const auto end = std::ranges::find(text, '\0');
        good = good && end != text.begin() && end != text.end() && std::all_of(end, text.end(), [](char c) { return c == '\0'; });
        return {text.begin(), end};
    }
};

std::unexpected<Error> refused(std::string sentence) { return std::unexpected(Error{ErrorCode::invalid, std::move(sentence), "", ""}); }

} // namespace

std::vector<std::uint8_t> write_inventory(const Inventory& inventory) {
    Writer writer;
    writer.put(magic);
    writer.put(inventory_layout);
    const std::size_t at_length = writer.octets.size();
    for (const std::uint32_t number :
         {std::uint32_t{0}, inventory.frames, inventory.chunks, inventory.chunk_octets, inventory.ring_entries,
          inventory.huge_pages ? flag_huge_pages : 0U, inventory.queues, static_cast<std::uint32_t>(inventory.ports.size())})
        writer.put(number);
    for (const Inventory::Port& port : inventory.ports) {
        std::array<char, name_octets> name{};
        port.interface.copy(name.data(), name.size() - 1);
        writer.put(name);
        writer.put(port.ifindex);
    }
    writer.put(inventory.memory);
    for (const std::uint64_t cookie : inventory.sockets) writer.put(cookie);
    const auto length = static_cast<std::uint32_t>(writer.octets.size() + sizeof(std::uint64_t));
    std::memcpy(writer.octets.data() + at_length, &length, sizeof length);
    writer.put(state::fnv1a(writer.octets));
    return std::move(writer.octets);
}

Result<Inventory> read_inventory(std::span<const std::uint8_t> octets) {
    constexpr std::size_t checksum_octets = sizeof(std::uint64_t);
    Reader reader{.left = octets};
    if (reader.get<std::uint64_t>() != magic || !reader.good) return refused("it is no inventory");
    const auto layout = reader.get<std::uint32_t>();
    if (reader.good && (layout > inventory_layout || layout + 1 < inventory_layout))
        return refused("its layout is " + std::to_string(layout) + ", this release knows " + std::to_string(inventory_layout - 1) +
                       " and " + std::to_string(inventory_layout));
    if (reader.get<std::uint32_t>() != octets.size() || octets.size() < checksum_octets) return refused("it is cut or has a tail");
    Reader end{.left = octets.last(checksum_octets)};
    if (end.get<std::uint64_t>() != state::fnv1a(octets.first(octets.size() - checksum_octets))) return refused("its checksum is wrong");

    Inventory inventory;
    inventory.frames = reader.get<std::uint32_t>();
    inventory.chunks = reader.get<std::uint32_t>();
    inventory.chunk_octets = reader.get<std::uint32_t>();
    inventory.ring_entries = reader.get<std::uint32_t>();
    const auto flags = reader.get<std::uint32_t>();
    inventory.huge_pages = (flags & flag_huge_pages) != 0;
    inventory.queues = reader.get<std::uint32_t>();
    const auto ports = reader.get<std::uint32_t>();
    if (flags > flag_huge_pages || inventory.queues > SP_MAX_QUEUES || ports > most_ports) return refused("a number in it is out of range");
    for (std::uint32_t i = 0; i < ports && reader.good; i++) {
        Inventory::Port port{.interface = reader.name()};
        port.ifindex = reader.get<std::uint32_t>();
        inventory.ports.push_back(std::move(port));
    }
    if (layout == inventory_layout) {
        inventory.memory = reader.get<std::uint64_t>();
        for (std::uint32_t i = 0; i < ports * inventory.queues && reader.good; i++)
            inventory.sockets.push_back(reader.get<std::uint64_t>());
    }
    if (!reader.good || reader.left.size() != checksum_octets) return refused("its parts do not fit together");
    return inventory;
}

} // namespace sallyport::xdp
