// SPDX-License-Identifier: Apache-2.0
// What the gateway costs on real ports: AF_XDP on veth pairs in a network namespace of its own, lan0 - red0 [gateway] black0 - wan0.
// Backlog form: the receive ring is filled, the generator stops, the drain is timed; the worker's own loop and a plain forwarder with the
// bare AEAD in turn. (A generator that runs beside it would be measured itself: the receive side of a veth runs on the sender's core.)
//     bench-forward [--sizes OCTETS,...] [--pairs N] [--series N] [--core N] [--json FILE]
#include "bench/bare.hpp"
#include "bench/gateway.hpp"
#include "bench/measure.hpp"
#include "bench/veth.hpp"
#include "gateway/wire/esp.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/xdp/ports.hpp"

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace sallyport;
using namespace sallyport::bench;

constexpr unsigned backlog = 1536; // frames: three quarters of a receive ring

/// A port's queue that counts what it gives out, and can waste cycles on it.
class Drained final : public PortQueue {
public:
    explicit Drained(PortQueue& queue) : queue_(queue) {}
    std::uint64_t received = 0;
    unsigned wasted = 0; // cycles for each frame

    unsigned receive(std::span<Frame> frames) override {
        const unsigned count = queue_.receive(frames);
        received += count;
        if (wasted != 0) spin(std::uint64_t{wasted} * count);
        return count;
    }
    void refill(Chunks& free) override { queue_.refill(free); }
    unsigned transmit(std::span<const Frame> frames) override { return queue_.transmit(frames); }
    void complete(Chunks& free) override { queue_.complete(free); }
    void flush() override { queue_.flush(); }
    [[nodiscard]] int descriptor() const override { return queue_.descriptor(); }
    [[nodiscard]] PortStatistics statistics() const override { return queue_.statistics(); }

private:
    PortQueue& queue_;
};

template <class T>
T must(Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "%s\n", to_string(result.error()).c_str());
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::unique_ptr<xdp::Ports> start_ports() {
    Desired desired;
    desired.settings.queues = 1;
    desired.settings.frames = 16384;
    desired.settings.run_directory = veth::run_directory;
    desired.ports = {{.interface = "black0", .role = Role::black, .vlans = {{.id = 0, .vpn = wan_vpn}}, .listen = {}},
                     {.interface = "red0", .role = Role::red, .vlans = {{.id = 0, .vpn = red_vpn}}, .listen = {}}};
    auto maps = must(xdp::SharedMaps::open(std::string(veth::run_directory) + "/bpf/" + xdp::shared_pins));
    must(maps.set_local_addresses(
        {{.ifindex = veth::index_of("black0"), .vpn = wan_vpn, .address = *parse_address("192.0.2.2"), .ipsec = true}}));
    return must(xdp::Ports::start(desired, std::move(maps), {}));
}

/// One direction at one size.
class Forward {
public:
    Forward(xdp::Ports& ports, const SaPairs& pairs, bool sealing, unsigned inner)
        : ports_(ports), pairs_(pairs), sealing_(sealing), inner_(inner), tables_(pairs, veth::mac_of("wan0"), veth::mac_of("lan0")),
          depot_(ports.memory()), chunks_(depot_, 1024), black_(ports.queue(black_port, 0)), red_(ports.queue(red_port, 0)),
          generator_(sealing ? "lan0" : "wan0"), memory_(std::size_t{backlog} * chunk_size), frames_(backlog),
          call_(bare(transform::engine_in_use(), pairs.algorithm(), sealing ? Direction::outbound : Direction::inbound)) {
        const std::array untagged_wan{VlanSpec{0, wan_vpn}}, untagged_red{VlanSpec{0, red_vpn}};
        std::vector<worker::PortOfWorker> of_worker;
        of_worker.push_back({&black_, Role::black, worker::VlanMap(untagged_wan)});
        of_worker.push_back({&red_, Role::red, worker::VlanMap(untagged_red)});
        worker_ = std::make_unique<worker::Worker>(std::uint8_t{0}, tables_.surroundings(depot_), std::move(of_worker));
        worker::Worker* all[] = {worker_.get()};
        worker_->meet(all);
        for (unsigned i = 0; i < backlog; ++i) frames_[i].chunk = memory_.data() + std::size_t{i} * chunk_size;
    }
    ~Forward() { settle(); }
    Forward(const Forward&) = delete;
    Forward& operator=(const Forward&) = delete;

    [[nodiscard]] std::string name() const { return std::string("forward/") + (sealing_ ? "seal/" : "open/") + std::to_string(inner_); }
    Work gateway(unsigned wasted = 0) {
        return work([this, wasted] {
            from().wasted = wasted;
            const std::uint64_t cycles = drain([this] { worker_->run_once(); });
            from().wasted = 0;
            return cycles;
        });
    }
    Work plain() {
        return work([this] { return drain([this] { forward_once(); }); });
    }
    /// Did every frame come through? Prints what was dropped.
    [[nodiscard]] bool whole() const {
        const worker::Counters counters = worker_->counters();
        for (std::size_t i = 0; i < drop_reason_count; ++i)
            if (counters.drops[i] != 0)
                std::fprintf(stderr, "%s: %llu frames dropped: %s\n", name().c_str(), static_cast<unsigned long long>(counters.drops[i]),
                             std::string(drop_reasons[i].name).c_str());
        return counters.drops == std::array<std::uint64_t, drop_reason_count>{} && (sealing_ ? counters.sealed : counters.opened) != 0;
    }

private:
    static Work work(std::function<std::uint64_t()> run) { return {std::move(run), backlog, true}; }
    Drained& from() { return sealing_ ? red_ : black_; }
    Drained& to() { return sealing_ ? black_ : red_; }

    void settle() {
        for (Drained* queue : {&black_, &red_}) {
            queue->complete(chunks_);
            queue->refill(chunks_);
            queue->flush();
        }
    }
    /// Fills the receive ring.
    void generate() {
        const auto mac = ports_.program(sealing_ ? red_port : black_port).device().mac;
        std::vector<Frame*> at;
        for (Frame& frame : frames_) {
            put_red_packet(frame, inner_, 0);
            if (!sealing_) {
                wire::parse(frame);
                frame.outbound = &pairs_.outbound(0);
                at.push_back(&frame);
            }
        }
        for (std::size_t i = 0; i < at.size(); i += transform::batch_size)
            transform::transform(pairs_.row()).seal({at.data() + i, transform::batch_size});
        for (Frame& frame : frames_) {
            frame.begin = static_cast<std::uint16_t>(frame.network - ethernet);
            if (sealing_) frame.begin = frame_headroom;
            std::copy(mac.begin(), mac.end(), frame.data());
            std::fill_n(frame.data() + 6, 6, std::uint8_t{2});
            wire::store16(frame.data() + 12, 0x0800);
        }
        generator_.send(frames_);
    }
    template <class Round>
    std::uint64_t drain(Round round) {
        settle();
        generate();
        veth::rest();
        const std::uint64_t before = from().received;
        const Disturbance quiet = disturbance();
        const std::uint64_t begin = now();
        for (unsigned empty = 0; from().received - before < backlog && empty < 64; ++empty) {
            const std::uint64_t last = from().received;
            round();
            empty = from().received == last ? empty : 0;
        }
        const std::uint64_t cycles = now() - begin;
        const bool calm = disturbance() == quiet && from().received - before == backlog;
        return calm ? cycles : disturbed;
    }
    /// The same steps as the worker's: complete, refill, receive, transmit, flush; and the bare AEAD on each frame's packet.
    void forward_once() {
        for (Drained* queue : {&black_, &red_}) {
            queue->complete(chunks_);
            queue->refill(chunks_);
            std::array<Frame, transform::batch_size> frames;
            const unsigned count = queue->receive(frames);
            if (count == 0) continue;
            encipher({frames.data(), count});
            const unsigned sent = to().transmit({frames.data(), count});
            for (unsigned i = sent; i < count; ++i) chunks_.give(frames[i]);
        }
        black_.flush();
        red_.flush();
    }
    void encipher(std::span<const Frame> frames) {
        std::array<crypto::Packet, transform::batch_size> packets;
        constexpr unsigned outer = wire::ipv4_size + wire::esp_size + 8;
        for (std::size_t i = 0; i < frames.size(); ++i) {
            crypto::Packet& packet = packets[i];
            packet = {};
            packet.key = sealing_ ? pairs_.outbound(0).space.key : pairs_.inbound(0).space.key;
            packet.text = frames[i].data() + ethernet + (sealing_ ? 0 : outer);
            packet.length = (inner_ + wire::esp_trailer_size + 3) & ~3U;
            packet.icv = packet.text + packet.length;
            packet.aad = packet.extra.data();
            packet.aad_length = 12;
        }
        call_({packets.data(), frames.size()});
    }

    xdp::Ports& ports_;
    const SaPairs& pairs_;
    bool sealing_;
    unsigned inner_;
    Tables tables_;
    Depot depot_;
    Chunks chunks_;
    Drained black_, red_;
    veth::Generator generator_;
    Memory memory_;
    std::vector<Frame> frames_;
    Bare call_;
    std::unique_ptr<worker::Worker> worker_;
};

std::vector<unsigned> sizes_from(const std::vector<std::string>& arguments) {
    std::vector<unsigned> sizes{64, 1420};
    if (arguments.size() == 2 && arguments[0] == "--sizes") {
        sizes.clear();
        std::istringstream words(arguments[1]);
        for (std::string word; std::getline(words, word, ',');)
            sizes.push_back(static_cast<unsigned>(std::strtoul(word.c_str(), nullptr, 10)));
    } else if (!arguments.empty()) {
        return {};
    }
    for (const unsigned size : sizes)
        if (size < 46 || size > 1420) return {};
    return sizes;
}

bool run(const std::vector<unsigned>& sizes, const Pace& pace, std::vector<Row>& rows) {
    const SaPairs pairs(Algorithm::aes_128_gcm_16, 1);
    bool tested = false;
    for (const bool sealing : {true, false})
        for (const unsigned size : sizes) {
            const auto ports = start_ports(); // each with its whole packet memory
            Forward forward(*ports, pairs, sealing, size);
            if (!tested) {
                tested = self_test(forward.gateway(), forward.gateway(wasted_cycles), pace);
                if (!tested) return false;
                print_head();
            }
            const auto compared = compare(forward.gateway(), forward.plain(), pace);
            if (!compared || !forward.whole()) return false;
            rows.push_back(row_of_table(forward.name(), *compared));
            print(rows.back());
        }
    return true;
}

} // namespace

int main(int argc, char** argv) {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    const auto pace = pace_from(arguments);
    const std::vector<unsigned> sizes = pace ? sizes_from(arguments) : std::vector<unsigned>();
    if (sizes.empty()) {
        std::fprintf(stderr,
                     "bench-forward [--sizes OCTETS,...] [--pairs N] [--series N] [--core N] [--json FILE]; sizes from 46 to 1420\n");
        return 2;
    }
    if (!veth::enter()) return 1;
    std::printf("%s, core %d, %u pairs a series, %u series; baseline: plain AF_XDP forwarder and the bare AEAD\n",
                crypto::describe(transform::engine_in_use()).c_str(), pace->core, pace->pairs, pace->series);
    const rcu::Reader reader;
    std::vector<Row> rows;
    const bool measured = run(sizes, *pace, rows);
    veth::leave();
    if (measured)
        for (const Row& row : rows)
            std::printf("bar: %s at most 1.10: %.3f, %s\n", row.name.c_str(), row.median / *row.baseline,
                        row.median / *row.baseline <= 1.10 ? "met" : "not met");
    for (const char* name : {"forward/seal/1420", "forward/open/1420"})
        print_cores_for_terabit(rows, name, 1420, "by AF_XDP on veth, which copies");
    return finish(measured, rows, *pace);
}
