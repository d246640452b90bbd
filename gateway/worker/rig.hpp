// SPDX-License-Identifier: Apache-2.0
// A gateway in memory for tests: one black port, one red port with two VPNs, real SAs, real tables, no thread. Not linked into any program.
//     hosts 10.1.0.0/16, 2001:db8:1::/48 - red port - gateway 192.0.2.1, 2001:db8:ff::1 - black port - peer 192.0.2.2, 2001:db8:ff::2
// The peer is the same with left and right exchanged. VPN 0 is untagged on both ports, VPN 3 has tag 30 on the red port.
#pragma once

#include "gateway/port/memory_port.hpp"
#include "gateway/transform/transform.hpp"
#include "gateway/wire/samples.hpp"
#include "gateway/worker/worker.hpp"

#include <array>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sallyport::worker::rig {

using wire::samples::Octets;

inline constexpr unsigned black = 0, red = 1; // indices of the ports
inline constexpr VpnNumber tagged_vpn = 3;
inline constexpr std::uint16_t tag = 30;
inline constexpr route::Mac black_mac{2, 0, 0, 0, 0, 1}, red_mac{2, 0, 0, 0, 0, 2}, peer_mac{2, 0, 0, 0, 0, 3}, host_mac{2, 0, 0, 0, 0, 4};

/// Routes of one VPN are put down and made into a table.
class Routes {
public:
    void hop(std::string_view prefix, std::uint32_t link) {
        table_->hops.push_back({.link = link});
        group(prefix, {DropReason::none, 1, static_cast<std::uint32_t>(table_->hops.size() - 1)});
    }
    void reason(std::string_view prefix, DropReason reason) { group(prefix, {reason, 0, 0}); }
    std::shared_ptr<const route::Table> make() {
        table_->ipv4 = trie(Family::ipv4);
        table_->ipv6 = trie(Family::ipv6);
        return table_;
    }

private:
    void group(std::string_view prefix, const route::Group& group) {
        table_->groups.push_back(group);
        entries_.push_back({*parse_prefix(prefix), static_cast<std::uint32_t>(table_->groups.size() - 1)});
    }
    route::Trie trie(Family family) const {
        std::vector<route::Trie::Entry> mine;
        for (const route::Trie::Entry& entry : entries_)
            if (entry.prefix.address.family == family) mine.push_back(entry);
        std::ranges::sort(mine, [](const auto& left, const auto& right) {
            return std::pair(left.prefix.address, left.prefix.length) < std::pair(right.prefix.address, right.prefix.length);
        });
        return route::Trie(mine);
    }
    std::shared_ptr<route::Table> table_ = [] {
        auto table = std::make_shared<route::Table>();
        table->groups = {route::Group{}};
        return table;
    }();
    std::vector<route::Trie::Entry> entries_;
};

struct Options {
    bool left = true;
    unsigned workers = 1;
    std::uint32_t chunks = 4096;
    std::uint16_t mtu = 1500;
    bool spin = false;
    Algorithm algorithm = Algorithm::aes_128_gcm_16;
    bool ipv6_outside = false;
};

class Gateway {
public:
    explicit Gateway(const Options& options = {})
        : options_(options), memory_(std::size_t{options.chunks} * chunk_size), depot_({memory_.data(), options.chunks}), sad_(audience_),
          spd_(std::make_unique<tables::Spd>()), fib_(make_fib()), unasked_(std::make_unique<tables::Unasked>()), exceptions_(64, waker_),
          events_(64, waker_) {
        std::vector<Worker*> all;
        for (unsigned number = 0; number < options.workers; ++number) {
            std::vector<PortOfWorker> mine;
            for (const Role role : {Role::black, Role::red}) {
                std::vector<VlanSpec> vlans{{0, wan_vpn}};
                if (role == Role::red) vlans.push_back({tag, tagged_vpn});
                mine.push_back({&ports_.emplace_back(), role, VlanMap(vlans)});
            }
            workers_.push_back(std::make_unique<Worker>(static_cast<std::uint8_t>(number), surroundings(), std::move(mine)));
            all.push_back(workers_.back().get());
        }
        for (Worker* worker : all) worker->meet(all);
    }

    [[nodiscard]] Surroundings surroundings() {
        return {depot_, sad_, spd_, fib_, unasked_, audience_, &exceptions_, options_.spin, &events_, false, &following_};
    }
    Worker& worker(unsigned number = 0) { return *workers_[number]; }
    MemoryPort& port(unsigned which, unsigned number = 0) { return ports_[2 * number + which]; }
    FrameRing& exceptions() { return exceptions_; }
    EventRing& events() { return events_; }
    Depot& depot() { return depot_; }
    tables::Audience& audience() { return audience_; }
    tables::Sad& sad() { return sad_; }
    const tables::Spd& spd() { return spd_.read(); }
    route::NeighbourTable& neighbours() { return *neighbours_; }

    /// An SA pair as manual keying would make it; both gateways must add the same ones. Numbers may differ by `edit`.
    template <class Edit>
    void add_pair(std::uint32_t spi, std::vector<Selector> selectors, VpnNumber red_vpn, Edit edit) {
        SaSpec spec;
        spec.red_vpn = red_vpn;
        spec.algorithm = options_.algorithm;
        spec.key.size = static_cast<std::uint8_t>(info(spec.algorithm).material());
        for (std::uint8_t i = 0; i < spec.key.size; ++i) spec.key.octets[i] = static_cast<std::uint8_t>(i + spi);
        spec.sequence = SequenceKind::extended_64;
        spec.selectors = std::move(selectors);
        const char* here = options_.ipv6_outside ? (options_.left ? "2001:db8:ff::1" : "2001:db8:ff::2")
                                                 : (options_.left ? "192.0.2.1" : "192.0.2.2");
        const char* there = options_.ipv6_outside ? (options_.left ? "2001:db8:ff::2" : "2001:db8:ff::1")
                                                  : (options_.left ? "192.0.2.2" : "192.0.2.1");
        spec.outer_local = *parse_address(here);
        spec.outer_remote = *parse_address(there);
        edit(spec);
        spec.direction = Direction::outbound;
        spec.spi = spi + (options_.left ? 0 : 1);
        outbound_.push_back(build(spec, [](const SaSpec& from, const transform::Place& place, auto&) {
            return std::move(transform::build_outbound(from, place).value());
        }));
        spec.direction = Direction::inbound;
        spec.spi = spi + (options_.left ? 1 : 0);
        inbound_.push_back(build(spec, [](const SaSpec& from, const transform::Place& place, const std::vector<Selector>& kept) {
            return std::move(transform::build_inbound(from, place, kept).value());
        }));
        if (!sad_.add(inbound_.back())) std::abort();
    }
    void add_pair(std::uint32_t spi, std::vector<Selector> selectors, VpnNumber red_vpn = wan_vpn) {
        add_pair(spi, std::move(selectors), red_vpn, [](SaSpec&) {});
    }
    transform::OutboundSa& outbound(std::size_t number) { return outbound_[number]; }
    transform::InboundSa& inbound(std::size_t number) { return inbound_[number]; }

    void policy(PolicyAction action, std::vector<Selector> selectors, const transform::OutboundSa* sa = nullptr, VpnNumber vpn = wan_vpn) {
        const auto& kept = selectors_.emplace_back(std::move(selectors));
        policies_.push_back({vpn, action, kept, sa, static_cast<std::uint32_t>(policies_.size())});
        publish(std::move(tables::Spd::build(policies_).value()));
    }
    void publish(std::unique_ptr<const tables::Spd> next) {
        const auto old = spd_.swap(std::move(next));
        audience_.settle();
    }
    void publish(tables::Unasked next) {
        const auto old = unasked_.swap(std::make_unique<tables::Unasked>(std::move(next)));
        audience_.settle();
    }
    void publish(tables::Following next) {
        const auto old = following_.swap(std::make_unique<tables::Following>(std::move(next)));
        audience_.settle();
    }
    /// Traffic of these selectors in this VPN goes by one new SA pair.
    void protect(std::uint32_t spi, const std::vector<Selector>& selectors, VpnNumber vpn = wan_vpn) {
        add_pair(spi, selectors, vpn);
        policy(PolicyAction::protect, selectors, &outbound_.back(), vpn);
    }

    /// Our networks to the peer's.
    [[nodiscard]] std::vector<Selector> everything() const {
        const auto pair = [&](const char* one, const char* other) {
            return Selector{*parse_range(options_.left ? one : other), *parse_range(options_.left ? other : one), 0, {}, {}};
        };
        return {pair("10.1.0.0/16", "10.2.0.0/16"), pair("2001:db8:1::/48", "2001:db8:2::/48")};
    }

    void run() {
        for (unsigned again = 0; again < 3; ++again)
            for (const auto& worker : workers_)
                while (worker->run_once()) {
                }
        drop_as_the_stage_would();
    }
    [[nodiscard]] std::vector<Octets> send(unsigned which, const Octets& frame, unsigned number = 0) {
        if (!port(which, number).inject(frame)) std::abort();
        run();
        std::vector<Octets> sent;
        for (MemoryPort& one : ports_)
            for (Octets& octets : one.take()) sent.push_back(std::move(octets));
        return sent;
    }
    [[nodiscard]] std::uint64_t dropped(DropReason reason) const {
        std::uint64_t sum = told_[static_cast<std::size_t>(reason)];
        for (const auto& worker : workers_) sum += worker->counters().dropped(reason);
        return sum;
    }
    [[nodiscard]] std::uint64_t dropped() const {
        std::uint64_t sum = 0;
        for (std::size_t reason = 0; reason < drop_reason_count; ++reason) sum += dropped(static_cast<DropReason>(reason));
        return sum;
    }

    /// Ends the workers; then every chunk must be with the ports, in the exceptions' ring or back in the depot. Returns how many are.
    [[nodiscard]] std::size_t chunks_after_the_workers() {
        std::size_t count = 0;
        std::array<Frame, 64> waiting;
        while (const unsigned some = exceptions_.pop(waiting)) count += some;
        workers_.clear();
        for (MemoryPort& port : ports_) count += port.held();
        return count + depot_.size();
    }

private:
    /// What the exception stage would drop: after a word to its source, or since the kernel of this gateway takes nothing.
    void drop_as_the_stage_would() {
        std::vector<Frame> others;
        std::array<Frame, 64> some;
        while (const unsigned count = exceptions_.pop(some))
            for (const Frame& frame : std::span(some).first(count)) {
                if (frame.errand != Errand::icmp_error && frame.errand != Errand::to_kernel) {
                    others.push_back(frame);
                    continue;
                }
                ++told_[static_cast<std::size_t>(frame.reason)];
                depot_.give(&frame.index, 1);
            }
        if (exceptions_.push(others) != others.size()) std::abort();
    }

    template <class Build>
    auto build(const SaSpec& spec, Build make) {
        transform::Place place;
        place.row = transform::row_of(spec.algorithm, spec.mode, spec.protocol);
        const unsigned units = sequence::units_of(spec.direction, spec.window);
        place.units = units_.emplace_back(new sequence::Unit[units]).get();
        place.key = keys_.emplace_back(static_cast<std::uint8_t*>(std::aligned_alloc(64, transform::key_size(place.row))), &std::free)
                        .get();
        place.counters = &counters_.emplace_back();
        place.worker = static_cast<std::uint8_t>(spec.owner < 0 ? 0 : spec.owner);
        place.number = static_cast<std::uint32_t>(counters_.size());
        return make(spec, place, selectors_.emplace_back(spec.selectors));
    }

    std::unique_ptr<const route::Fib> make_fib() {
        const route::Link none;
        const route::Link black_link{.interface = 11,
                                     .port = black,
                                     .role = Role::black,
                                     .up = true,
                                     .vlan = 0,
                                     .mtu = options_.mtu,
                                     .vpn = wan_vpn,
                                     .mac = black_mac};
        route::Link red_link = black_link;
        red_link.interface = 12;
        red_link.port = red;
        red_link.role = Role::red;
        red_link.mac = red_mac;
        route::Link tagged_link = red_link;
        tagged_link.interface = 13;
        tagged_link.vlan = tag;
        tagged_link.vpn = tagged_vpn;
        const auto known = [&](std::uint32_t interface, const char* address, const route::Mac& mac) {
            neighbours_->set(neighbours_->add(interface, *parse_address(address)), {true, mac});
        };
        for (const char* peer : {"192.0.2.1", "192.0.2.2", "2001:db8:ff::1", "2001:db8:ff::2", "10.8.0.1"}) known(11, peer, peer_mac);
        for (const char* host : {"10.1.0.5", "10.2.0.5", "2001:db8:1::5", "2001:db8:2::5"}) {
            known(12, host, host_mac);
            known(13, host, host_mac);
        }
        Routes wan, other;
        wan.hop("192.0.2.0/24", 1);
        wan.hop("2001:db8:ff::/64", 1);
        wan.hop("10.8.0.0/16", 1); // clear hosts on the black side
        wan.reason(options_.left ? "192.0.2.1/32" : "192.0.2.2/32", DropReason::for_gateway);
        wan.reason(options_.left ? "2001:db8:ff::1/128" : "2001:db8:ff::2/128", DropReason::for_gateway);
        for (Routes* routes : {&wan, &other}) {
            const std::uint32_t link = routes == &wan ? 2 : 3;
            routes->hop(options_.left ? "10.1.0.0/16" : "10.2.0.0/16", link);
            routes->hop(options_.left ? "2001:db8:1::/48" : "2001:db8:2::/48", link);
            routes->reason(options_.left ? "10.1.0.1/32" : "10.2.0.1/32", DropReason::for_gateway);
            routes->reason(options_.left ? "2001:db8:1::1/128" : "2001:db8:2::1/128", DropReason::for_gateway);
            routes->reason(options_.left ? "10.1.66.0/24" : "10.2.66.0/24", DropReason::route_refused);
        }
        std::vector<std::shared_ptr<const route::Table>> tables(tagged_vpn + 1U);
        tables[wan_vpn] = wan.make();
        tables[tagged_vpn] = other.make();
        return std::make_unique<route::Fib>(std::move(tables), std::vector<route::Link>{none, black_link, red_link, tagged_link},
                                            neighbours_);
    }

    Options options_;
    std::vector<std::uint8_t> memory_;
    Depot depot_;
    tables::Audience audience_;
    tables::Sad sad_;
    tables::Published<tables::Spd> spd_;
    std::shared_ptr<route::NeighbourTable> neighbours_ = std::make_shared<route::NeighbourTable>(8);
    tables::Published<route::Fib> fib_;
    tables::Published<tables::Unasked> unasked_;
    tables::Published<tables::Following> following_{std::make_unique<tables::Following>()};
    Waker waker_; // of the exception stage that is not there
    FrameRing exceptions_;
    std::array<std::uint64_t, drop_reason_count> told_{};
    EventRing events_;
    std::deque<MemoryPort> ports_;
    std::deque<std::vector<Selector>> selectors_;
    std::vector<tables::Policy> policies_;
    std::deque<std::unique_ptr<sequence::Unit[]>> units_;
    std::deque<std::unique_ptr<std::uint8_t, decltype(&std::free)>> keys_;
    std::deque<transform::SaCounters> counters_;
    std::deque<transform::OutboundSa> outbound_;
    std::deque<transform::InboundSa> inbound_;
    std::vector<std::unique_ptr<Worker>> workers_; // last: gone before what they use
};

/// The packet inside an Ethernet frame.
inline Octets packet_in(const Octets& frame) {
    const bool has_tag = frame.size() > 13 && frame[12] == 0x81;
    return {frame.begin() + (has_tag ? 18 : 14), frame.end()};
}

} // namespace sallyport::worker::rig
