// SPDX-License-Identifier: Apache-2.0
#include "bench/measure.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sched.h>
#include <sstream>
#include <sys/resource.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace sallyport::bench {
namespace {

double median_of(std::vector<double> values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

Figure figure_of(const std::vector<double>& medians) {
    return {median_of(medians), *std::ranges::min_element(medians), *std::ranges::max_element(medians)};
}

std::uint64_t run_delay() {
    std::ifstream file("/proc/thread-self/schedstat");
    std::uint64_t running = 0, waiting = 0;
    file >> running >> waiting;
    return waiting;
}

std::uint64_t stolen() {
    static const std::string row = "cpu" + std::to_string(sched_getcpu()) + " ";
    std::ifstream file("/proc/stat");
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with(row)) continue;
        std::istringstream fields(line.substr(row.size()));
        std::uint64_t value = 0;
        for (unsigned i = 0; i < 8; ++i) // user nice system idle iowait irq softirq steal
            fields >> value;
        return value;
    }
    return 0;
}

double seconds() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

/// Cycles a packet of one slice, which begins with an untimed lap; nothing: disturbed.
std::optional<double> slice(const Work& work, double length) {
    const std::uint64_t untimed = work.lap();
    if (work.is_slice) return untimed == disturbed ? std::nullopt : std::optional(static_cast<double>(untimed) / work.packets);
    const double end = seconds() + length;
    std::uint64_t cycles = 0, packets = 0;
    do {
        cycles += work.lap();
        packets += work.packets;
    } while (seconds() < end);
    return static_cast<double>(cycles) / static_cast<double>(packets);
}

struct Pair {
    double subject, baseline;
};

/// Nothing where somebody else had the processor meanwhile. Who comes first changes, so that neither always finds the other's leavings.
std::optional<Pair> pair_of(const Work& subject, const Work& baseline, double length, bool subject_first) {
    const bool own_watch = subject.is_slice && baseline.is_slice;
    const Disturbance before = disturbance();
    const auto first = slice(subject_first ? subject : baseline, length);
    const auto second = slice(subject_first ? baseline : subject, length);
    if (!first || !second || (!own_watch && disturbance() != before)) return std::nullopt;
    return subject_first ? Pair{*first, *second} : Pair{*second, *first};
}

/// While it lives it is this bench's turn. The other one's end counts as a turn that never ends.
class Turn {
public:
    explicit Turn(const Pace& pace) : out_(pace.turn_out) {
        char octet = 0;
        if (pace.turn_in >= 0) (void)!read(pace.turn_in, &octet, 1);
    }
    ~Turn() {
        if (out_ >= 0) (void)!write(out_, "t", 1);
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

private:
    int out_;
};

/// Enough undisturbed pairs, or fewer where the machine gives no peace.
std::vector<Pair> pairs_of(const Work& subject, const Work& baseline, const Pace& pace, unsigned& thrown_away) {
    std::vector<Pair> pairs;
    const unsigned most = pace.pairs * 20;
    for (unsigned tries = 0; pairs.size() < pace.pairs && tries < most; ++tries) {
        const Turn turn(pace);
        if (const auto pair = pair_of(subject, baseline, pace.slice, tries % 2 == 0))
            pairs.push_back(*pair);
        else
            ++thrown_away;
    }
    return pairs;
}

std::string number(double value) {
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, value < 10 ? 3 : 1);
    return {text.data(), end.ptr};
}

} // namespace

Disturbance disturbance() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    return {run_delay(), static_cast<std::uint64_t>(usage.ru_nivcsw), stolen()};
}

std::uint64_t now() {
#if defined(__x86_64__)
    _mm_lfence();
    return __rdtsc();
#else
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC_RAW, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(time.tv_nsec);
#endif
}

void spin(std::uint64_t cycles) {
    const std::uint64_t begin = now();
    while (now() - begin < cycles) {
    }
}

std::optional<Comparison> compare(const Work& subject, const Work& baseline, const Pace& pace) {
    Comparison comparison;
    std::vector<double> differences, ratios, baselines;
    for (unsigned i = 0; i < pace.series; ++i) {
        const auto pairs = pairs_of(subject, baseline, pace, comparison.thrown_away);
        if (pairs.size() < pace.pairs) {
            std::fprintf(stderr,
                         "only %zu of %u pairs were undisturbed: this machine is too busy to measure (--realtime helps where others run)\n",
                         pairs.size(), pace.pairs);
            return std::nullopt;
        }
        std::vector<double> difference, ratio, bare;
        for (const Pair& pair : pairs) {
            difference.push_back(pair.subject - pair.baseline);
            ratio.push_back(pair.subject / pair.baseline);
            bare.push_back(pair.baseline);
        }
        differences.push_back(median_of(difference));
        ratios.push_back(median_of(ratio));
        baselines.push_back(median_of(bare));
    }
    comparison.difference = figure_of(differences);
    comparison.ratio = figure_of(ratios);
    comparison.baseline = median_of(baselines);
    return comparison;
}

std::optional<Figure> alone(const Work& subject, const Pace& pace) {
    const Work nothing{.lap = [] { return std::uint64_t{0}; }, .packets = 1};
    Pace shorter = pace;
    shorter.slice /= 2;
    const auto comparison = compare(subject, nothing, shorter);
    if (!comparison) return std::nullopt;
    return comparison->difference;
}

bool self_test(const Work& plain, const Work& wasteful, const Pace& pace) {
    Pace brief = pace;
    brief.series = 1;
    brief.pairs = std::min(pace.pairs, 100U);
    const auto wasted = compare(wasteful, plain, brief);
    const auto same = compare(plain, plain, brief);
    if (!wasted || !same) return false;
    const double seen = wasted->difference.median, nothing = same->difference.median;
    const bool good = seen > wasted_cycles * 0.9 && seen < wasted_cycles * 1.2 && std::fabs(nothing) < std::max(5.0, same->baseline * 0.02);
    std::fprintf(stderr, "self-test: %u wasted cycles a packet seen as %.0f, a work against itself as %.1f: %s\n", wasted_cycles, seen,
                 nothing, good ? "good" : "this bench cannot be trusted here");
    return good;
}

Row row_of_table(std::string name, const Comparison& comparison) {
    const auto over = [&](double difference) { return comparison.baseline + difference; };
    return {std::move(name),
            "cycles/packet",
            over(comparison.difference.median),
            over(comparison.difference.lowest),
            over(comparison.difference.highest),
            comparison.baseline};
}

Row row_of_table(std::string name, const Figure& figure) {
    return {std::move(name), "cycles/packet", figure.median, figure.lowest, figure.highest, std::nullopt};
}

void print_head() { std::printf("%-44s %10s %10s %10s %10s %10s %7s\n", "", "median", "min", "max", "baseline", "over it", "ratio"); }

void print(const Row& result) {
    std::printf("%-44s %10.1f %10.1f %10.1f", result.name.c_str(), result.median, result.lowest, result.highest);
    if (result.baseline) std::printf(" %10.1f %10.1f", *result.baseline, result.median - *result.baseline);
    if (result.baseline && *result.baseline != 0) std::printf(" %7.3f", result.median / *result.baseline);
    std::printf("\n");
    std::fflush(stdout);
}

bool write_json(const std::vector<Row>& results, const std::string& path) {
    std::string text = "[\n";
    for (const Row& result : results) {
        text += "  {\"name\": \"" + result.name + "\", \"unit\": \"" + result.unit + "\", \"median\": " + number(result.median) +
                ", \"min\": " + number(result.lowest) + ", \"max\": " + number(result.highest) + ", \"baseline\": ";
        text += result.baseline ? number(*result.baseline) : "null";
        text += ", \"ratio\": ";
        text += result.baseline && *result.baseline != 0 ? number(result.median / *result.baseline) : "null";
        text += &result == &results.back() ? "}\n" : "},\n";
    }
    text += "]\n";
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr) {
        std::perror(path.c_str());
        return false;
    }
    const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    return (std::fclose(file) == 0) && written;
}

namespace {

/// Cycles of now() in a second.
double cycles_of_second() {
    const double begin = seconds();
    const std::uint64_t first = now();
    while (seconds() - begin < 0.05) {
    }
    return static_cast<double>(now() - first) / (seconds() - begin);
}

} // namespace

void print_cores_for_terabit(const std::vector<Row>& results, const std::string& name, unsigned octets, const char* way) {
    const double packets = 1e12 / 8 / octets, cycles = cycles_of_second();
    for (const Row& result : results)
        if (result.name == name)
            std::printf("1 Tbit/s of %u octets are %.1f million packets a second: %s %.1f cores at %.2f GHz (TSC), %s\n", octets,
                        packets / 1e6, name.c_str(), packets * result.median / cycles, cycles / 1e9, way);
}

namespace {

/// The last allowed core: the first one usually serves interrupts.
void pin(Pace& pace) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof allowed, &allowed);
    for (int core = 0; pace.core < 0 && core < CPU_SETSIZE; ++core)
        if (CPU_ISSET(CPU_SETSIZE - 1 - core, &allowed)) pace.core = CPU_SETSIZE - 1 - core;
    CPU_ZERO(&allowed);
    CPU_SET(pace.core, &allowed);
    if (sched_setaffinity(0, sizeof allowed, &allowed) != 0) std::perror("sched_setaffinity");
}

} // namespace

int finish(bool measured, const std::vector<Row>& results, const Pace& pace) {
    const bool good = measured && (pace.json.empty() || write_json(results, pace.json));
    std::printf("%zu passed, %d failed\n", results.size() + (measured ? 1 : 0), good ? 0 : 1);
    return good ? 0 : 1;
}

std::optional<Pace> pace_from(std::vector<std::string>& arguments) {
    Pace pace;
    std::vector<std::string> left;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& name = arguments[i];
        if (name == "--realtime") {
            const sched_param first{.sched_priority = 1};
            if (sched_setscheduler(0, SCHED_FIFO, &first) != 0) std::perror("sched_setscheduler");
            continue;
        }
        if (name != "--pairs" && name != "--series" && name != "--core" && name != "--json" && name != "--turns") {
            left.push_back(name);
            continue;
        }
        if (++i == arguments.size()) {
            std::fprintf(stderr, "%s wants a value\n", name.c_str());
            return std::nullopt;
        }
        if (name == "--json") {
            pace.json = arguments[i];
            continue;
        }
        if (name == "--turns") {
            signal(SIGPIPE, SIG_IGN);                                                                     // the other bench may end first
            if (std::sscanf(arguments[i].c_str(), "%d,%d", &pace.turn_in, &pace.turn_out) == 2) continue; // NOLINT(cert-err34-c): our own
            std::fprintf(stderr, "--turns wants two descriptors\n");
            return std::nullopt;
        }
        unsigned value = 0;
        const std::string& text = arguments[i];
        if (std::from_chars(text.data(), text.data() + text.size(), value).ptr != text.data() + text.size()) {
            std::fprintf(stderr, "%s wants a number, not '%s'\n", name.c_str(), text.c_str());
            return std::nullopt;
        }
        if (name == "--core")
            pace.core = static_cast<int>(value);
        else
            (name == "--pairs" ? pace.pairs : pace.series) = std::max(value, 1U);
    }
    arguments = left;
    pin(pace);
    return pace;
}

} // namespace sallyport::bench
