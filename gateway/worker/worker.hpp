// SPDX-License-Identifier: Apache-2.0
// A worker: one thread that owns one queue of every port, and carries a frame from one to another.
#pragma once

#include "gateway/mode/dummies.hpp"
#include "gateway/port/batch.hpp"
#include "gateway/port/chunks.hpp"
#include "gateway/port/port.hpp"
#include "gateway/port/ring.hpp"
#include "gateway/port/waker.hpp"
#include "gateway/route/fib.hpp"
#include "gateway/sa/desired.hpp"
#include "gateway/tables/event_source.hpp"
#include "gateway/tables/following.hpp"
#include "gateway/tables/published.hpp"
#include "gateway/tables/sad.hpp"
#include "gateway/tables/spd.hpp"
#include "gateway/tables/unasked.hpp"
#include "gateway/worker/counters.hpp"
#include "gateway/worker/vlans.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sallyport::worker {

/// One port as one worker sees it. Index in the list = index in Desired::ports.
struct PortOfWorker {
    PortQueue* queue = nullptr; // null: this worker has no queue of this port; a frame that must leave there goes by transmit_full
    Role role = Role::black;
    VlanMap vlans; // built from PortSpec::vlans
};

/// What is shared by all workers. Everything referred to outlives the workers.
struct Surroundings {
    Depot& depot;
    const tables::Sad& sad;
    const tables::Published<tables::Spd>& spd;
    const tables::Published<route::Fib>& fib;
    const tables::Published<tables::Unasked>& unasked;
    tables::Audience& audience;
    FrameRing* exceptions = nullptr; // the exception stage's inbox; null: what has an errand is dropped
    bool spin = false;
    EventRing* events = nullptr;                                     // where audited drops are told; null: nowhere
    bool tell_prohibited = false;                                    // sources of red packets that the policy discards get an ICMP error
    const tables::Published<tables::Following>* following = nullptr; // null: no SA follows its peer
};

class Rehearsal;

/// What another thread wants done in a worker's thread. It may read published tables, and may not keep them.
class Visitor {
public:
    virtual ~Visitor() = default;
    Visitor() = default;
    Visitor(const Visitor&) = delete;
    Visitor& operator=(const Visitor&) = delete;
    virtual void visit() = 0;
};

class Worker {
public:
    /// `number` as in OutboundSa::worker. Joins the audience. `rehearsal`: nothing is sent, see gateway/worker/rehearsal.hpp; null: the
    /// real thing.
    Worker(std::uint8_t number, const Surroundings& surroundings, std::vector<PortOfWorker> ports, Rehearsal* rehearsal = nullptr);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// Before the first round, with all workers by number (this one too): how frames of SAs reach their owners.
    void meet(std::span<Worker* const> all);

    /// One round: receive up to 64 frames a port and carry them all the way. True: there was something to do. The caller holds an
    /// rcu::Reader where another thread publishes. Tests and benchmarks drive a worker by this alone.
    bool run_once();

    /// Rounds until `stop`, with an rcu::Reader of its own; after 64 empty rounds it sleeps in poll() until a frame, a message, a new table
    /// or its next deadline comes. Set `stop` and then call waker().wake().
    void run(const std::atomic<bool>& stop);

    /// A rehearsal that begins behind the ICV: frame.network to frame.end is an IP packet of frame.family that came out of frame.inbound.
    void rehearse_opened(Frame& frame);

    /// Has the visitor do its work in this worker's thread, between two rounds. False: the thread does not run, and the visitor was not
    /// called. Threads: one at a time, not the worker's own.
    [[nodiscard]] bool call(Visitor& visitor);

    /// Where other threads leave frames for this worker. Those with frame_waited or frame_onward are routed again, others looked up again.
    [[nodiscard]] FrameRing& inbox() { return inbox_; }
    [[nodiscard]] Waker& waker() { return waker_; }
    /// Threads: any.
    [[nodiscard]] Counters counters() const {
        Counters copy = counters_.read();
        copy.events_left_out = events_.left_out();
        return copy;
    }
    [[nodiscard]] std::uint8_t number() const { return number_; }

private:
    /// Frames that wait for the end of the burst.
    struct Leaving {
        std::array<Frame, batch_size> frames;
        unsigned count = 0;
    };
    /// The last next hop looked up in this round: a burst mostly goes one way.
    struct Way {
        std::array<std::uint8_t, 16> destination{}; // network order
        std::uint32_t hash = 0;
        VpnNumber vpn = 0;
        std::uint8_t family = 0; // 0: nothing looked up yet
        Role out = Role::black;
        const route::Group* group = nullptr;
        route::NextHop next;
    };

    // worker.cpp: the round
    unsigned receive(unsigned port, Batch& batch);
    bool take_inbox();
    [[nodiscard]] bool from_red(const Frame& frame) const; // as at look-up, whatever became of it since
    void finish();
    void sleep();
    void sift(Batch& batch); // drops the frames that have a reason, keeps the others in order
    void drop(const Frame& frame);
    void audit(const Frame& frame);
    void receive_visitor();

    // stages.cpp: from red to black and back
    void outbound(Batch& batch);
    void inbound(Batch& batch);
    [[nodiscard]] bool is_other_traffic(Frame& frame);
    void bypass_outwards(Batch& batch);
    void clear_from_black(Batch& batch);
    [[nodiscard]] bool for_us(const Frame& frame, Role side) const;
    [[nodiscard]] bool is_housekeeping(const Frame& frame) const;
    void hand_over(Frame& frame, std::uint8_t owner);
    void seal(Batch& batch);
    void open(Batch& batch);
    unsigned judge(Batch& batch);

    // moved.cpp: peers whose address changes
    /// Where a packet came from, as its outer header says that is gone once it is opened.
    struct Origin {
        Frame* frame = nullptr;
        Address source;
        std::uint16_t port = 0; // UDP
    };
    [[nodiscard]] const tables::Following::Sa* following(const transform::InboundSa& sa) const;
    [[nodiscard]] bool may_have_moved(const Frame& frame) const;
    [[nodiscard]] static Origin origin_of(Frame& frame);
    void open_strangers(Batch& batch);
    [[nodiscard]] Origin sample(const Batch& batch) const;
    void look_at_origin(const Origin& origin);

    // fragments.cpp
    [[nodiscard]] bool mend(Frame& frame);
    [[nodiscard]] bool follow_first(Frame& frame);
    [[nodiscard]] bool cut(Frame& frame);

    // leave.cpp: next hop and transmission
    [[nodiscard]] static std::uint32_t flow_hash(const Frame& frame);
    void route(const Batch& batch);
    [[nodiscard]] const route::NextHop& next_hop(Frame& frame);
    void look_up(Frame& frame, Role out, std::uint32_t hash);
    void leave(Frame& frame, const route::NextHop& hop);
    void wait_for_neighbour(Frame& frame);
    void refuse(Frame& frame);
    void send_on(Frame& frame, Errand errand, DropReason otherwise);
    [[nodiscard]] bool push(FrameRing& ring, const Frame& frame);
    bool go_on_errand(Frame& frame, Errand errand);
    void refuse_at_the_end(Frame& frame, DropReason reason);
    void leave_raw(Frame& frame);
    [[nodiscard]] unsigned put_on(PortQueue& queue, std::span<const Frame> frames);
    void transmit(unsigned port);

    // tick.cpp
    bool tick();
    void send_dummies(std::uint64_t now);
    void send_keepalives(std::uint64_t now);
    [[nodiscard]] std::uint64_t next_tick() const { return std::min(mode_.next(), keepalives_.next()); }
    void plan_unasked(std::uint64_t now);

    std::uint8_t number_;
    Surroundings around_;
    std::vector<PortOfWorker> ports_;
    Chunks chunks_;
    Waker waker_;
    FrameRing inbox_;
    LiveCounters counters_;
    tables::EventSource events_;
    std::vector<FrameRing*> inboxes_; // of all workers, by number
    std::vector<std::uint8_t> rung_;  // which of them got something in this round
    bool rung_any_ = false;
    bool exceptions_rung_ = false;

    const tables::Spd* spd_ = nullptr; // this round's
    const route::Fib* fib_ = nullptr;
    Way way_;
    std::array<Frame, batch_size> frames_;
    std::vector<Leaving> leaving_; // by port

    std::uint64_t planned_ = ~std::uint64_t{0}; // version of the published lists that mode_ and keepalives_ have planned
    mode::Dummies mode_;                        // tunnel mode, of all SAs; a second mode makes a row of the SA and a list of this
    mode::Keepalives keepalives_;
    Rehearsal* rehearsal_;
    std::atomic<Visitor*> visitor_{nullptr};
    std::atomic<bool> visited_{false};
};

} // namespace sallyport::worker
