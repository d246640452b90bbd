// SPDX-License-Identifier: Apache-2.0
// The XDP program of one port: loaded, attached and pinned so that it goes on dropping when the process dies, and taken over by the next.
//
// Pins, in a bpffs of our own:  DIRECTORY/INTERFACE/{link,xsks,counters,egress_counters}  and  DIRECTORY/shared-by-all-ports/ (SharedMaps).
#pragma once

#include "gateway/sa/desired.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/xdp/device.hpp"
#include "gateway/xdp/egress.hpp"
#include "gateway/xdp/maps.hpp"
#include "gateway/xdp/verdict.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sallyport::xdp {

using MacAddress = std::array<std::uint8_t, 6>;

/// Longer than the name of an interface can be, so it is none.
inline constexpr const char* shared_pins = "shared-by-all-ports";

struct ProgramOptions {
    bool ike_served = false; // somebody takes IKE messages; else they are dropped and counted
    bool generic = false;    // do not try native mode
    IkeLimits limits;
};

class PortProgram {
public:
    /// Would start() refuse the device, because of another program or of what cannot be seen on it? Changes nothing.
    [[nodiscard]] static Result<void> check(const std::string& directory, const PortSpec& port, const Device& device);
    /// Loads the program for this port, and attaches it or takes over the pinned link; from then on no frame of the port reaches the
    /// kernel's stack past our rules. Fails with the program's name and id if another program than ours is attached. The VLANs of the port
    /// must be in `maps` already.
    [[nodiscard]] static Result<PortProgram> start(const std::string& directory, const PortSpec& port, const Device& device,
                                                   const SharedMaps& maps, const ProgramOptions& options);
    PortProgram(PortProgram&&) noexcept;
    PortProgram& operator=(PortProgram&&) noexcept;
    ~PortProgram(); // what is pinned stays

    [[nodiscard]] const Device& device() const { return device_; }
    [[nodiscard]] bool native() const { return native_; }
    /// VLAN tags that the driver keeps beside the frame are seen.
    [[nodiscard]] bool bound() const { return bound_; }
    /// Octets that the bound program could have become longer.
    [[nodiscard]] std::size_t room() const { return room_; }
    /// For the journal: taken over or not, why generic mode, what was switched off.
    [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

    /// Frames of this queue go to this AF_XDP socket, until it is closed.
    [[nodiscard]] Result<void> set_socket(unsigned queue, int socket);
    /// The port's MAC addresses, at most four; frames for other stations are dropped. None: all are taken. The device's own is set at
    /// start.
    void set_macs(std::span<const MacAddress> macs);
    [[nodiscard]] Result<VerdictCounters> counters() const;
    /// On a black port; what the machine itself sends there.
    [[nodiscard]] Egress& egress() { return egress_; }
    /// What the program would decide about a frame: the same program is loaded once more, with the same tables and counters of its own, and
    /// the kernel runs it on the frame (BPF_PROG_TEST_RUN). Nothing is sent, and the port's counters stay. A bound program cannot be run
    /// so: then it is its other entry, which decides the same but sees no tag beside the frame. Some ten milliseconds. Error: the kernel
    /// does not take the frame (below 14 octets, or longer than a page), or refuses.
    [[nodiscard]] Result<sp_verdict> judge(std::span<const std::uint8_t> frame, const PortSpec& port, const SharedMaps& maps,
                                           const ProgramOptions& options) const;

private:
    PortProgram();
    struct Start; // what start() was given
    Result<void> load(const Start& start);
    Result<void> load_entry(const Start& start, bool bound);
    Result<void> load_first(const Start& start, const std::string& why_not_bound);
    Result<void> attach(const Start& start);
    Result<bool> take_over(const std::string& folder);
    Result<void> use_own_maps(const std::string& folder, bool pinned);
    Result<void> prepare(bool generic);
    Result<void> close_egress(const Start& start);
    Result<void> attach_mode(std::uint32_t flags);
    void add_note(std::string sentence);

    struct Loaded; // the skeleton: kept out of the header
    std::unique_ptr<Loaded> loaded_;
    Device device_;
    Descriptor link_;
    Descriptor xsks_;
    Descriptor counters_;
    Egress egress_;
    bool native_ = false;
    bool bound_ = false; // to the device: VLAN tags beside the frame are seen
    std::size_t room_ = 0;
    std::vector<std::string> notes_;
};

/// Takes off what is pinned for all ports, on the way in and on the way out, and removes the pins: the ports are open to the kernel's stack
/// then. Returns their names.
[[nodiscard]] Result<std::vector<std::string>> detach(const std::string& directory);

} // namespace sallyport::xdp
