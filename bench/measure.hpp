// SPDX-License-Identifier: Apache-2.0
// How the benchmarks measure on a noisy machine: two works in turn, in slices of about 2 ms; pairs with stolen time or run delay are thrown
// away; the median of the paired differences of a series, and of five series.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::bench {

struct Pace {
    unsigned pairs = 200; // kept in each series, at least
    unsigned series = 5;
    double slice = 0.002; // seconds of wall clock, of which the timed part is what counts
    int core = -1;        // to run on; -1: the last of those allowed
    std::string json;     // where to write the results, empty: nowhere
    int turn_in = -1;     // descriptors: before each pair one octet is waited for, behind it one is written, so that two benches run their
    int turn_out = -1;    // slices in turn (bench/against.py); -1: alone
};

/// One lap does the same work every time and returns the TSC cycles of its timed parts; what it prepares is not timed.
struct Work {
    std::function<std::uint64_t()> lap;
    unsigned packets = 0;  // of a lap
    bool is_slice = false; // a lap takes about as long as a slice and looks for disturbances in its timed part itself
};
inline constexpr std::uint64_t disturbed = ~std::uint64_t{0}; // what such a lap returns where it found one

/// What tells that somebody else had the processor: time that the thread waited runnable, switches it did not want, time stolen from its
/// core.
struct Disturbance {
    std::uint64_t run_delay = 0, switches = 0, stolen = 0;
    bool operator==(const Disturbance&) const = default;
};
[[nodiscard]] Disturbance disturbance(); // since the thread began

/// Cycles a packet; the median over the series of each series' median, and the lowest and highest of them.
struct Figure {
    double median = 0, lowest = 0, highest = 0;
};

struct Comparison {
    Figure difference; // of the subject over the baseline, by pairs
    Figure ratio;      // of the subject to the baseline, by pairs
    double baseline = 0;
    unsigned thrown_away = 0; // pairs
};

/// Nothing where too few pairs stayed undisturbed.
[[nodiscard]] std::optional<Comparison> compare(const Work& subject, const Work& baseline, const Pace& pace);
[[nodiscard]] std::optional<Figure> alone(const Work& subject, const Pace& pace);

/// Whether a work that wastes 500 cycles a packet shows as that, and a work against itself as nothing. Says on stderr what it saw.
[[nodiscard]] bool self_test(const Work& plain, const Work& wasteful, const Pace& pace);
inline constexpr unsigned wasted_cycles = 500;

/// Wastes `cycles` of the TSC.
void spin(std::uint64_t cycles);
[[nodiscard]] std::uint64_t now(); // TSC, behind all that came before

struct Row {
    std::string name, unit;
    double median = 0, lowest = 0, highest = 0;
    std::optional<double> baseline;
};

/// A result in cycles a packet: baseline and the paired difference over it.
[[nodiscard]] Row row_of_table(std::string name, const Comparison& comparison);
[[nodiscard]] Row row_of_table(std::string name, const Figure& figure);

void print_head();
void print(const Row& result);
/// All of it at once; false: could not be written.
[[nodiscard]] bool write_json(const std::vector<Row>& results, const std::string& path);

/// How many cores such as this one would carry 1 Tbit/s of inner packets of `octets`, by the row of this name, where there is one. `way`:
/// what the row has gone through.
void print_cores_for_terabit(const std::vector<Row>& results, const std::string& name, unsigned octets, const char* way);

/// The end of a benchmark: writes the results where `pace` says, unless `measured` is false, and prints how many measurements (the
/// self-test is one) passed and failed. Gives the exit status.
[[nodiscard]] int finish(bool measured, const std::vector<Row>& results, const Pace& pace);

/// Pins the thread; takes --pairs N, --series N, --core N, --realtime, --json FILE, --turns IN,OUT out of the arguments and leaves the
/// others. Nothing: bad arguments.
[[nodiscard]] std::optional<Pace> pace_from(std::vector<std::string>& arguments);

} // namespace sallyport::bench
