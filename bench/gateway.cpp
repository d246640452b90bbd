// SPDX-License-Identifier: Apache-2.0
#include "bench/gateway.hpp"

#include "bench/measure.hpp"

#include <cstdio>
#include <cstdlib>

namespace sallyport::bench {
namespace {

constexpr std::uint32_t black_interface = 11, red_interface = 12;

Prefix prefix(const char* text) { return *parse_prefix(text); }

std::shared_ptr<const route::Table> one_route(const Prefix& to, const route::Hop& hop) {
    auto table = std::make_shared<route::Table>();
    table->groups = {route::Group{}, route::Group{DropReason::none, 1, 0}};
    table->hops = {hop};
    const route::Trie::Entry entry{to, 1};
    table->ipv4 = route::Trie({&entry, 1});
    return table;
}

std::unique_ptr<const route::Fib> make_fib(route::Mac black_destination, route::Mac red_destination) {
    const auto neighbours = std::make_shared<route::NeighbourTable>(8);
    const Address host = *parse_address("10.9.9.9");
    neighbours->set(neighbours->add(black_interface, *parse_address("192.0.2.2")), {true, black_destination});
    const std::uint32_t host_slot = neighbours->add(red_interface, host);
    neighbours->set(host_slot, {true, red_destination});
    const route::Link black{.interface = black_interface,
                            .port = black_port,
                            .role = Role::black,
                            .up = true,
                            .vlan = 0,
                            .mtu = 1500,
                            .vpn = wan_vpn,
                            .mac = {2, 0, 0, 0, 0, 1}};
    const route::Link red{.interface = red_interface,
                          .port = red_port,
                          .role = Role::red,
                          .up = true,
                          .vlan = 0,
                          .mtu = 1500,
                          .vpn = red_vpn,
                          .mac = {2, 0, 0, 0, 0, 2}};
    route::Hop to_host{.link = 2, .slot = host_slot};
    to_host.has_gateway = true;
    to_host.gateway = host;
    return std::make_unique<route::Fib>(
        std::vector{one_route(prefix("192.0.2.0/24"), {.link = 1}), one_route(prefix("0.0.0.0/0"), to_host)},
        std::vector<route::Link>{{}, black, red}, neighbours);
}

std::unique_ptr<const tables::Spd> make_spd(const SaPairs& pairs) {
    std::vector<Selector> selectors;
    selectors.reserve(pairs.count());
    for (const Selector& inbound : pairs.selectors()) selectors.push_back({.local = inbound.remote, .remote = inbound.local});
    std::vector<tables::Policy> policies;
    for (unsigned pair = 0; pair < pairs.count(); ++pair)
        policies.push_back({red_vpn, PolicyAction::protect, {&selectors[pair], 1}, &pairs.outbound(pair), pair});
    auto spd = tables::Spd::build(policies);
    if (!spd) {
        std::fprintf(stderr, "%s\n", to_string(spd.error()).c_str());
        std::exit(1);
    }
    return std::move(*spd);
}

} // namespace

unsigned WastefulPort::receive(std::span<Frame> frames) {
    const unsigned count = port_.receive(frames);
    if (wasted != 0) spin(std::uint64_t{wasted} * count);
    return count;
}

Tables::Tables(const SaPairs& pairs, route::Mac black_destination, route::Mac red_destination)
    : spd(std::make_unique<tables::Published<tables::Spd>>(make_spd(pairs))),
      fib(std::make_unique<tables::Published<route::Fib>>(make_fib(black_destination, red_destination))) {
    for (unsigned pair = 0; pair < pairs.count(); ++pair)
        if (!sad.add(pairs.inbound(pair))) std::abort();
}

worker::Surroundings Tables::surroundings(Depot& depot) const {
    // The audience takes workers in: it is the tables' only part that they change.
    return {depot, sad, *spd, *fib, unasked, const_cast<tables::Audience&>(audience), nullptr, true};
}

MemoryGateway::MemoryGateway(const SaPairs& pairs, unsigned inner)
    : pairs_(pairs), inner_(inner), order_(pairs.count()), tables_(pairs), chunks_(std::size_t{lap} * chunk_size), red_(lap), who_(lap),
      red_lap_(red_), black_lap_({}), red_queue_(red_lap_), black_queue_(black_lap_), spare_(64 * chunk_size), depot_({spare_.data(), 64}) {
    for (unsigned i = 0; i < lap; ++i) {
        red_[i].chunk = chunks_.data() + std::size_t{i} * chunk_size;
        red_[i].index = i;
    }
    black_.reserve(2 * lap);
    const std::array untagged_wan{VlanSpec{0, wan_vpn}}, untagged_red{VlanSpec{0, red_vpn}};
    std::vector<worker::PortOfWorker> ports;
    ports.push_back({&black_queue_, Role::black, worker::VlanMap(untagged_wan)});
    ports.push_back({&red_queue_, Role::red, worker::VlanMap(untagged_red)});
    worker_ = std::make_unique<worker::Worker>(std::uint8_t{0}, tables_.surroundings(depot_), std::move(ports));
    worker::Worker* all[] = {worker_.get()};
    worker_->meet(all);
}

void MemoryGateway::prepare_seal() {
    for (unsigned i = 0; i < lap; ++i) {
        who_[i] = order_.next();
        put_red_packet(red_[i], inner_, who_[i]);
    }
}

std::uint64_t MemoryGateway::run(LapPort& from, LapPort& to) {
    const std::uint64_t before = to.transmitted();
    from.rewind();
    const std::uint64_t begin = now();
    while (!from.over()) worker_->run_once();
    const std::uint64_t cycles = now() - begin;
    if (to.transmitted() - before != lap) {
        const worker::Counters counters = worker_->counters();
        for (std::size_t i = 0; i < drop_reason_count; ++i)
            if (counters.drops[i] != 0)
                std::fprintf(stderr, "%llu frames dropped: %s\n", static_cast<unsigned long long>(counters.drops[i]),
                             std::string(drop_reasons[i].name).c_str());
        std::fprintf(stderr, "the gateway did not carry every frame\n");
        std::exit(1);
    }
    return cycles;
}

std::uint64_t MemoryGateway::seal() { return run(red_lap_, black_lap_); }

void MemoryGateway::prepare_open() {
    prepare_seal();
    black_.clear();
    black_lap_.record(&black_);
    static_cast<void>(run(red_lap_, black_lap_));
    black_lap_.record(nullptr);
    for (Frame& frame : black_) {
        Frame fresh;
        fresh.chunk = frame.chunk;
        fresh.index = frame.index;
        fresh.begin = frame.begin;
        fresh.end = frame.end;
        frame = fresh;
    }
}

std::uint64_t MemoryGateway::open() {
    black_lap_.give(black_);
    const std::uint64_t cycles = run(black_lap_, red_lap_);
    black_lap_.give({});
    return cycles;
}

void MemoryGateway::waste(unsigned cycles) {
    red_queue_.wasted = cycles;
    black_queue_.wasted = cycles;
}

} // namespace sallyport::bench
