// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/boundary.hpp"
#include "gateway/control/keying_inside.hpp"
#include "gateway/tables/rcu.hpp"
#include "gateway/xdp/pins.hpp"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <unistd.h>
#include <utility>

namespace sallyport::control {

namespace {

constexpr unsigned first_marks_ms = 5000; // what start() waits for the disk

struct WorkerJob final : Job {
    explicit WorkerJob(worker::Worker& its) : worker(its) {}
    void run(const std::atomic<bool>& stop) override { worker.run(stop); }
    void wake() override { worker.waker().wake(); }
    worker::Worker& worker;
};

struct StageJob final : Job {
    explicit StageJob(exception::Stage& its) : stage(its) {}
    void run(const std::atomic<bool>& stop) override { stage.run(stop); }
    void wake() override { stage.wake(); }
    exception::Stage& stage;
};

struct ReaderJob final : Job {
    explicit ReaderJob(own::Reader& its) : reader(its) {}
    void run(const std::atomic<bool>& stop) override { reader.run(stop); }
    void wake() override { reader.wake(); }
    own::Reader& reader;
};

struct CourierJob final : Job {
    explicit CourierJob(courier::Courier& its) : courier(its) {}
    void run(const std::atomic<bool>& stop) override { courier.run(stop); }
    void wake() override { courier.wake(); }
    courier::Courier& courier;
};

struct KernelAsker final : exception::Asker {
    KernelAsker(route::NeighbourAsker& kernel, exception::OwnVlans& own) : asker(kernel), vlans(own) {}
    void ask(const exception::Neighbour& neighbour) override {
        if (neighbour.interface < route::first_own_vlan)
            asker.ask(neighbour.interface, neighbour.address);
        else
            vlans.ask(neighbour);
    }
    route::NeighbourAsker& asker;
    exception::OwnVlans& vlans;
};

} // namespace

Gateway::Gateway(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}

Gateway::~Gateway() = default;

Result<std::unique_ptr<Gateway>> Gateway::start(Desired desired, Observer& observer, const Options& options) {
    auto inside = std::make_unique<Inside>(observer, options);
    Result<void> started = inside->start(std::move(desired));
    wipe_stack();
    if (!started) return std::unexpected(std::move(started.error()));
    return std::unique_ptr<Gateway>(new Gateway(std::move(inside)));
}

int Gateway::descriptor() const { return inside_->loop.get(); }

const Desired& Gateway::desired() const { return inside_->desired; }

Keying& Gateway::keying() { return *inside_->keying_door; }

const Keying& Gateway::keying() const { return *inside_->keying_door; }

void Gateway::tick() {
    inside_->keying->tick(milliseconds());
    inside_->look_at_locks();
    inside_->look_at_lives();
}

bool Gateway::workers_run() {
    std::vector<std::uint64_t> rounds;
    for (const auto& worker : inside_->workers) rounds.push_back(worker->counters().rounds);
    const Pulse::Look look = inside_->pulse.look(rounds);
    for (const unsigned number : look.stopped)
        inside_->note(Level::error, "The worker " + std::to_string(number) + " stands still: the packets of its queues wait", {},
                      "the service manager's watchdog ends the gateway, and its next start takes over");
    for (const unsigned number : look.again)
        inside_->note(Level::warning, "The worker " + std::to_string(number) + " goes on", {}, "look what stopped it");
    return look.all;
}

void Gateway::dispatch() {
    inside_->mirror->dispatch();
    inside_->take_events();
    inside_->take_audits();
    if (!inside_->stopped) inside_->look_at_marks();
}

Result<void> Gateway::stop() {
    inside_->stop_threads();
    if (std::exchange(inside_->stopped, true)) return {};
    Result<void> closed = inside_->marks->close();
    if (!closed) inside_->note(Level::error, closed.error());
    return closed;
}

Gateway::Inside::Inside(Observer& told, const Options& given)
    : observer(told), options(given), keeper(given.keeper ? *given.keeper : no_keeper) {}

Gateway::Inside::~Inside() { stop_threads(); }

void Gateway::Inside::note(Level level, std::string sentence, std::string place, std::string remedy) {
    observer.note({level, std::move(sentence), std::move(place), std::move(remedy)});
}

void Gateway::Inside::note(Level level, const Error& error) { note(level, error.sentence, error.place, error.remedy); }

/// The order keeps every moment closed: maps are filled before a program is attached, SAs and policies stand before a worker takes a frame.
Result<void> Gateway::Inside::start(Desired wanted) {
    started = static_cast<std::uint64_t>(time(nullptr));
    std::vector<SaSpec> sas = std::move(wanted.sas);
    wanted.sas = sas;
    prints = take_keys(wanted.sas);
    desired = std::move(wanted);
    told_missing.assign(desired.ports.size(), false);
    closed_anew.assign(desired.ports.size(), 0);
    told_down.assign(desired.ports.size(), false);

    if (auto done = open_state(); !done) return done;
    raise_first_wall();
    auto left = take_table();
    if (!left) return std::unexpected(std::move(left.error()));
    auto opened = route::Mirror::open(desired.vpns, desired.ports, *this);
    if (!opened) return std::unexpected(std::move(opened.error()));
    mirror = std::move(*opened);
    if (auto done = open_loop(); !done) return done;
    if (auto done = open_maps(*left); !done) return done;
    auto up = xdp::Ports::start(desired, std::move(*maps),
                                {.ike_served = options.ike_user.has_value(), .generic = options.generic, .keeper = &keeper});
    maps.reset();
    if (!up) return std::unexpected(std::move(up.error()));
    ports = std::move(*up);
    if (auto done = open_audits(); !done) return done;
    for (std::string& sentence : ports->notes()) note(Level::information, std::move(sentence));

    depot = std::make_unique<Depot>(ports->memory(), ports->free_chunks());
    store = std::make_unique<store::Store>(*units, marks.get(), ports->queues(),
                                           store::Lasting{.known = known.get(), .table = table.get()});
    sad = std::make_unique<tables::Sad>(audience);
    spis = std::make_unique<store::SpiSpace>(*store, sad->reserved());
    keying = std::make_unique<Keying::Inside>(*this);
    keying_door = std::make_unique<Keying>(*keying);
    spd = std::make_unique<tables::Published<tables::Spd>>(std::make_unique<const tables::Spd>());
    unasked = std::make_unique<tables::Published<tables::Unasked>>(std::make_unique<const tables::Unasked>());
    following = std::make_unique<tables::Published<tables::Following>>(std::make_unique<const tables::Following>());
    red_addresses = std::make_unique<tables::Published<exception::RedAddresses>>(std::make_unique<const exception::RedAddresses>());
    adopt(std::move(*left), sas);
    install_one_by_one(sas);
    units->forget_survivors();
    auto policies = build_spd({.configured = desired.policies, .keyed = keying->policies, .plan = nullptr}, nullptr);
    if (!policies) return std::unexpected(std::move(policies.error()));
    publish(std::move(*policies), nullptr);
    if (!marks->settle(first_marks_ms)) look_at_marks();
    addresses_changed(mirror->picture());
    if (auto done = start_threads(); !done) return done;
    bring_guard_up();
    ++generation;
    tell({.kind = EventKind::committed, .generation = generation});
    return {};
}

Result<void> Gateway::Inside::open_state() {
    // Beside the pins of the ports, under a name that no interface can have.
    const std::string directory = xdp::pin_directory(desired.settings);
    std::error_code ignored;
    std::filesystem::create_directories(directory, ignored); // what matters is said by who opens it
    if (auto checked = xdp::check_pin_directory(directory); !checked) return checked;
    auto opened = state::Units::pinned(directory + "/numbers-and-windows", store::Store::units_for(desired.sas));
    if (!opened) return std::unexpected(std::move(opened.error()));
    units = std::move(*opened);
    auto keys = state::KnownKeys::pinned(directory + "/keys-used-for-sealing");
    if (!keys) return std::unexpected(std::move(keys.error()));
    known = std::move(*keys);
    for (const auto* why : {&units->refused(), &known->refused()})
        if (*why) note(Level::error, **why);
    marks = state::Marks::open(desired.settings.state_directory, units->instance());
    marks->set_grace_period([] { rcu::synchronize(); });
    return {};
}

Result<void> Gateway::Inside::open_maps(const store::AllLeft& left) {
    auto opened = xdp::SharedMaps::open(xdp::pin_directory(desired.settings) + "/" + xdp::shared_pins);
    if (!opened) return std::unexpected(std::move(opened.error()));
    maps = std::move(*opened);
    boundary = boundary_of(with_left(left));
    if (auto set = write_boundary(boundary); !set) return set;
    return maps->set_local_addresses(local_addresses(desired.ports, interfaces(), mirror->picture().local_addresses()));
}

std::vector<worker::PortOfWorker> Gateway::Inside::ports_of(unsigned queue) {
    std::vector<worker::PortOfWorker> result;
    for (std::size_t port = 0; port < desired.ports.size(); ++port)
        result.push_back(
            {.queue = &ports->queue(port, queue), .role = desired.ports[port].role, .vlans = worker::VlanMap(desired.ports[port].vlans)});
    return result;
}

Result<void> Gateway::Inside::start_threads() {
    auto opened = route::NeighbourAsker::open();
    if (!opened) return std::unexpected(std::move(opened.error()));
    neighbour_asker = std::move(*opened);
    own_vlans = std::make_unique<exception::OwnVlans>(desired.ports, *fib, *mirror);
    asker = std::make_unique<KernelAsker>(*neighbour_asker, *own_vlans);
    stage = std::make_unique<exception::Stage>(*depot, &events);
    icmp_errors = std::make_unique<exception::IcmpErrors>(*fib, *red_addresses, desired.settings.icmp_error_rate);
    icmp_received = std::make_unique<exception::IcmpReceived>(path_mtus);
    neighbours = std::make_unique<exception::Neighbours>(*fib, *asker, icmp_errors.get());
    stage->serve(Errand::neighbour, *neighbours);
    const auto limits = exception::FragmentLimits::of(depot->memory().count);
    reassembly = std::make_unique<exception::Reassembly>(limits);
    stage->serve(Errand::reassemble_outer, *reassembly);
    inner_reassembly = std::make_unique<exception::Reassembly>(limits, DropReason::fragment_transport);
    stage->serve(Errand::reassemble_inner, *inner_reassembly);
    inner_fragments = std::make_unique<exception::InnerFragments>(limits);
    stage->serve(Errand::inner_fragment, *inner_fragments);
    std::uint32_t first_identification = 0;
    if (getentropy(&first_identification, sizeof first_identification) != 0) first_identification = 0; // they need not be secret
    cutter = std::make_unique<exception::Cutter>(first_identification);
    stage->serve(Errand::cut, *cutter);
    stage->serve(Errand::icmp_error, *icmp_errors);
    stage->serve(Errand::icmp_received, *icmp_received);
    stage->serve(Errand::own_vlan, *own_vlans);

    const worker::Surroundings around = surroundings();
    std::vector<worker::Worker*> all;
    std::vector<FrameRing*> inboxes;
    for (unsigned number = 0; number < ports->queues(); ++number) {
        workers.push_back(std::make_unique<worker::Worker>(static_cast<std::uint8_t>(number), around, ports_of(number)));
        all.push_back(workers.back().get());
        inboxes.push_back(&workers.back()->inbox());
    }
    for (worker::Worker* worker : all) worker->meet(all);
    stage->meet(inboxes);
    if (auto open = open_courier(inboxes); !open) return open;
    own = std::make_unique<OwnTraffic>(*depot, std::move(inboxes));
    to_kernel = std::make_unique<exception::ToKernel>(*own);
    stage->serve(Errand::to_kernel, *to_kernel);
    // A round before there are threads gives the sockets chunks to receive into: from now on no frame is lost, whenever a thread gets its
    // core.
    for (worker::Worker* worker : all) worker->run_once();

    if (auto begun = threads.begin(std::make_unique<StageJob>(*stage), "sp-exception", {}); !begun) return begun;
    if (auto begun = threads.begin(std::make_unique<ReaderJob>(own->reader()), "sp-tun", {}); !begun) return begun;
    if (courier)
        if (auto begun = threads.begin(std::make_unique<CourierJob>(*courier), "sp-ike", {}); !begun) return begun;
    cores = cores_of_workers(ports->queues(), desired.settings.cores, allowed_cores());
    for (unsigned number = 0; number < workers.size(); ++number) {
        auto begun = threads.begin(std::make_unique<WorkerJob>(*workers[number]), "sp-worker-" + std::to_string(number), cores[number]);
        if (!begun) return begun;
    }
    return {};
}

/// Where sallyport-ike comes to.
Result<void> Gateway::Inside::open_courier(const std::vector<FrameRing*>& inboxes) {
    if (!options.ike_user) return {};
    auto opened = courier::Sockets::open(desired.settings.run_directory, *options.ike_user);
    if (!opened) return std::unexpected(std::move(opened.error()));
    ike_sockets = std::move(*opened);
    courier = std::make_unique<courier::Courier>(*ike_sockets, *depot, inboxes);
    courier->set_sources(ike_sources(local_addresses(desired.ports, interfaces(), mirror->picture().local_addresses())));
    stage->serve(Errand::ike, *courier);
    return {};
}

worker::Surroundings Gateway::Inside::surroundings() {
    return {.depot = *depot,
            .sad = *sad,
            .spd = *spd,
            .fib = *fib,
            .unasked = *unasked,
            .audience = audience,
            .exceptions = &stage->inbox(),
            .spin = desired.settings.spin,
            .events = &events,
            .tell_prohibited = desired.settings.icmp_prohibited,
            .following = following.get()};
}

void Gateway::Inside::stop_threads() { threads.stop(); }

std::vector<std::uint32_t> Gateway::Inside::interfaces() const {
    std::vector<std::uint32_t> result;
    for (const PortSpec& port : desired.ports) {
        std::uint32_t number = 0;
        if (mirror)
            for (const auto& [interface, link] : mirror->picture().kernel_links())
                if (link.name == port.interface) number = interface;
        result.push_back(number);
    }
    return result;
}

void Gateway::Inside::publish(std::unique_ptr<const route::Fib> next) {
    if (!fib) {
        fib = std::make_unique<tables::Published<route::Fib>>(std::move(next));
        return;
    }
    const std::unique_ptr<const route::Fib> old = fib->swap(std::move(next));
    path_mtus.follow(fib->read());
    audience.settle();
    if (stage) stage->wake();
}

void Gateway::Inside::neighbours_changed() {
    if (stage) stage->wake();
}

void Gateway::Inside::addresses_changed(const route::Picture& picture) {
    if (!ports) return; // the first time comes from Mirror::open(): start() fills the maps itself
    const std::vector<std::uint32_t> numbers = interfaces();
    const std::vector<xdp::LocalAddress> addresses = local_addresses(desired.ports, numbers, picture.local_addresses());
    if (auto set = ports->maps().set_local_addresses(addresses); !set) note(Level::error, set.error());
    if (courier) courier->set_sources(ike_sources(addresses));
    const auto old = red_addresses->swap(
        std::make_unique<const exception::RedAddresses>(control::red_addresses(picture.local_addresses())));
    audience.settle();
    for (std::size_t port = 0; port < ports->count(); ++port) {
        std::vector<xdp::MacAddress> macs;
        for (const route::Link& link : picture.links())
            if (link.interface != 0 && link.port == port && std::ranges::find(macs, link.mac) == macs.end()) macs.push_back(link.mac);
        const auto itself = picture.kernel_links().find(ports->program(port).device().ifindex);
        if (itself != picture.kernel_links().end() && std::ranges::find(macs, itself->second.mac) == macs.end())
            macs.push_back(itself->second.mac);
        if (!macs.empty() && macs.size() <= SP_MAX_PORT_MACS) ports->program(port).set_macs(macs);
    }
    look_at_ports();
    if (generation != 0) bring_guard_up(); // start() does it when all stands
}

/// Another interface has the port's name, without our program: the kernel would forward in clear what comes in there.
void Gateway::Inside::close_anew(std::size_t port) {
    const std::string& name = desired.ports[port].interface;
    const xdp::PortsOptions given{.ike_served = options.ike_user.has_value(), .generic = options.generic};
    if (auto closed = xdp::Ports::close_anew(desired, port, ports->maps(), given); !closed)
        note(Level::error, closed.error());
    else
        note(Level::error, "The interface of the port was made anew: it drops everything that is not for this machine itself", name,
             "restart the gateway");
}

void Gateway::Inside::look_at_ports() {
    const auto& links = mirror->picture().kernel_links();
    const std::vector<std::uint32_t> numbers = interfaces();
    for (std::size_t port = 0; port < ports->count(); ++port) {
        const std::string& name = desired.ports[port].interface;
        const auto index = static_cast<std::uint8_t>(port);
        const bool missing = numbers[port] != ports->program(port).device().ifindex;
        if (missing && !told_missing[port])
            note(Level::error, "The interface of the port is gone: the port carries nothing", name,
                 "restart the gateway when the interface is there");
        if (missing && !told_missing[port]) tell({.kind = EventKind::port_down, .port = index});
        told_missing[port] = missing;
        if (missing) {
            if (numbers[port] != 0 && numbers[port] != closed_anew[port]) close_anew(port);
            closed_anew[port] = numbers[port];
            continue;
        }
        const bool down = !links.at(numbers[port]).up;
        if (down != told_down[port])
            note(down ? Level::warning : Level::information, down ? "The link of the port is down" : "The link of the port is up", name);
        if (down != told_down[port]) tell({.kind = down ? EventKind::port_down : EventKind::port_up, .port = index});
        told_down[port] = down;
    }
}

void Gateway::Inside::look_at_marks() {
    const std::optional<Error> trouble = marks->trouble();
    const std::string text = trouble ? to_string(*trouble) : std::string();
    if (text == told_trouble) return;
    told_trouble = text;
    if (trouble)
        note(Level::error, *trouble);
    else
        note(Level::information, "Durable marks are written again", desired.settings.state_directory);
}

} // namespace sallyport::control
