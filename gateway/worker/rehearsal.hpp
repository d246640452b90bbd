// SPDX-License-Identifier: Apache-2.0
// One frame through the stages of a worker without sending it: what `sallyport explain` and tests ask. A worker is made for it, with ports
// that only take note (RehearsalPort) and a Rehearsal that writes down what the stages decide. It reads the real tables; of an SA it gets a
// private copy: numbers are taken from a copy of the counter, a window moves in a copy, and sealing uses a key that is thrown away, so that
// no key and number come together twice. Opening uses the real key, so it runs in the thread of the SA's owner (Worker::call).
#pragma once

#include "gateway/port/port.hpp"
#include "gateway/route/fib.hpp"
#include "gateway/sa/selector.hpp"
#include "gateway/sequence/space.hpp"
#include "gateway/tables/spd.hpp"
#include "gateway/transform/transform.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sallyport::worker {

enum class StepKind : std::uint8_t {
    parsed,      // the frame as it came in
    policy,      // what the SPD says, for the side that it came from
    found,       // the inbound SA of its SPI, or none
    sealed,      // the outer packet is made
    opened,      // ICV and window are good, the inner packet is there
    admitted,    // the inner packet is one that its SA may carry
    way,         // route and next hop
    sent,        // put on a port
    excepted,    // given to the exception stage for an errand
    handed_over, // given to the worker that owns its SA
    dropped,
};

/// What was decided; a step has only what belongs to it.
struct Step {
    StepKind kind = StepKind::parsed;
    DropReason reason = DropReason::none; // policy, found, way: as decided; dropped, excepted: why
    Errand errand = Errand::none;
    std::uint8_t port = 0; // way, sent: index in Desired::ports
    std::uint8_t worker = 0;
    VpnNumber vpn = wan_vpn;
    std::uint16_t vlan = 0;
    std::uint16_t mtu = 0;                                          // way
    std::uint16_t length = 0;                                       // of the IP packet; sent: of the frame
    std::uint16_t flags = 0;                                        // FrameFlag
    std::uint32_t policy = tables::PolicyVerdict::no_policy_number; // policy: its number
    std::uint32_t sa = 0;                                           // number of the SA in the store, 0: none
    std::uint32_t spi = 0;
    std::uint64_t sequence = 0;  // sealed: the number it would get; opened: its number
    std::uint64_t highest = 0;   // found, opened: the highest accepted before
    Flow flow;                   // parsed, sealed, opened, admitted: of the outermost header
    bool mac_known = false;      // way
    route::Mac mac{};            // way: of the next hop
    Address gateway;             // way: the next hop whose link-layer address is not known
    std::uint32_t interface = 0; // way: kernel's number
};

class Rehearsal {
public:
    static constexpr unsigned most_steps = 32; // later ones are not written down

    Rehearsal();
    ~Rehearsal(); // wipes the throwaway keys
    Rehearsal(const Rehearsal&) = delete;
    Rehearsal& operator=(const Rehearsal&) = delete;

    [[nodiscard]] std::span<const Step> steps() const { return {steps_.data(), count_}; }
    /// The last step of this kind, null: none.
    [[nodiscard]] const Step* last(StepKind kind) const;

    // Called by the stages; each batch holds the one frame, or none.
    void parsed(std::span<Frame* const> frames);
    void decided_outbound(const tables::Spd& spd, std::span<Frame* const> frames);
    void decided_inbound(const tables::PolicyVerdict& verdict);
    void found(std::span<Frame* const> frames);
    void before_seal(std::span<Frame* const> frames);
    void sealed(std::span<Frame* const> frames);
    void before_open(std::span<Frame* const> frames);
    void opened(std::span<Frame* const> frames);
    void admitted(std::span<Frame* const> frames);
    void way(const Frame& frame, const route::NextHop& hop);
    void sent(std::uint8_t port, const Frame& frame);
    void excepted(const Frame& frame);
    void handed_over(std::uint8_t owner);
    void dropped(const Frame& frame);

private:
    Step& add(StepKind kind);

    std::array<Step, most_steps> steps_;
    unsigned count_ = 0;
    std::vector<sequence::Unit> units_;
    transform::SaCounters counters_;
    transform::OutboundSa outbound_;
    transform::InboundSa inbound_;
    struct Key {
        std::uint8_t row;
        std::unique_ptr<std::uint8_t[], void (*)(void*)> memory;
    };
    std::vector<Key> keys_; // of every key_row() in use
};

/// A port that gives one frame and takes note of what is to be transmitted; the chunks stay with it.
class RehearsalPort final : public PortQueue {
public:
    RehearsalPort(std::uint8_t number, Rehearsal& rehearsal) : number_(number), rehearsal_(rehearsal) {}
    /// The next receive() gives this frame: chunk, index, begin, end.
    void offer(const Frame& frame) {
        offered_ = frame;
        has_frame_ = true;
    }

    unsigned receive(std::span<Frame> frames) override;
    void refill(Chunks& /*free*/) override {}
    unsigned transmit(std::span<const Frame> frames) override;
    void complete(Chunks& /*free*/) override {}
    void flush() override {}
    [[nodiscard]] int descriptor() const override { return -1; }
    [[nodiscard]] PortStatistics statistics() const override { return {}; }

private:
    std::uint8_t number_;
    Rehearsal& rehearsal_;
    Frame offered_;
    bool has_frame_ = false;
};

} // namespace sallyport::worker
