// SPDX-License-Identifier: Apache-2.0
// What the gateway's own code costs: the worker's whole loop over ports in memory, against the library's bare calls on the same text, keys
// and order.
//     bench-pipeline [--algorithms [ah/]NAME,...] [--sizes OCTETS,...] [--sas COUNT,...] [--engine openssl] [--no-stages]
//                    [--pairs N] [--series N] [--core N] [--json FILE]
//     bench-pipeline --ask --sizes OCTETS
// Without options: AES-128-GCM at every size with 1, 1,000 and 100,000 SAs, its stages, and the other algorithms at 64 and 1420 octets.
// With --ask it waits for lines (seal, open, bare-seal, bare-open) and answers each with the cycles a packet of a second of it: for
// bench/peers.py.
#include "bench/bare.hpp"
#include "bench/gateway.hpp"
#include "bench/measure.hpp"
#include "gateway/wire/ah.hpp"
#include "gateway/wire/esp.hpp"
#include "gateway/wire/parse.hpp"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace sallyport;
using namespace sallyport::bench;

constexpr unsigned lap = MemoryGateway::lap;
constexpr unsigned window = 1024;

struct Subject {
    Algorithm algorithm;
    SaProtocol protocol = SaProtocol::esp;
};

std::string name_of(const Subject& subject) {
    return std::string(subject.protocol == SaProtocol::ah ? "ah/" : "") + std::string(info(subject.algorithm).name);
}

struct Options {
    std::vector<Subject> subjects;
    std::vector<unsigned> sizes{64, 128, 512, 1420}, counts{1, 1000, 100000};
    bool stages = true;
    bool everything = true; // no list was given
    bool ask = false;
};

std::vector<unsigned> numbers_of(const std::string& list) {
    std::vector<unsigned> numbers;
    std::istringstream words(list);
    for (std::string word; std::getline(words, word, ',');) {
        unsigned value = 0;
        const auto end = std::from_chars(word.data(), word.data() + word.size(), value);
        if (end.ptr != word.data() + word.size() || value == 0) return {};
        numbers.push_back(value);
    }
    return numbers;
}

std::vector<Subject> subjects_of(const std::string& list) {
    std::vector<Subject> found;
    std::istringstream words(list);
    for (std::string word; std::getline(words, word, ',');) {
        const bool ah = word.starts_with("ah/");
        const auto algorithm = parse_algorithm(std::string_view(word).substr(ah ? 3 : 0));
        if (!algorithm || (ah && !info(*algorithm).integrity_only())) return {};
        found.push_back({*algorithm, ah ? SaProtocol::ah : SaProtocol::esp});
    }
    return found;
}

std::optional<Options> options_from(const std::vector<std::string>& arguments) {
    Options options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& name = arguments[i];
        if (name == "--no-stages" || name == "--ask") {
            (name == "--ask" ? options.ask : options.stages) = name == "--ask";
            continue;
        }
        const std::string value = i + 1 < arguments.size() ? arguments[++i] : std::string();
        bool good = false;
        if (name == "--algorithms")
            good = !(options.subjects = subjects_of(value)).empty();
        else if (name == "--sizes")
            good = !(options.sizes = numbers_of(value)).empty();
        else if (name == "--sas")
            good = !(options.counts = numbers_of(value)).empty();
        else if (name == "--engine" && (value == "openssl" || value == "ipsec-mb")) {
            const auto engine = value == "openssl" ? crypto::Engine::openssl : crypto::Engine::ipsec_mb;
            good = crypto::available(engine);
            if (good) transform::use(engine);
        }
        if (!good) {
            std::fprintf(stderr, "%s '%s'?\n", name.c_str(), value.c_str());
            return std::nullopt;
        }
        options.everything = options.everything && name == "--engine";
    }
    for (const unsigned size : options.sizes)
        if (size < 28 || size > 1420) {
            std::fprintf(stderr, "sizes are from 28 to 1420 octets\n");
            return std::nullopt;
        }
    if (options.subjects.empty()) options.subjects = {{Algorithm::aes_128_gcm_16}};
    return options;
}

/// Ready-made packets for the bare library over the gateway's own frames: same text, same keys in the same order.
class BarePackets {
public:
    BarePackets(const SaPairs& pairs, MemoryGateway& gateway, unsigned inner) : pairs_(pairs), order_(pairs.count()), packets_(lap) {
        pairs.protocol() == SaProtocol::ah ? cover(gateway, inner) : encipher(gateway, inner);
    }
    std::uint64_t seal(const Bare& call) {
        for (crypto::Packet& packet : packets_) packet.key = pairs_.outbound(order_.next()).space.key;
        return call(packets_);
    }
    std::uint64_t open(const Bare& call) {
        std::array<unsigned, lap> who;
        for (unsigned i = 0; i < lap; ++i) {
            who[i] = order_.next();
            packets_[i].key = pairs_.outbound(who[i]).space.key;
        }
        const crypto::Suite& suite = crypto::suite(transform::engine_in_use(), pairs_.algorithm());
        for (unsigned i = 0; i < lap; i += crypto::batch_size) suite.seal(&packets_[i], crypto::batch_size);
        for (unsigned i = 0; i < lap; ++i) packets_[i].key = pairs_.inbound(who[i]).space.key;
        return call(packets_);
    }

private:
    void encipher(MemoryGateway& gateway, unsigned inner) {
        const AlgorithmInfo& row = info(pairs_.algorithm());
        const unsigned plain = (inner + wire::esp_trailer_size + row.block - 1) & ~(row.block - 1U);
        for (unsigned i = 0; i < lap; ++i) {
            crypto::Packet& packet = packets_[i];
            packet = {};
            packet.text = gateway.red()[i].chunk + frame_headroom + ethernet;
            packet.length = plain;
            packet.icv = packet.text + plain;
            packet.aad = row.unique_nonce() ? packet.extra.data() : packet.text - row.iv - wire::esp_size;
            packet.aad_length = static_cast<std::uint16_t>(row.unique_nonce() ? 12 : wire::esp_size + row.iv); // ESN
            packet.tail_length = row.unique_nonce() ? 0 : 4;
        }
    }
    /// With AH: outer header, AH, inner packet and the high half of the number are one text.
    void cover(MemoryGateway& gateway, unsigned inner) {
        const AlgorithmInfo& row = info(pairs_.algorithm());
        for (unsigned i = 0; i < lap; ++i) {
            crypto::Packet& packet = packets_[i];
            packet = {};
            packet.text = gateway.red()[i].chunk + frame_headroom + ethernet;
            packet.length = wire::ipv4_size + wire::ah_length(4, unsigned{row.iv} + row.icv) + inner + 4;
            packet.icv = packet.text + packet.length;
            packet.aad = packet.text;
        }
    }

    const SaPairs& pairs_;
    Order order_;
    std::vector<crypto::Packet> packets_;
};

/// One algorithm, size and number of SAs.
class Pipeline {
public:
    Pipeline(const SaPairs& pairs, unsigned inner)
        : pairs_(pairs), gateway_(pairs, inner), bare_(pairs, gateway_, inner),
          tail_(name_of({pairs.algorithm(), pairs.protocol()}) + "/" + std::to_string(inner) + "/" + std::to_string(pairs.count())),
          bare_seal_(bare(transform::engine_in_use(), pairs.algorithm(), Direction::outbound)),
          bare_open_(bare(transform::engine_in_use(), pairs.algorithm(), Direction::inbound)) {}

    Work seal() {
        return work([this] {
            gateway_.prepare_seal();
            return gateway_.seal();
        });
    }
    Work open() {
        return work([this] {
            gateway_.prepare_open();
            return gateway_.open();
        });
    }
    Work bare_seal() {
        return work([this] { return bare_.seal(bare_seal_); });
    }
    Work bare_open() {
        return work([this] { return bare_.open(bare_open_); });
    }
    Work wasteful_seal() {
        return work([this] {
            gateway_.prepare_seal();
            gateway_.waste(wasted_cycles);
            const std::uint64_t cycles = gateway_.seal();
            gateway_.waste(0);
            return cycles;
        });
    }
    bool measure(const Pace& pace, std::vector<Row>& results) {
        return add(compare(seal(), bare_seal(), pace), "seal/", results) && add(compare(open(), bare_open(), pace), "open/", results);
    }
    bool measure_stages(const Pace& pace, std::vector<Row>& results);

private:
    static Work work(std::function<std::uint64_t()> run) { return {std::move(run), lap}; }
    template <class Measured>
    bool add(const std::optional<Measured>& measured, const std::string& head, std::vector<Row>& results) {
        if (!measured) return false;
        results.push_back(row_of_table(head + tail_, *measured));
        print(results.back());
        return true;
    }
    template <class Stage>
    Work stage(bool sealing, unsigned done, Stage run);

    const SaPairs& pairs_;
    MemoryGateway gateway_;
    BarePackets bare_;
    std::string tail_;
    Bare bare_seal_, bare_open_;
    std::vector<Frame> frames_;
    std::vector<Frame*> at_;
};

/// A stage by itself: the lap's frames have gone through the stages before it, `done` of them, in batches of 64 as in the worker.
template <class Stage>
Work Pipeline::stage(bool sealing, unsigned done, Stage run) {
    return work([this, sealing, done, run] {
        sealing ? gateway_.prepare_seal() : gateway_.prepare_open();
        const std::span<Frame> lap_frames = sealing ? gateway_.red() : gateway_.black();
        frames_.assign(lap_frames.begin(), lap_frames.end());
        at_.clear();
        for (Frame& frame : frames_) at_.push_back(&frame);
        for (unsigned i = 0; i < lap && done >= 1; ++i) {
            wire::parse(frames_[i]);
            frames_[i].vpn = sealing ? red_vpn : wan_vpn;
            if (done >= 2 && sealing)
                frames_[i].outbound = &pairs_.outbound(gateway_.who()[i]);
            else if (done >= 2)
                frames_[i].inbound = &pairs_.inbound(gateway_.who()[i]);
        }
        const std::uint64_t begin = now();
        for (unsigned i = 0; i < lap; i += transform::batch_size) run(std::span<Frame* const>(at_.data() + i, transform::batch_size));
        return now() - begin;
    });
}

bool Pipeline::measure_stages(const Pace& pace, std::vector<Row>& results) {
    const transform::Transform& calls = transform::transform(pairs_.row());
    const auto parse = [](std::span<Frame* const> frames) {
        for (Frame* frame : frames) wire::parse(*frame);
    };
    const auto spd = [this](std::span<Frame* const> frames) { gateway_.tables().spd->read().decide_outbound(frames); };
    const auto sad = [this](std::span<Frame* const> frames) { gateway_.tables().sad.find(frames); };
    return add(alone(stage(true, 0, parse), pace), "stage/parse/seal/", results) &&
           add(alone(stage(true, 1, spd), pace), "stage/lookup/seal/", results) &&
           add(alone(stage(true, 2, calls.seal), pace), "stage/transform/seal/", results) &&
           add(alone(bare_seal(), pace), "stage/crypto/seal/", results) &&
           add(alone(stage(false, 0, parse), pace), "stage/parse/open/", results) &&
           add(alone(stage(false, 1, sad), pace), "stage/lookup/open/", results) &&
           add(alone(stage(false, 2, calls.open), pace), "stage/transform/open/", results) &&
           add(alone(bare_open(), pace), "stage/crypto/open/", results);
}

/// The mean of a second, preparations included in the time but not in the cycles.
double mean_of_a_second(const Work& work) {
    const auto seconds = [] {
        timespec time{};
        clock_gettime(CLOCK_MONOTONIC, &time);
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
    };
    std::uint64_t cycles = 0, packets = 0;
    static_cast<void>(work.lap());
    for (const double end = seconds() + 1; seconds() < end; packets += work.packets) cycles += work.lap();
    return static_cast<double>(cycles) / static_cast<double>(packets);
}

/// One SA, AES-128-GCM, the first of the sizes. Ends with its input.
bool answer(const Options& options) {
    const SaPairs pairs(Algorithm::aes_128_gcm_16, 1);
    Pipeline pipeline(pairs, options.sizes.front());
    const std::map<std::string, Work> works{
        {"seal", pipeline.seal()}, {"open", pipeline.open()}, {"bare-seal", pipeline.bare_seal()}, {"bare-open", pipeline.bare_open()}};
    for (std::string line; std::getline(std::cin, line);) {
        const auto work = works.find(line);
        if (work == works.end()) return false;
        std::printf("%.2f\n", mean_of_a_second(work->second));
        std::fflush(stdout);
    }
    return true;
}

/// Cycles over the bare call that a row may take, 0: nothing was promised of it. `rest`: behind the direction, as in "aes-128-gcm/64/1".
double most_of(bool sealing, const std::string& rest) {
    const std::size_t count_at = rest.rfind('/') + 1;
    const std::string subject = rest.substr(0, rest.rfind('/', count_at - 2)), count = rest.substr(count_at);
    const std::string size = rest.substr(subject.size() + 1, count_at - subject.size() - 2);
    if (size != "64" && (size != "1420" || count != "1")) return 0;
    if (subject == "aes-128-gcm" && count == "1000") return 170;
    if (subject == "aes-128-gcm" && count == "100000") return 250;
    if (subject == "aes-128-gcm") return size == "64" ? (sealing ? 110 : 130) : (sealing ? 120 : 145);
    return count == "1" ? 150 : 0;
}

void print_bars(const std::vector<Row>& results) {
    for (const Row& result : results) {
        const bool sealing = result.name.starts_with("seal/");
        if (!result.baseline || (!sealing && !result.name.starts_with("open/"))) continue;
        const double most = most_of(sealing, result.name.substr(5)), over = result.median - *result.baseline;
        if (most != 0)
            std::printf("bar: %s at most %.0f over bare: %.1f, %s\n", result.name.c_str(), most, over, over <= most ? "met" : "not met");
    }
}

bool run(const Options& options, const Pace& pace, std::vector<Row>& results) {
    {
        const SaPairs pairs(Algorithm::aes_128_gcm_16, 1);
        Pipeline pipeline(pairs, 64);
        if (!self_test(pipeline.seal(), pipeline.wasteful_seal(), pace)) return false;
    }
    print_head();
    for (const Subject& subject : options.subjects)
        for (const unsigned count : options.counts) {
            const SaPairs pairs(subject.algorithm, count, window, subject.protocol);
            for (const unsigned size : options.sizes) {
                Pipeline pipeline(pairs, size);
                if (!pipeline.measure(pace, results)) return false;
                if (options.stages && (size == 64 || size == 1420) && !pipeline.measure_stages(pace, results)) return false;
            }
        }
    std::vector<Subject> others;
    for (const AlgorithmInfo& row : algorithms) {
        if (row.algorithm != Algorithm::aes_128_gcm_16) others.push_back({row.algorithm});
        if (row.integrity_only()) others.push_back({row.algorithm, SaProtocol::ah});
    }
    for (const Subject& subject : others) {
        if (!options.everything) break;
        const SaPairs pairs(subject.algorithm, 1, window, subject.protocol);
        for (const unsigned size : {64U, 1420U}) {
            Pipeline pipeline(pairs, size);
            if (!pipeline.measure(pace, results)) return false;
        }
    }
    return true;
}

} // namespace

int main(int argc, char** argv) {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    const auto pace = pace_from(arguments);
    if (!pace) return 2;
    const auto options = options_from(arguments);
    if (!options) return 2;
    if (options->ask) return answer(*options) ? 0 : 2;
    std::printf("%s, core %d, %u pairs a series, %u series\n", crypto::describe(transform::engine_in_use()).c_str(), pace->core,
                pace->pairs, pace->series);
    std::vector<Row> results;
    const bool measured = run(*options, *pace, results);
    if (measured) {
        print_bars(results);
        for (const char* name : {"seal/aes-128-gcm/1420/1", "open/aes-128-gcm/1420/1"})
            print_cores_for_terabit(results, name, 1420, "between the ports");
    }
    return finish(measured, results, *pace);
}
