// SPDX-License-Identifier: Apache-2.0
// What the look-up in the SPD costs with many policies over that with one, and how long the control thread takes to build it.
//     bench-policies [--count POLICIES] [--pairs N] [--series N] [--core N] [--json FILE]
#include "bench/measure.hpp"
#include "gateway/tables/spd.hpp"
#include "gateway/wire/checksum.hpp"
#include "gateway/wire/ethernet.hpp"
#include "gateway/wire/ip.hpp"
#include "gateway/wire/parse.hpp"

#include <charconv>
#include <cstdio>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace sallyport;
using namespace sallyport::bench;

constexpr unsigned lap = 4096; // packets, more than fit the cache together with large tables
constexpr unsigned batch = 64;

/// One entry and a packet of which it speaks.
struct Sample {
    Selector selector;
    Flow flow;
};
using Shape = std::function<Sample(unsigned number, std::mt19937& random)>;

Address address_of(Family family, std::uint32_t value) {
    Address address;
    address.family = family;
    if (family == Family::ipv6) address.octets = {0x20, 0x01, 0x0d, 0xb8};
    wire::store32(address.octets.data() + (family == Family::ipv4 ? 0 : 4), value);
    return address;
}

AddressRange prefix_of(Address address, unsigned length) {
    for (unsigned bit = length; bit < address.bits(); ++bit) address.octets[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
    return range_of({address, static_cast<std::uint8_t>(length)});
}

Sample between(AddressRange local, AddressRange remote, Address source, Address destination) {
    return {{local, remote, 0, {}, {}}, {source, destination, 1000, 53, 17, true}};
}

std::uint32_t any(std::mt19937& random) { return static_cast<std::uint32_t>(random()); }

Sample hosts(Family family, unsigned number) {
    const Address source = address_of(family, 0x0a000000U + number), destination = address_of(family, 0x14000000U + number);
    return between({source, source}, {destination, destination}, source, destination);
}

Sample networks(Family family, unsigned number) {
    const unsigned length = family == Family::ipv4 ? 24 : 56;
    const Address source = address_of(family, 0x0a000000U), destination = address_of(family, 0x14000000U + (number << 8));
    return between(prefix_of(source, 8), prefix_of(destination, length), source, destination);
}

/// Prefixes of every length on both sides, which overlap at random.
Sample mixture(Family family, std::mt19937& random) {
    const unsigned least = family == Family::ipv4 ? 8 : 24, most = family == Family::ipv4 ? 32 : 64;
    const Address source = address_of(family, any(random)), destination = address_of(family, any(random));
    const auto length = [&] { return least + any(random) % (most - least + 1); };
    return between(prefix_of(source, length()), prefix_of(destination, length()), source, destination);
}

/// Ranges of remote ports between the same two networks.
Sample ports(std::uint16_t first, std::uint16_t last) {
    Sample sample = between(prefix_of(address_of(Family::ipv4, 0x0a000000U), 8), prefix_of(address_of(Family::ipv4, 0x14000000U), 8),
                            address_of(Family::ipv4, 0x0a000001U), address_of(Family::ipv4, 0x14000001U));
    sample.selector.protocol = 17;
    sample.selector.remote_ports = {first, last};
    sample.flow.destination_port = first;
    return sample;
}

/// Ranges of addresses that are no prefixes.
Sample odd_ranges(std::mt19937& random) {
    const auto range = [&](std::uint32_t begin) {
        return AddressRange{address_of(Family::ipv4, begin), address_of(Family::ipv4, begin + any(random) % 0x00ffffffU)};
    };
    const std::uint32_t source = any(random) >> 1, destination = any(random) >> 1;
    return between(range(source), range(destination), address_of(Family::ipv4, source), address_of(Family::ipv4, destination));
}

const std::vector<std::pair<const char*, Shape>> shapes{
    {"hosts", [](unsigned number, std::mt19937&) { return hosts(Family::ipv4, number); }},
    {"hosts/ipv6", [](unsigned number, std::mt19937&) { return hosts(Family::ipv6, number); }},
    {"networks", [](unsigned number, std::mt19937&) { return networks(Family::ipv4, number); }},
    {"networks/ipv6", [](unsigned number, std::mt19937&) { return networks(Family::ipv6, number); }},
    {"mixture", [](unsigned, std::mt19937& random) { return mixture(Family::ipv4, random); }},
    {"mixture/ipv6", [](unsigned, std::mt19937& random) { return mixture(Family::ipv6, random); }},
    {"port-ranges",
     [](unsigned number, std::mt19937&) {
         return ports(static_cast<std::uint16_t>(number * 6), static_cast<std::uint16_t>(number * 6 + 4));
     }},
    {"port-ranges-overlapping",
     [](unsigned, std::mt19937& random) {
         const auto first = static_cast<std::uint16_t>(any(random) % 60000);
         return ports(first, static_cast<std::uint16_t>(first + any(random) % 5000));
     }},
    {"address-ranges", [](unsigned, std::mt19937& random) { return odd_ranges(random); }},
};

/// Packets of the flows, parsed, and the SPD of the selectors.
class World {
public:
    World(const Shape& shape, unsigned count) {
        std::mt19937 random(1);
        std::vector<Flow> flows;
        for (unsigned number = 0; number < count; ++number) {
            const Sample sample = shape(number, random);
            selectors_.push_back(sample.selector);
            flows.push_back(sample.flow);
        }
        for (unsigned number = 0; number < count; ++number)
            policies_.push_back({.action = PolicyAction::bypass, .selectors = {&selectors_[number], 1}, .number = number});
        build();
        for (unsigned i = 0; i < lap; ++i) add(flows[any(random) % count]);
    }
    /// Nanoseconds.
    std::uint64_t build() {
        timespec begin{}, end{};
        clock_gettime(CLOCK_MONOTONIC, &begin);
        spd_ = std::move(tables::Spd::build(policies_).value());
        clock_gettime(CLOCK_MONOTONIC, &end);
        return static_cast<std::uint64_t>((end.tv_sec - begin.tv_sec) * 1'000'000'000 + end.tv_nsec - begin.tv_nsec);
    }
    Work look_up() {
        return {[this] {
                    const std::uint64_t begin = now();
                    for (unsigned i = 0; i < lap; i += batch) spd_->decide_outbound(std::span(at_).subspan(i, batch));
                    return now() - begin;
                },
                lap};
    }
    [[nodiscard]] bool all_match() {
        (void)look_up().lap();
        return std::ranges::all_of(frames_, [](const Frame& frame) { return frame.reason == DropReason::none; });
    }

private:
    void add(const Flow& flow) {
        const bool six = flow.source.family == Family::ipv6;
        const unsigned header = six ? wire::ipv6_size : wire::ipv4_size, size = 64;
        std::vector<std::uint8_t>& chunk = chunks_.emplace_back(frame_headroom + wire::ethernet_size + size);
        std::uint8_t* ip = chunk.data() + frame_headroom + wire::ethernet_size;
        wire::store16(ip - 2, six ? wire::ethertype_ipv6 : wire::ethertype_ipv4);
        ip[0] = six ? 0x60 : 0x45;
        wire::store16(ip + (six ? wire::ipv6_payload_length : wire::ipv4_total_length),
                      static_cast<std::uint16_t>(six ? size - header : size));
        ip[six ? wire::ipv6_next_header : wire::ipv4_protocol] = flow.protocol;
        ip[six ? wire::ipv6_hop_limit : wire::ipv4_ttl] = 64;
        std::memcpy(ip + (six ? wire::ipv6_source : wire::ipv4_source), flow.source.octets.data(), flow.source.size());
        std::memcpy(ip + (six ? wire::ipv6_destination : wire::ipv4_destination), flow.destination.octets.data(), flow.source.size());
        if (!six) wire::write_ipv4_checksum(ip, header);
        wire::store16(ip + header, flow.source_port);
        wire::store16(ip + header + 2, flow.destination_port);
        wire::store16(ip + header + 4, static_cast<std::uint16_t>(size - header));
        Frame& frame = frames_.emplace_back();
        frame.chunk = chunk.data();
        frame.begin = frame_headroom;
        frame.end = static_cast<std::uint16_t>(chunk.size());
        wire::parse(frame);
        at_.push_back(&frame);
    }

    std::deque<Selector> selectors_;
    std::vector<tables::Policy> policies_;
    std::unique_ptr<const tables::Spd> spd_;
    std::deque<std::vector<std::uint8_t>> chunks_;
    std::deque<Frame> frames_;
    std::vector<Frame*> at_;
};

bool run(unsigned count, const Pace& pace, std::vector<Row>& results) {
    print_head();
    for (const auto& [name, shape] : shapes) {
        World one(shape, 1), many(shape, count);
        if (!one.all_match() || !many.all_match()) {
            std::fprintf(stderr, "%s: a packet does not find its policy\n", name);
            return false;
        }
        const auto measured = compare(many.look_up(), one.look_up(), pace);
        if (!measured) return false;
        results.push_back(row_of_table("lookup/" + std::string(name) + "/" + std::to_string(count), *measured));
        print(results.back());
        std::uint64_t least = ~std::uint64_t{0}, most = 0;
        for (unsigned i = 0; i < 5; ++i) {
            const std::uint64_t time = many.build();
            least = std::min(least, time);
            most = std::max(most, time);
        }
        std::printf("build/%s/%u: %.1f to %.1f ms\n", name, count, static_cast<double>(least) / 1e6, static_cast<double>(most) / 1e6);
    }
    return true;
}

} // namespace

int main(int argc, char** argv) {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    const auto pace = pace_from(arguments);
    if (!pace) return 2;
    unsigned count = 10000;
    if (!arguments.empty()) {
        const std::string value = arguments.size() == 2 && arguments[0] == "--count" ? arguments[1] : std::string();
        const auto end = std::from_chars(value.data(), value.data() + value.size(), count);
        if (value.empty() || end.ptr != value.data() + value.size() || count == 0 || count > 10922) { // ports: 6 numbers each
            std::fprintf(stderr,
                         "usage: bench-policies [--count POLICIES (1 to 10922)] [--pairs N] [--series N] [--core N] [--json FILE]\n");
            return 2;
        }
    }
    std::vector<Row> results;
    return finish(run(count, *pace, results), results, *pace);
}
