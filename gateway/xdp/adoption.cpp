// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/adoption.hpp"

#include "gateway/xdp/inventory.hpp"

#include <cerrno>
#include <optional>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sallyport::xdp {
namespace {

const std::string prefix = "xsk-";
const std::string inventory_name = prefix + "inventory";
const std::string memory_name = prefix + "memory";

std::string socket_name(std::size_t number, unsigned queues) {
    return prefix + std::to_string(number / queues) + "-" + std::to_string(number % queues);
}

std::unexpected<Error> wrong(std::string sentence) { return std::unexpected(Error{ErrorCode::invalid, std::move(sentence), "", ""}); }

std::uint64_t cookie_of(int socket) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);
    return getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

Result<Inventory> read(int file) {
    std::vector<std::uint8_t> octets(longest_inventory);
    const ssize_t count = pread(file, octets.data(), octets.size(), 0);
    if (count < 0) return std::unexpected(system_error(errno, "it cannot be read"));
    return read_inventory(std::span(octets).first(static_cast<std::size_t>(count)));
}

std::vector<Inventory::Port> ports_of(std::span<const PortProgram> programs) {
    std::vector<Inventory::Port> ports;
    for (const PortProgram& program : programs) ports.push_back({program.device().name, program.device().ifindex});
    return ports;
}

Result<Taken> adopt(state::Keeper& keeper, int file, std::span<PortProgram> ports, unsigned queues, std::uint32_t frames) {
    const auto inventory = read(file);
    if (!inventory) return wrong("The inventory of what the gateway before left is of no use: " + inventory.error().sentence);
    if (inventory->frames != frames || inventory->queues != queues || inventory->ports != ports_of(ports) ||
        inventory->chunk_octets != chunk_size || inventory->ring_entries != ring_entries)
        return wrong("The gateway before had other ports, queues or frames");
    const auto damaged = [](const std::string& what) { return wrong("What the gateway before left does not fit together: " + what); };
    Descriptor memory = keeper.take(memory_name);
    if (!memory) return damaged("the packet memory is missing");
    auto umem = Umem::adopt(std::move(memory), inventory->chunks, inventory->huge_pages);
    if (!umem) return damaged(umem.error().sentence);
    if (inventory->memory != 0 && inventory->memory != umem->inode()) return damaged("the packet memory is another one");
    std::vector<Descriptor> left;
    for (std::size_t i = 0; i < ports.size() * queues; i++) {
        left.push_back(keeper.take(socket_name(i, queues)));
        if (!left.back()) return damaged("a socket is missing");
        if (!inventory->sockets.empty() && inventory->sockets[i] != cookie_of(left.back().get())) return damaged("a socket is another one");
    }
    auto sockets = Sockets::adopt(*umem, ports, queues, std::move(left));
    if (!sockets) return damaged(sockets.error().sentence);
    return Taken{.umem = std::move(*umem), .sockets = std::move(*sockets), .notes = {}};
}

Result<void> leave(state::Keeper& keeper, const Taken& taken, std::span<const PortProgram> ports, std::uint32_t frames) {
    const unsigned queues = taken.sockets.queues_per_port();
    Inventory inventory{.frames = frames,
                        .chunks = taken.umem.memory().count,
                        .chunk_octets = chunk_size,
                        .ring_entries = ring_entries,
                        .huge_pages = taken.umem.huge_pages(),
                        .queues = queues,
                        .ports = ports_of(ports),
                        .memory = taken.umem.inode()};
    if (auto kept = keeper.keep(memory_name, taken.umem.descriptor()); !kept) return kept;
    for (std::size_t i = 0; i < taken.sockets.count(); i++) {
        const int socket = taken.sockets.queue(i).descriptor();
        inventory.sockets.push_back(cookie_of(socket));
        if (auto kept = keeper.keep(socket_name(i, queues), socket); !kept) return kept;
    }
    const std::vector<std::uint8_t> octets = write_inventory(inventory);
    const Descriptor file(memfd_create("sallyport-inventory", MFD_CLOEXEC));
    if (!file || write(file.get(), octets.data(), octets.size()) != static_cast<ssize_t>(octets.size()))
        return std::unexpected(system_error(errno, "The inventory of the sockets cannot be written"));
    return keeper.keep(inventory_name, file.get());
}

} // namespace

void forget_sockets(state::Keeper& keeper) {
    keeper.forget(inventory_name);
    keeper.forget_all(prefix);
}

Result<Taken> adopt_or_open(state::Keeper& keeper, std::span<PortProgram> ports, unsigned queues, std::uint32_t frames) {
    std::vector<std::string> notes;
    if (const Descriptor file = keeper.take(inventory_name)) {
        auto taken = adopt(keeper, file.get(), ports, queues, frames);
        if (taken) {
            taken->notes.emplace_back("Sockets and packet memory of the gateway before are taken over, with the frames that waited.");
            return taken;
        }
        notes.push_back(taken.error().sentence + ". The ports are bound afresh, and frames that waited are lost.");
    }
    forget_sockets(keeper);
    auto umem = Umem::create(frames);
    if (!umem) return std::unexpected(umem.error());
    auto sockets = Sockets::open(*umem, ports, queues);
    if (!sockets) return std::unexpected(sockets.error());
    Taken taken{.umem = std::move(*umem), .sockets = std::move(*sockets), .notes = std::move(notes)};
    if (taken.sockets.zero_copy()) return taken;
    if (auto left = leave(keeper, taken, ports, frames); !left) {
        forget_sockets(keeper);
        taken.notes.push_back(left.error().sentence + ". The next start binds the ports afresh.");
    }
    return taken;
}

} // namespace sallyport::xdp
