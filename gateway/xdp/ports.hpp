// SPDX-License-Identifier: Apache-2.0
// All ports of a gateway: devices, programs, packet memory and sockets, started together.
//
//     auto maps = SharedMaps::open(pin_directory(settings) + "/" + shared_pins);   // then fill them, so that no moment is open
//     auto ports = Ports::start(desired, std::move(*maps), {.ike_served = false});
//     Depot depot(ports->memory(), ports->free_chunks());
//     worker k reads ports->queue(port, k) for every port of desired.ports
#pragma once

#include "gateway/port/port.hpp"
#include "gateway/sa/desired.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/state/keeper.hpp"
#include "gateway/xdp/adoption.hpp"
#include "gateway/xdp/program.hpp"
#include "gateway/xdp/sockets.hpp"
#include "gateway/xdp/umem.hpp"

#include <memory>
#include <string>
#include <vector>

namespace sallyport::xdp {

struct PortsOptions {
    bool ike_served = false;
    bool generic = false;            // no native mode
    state::Keeper* keeper = nullptr; // null: nobody keeps anything
};

/// Where the pins lie: a bpffs.
[[nodiscard]] std::string pin_directory(const Settings& settings);

class Ports {
public:
    /// Ports in the order of desired.ports. A port that is refused is found before any is touched; if something fails after that, the ports
    /// that have their program keep it, and drop what is not allowed.
    /// Packet memory and sockets that a dead process left with the keeper are taken over, with the frames that wait in them, if they are
    /// what is wanted; else they are forgotten and made anew. Either way the keeper has them for the next process.
    [[nodiscard]] static Result<std::unique_ptr<Ports>> start(const Desired& desired, SharedMaps maps, const PortsOptions& options);
    Ports(const Ports&) = delete;
    Ports& operator=(const Ports&) = delete;

    [[nodiscard]] PacketMemory memory() const { return umem_.memory(); }
    [[nodiscard]] std::size_t count() const { return programs_.size(); }
    /// Queues of each port, that is, workers.
    [[nodiscard]] unsigned queues() const { return sockets_.queues_per_port(); }
    /// The interface of this port was made anew, and nothing of ours is on it: puts a program there that has no sockets, so that it drops
    /// what is not for the machine itself, as after a kill. The sockets stay those of the interface that is gone.
    [[nodiscard]] static Result<void> close_anew(const Desired& desired, std::size_t port, const SharedMaps& maps,
                                                 const PortsOptions& options);
    [[nodiscard]] XskQueue& queue(std::size_t port, unsigned queue) { return sockets_.queue(port, queue); }
    [[nodiscard]] PortProgram& program(std::size_t port) { return programs_[port]; }
    [[nodiscard]] SharedMaps& maps() { return maps_; }
    [[nodiscard]] bool zero_copy() const { return sockets_.zero_copy(); }
    [[nodiscard]] bool huge_pages() const { return umem_.huge_pages(); }
    /// Chunks that nobody had at the start, for the depot.
    [[nodiscard]] const std::vector<std::uint32_t>& free_chunks() const { return sockets_.free_chunks(); }
    [[nodiscard]] Sockets& sockets() { return sockets_; }
    [[nodiscard]] const Sockets& sockets() const { return sockets_; }
    /// For the journal, one sentence each.
    [[nodiscard]] std::vector<std::string> notes() const;

private:
    Ports(SharedMaps maps, std::vector<PortProgram> programs, Taken taken);
    SharedMaps maps_;
    std::vector<PortProgram> programs_;
    Umem umem_;
    std::vector<Descriptor> filters_; // of devices with VLANs that the kernel does not know
    Sockets sockets_;                 // goes first: it stands on the memory
    std::vector<std::string> notes_;
};

} // namespace sallyport::xdp
