// SPDX-License-Identifier: Apache-2.0
// What a running gateway consists of. Only the files of this folder include it.
#pragma once

#include "gateway/control/boundary.hpp"
#include "gateway/control/children.hpp"
#include "gateway/control/difference.hpp"
#include "gateway/control/gateway.hpp"
#include "gateway/control/keying.hpp"
#include "gateway/control/lifetimes.hpp"
#include "gateway/control/own.hpp"
#include "gateway/control/pulse.hpp"
#include "gateway/control/threads.hpp"
#include "gateway/control/traffic.hpp"
#include "gateway/courier/courier.hpp"
#include "gateway/exception/cutter.hpp"
#include "gateway/exception/icmp_errors.hpp"
#include "gateway/exception/icmp_received.hpp"
#include "gateway/exception/inner_fragments.hpp"
#include "gateway/exception/neighbours.hpp"
#include "gateway/exception/own_vlans.hpp"
#include "gateway/exception/path_mtus.hpp"
#include "gateway/exception/reassembly.hpp"
#include "gateway/exception/stage.hpp"
#include "gateway/port/chunks.hpp"
#include "gateway/port/ring.hpp"
#include "gateway/route/mirror.hpp"
#include "gateway/state/descriptor.hpp"
#include "gateway/state/known_keys.hpp"
#include "gateway/state/marks.hpp"
#include "gateway/state/units.hpp"
#include "gateway/store/sa_records.hpp"
#include "gateway/store/secret_table.hpp"
#include "gateway/store/spi_space.hpp"
#include "gateway/store/store.hpp"
#include "gateway/tables/following.hpp"
#include "gateway/tables/published.hpp"
#include "gateway/tables/sad.hpp"
#include "gateway/tables/spd.hpp"
#include "gateway/tables/unasked.hpp"
#include "gateway/worker/worker.hpp"
#include "gateway/xdp/audits.hpp"
#include "gateway/xdp/ports.hpp"

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace sallyport::control {

struct Gateway::Inside final : route::MirrorListener {
    Inside(Observer& told, const Options& given);
    ~Inside() override;

    // The mirror's news.
    void publish(std::unique_ptr<const route::Fib> next) override;
    void neighbours_changed() override;
    void addresses_changed(const route::Picture& picture) override;

    // start.cpp
    Result<void> start(Desired wanted);
    Result<void> open_state();
    Result<void> open_maps(const store::AllLeft& left);
    Result<void> start_threads();
    Result<void> open_courier(const std::vector<FrameRing*>& inboxes);
    std::vector<worker::PortOfWorker> ports_of(unsigned queue);
    void stop_threads();
    [[nodiscard]] worker::Surroundings surroundings();

    // adopt.cpp
    Result<store::AllLeft> take_table();
    [[nodiscard]] Desired with_left(const store::AllLeft& left) const;
    [[nodiscard]] bool goes_on(const SaSpec& sa, const std::map<SaName, const SaSpec*>& configured);
    [[nodiscard]] std::optional<SaSpec> adopt(store::Left one);
    void adopt(store::AllLeft left, std::vector<SaSpec>& wanted);

    // apply.cpp
    /// Which policies there are, and by which SAs those that protect send.
    struct Rules {
        const std::vector<PolicySpec>& configured;
        const std::vector<PolicySpec>& keyed;
        const Children::Plan* plan; // null: children as they are
    };
    /// A change of SAs and policies that cannot fail any more.
    struct Change {
        store::Prepared sas;
        std::unique_ptr<const tables::Spd> spd; // null: it stays as it is
        std::optional<Boundary> boundary;       // nothing: it stays as it is
    };
    /// A configuration that cannot fail any more.
    struct Pending {
        Desired wanted; // without keys
        KeyPrints prints;
        std::vector<SaSpec> again; // SAs that were refused before
        Change change;
        bool other_tables;
    };
    void install_one_by_one(const std::vector<SaSpec>& sas);
    Result<void> prepare(Desired wanted);
    void commit_configuration();
    void abandon_configuration();
    void arrange_back();
    /// Without rules the policies stay as they are.
    Result<Change> prepare_change(store::Transaction transaction, const std::optional<Rules>& rules, std::optional<Boundary> next_boundary);
    void commit_change(Change change);
    void abandon_change(Change change);
    Result<void> write_boundary(const Boundary& wanted);
    void settle_boundary();
    void into_tables(const store::Applied& applied);
    void follow_path(const store::Applied& applied);
    Result<std::unique_ptr<const tables::Spd>> build_spd(const Rules& rules, const store::Prepared* prepared) const;
    std::unique_ptr<const tables::Unasked> build_unasked(const store::Applied* applied) const;
    std::unique_ptr<const tables::Following> build_following(const store::Applied* applied) const;
    /// What is null stays as it is. `applied` null: everything may have changed.
    void publish(std::unique_ptr<const tables::Spd> policies, const store::Applied* applied);

    // locks.cpp
    void raise_first_wall();
    void raise_wall();
    [[nodiscard]] std::map<VpnNumber, unsigned> mtus_of_tunnels() const;
    void arrange_own_traffic();
    void bring_guard_up();
    [[nodiscard]] Desired joined() const;
    void look_at_locks();

    [[nodiscard]] std::vector<std::uint32_t> interfaces() const; // kernel's numbers of the ports, 0: not there
    void look_at_ports();
    void close_anew(std::size_t port);
    void look_at_marks();
    void note(Level level, std::string sentence, std::string place = {}, std::string remedy = {});
    void note(Level level, const Error& error);

    // events.cpp
    Result<void> open_loop();
    void take_events(); // from the workers and the exception stage
    void take_acquires();
    void open_acquires();
    void take_path_mtus();
    void look_at_lives(); // once a second: what ends, what receives, and who may ask again
    Result<void> open_audits();
    void take_audits(); // from the programs in the kernel
    [[nodiscard]] Event event_of(const sp_audit& one) const;
    void tell(Event event, const store::Sa* sa = nullptr, std::uint64_t age = 0); // microseconds
    void tell(Told told);                                                         // it lacks what the desired configuration knows
    void tell(EventKind kind, const store::Sa& sa);
    void tell_moved(const Event& event, const store::Sa& sa);
    void tell(EventKind kind, const std::vector<const store::Sa*>& sas);

    Observer& observer;
    Options options;
    state::NoKeeper no_keeper;
    state::Keeper& keeper;
    Desired desired; // without keys
    KeyPrints prints;
    Boundary boundary;               // in the maps
    std::optional<Pending> pending;  // between prepare() and commit()
    std::map<SaName, Error> refused; // SAs that are wanted and not in use; apply() tries them again
    std::uint64_t generation = 0;
    std::uint64_t started = 0; // seconds since 1970
    std::vector<std::vector<unsigned>> cores;
    bool stopped = false;
    std::string wall; // rules of the guard that stand
    bool told_no_wall = false;
    std::map<VpnNumber, unsigned> own_mtus; // of the devices of the gateway itself
    bool guard_is_late = false;             // policies have changed since the guard and the routes were brought in step
    std::string told_trouble;               // of the marks, as it was noted last
    std::vector<bool> told_missing;         // by port: its interface is another one than at start
    std::vector<bool> told_down;            // by port
    std::vector<std::uint32_t> closed_anew; // by port: the kernel's number of the interface that came in place of the one at start

    // In the order in which they come to be; each stands on those before it.
    Descriptor loop; // epoll: everything that dispatch() is for
    Waker events_waker;
    static constexpr unsigned events_kept = 1024;
    EventRing events{events_kept, events_waker};
    std::unique_ptr<state::Units> units;
    std::unique_ptr<state::KnownKeys> known;
    std::unique_ptr<state::Marks> marks;
    std::unique_ptr<store::SecretTable> table;
    tables::Audience audience;
    std::unique_ptr<tables::Published<route::Fib>> fib;
    std::unique_ptr<route::Mirror> mirror;
    std::optional<xdp::SharedMaps> maps; // until the ports have them
    std::unique_ptr<xdp::Ports> ports;
    std::unique_ptr<xdp::Audits> audits;
    std::unique_ptr<Depot> depot;
    std::unique_ptr<store::Store> store;
    std::unique_ptr<tables::Sad> sad;
    std::unique_ptr<store::SpiSpace> spis;
    std::unique_ptr<tables::Published<tables::Spd>> spd;
    std::unique_ptr<tables::Published<tables::Unasked>> unasked;
    std::unique_ptr<tables::Published<tables::Following>> following;
    std::unique_ptr<tables::Published<exception::RedAddresses>> red_addresses;
    exception::PathMtus path_mtus;
    Lifetimes lifetimes{std::random_device{}()};
    Traffic traffic;
    std::map<std::string, std::optional<Told>> acquires_told;     // by name of the policy, in this second; what has been asked since
    std::unordered_map<std::uint32_t, std::uint64_t> moved_until; // by number of the SA: milliseconds; no move is told again before
    std::unique_ptr<Keying::Inside> keying;
    std::unique_ptr<Keying> keying_door;
    std::unique_ptr<route::NeighbourAsker> neighbour_asker;
    std::unique_ptr<exception::OwnVlans> own_vlans;
    std::unique_ptr<exception::Asker> asker;
    std::unique_ptr<exception::IcmpReceived> icmp_received;
    std::unique_ptr<exception::IcmpErrors> icmp_errors;
    std::unique_ptr<exception::Neighbours> neighbours;
    std::unique_ptr<exception::Reassembly> reassembly, inner_reassembly;
    std::unique_ptr<exception::InnerFragments> inner_fragments;
    std::unique_ptr<exception::Cutter> cutter;
    std::unique_ptr<OwnTraffic> own; // reads into the workers' inboxes, which its thread does not outlive
    std::unique_ptr<exception::ToKernel> to_kernel;
    std::unique_ptr<courier::Sockets> ike_sockets;
    std::unique_ptr<courier::Courier> courier; // null: nobody takes IKE messages
    std::unique_ptr<exception::Stage> stage;
    std::vector<std::unique_ptr<worker::Worker>> workers;
    Pulse pulse; // of the workers
    Threads threads;

    [[nodiscard]] xdp::SharedMaps& shared_maps() { return ports ? ports->maps() : *maps; }
};

/// Since some moment, never going back.
[[nodiscard]] std::uint64_t milliseconds();
/// Since the machine was booted, its sleep included: the next gateway counts on from there.
[[nodiscard]] std::uint64_t boot_seconds();

} // namespace sallyport::control
